//! Batches of conversations, as the reading threads send them to the reader.

use std::sync::mpsc::SyncSender;

use super::conversation::Conversation;
use super::irregular::Irregular;
use crate::Result;
use crate::data::read_report::ReadReport;

/// A batch is full at this many rows, or this much text.
const BATCH_ROWS: usize = 256;
const BATCH_TEXT: usize = 4 << 20;

/// Some rows of one part of a file.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Its rows, in order; unusable ones in their place.
    pub rows: Vec<Result<Conversation, Irregular>>,
    /// Bytes of text in them.
    pub text: usize,
    /// Counts of harmless irregularities.
    pub report: ReadReport,
    /// Bytes of input they take.
    pub bytes_read: u64,
}

impl Batch {
    /// Takes one more row.
    pub(super) fn push(&mut self, row: Result<Conversation, Irregular>) {
        self.text += row.as_ref().map_or(0, text_of);
        self.rows.push(row);
    }

    /// Whether it is time to send it.
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= BATCH_ROWS || self.text >= BATCH_TEXT
    }
}

fn text_of(conversation: &Conversation) -> usize {
    conversation.messages.iter().map(|message| message.content.len()).sum()
}

/// The channel to which a thread sends what it reads of a part.
pub(super) struct Sink(pub SyncSender<Result<Batch>>);

impl Sink {
    /// Waits for room and sends; false where the reader is gone.
    pub(super) fn send(&self, batch: Batch) -> bool {
        self.0.send(Ok(batch)).is_ok()
    }
}
