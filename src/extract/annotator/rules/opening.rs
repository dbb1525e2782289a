//! The part of a message in which people judge the response: its first sentences, outside code and quotes.

use std::sync::LazyLock;

use regex::Regex;

use crate::data::words::words_up_to;
use crate::extract::lexical::{Phrases, beginning, end, normalized};

/// Bytes of a message that are read.
const READ: usize = 300;
/// Sentences that are read of a short message.
const SENTENCES: usize = 3;
/// A longer message, in words, is a task of its own: only its first sentence can speak of the response.
const SHORT: usize = 60;
/// A longer sentence, in words, is a task or a tale.
const LONGEST_SENTENCE: usize = 40;

/// Introductory words, which say nothing about the response.
static LEAD_IN: LazyLock<Regex> = LazyLock::new(|| {
    let words = "hi there|hi|hello|hey|okay|ok|oh|ah|um|uh|hmm+|so|yes|yeah|yep|actually|sorry|dude|man|bro|lol|ha(?:ha)+|\
                 alright|again|seriously|honestly|i think|i guess|i'm afraid|it seems|seems|chatgpt|gpt|\
                 嗯+|哦+|啊+|呃|那个|我觉得|我认为|好像|怎么";
    Regex::new(&format!(r"^(?:(?:{words})(?:[ ,.!~]+|$)|[,.!~ ]+|(?:嗯|哦|啊|我觉得|我认为|好像)+,?)+"))
        .expect("a constant pattern, which tests compile")
});

/// Questions and orders: such a sentence says nothing about the response.
static REQUEST: LazyLock<Phrases> = LazyLock::new(|| {
    Phrases::new([
        "(what|how|why|who|when|where|which|whose|is|are|was|were|do|does|did|can|could|would|will|should|shall|has|\
         have)",
        "(please|kindly) _",
        "(write|create|generate|tell|explain|describe|list|make|give|show|translate|summarize|summarise|rewrite|act)",
        "(imagine|suppose|assume|consider|provide|suggest|continue|expand|elaborate|add|change|replace|remove|use|\
         let's|let)",
        "(i want|i need|i would|i'd|if|now|next|when|answer|question|fix|find|compare|convert|improve|correct|analyze)",
        "(什么|怎么|如何|为什么|请|帮|给我|写一|写个|写篇|写出|写首|翻译|解释|如果|能不能|能否|可以|生成|继续|总结|你是|你现在是|扮演|假如|假设)",
    ])
});

/// Phrases that set a task: the sentences after them belong to it.
static TASK: LazyLock<Phrases> = LazyLock::new(|| {
    Phrases::new([
        "[please|now|can you|could you] (write|create|generate|translate|act as|imagine|describe|summarize|summarise|\
         pretend|rephrase|paraphrase|proofread|compose|roleplay)",
        "[请|现在|帮我](写一|写个|写篇|写出|写首|翻译|扮演|总结|创作|生成|润色|改写)",
    ])
});

/// Words after which a statement is not made.
static CONDITION: LazyLock<Phrases> = LazyLock::new(|| {
    Phrases::new([
        "(if|whether|unless|when|why|what|how|where|who|until|because|in case|make sure|ensure|suppose|says|said|\
         saying)",
        "(is|are|was|were|tell me|explain|not|never|isn't|wasn't)",
        "(如果|是否|为什么|除非|要是|假如|直到|不|没|没有|是不是|不是|不算|并不|不太|不怎么)",
    ])
});

/// Phrases that take back the sentence before them.
static RESERVATION: LazyLock<Phrases> =
    LazyLock::new(|| Phrases::new(["(but|however|although|though|except|only)", "(但|不过|可是|只是)"]));

/// Words that go with praise or thanks and say nothing else.
static FILLER: LazyLock<Phrases> = LazyLock::new(|| {
    Phrases::new([
        "(so|very|much|please|pls|plz|you|u|a lot|lot|lots|a bunch|man|buddy|bro|sir|dude|mate|my friend|friend|dear|\
         again|\
         really|this|that|that's|it's|is|was|these are|for|the|your|help|answer|answers|all|now|okay|ok|yes|and|it|i|\
         chatgpt|\
         gpt|ai|one|just)",
        "(了|的|你|您|啊|呀|哦|吧|哈|嗯|好|太|真|很|这个|非常|回答|啦|呢|帮助|帮忙|那)",
    ])
});

/// The opening of a message.
pub(super) struct Opening {
    text: String,
    /// Whether nothing follows it.
    is_all: bool,
    /// The sentences in which evidence counts.
    pub sentences: Vec<Sentence>,
    /// Whether the message answers a question with which the response ended.
    pub answers: bool,
    /// Whether the response holds code.
    pub after_code: bool,
}

/// A sentence, without what leads into it.
pub(super) struct Sentence {
    pub text: String,
    /// Whether it states something, rather than asks or orders.
    pub is_statement: bool,
}

impl Opening {
    /// The opening of `message`, which followed `response`.
    pub(super) fn of(message: &str, response: &str) -> Self {
        let message = message.trim();
        // Code, quotes and pasted blocks are not what the user says.
        let own = message.find("```").map_or(message, |at| &message[..at]);
        let read = beginning(own, READ);
        // A line end ends a sentence, which white space alone would not show.
        let lines = read.lines().filter(|line| !line.trim().is_empty());
        let text = lines.map(|line| normalized(line).into_owned()).collect::<Vec<_>>().join("\n");
        let quote = text.find('"').filter(|at| text[at + 1..].contains('"') || read.len() < own.len());
        let text = quote.map_or(text.as_str(), |at| &text[..at]).to_owned();
        let is_all = read.len() == message.len() && quote.is_none();
        let long = words_up_to(message, SHORT + 1) > SHORT;
        let last = end(response.trim_end(), READ);
        let sentences = sentences(&text, if long { 1 } else { SENTENCES });
        Self {
            text,
            is_all,
            sentences,
            answers: last.ends_with(['?', '？'])
                || last.rsplit(['.', '!', '。', '\n']).next().is_some_and(|s| s.contains('?')),
            after_code: response.contains('`') || response.contains("\n    "),
        }
    }

    /// Whether the whole message is made of these phrases and of words that say nothing.
    pub(super) fn is_made_of(&self, phrases: &Phrases) -> bool {
        if !self.is_all || self.text.contains('?') || !phrases.is_in(&self.text) {
            return false;
        }
        let mut rest = self.text.clone();
        let found: Vec<_> = phrases.all(&self.text).collect();
        for range in found.iter().rev() {
            rest.replace_range(range.clone(), " ; ");
        }
        let fillers: Vec<_> = FILLER.all(&rest).collect();
        let mut letters = rest.clone();
        for range in fillers.iter().rev() {
            letters.replace_range(range.clone(), " ");
        }
        !letters.contains(char::is_alphanumeric)
    }

    /// Whether the message begins with one of these phrases as a word by itself, and continues.
    pub(super) fn interjection(&self, phrases: &Phrases) -> bool {
        static GOES_ON: LazyLock<Phrases> = LazyLock::new(|| {
            Phrases::new([
                "(now|next|then|can|could|would|will|please|let's|let us|i|i'd|i'm|also|and|what|how|write|give|make|\
                 tell|one more|job)",
                "(现在|接下来|那|请|继续|再|帮|能|可以|下面|然后|接着)",
            ])
        });
        let Some(first) = self.sentences.first() else { return false };
        if self.sentences.get(1).is_some_and(|second| RESERVATION.begins(&second.text).is_some()) {
            return false;
        }
        let Some(end) = phrases.begins(&first.text) else { return false };
        let rest = &first.text[end..];
        let trimmed = rest.trim_start_matches([' ', ',', '.', '!', ':', ')', '-', '\n', '~']);
        let apart = rest.starts_with(['.', ',', '!', '~']) || rest.starts_with(" -") || rest.is_empty();
        apart || GOES_ON.begins(trimmed).is_some()
    }
}

/// The first sentences of an opening, at most `count`, as far as they are not the matter of a task.
fn sentences(opening: &str, count: usize) -> Vec<Sentence> {
    let texts = opening.split_inclusive(['.', '!', '?', '。', '\n', ';']).map(without_lead_in);
    let mut in_task = false;
    let texts = texts.filter(|text| !text.is_empty()).take(count).take_while(move |text| {
        let task = TASK.begins(text).is_some();
        !std::mem::replace(&mut in_task, task)
    });
    let texts = texts.filter(|text| words_up_to(text, LONGEST_SENTENCE + 1) <= LONGEST_SENTENCE);
    texts.map(|text| Sentence { text: text.to_owned(), is_statement: REQUEST.begins(text).is_none() }).collect()
}

fn without_lead_in(sentence: &str) -> &str {
    let sentence = sentence.trim();
    &sentence[LEAD_IN.find(sentence).map_or(0, |found| found.end())..]
}

impl Sentence {
    /// Whether what stands there is said under a condition, denied or reported.
    pub(super) fn is_conditional(&self, at: usize) -> bool {
        let before = self.text[..at].trim_end();
        CONDITION.all(before).any(|found| found.end == before.len())
    }
}
