//! Tokens as text, for lists of log-probabilities.

use super::served::Served;
use crate::failure::Failure;

/// A token as text of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenText {
    pub(crate) text: String,
    /// Its bytes, unless it is only a part of a character.
    pub(crate) bytes: Option<Vec<u8>>,
}

impl TokenText {
    /// The text of a token, special or not.
    pub(crate) fn of(served: &Served, token: u32) -> Result<Self, Failure> {
        let text = served.decode(&[token], true)?;
        let bytes = (!text.contains('\u{fffd}')).then(|| text.as_bytes().to_vec());
        Ok(Self { text, bytes })
    }
}
