//! Conversations as logged by a chat service: the fields of WildChat with synthetic text, the same for the same seed on
//! every platform.
//!
//! Each response has a quality that its text shows: useless and flawed ones are about another topic than the user's or
//! break off, and the worst begin carelessly; fine and excellent ones keep to the things that the user named. The next
//! user message follows from the quality, as far as it says anything about it, so a reward model can learn from the
//! extracted rows.
//!
//! There is also everything that real logs have: requests that are too short or that a chat model cannot fulfil,
//! addresses and phone numbers, refusals, conversations that were sent or logged again, and rows that cannot be used.

mod chinese;
mod english;
mod language;
mod style;
mod talk;
mod write;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

pub(crate) use style::Style;
pub(crate) use write::{write_jsonl, write_parquet};

use chinese::CHINESE;
use english::ENGLISH;
use language::{Language, Speaker};
use talk::Talk;

/// A log without an end; each conversation depends on the seed and its index alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Logs {
    /// Another seed, another log.
    pub seed: u64,
    /// How much is said.
    pub style: Style,
}

/// A row of a log, with the columns of WildChat in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Logged {
    conversation_hash: String,
    model: &'static str,
    timestamp: String,
    conversation: Vec<LoggedMessage>,
    turn: usize,
    language: &'static str,
    toxic: bool,
    redacted: bool,
    state: Option<&'static str>,
    country: &'static str,
    hashed_ip: String,
    #[serde(skip)]
    damage: Option<Damage>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct LoggedMessage {
    role: &'static str,
    content: String,
    language: &'static str,
    hashed_ip: Option<String>,
    timestamp: Option<String>,
    toxic: bool,
    redacted: bool,
    turn_identifier: u64,
}

/// Damage that only a line of text can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    /// The line breaks off.
    Cut,
    /// The conversation is a text and no list.
    Text,
}

const MODELS: [&str; 4] = ["gpt-3.5-turbo-0301", "gpt-3.5-turbo-0613", "gpt-4-0314", "gpt-4-1106-preview"];
/// 2023-04-09, when the first conversations of WildChat took place.
const START: i64 = 1_680_998_400;

impl Logs {
    /// The conversation at a place of the log.
    pub(crate) fn conversation(&self, index: u64) -> Logged {
        let mut fate = self.rng(2 * index + 1);
        match fate.random_range(0..1000) {
            0..2 => Logged { conversation: vec![], ..self.regular(index) },
            2..4 => {
                let mut logged = self.regular(index);
                logged.conversation[0].role = "narrator";
                logged
            }
            4..6 => Logged { damage: Some(Damage::Cut), ..self.regular(index) },
            6..8 => Logged { damage: Some(Damage::Text), ..self.regular(index) },
            // Logged twice, and sent again.
            8..10 if index > 0 => self.regular(fate.random_range(0..index)),
            10..20 if index > 0 => {
                let own = self.regular(index).conversation_hash;
                Logged { conversation_hash: own, ..self.regular(fate.random_range(0..index)) }
            }
            _ => self.regular(index),
        }
    }

    fn rng(&self, stream: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(stream);
        rng
    }

    /// A conversation that nothing happened to.
    fn regular(&self, index: u64) -> Logged {
        let mut rng = self.rng(2 * index);
        let conversation_hash = hex(&mut rng, 2);
        let model = MODELS[rng.random_range(0..MODELS.len())];
        let language: &'static Language = if rng.random_bool(0.2) { &CHINESE } else { &ENGLISH };
        let (country, state) = language.places[rng.random_range(0..language.places.len())];
        // Some users come again and again, most once.
        let user = (rng.random::<f64>().powi(2) * (index / 2 + 1) as f64) as u64;
        let hashed_ip = hex(&mut self.rng(u64::MAX - user), 4);
        let speaker = Speaker { rng, language, few_words: self.style == Style::Brief };
        let messages = Talk::between(speaker, self.style);
        let seconds = START + 37 * index as i64;
        let turn = messages.len().div_ceil(2);
        let message = |(number, content): (usize, String)| {
            let is_user = number.is_multiple_of(2);
            LoggedMessage {
                role: if is_user { "user" } else { "assistant" },
                content,
                language: language.name,
                hashed_ip: is_user.then(|| hashed_ip.clone()),
                timestamp: (!is_user).then(|| instant(seconds + 20 * number as i64)),
                toxic: false,
                redacted: false,
                turn_identifier: 1000 * index + number as u64,
            }
        };
        Logged {
            conversation_hash,
            model,
            timestamp: instant(seconds + 20 * turn as i64),
            conversation: messages.into_iter().enumerate().map(message).collect(),
            turn,
            language: language.name,
            toxic: false,
            redacted: false,
            state,
            country,
            hashed_ip,
            damage: None,
        }
    }
}

/// Random digits, 64 bits per word.
fn hex(rng: &mut ChaCha8Rng, words: usize) -> String {
    (0..words).map(|_| format!("{:016x}", rng.random::<u64>())).collect()
}

/// Seconds since 1970 in ISO 8601.
fn instant(seconds: i64) -> String {
    arrow_array::temporal_conversions::timestamp_s_to_datetime(seconds)
        .map(|time| format!("{time:?}Z"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
