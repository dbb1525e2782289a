//! The pieces of work that are left, and how ranks ask for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_channel::mpsc::UnboundedSender;

/// The result of a piece, by its number.
pub(super) type Done = (usize, Vec<u8>);

/// The pieces that nobody has begun.
pub(super) struct Deck {
    next: AtomicUsize,
    size: usize,
    were_left: AtomicBool,
}

impl Deck {
    /// All of so many.
    pub(super) fn new(size: usize) -> Self {
        Self { next: AtomicUsize::new(0), size, were_left: AtomicBool::new(false) }
    }

    /// Takes one.
    pub(super) fn take(&self) -> Option<usize> {
        Some(self.next.fetch_add(1, Ordering::Relaxed)).filter(|piece| *piece < self.size)
    }

    /// Puts all away that are left.
    pub(super) fn clear(&self) {
        if self.next.fetch_max(self.size, Ordering::Relaxed) < self.size {
            self.were_left.store(true, Ordering::Relaxed);
        }
    }

    /// Whether some were put away.
    pub(super) fn were_left(&self) -> bool {
        self.were_left.load(Ordering::Relaxed)
    }
}

/// A rank that is free, as it tells the first.
pub(super) struct Ask {
    /// Whether this rank has been asked to stop, so that all shall.
    pub(super) stops: bool,
    /// The piece that it has done.
    pub(super) done: Option<Done>,
}

impl Ask {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let (piece, result) = self.done.as_ref().map_or((u64::MAX, &[][..]), |(piece, result)| (*piece as u64, result));
        [&[u8::from(self.stops)], &piece.to_le_bytes()[..], result].concat()
    }

    /// `None` if it is cut short.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let (stops, rest) = bytes.split_first()?;
        let (piece, result) = rest.split_first_chunk()?;
        let piece = Some(u64::from_le_bytes(*piece)).filter(|piece| *piece != u64::MAX);
        Some(Self { stops: *stops != 0, done: piece.map(|piece| (piece as usize, result.to_vec())) })
    }
}

/// What the first rank tells one that is free: its next piece, or that none is left.
pub(super) struct Answer(pub(super) Option<usize>);

impl Answer {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.map_or(u64::MAX, |piece| piece as u64).to_le_bytes().to_vec()
    }

    /// `None` if it has another length.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let piece = u64::from_le_bytes(bytes.try_into().ok()?);
        Some(Self((piece != u64::MAX).then_some(piece as usize)))
    }
}

/// The first rank's side of dealing to the others.
pub(super) struct Dealing {
    deck: Arc<Deck>,
    done: UnboundedSender<Done>,
}

impl Dealing {
    /// To ranks whose results go into the channel.
    pub(super) fn new(deck: Arc<Deck>, done: UnboundedSender<Done>) -> Self {
        Self { deck, done }
    }

    /// Takes what a rank has done, and gives it its next piece.
    pub(super) fn answer(&self, ask: Ask) -> Answer {
        if let Some(done) = ask.done {
            // Nobody keeps results any more where the first rank has failed.
            let _ = self.done.unbounded_send(done);
        }
        if ask.stops {
            self.deck.clear();
        }
        Answer(self.deck.take())
    }

    /// Whether the first rank has failed, and deals no more.
    pub(super) fn is_over(&self) -> bool {
        self.done.is_closed()
    }
}

#[cfg(test)]
mod tests {
    use futures_channel::mpsc::unbounded;

    use super::*;

    #[test]
    fn a_rank_that_stops_is_heard_and_what_it_did_is_kept() {
        let deck = Arc::new(Deck::new(3));
        let (done, mut results) = unbounded();
        let dealing = Dealing::new(deck.clone(), done);
        let answer = |stops, done| {
            let answer = dealing.answer(Ask::of(&Ask { stops, done }.to_bytes()).unwrap());
            Answer::of(&answer.to_bytes()).unwrap().0
        };
        assert_eq!(answer(false, None), Some(0));
        assert_eq!(answer(true, Some((0, b"zero".to_vec()))), None);
        assert_eq!((results.try_recv().unwrap(), deck.take()), ((0, b"zero".to_vec()), None));
        assert!(deck.were_left());
    }

    #[test]
    fn a_stop_when_all_is_begun_leaves_nothing() {
        let deck = Deck::new(1);
        assert_eq!((deck.take(), deck.take()), (Some(0), None));
        deck.clear();
        assert!(!deck.were_left());
    }
}
