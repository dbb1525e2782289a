//! Work that is not of one step: pieces of it, which ranks take as they become free.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_channel::mpsc::{TryRecvError, UnboundedReceiver, UnboundedSender, unbounded};

use super::{Pending, Ranks};
use crate::Result;

/// The result of a piece, by its number.
pub(super) type Done = (usize, Vec<u8>);

/// What a rank does next.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// Work on the piece of this number, and hand in the result.
    Work(usize),
    /// Keep the result of a piece. Only the first rank does, and gets those of all ranks.
    Keep(usize, Vec<u8>),
}

/// Pieces of work, of which each rank asks for the next when it has done one. A piece is not to depend on the rank that does
/// it, as nobody knows beforehand which that is.
pub(crate) struct Pieces<'a> {
    ranks: &'a Ranks,
    /// On the first rank, which deals.
    deck: Arc<Deck>,
    /// The results of other ranks, and the end of dealing to them, on the first of several ranks.
    others: Option<(UnboundedReceiver<Done>, Pending<()>)>,
    /// The result that this rank has not handed in yet.
    own: Option<Done>,
    were_left: bool,
}

/// The pieces that nobody has begun.
pub(super) struct Deck {
    next: AtomicUsize,
    size: usize,
    /// Whether some were put away.
    were_left: AtomicBool,
}

impl Deck {
    fn new(size: usize) -> Self {
        Self { next: AtomicUsize::new(0), size, were_left: AtomicBool::new(false) }
    }

    /// Takes one.
    fn take(&self) -> Option<usize> {
        Some(self.next.fetch_add(1, Ordering::Relaxed)).filter(|piece| *piece < self.size)
    }

    /// Puts all away that are left.
    fn clear(&self) {
        if self.next.fetch_max(self.size, Ordering::Relaxed) < self.size {
            self.were_left.store(true, Ordering::Relaxed);
        }
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

/// The first rank's side of dealing to the others.
pub(super) struct Dealing {
    deck: Arc<Deck>,
    done: UnboundedSender<Done>,
}

impl Dealing {
    /// Takes what a rank has done, and gives it its next piece.
    pub(super) fn answer(&self, ask: Ask) -> Option<usize> {
        if let Some(done) = ask.done {
            // Nobody keeps results any more where the first rank has failed.
            let _ = self.done.unbounded_send(done);
        }
        if ask.stops {
            self.deck.clear();
        }
        self.deck.take()
    }

    /// Whether the first rank has failed, and deals no more.
    pub(super) fn is_over(&self) -> bool {
        self.done.is_closed()
    }
}

impl<'a> Pieces<'a> {
    pub(super) fn new(ranks: &'a Ranks, size: usize) -> Self {
        let deck = Arc::new(Deck::new(size));
        let others = (ranks.is_first() && ranks.size() > 1).then(|| {
            let (done, results) = unbounded();
            let dealing = Dealing { deck: deck.clone(), done };
            (results, ranks.begin(move |world| world.deal(dealing)))
        });
        Self { ranks, deck, others, own: None, were_left: false }
    }

    /// What is next for this rank; nothing when all is done, or all that was begun before any rank `stops`.
    ///
    /// # Errors
    /// A rank failed or does not answer.
    pub(crate) async fn next(&mut self, stops: bool) -> Result<Option<Next>> {
        let next = match self.ranks.is_first() {
            true => self.next_of_first(stops).await?,
            false => self.next_of_other(stops).await?,
        };
        if next.is_none() {
            self.were_left = self.ranks.any(self.deck.were_left.load(Ordering::Relaxed)).await?;
        }
        Ok(next)
    }

    /// Takes the result of the piece that this rank was given last.
    pub(crate) fn hand_in(&mut self, piece: usize, result: Vec<u8>) {
        self.own = Some((piece, result));
    }

    /// Whether pieces were left because a rank was asked to stop, known when nothing is next any more.
    pub(crate) fn were_left(&self) -> bool {
        self.were_left
    }

    async fn next_of_first(&mut self, stops: bool) -> Result<Option<Next>> {
        if stops {
            self.deck.clear();
        }
        let keep = |(piece, result)| Ok(Some(Next::Keep(piece, result)));
        if let Some(done) = self.own.take() {
            return keep(done);
        }
        match self.others.as_mut().map(|(results, _)| results.try_recv()) {
            Some(Ok(done)) => return keep(done),
            Some(Err(TryRecvError::Closed)) => {}
            Some(Err(TryRecvError::Empty)) | None => {
                if let Some(piece) = self.deck.take() {
                    return Ok(Some(Next::Work(piece)));
                }
            }
        }
        let Some((results, _)) = &mut self.others else { return Ok(None) };
        if let Ok(done) = results.recv().await {
            return keep(done);
        }
        match self.others.take() {
            Some((_, dealing)) => dealing.wait().await.map(|()| None),
            None => Ok(None),
        }
    }

    async fn next_of_other(&mut self, stops: bool) -> Result<Option<Next>> {
        let ask = Ask { stops, done: self.own.take() };
        let next = self.ranks.begin(move |world| world.ask(&ask)).wait().await?;
        Ok(next.map(Next::Work))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, Mutex, mpsc};

    use super::*;
    use crate::Error;

    const PIECES: usize = 20;

    /// What the first of some ranks keeps, sorted, and how each rank ended; a rank works on a piece by `work`.
    fn shared(
        size: usize,
        stops: impl Fn(usize) -> bool + Sync,
        work: impl Fn(usize, usize) -> Result<()> + Sync,
    ) -> (Vec<Done>, Vec<Result<bool, String>>) {
        let of_rank = |ranks: Ranks| {
            let mut kept = vec![];
            let mut work_all = async || {
                let mut pieces = ranks.pieces(PIECES);
                while let Some(next) = pieces.next(stops(ranks.rank())).await? {
                    match next {
                        Next::Work(piece) => {
                            work(ranks.rank(), piece)?;
                            pieces.hand_in(piece, vec![piece as u8; piece]);
                        }
                        Next::Keep(piece, result) => kept.push((piece, result)),
                    }
                }
                Ok(pieces.were_left())
            };
            let ended: Result<bool> = pollster::block_on(work_all());
            let (were_left, ended) = ended.map_or_else(|e| (false, Err(e)), |stopped| (stopped, Ok(())));
            let ended = pollster::block_on(ranks.leave(ended));
            (kept, ended.map(|()| were_left).map_err(|e| e.to_string()))
        };
        let ranks = if size == 1 { vec![Ranks::alone()] } else { Ranks::on_threads(size) };
        let ended: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = ranks.into_iter().map(|ranks| scope.spawn(|| of_rank(ranks))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ended[1..].iter().all(|(kept, _)| kept.is_empty()), "the first rank keeps all");
        let mut kept = ended[0].0.clone();
        kept.sort();
        (kept, ended.into_iter().map(|(_, ended)| ended).collect())
    }

    fn all() -> Vec<Done> {
        (0..PIECES).map(|piece| (piece, vec![piece as u8; piece])).collect()
    }

    #[test]
    fn every_piece_is_done_once() {
        for size in [1, 2, 4] {
            let (kept, ended) = shared(size, |_| false, |_, _| Ok(()));
            assert_eq!((kept, ended), (all(), vec![Ok(false); size]), "{size} ranks");
        }
    }

    #[test]
    fn free_ranks_do_what_a_slow_one_leaves() {
        // The last rank's first piece takes until all others are done.
        let (tell, told) = mpsc::channel();
        let (tell, told) = (Mutex::new(tell), Mutex::new(told));
        let begun = Barrier::new(3);
        let is_first = [const { AtomicUsize::new(0) }; 3];
        let (kept, ended) = shared(
            3,
            |_| false,
            |rank, _| {
                if is_first[rank].fetch_add(1, Ordering::Relaxed) == 0 {
                    begun.wait();
                }
                if rank == 2 {
                    (1..PIECES).for_each(|_| told.lock().unwrap().recv().unwrap());
                } else {
                    tell.lock().unwrap().send(()).unwrap();
                }
                Ok(())
            },
        );
        assert_eq!((kept, ended), (all(), vec![Ok(false); 3]));
    }

    #[test]
    fn nothing_is_begun_after_a_stop() {
        for size in [1, 3] {
            let (kept, ended) = shared(size, |_| true, |_, _| Ok(()));
            assert_eq!((kept, ended), (vec![], vec![Ok(true); size]), "{size} ranks");
        }
    }

    #[test]
    fn a_rank_that_stops_is_heard_and_what_it_did_is_kept() {
        let deck = Arc::new(Deck::new(3));
        let (done, mut results) = unbounded();
        let dealing = Dealing { deck: deck.clone(), done };
        let answer = |stops, done| dealing.answer(Ask::of(&Ask { stops, done }.to_bytes()).unwrap());
        assert_eq!(answer(false, None), Some(0));
        assert_eq!(answer(true, Some((0, b"zero".to_vec()))), None);
        assert_eq!((results.try_recv().unwrap(), deck.take()), ((0, b"zero".to_vec()), None));
        assert!(deck.were_left.load(Ordering::Relaxed));
    }

    #[test]
    fn a_stop_when_all_is_begun_leaves_nothing() {
        let deck = Deck::new(1);
        assert_eq!((deck.take(), deck.take()), (Some(0), None));
        deck.clear();
        assert!(!deck.were_left.load(Ordering::Relaxed));
    }

    #[test]
    fn the_failure_of_one_rank_ends_all() {
        for failing in 0..3 {
            let fails = |rank| if rank == failing { Err(Error::run("the device is lost", "")) } else { Ok(()) };
            let begun = Barrier::new(3);
            let is_first = [const { AtomicUsize::new(0) }; 3];
            let (_, ended) = shared(
                3,
                |_| false,
                |rank, _| {
                    if is_first[rank].fetch_add(1, Ordering::Relaxed) == 0 {
                        begun.wait();
                    }
                    fails(rank)
                },
            );
            let problem = format!("rank {failing} on here: the device is lost");
            assert!(ended.iter().all(|ended| ended.as_ref().unwrap_err().contains(&problem)), "{ended:?}");
        }
    }
}
