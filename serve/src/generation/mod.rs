//! Text from a causal model.
//!
//! In reading order: `served` is the model and how it reads prompts; `fields` are what requests may say; `worker` is the
//! thread that owns its device, between two steps of which completions join and leave; `queue` is the way to it, and
//! `drawn` the way from a request there; `completion` collects what a completion gains, and `events` streams it. `token`
//! is the text of single tokens.

mod completion;
mod drawn;
mod events;
mod fields;
mod queue;
mod served;
mod token;
mod worker;

#[cfg(test)]
mod tests;

pub(crate) use completion::Completion;
pub(crate) use drawn::{Drawn, Prompt};
pub(crate) use events::{Writer, events};
pub(crate) use fields::{Fields, check_log_probs, check_others, parse};
pub(crate) use queue::{Generation, THREAD};
pub(crate) use served::Served;
pub(crate) use token::TokenText;
