//! Work that is not of one step: pieces of it, which ranks take as they become free.

use std::sync::Arc;

use futures_channel::mpsc::{TryRecvError, UnboundedReceiver, unbounded};

use super::deck::{Ask, Dealing, Deck, Done};
use super::{Pending, Ranks};
use crate::Result;

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

impl Ranks {
    /// So many pieces of work, which ranks take as they become free.
    pub(crate) fn pieces(&self, size: usize) -> Pieces<'_> {
        let deck = Arc::new(Deck::new(size));
        let others = (self.is_first() && self.size() > 1).then(|| {
            let (done, results) = unbounded();
            let dealing = Dealing::new(deck.clone(), done);
            (results, self.begin(move |world| world.deal(dealing)))
        });
        Pieces { ranks: self, deck, others, own: None, were_left: false }
    }
}

impl Pieces<'_> {
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
            self.were_left = self.ranks.any(self.deck.were_left()).await?;
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
    use std::sync::atomic::{AtomicUsize, Ordering};
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
