//! The course of a conversation: the question, the quality of the answer, and the user's reaction.

use rand::RngExt;

use super::language::{Language, Speaker, Subject};
use super::style::Style;

/// How good a response is; also the user's judgement, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quality {
    Useless,
    Flawed,
    Fine,
    Excellent,
}

impl Quality {
    const ALL: [Self; 4] = [Self::Useless, Self::Flawed, Self::Fine, Self::Excellent];

    fn is_good(self) -> bool {
        matches!(self, Self::Fine | Self::Excellent)
    }
}

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ordinary,
    /// Too few words.
    Short,
    /// Takes more than a chat model.
    Beyond,
    /// With an address or a phone number.
    Personal,
    /// Deserves to be refused.
    Unsafe,
}

/// A conversation under way.
pub(super) struct Talk {
    speaker: Speaker,
    style: Style,
    messages: Vec<String>,
}

impl Talk {
    /// The messages of a conversation, of user and model in turn.
    pub(super) fn between(speaker: Speaker, style: Style) -> Vec<String> {
        let mut talk = Self { speaker, style, messages: vec![] };
        talk.hold();
        talk.messages
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.speaker.rng.random_bool(probability)
    }

    fn hold(&mut self) {
        // Most conversations are short, and a few are longer than anyone would train on.
        let endless = self.chance(0.005);
        let (again, most) = match self.style {
            Style::Brief => (0.4, 3),
            Style::Long if endless => (0.97, 40),
            Style::Long => (0.6, 12),
        };
        let mut subject = self.speaker.subject(None);
        let mut said = String::new();
        for number in 1.. {
            let kind = self.kind();
            let request = self.request(kind, &subject);
            self.messages.push(joined(self.speaker.language, &said, &request));
            said = self.respond(kind, &subject);
            if number == most || !self.chance(again) {
                break;
            }
            subject = match self.chance(0.8) {
                true => self.speaker.things(subject.topic),
                false => self.speaker.subject(Some(subject.topic)),
            };
        }
        let last_word = if self.style == Style::Brief { 0.9 } else { 0.2 };
        if !said.is_empty() && self.chance(last_word) {
            self.messages.push(said);
        }
    }

    fn kind(&mut self) -> Kind {
        match self.speaker.rng.random_range(0..100) {
            0..4 => Kind::Short,
            4..7 => Kind::Beyond,
            7 => Kind::Personal,
            8 => Kind::Unsafe,
            _ => Kind::Ordinary,
        }
    }

    fn request(&mut self, kind: Kind, subject: &Subject) -> String {
        let language = self.speaker.language;
        let requests = &language.requests;
        let phrases = match kind {
            Kind::Ordinary | Kind::Personal => self.speaker.known(requests.ordinary, 3),
            Kind::Short => requests.short,
            Kind::Beyond => requests.beyond,
            Kind::Unsafe => requests.unsafe_,
        };
        let mut request = self.speaker.say(phrases, subject);
        if kind == Kind::Personal {
            let personal = self.speaker.say(requests.personal, subject);
            request = joined(language, &request, &personal);
        }
        // Text that people paste below a request.
        if self.style == Style::Long && kind == Kind::Ordinary && self.chance(0.25) {
            let count = self.speaker.rng.random_range(2..12);
            let pasted = self.sentences(subject, count);
            request = format!("{request}\n\n{}", paragraph(language, &pasted));
        }
        request
    }

    /// Adds the response, and returns the user's judgement.
    fn respond(&mut self, kind: Kind, subject: &Subject) -> String {
        let language = self.speaker.language;
        if kind == Kind::Unsafe || self.chance(0.01) {
            let refusal = self.speaker.say(language.responses.refusals, subject);
            self.messages.push(refusal);
            let phrases = if self.chance(0.6) { language.reactions[0] } else { language.transitions };
            return self.speaker.say(phrases, subject);
        }
        let quality = self.quality();
        let response = match self.style {
            Style::Brief => self.brief(quality, subject),
            Style::Long => self.long(quality, subject),
        };
        self.messages.push(response);
        let phrases = match self.reaction(quality) {
            Some(reaction) => language.reactions[reaction as usize],
            None => language.transitions,
        };
        self.speaker.say(phrases, subject)
    }

    fn quality(&mut self) -> Quality {
        let drawn = self.speaker.rng.random_range(0..100);
        match self.style {
            Style::Brief => Quality::ALL[drawn % 4],
            Style::Long => Quality::ALL[[8, 30, 65].iter().filter(|limit| drawn >= **limit).count()],
        }
    }

    /// The user's judgement of a response, if there is one; now and then it is off by one.
    fn reaction(&mut self, quality: Quality) -> Option<Quality> {
        let speaks = match self.style {
            Style::Brief => 0.9,
            Style::Long => [0.4, 0.6, 0.15, 0.06][quality as usize],
        };
        if !self.chance(speaks) {
            return None;
        }
        let level = quality as usize;
        Some(match self.chance(0.04) {
            true => Quality::ALL[if level == 0 || (level < 3 && self.chance(0.5)) { level + 1 } else { level - 1 }],
            false => quality,
        })
    }

    /// The first words of a response, which sound like its quality more often than not.
    fn opening(&mut self, quality: Quality, subject: &Subject) -> String {
        let responses = &self.speaker.language.responses;
        let usual = self.chance(0.8);
        let phrases = match quality {
            Quality::Useless if usual => responses.careless,
            Quality::Excellent if usual => responses.careful,
            Quality::Useless | Quality::Excellent => responses.plain,
            Quality::Fine if usual => responses.plain,
            Quality::Flawed if usual => responses.plain,
            Quality::Fine | Quality::Flawed => responses.careful,
        };
        self.speaker.say(phrases, subject)
    }

    /// The topic of a response: that of the request if it is good, and otherwise a different one.
    fn answered(&mut self, quality: Quality, asked: &Subject) -> Subject {
        if quality.is_good() { *asked } else { self.speaker.subject(Some(asked.topic)) }
    }

    fn brief(&mut self, quality: Quality, asked: &Subject) -> String {
        let language = self.speaker.language;
        let answered = self.answered(quality, asked);
        let opening = self.opening(quality, asked);
        joined(language, &opening, &self.speaker.say(language.responses.brief, &answered))
    }

    fn long(&mut self, quality: Quality, asked: &Subject) -> String {
        let language = self.speaker.language;
        // A flawed response may also keep to the topic and break off.
        let breaks_off = quality == Quality::Flawed && self.chance(0.4);
        let answered = if breaks_off { *asked } else { self.answered(quality, asked) };
        let opening = self.opening(quality, asked);
        let count = match quality {
            Quality::Useless => 2..6,
            Quality::Flawed => 3..12,
            Quality::Fine => 4..18,
            Quality::Excellent => 8..28,
        };
        let count = self.speaker.rng.random_range(count);
        let sentences = self.sentences(&answered, count);
        let mut text = match quality {
            Quality::Excellent => {
                let steps = sentences.iter().zip(1..).map(|(sentence, number)| format!("{number}. {sentence}\n"));
                let last = self.speaker.say(language.responses.last, &answered);
                format!("{opening}\n\n{}\n{last}", steps.collect::<String>())
            }
            _ => format!("{opening}\n\n{}", paragraph(language, &sentences)),
        };
        if breaks_off {
            let end = text.char_indices().rev().nth(17).map_or(0, |(at, _)| at);
            text.truncate(end);
        }
        text
    }

    /// Sentences about a subject: the things asked for at first, then others of the topic.
    fn sentences(&mut self, subject: &Subject, count: usize) -> Vec<String> {
        let sentences = self.speaker.language.responses.sentences;
        let mut about = *subject;
        (0..count)
            .map(|_| {
                let sentence = self.speaker.say(sentences, &about);
                about = self.speaker.things(subject.topic);
                sentence
            })
            .collect()
    }
}

/// Two parts of a message, either of which may be empty.
fn joined(language: &Language, first: &str, second: &str) -> String {
    paragraph(language, &[first, second].map(str::to_owned))
}

fn paragraph(language: &Language, sentences: &[String]) -> String {
    let said: Vec<&str> = sentences.iter().map(String::as_str).filter(|sentence| !sentence.is_empty()).collect();
    said.join(language.space)
}
