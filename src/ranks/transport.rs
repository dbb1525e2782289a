//! How messages get from rank to rank.

use crate::Result;

/// What a message is for. Messages of one tag arrive in the order in which they were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Tag {
    /// A share of something that all ranks do together, in the order of the run.
    Share = 1,
    /// Why the sender cannot go on. It may come at any time.
    Failure = 2,
    /// The first rank has done what it does for a run that failed.
    End = 3,
    /// The sender is free, for the first rank.
    Ask = 4,
    /// What the first rank gives it to do.
    Piece = 5,
}

/// A connection to all ranks. Nothing waits here.
pub(super) trait Transport {
    /// The number of this rank.
    fn rank(&self) -> usize;

    /// The number of ranks.
    fn size(&self) -> usize;

    /// Begins to send a message to another rank.
    fn send(&mut self, to: usize, tag: Tag, message: Vec<u8>) -> Result<()>;

    /// The next message of a rank, once all of it is here.
    fn receive(&mut self, from: usize, tag: Tag) -> Result<Option<Vec<u8>>>;

    /// Whether everything that was sent has left.
    fn is_sent(&mut self) -> Result<bool>;

    /// Closes the connection, which all ranks do.
    fn close(&mut self);
}
