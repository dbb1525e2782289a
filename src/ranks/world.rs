//! What ranks do together, on the thread that owns the connection: each call waits for the others, but not for ever.

use std::ops::Range;
use std::time::Duration;

use web_time::Instant;

use super::deck::{Answer, Ask, Dealing};
use super::transport::{Tag, Transport};
use crate::{Error, Result};

/// Waiting is a busy loop for so long, as messages that are on their way come soon and only move while somebody looks;
/// then the processor is left to those that still compute.
const BUSY: Duration = Duration::from_millis(2);
const PAUSE: Duration = Duration::from_micros(200);

/// How long ranks that end after a failure leave each other time.
const GRACE: Duration = Duration::from_secs(1);

/// Values that are added at once: a few messages, far below the 2 GiB that MPI counts in one.
const PIECE: usize = 1 << 22;

/// What a rank has spent on the others.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Traffic {
    /// Bytes sent to other ranks.
    pub sent: u64,
    /// Time in which sums were taken, with the wait for ranks that were not there yet.
    pub seconds: f64,
}

/// Why a rank could not go on, as it told the others.
struct Failure {
    rank: usize,
    /// The exchanges that it completed before. Whatever these need is on its way, so that they end well on all ranks; thus
    /// all ranks that find the same fault in their input find it themselves, however early one of them tells of it.
    exchanges: u64,
    problem: String,
}

impl Failure {
    /// The one that a rank told of, as [`World::tell`] writes it.
    fn of(rank: usize, told: &[u8]) -> Self {
        let (exchanges, problem) =
            told.split_first_chunk().map_or((0, told), |(count, rest)| (u64::from_le_bytes(*count), rest));
        Self { rank, exchanges, problem: String::from_utf8_lossy(problem).into_owned() }
    }
}

/// All ranks as one of them sees them.
pub(super) struct World {
    transport: Box<dyn Transport>,
    hosts: Vec<String>,
    patience: Duration,
    /// The exchanges that were completed.
    exchanges: u64,
    /// The first failure that another rank told of.
    failure: Option<Failure>,
    traffic: Traffic,
}

impl World {
    /// Meets the others. Whoever does not answer within `patience` is given up, now and later.
    ///
    /// # Errors
    /// A rank does not answer.
    pub(super) fn meet(transport: Box<dyn Transport>, host: &str, patience: Duration) -> Result<Self> {
        let hosts = vec!["a host that is not known yet".to_owned(); transport.size()];
        let mut world = Self { transport, hosts, patience, exchanges: 0, failure: None, traffic: Traffic::default() };
        let hosts = world.gather(host.as_bytes().to_vec())?;
        world.hosts = hosts.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        Ok(world)
    }

    pub(super) fn rank(&self) -> usize {
        self.transport.rank()
    }

    /// The host of each rank.
    pub(super) fn hosts(&self) -> &[String] {
        &self.hosts
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Gives every rank the messages of all, in the order of ranks.
    ///
    /// # Errors
    /// A rank failed or does not answer.
    pub(super) fn gather(&mut self, message: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        self.exchange(vec![message; self.transport.size()])
    }

    /// Adds values element by element, always in the order of ranks: each rank adds up one slice and hands it to all. The
    /// bits are thus the same on every rank and in every run.
    ///
    /// # Errors
    /// As [`World::gather`]; another rank has another number of values.
    pub(super) fn sum(&mut self, mut values: Vec<f32>) -> Result<Vec<f32>> {
        let started = Instant::now();
        values.chunks_mut(PIECE).try_for_each(|piece| self.sum_piece(piece))?;
        self.traffic.seconds += started.elapsed().as_secs_f64();
        Ok(values)
    }

    fn sum_piece(&mut self, values: &mut [f32]) -> Result<()> {
        let (rank, size, len) = (self.rank(), self.transport.size(), values.len());
        let slices: Vec<_> = (0..size).map(|of| len * of / size..len * (of + 1) / size).collect();
        let bytes = |values: &[f32]| bytemuck::cast_slice::<f32, u8>(values).to_vec();
        let shares = self.exchange(slices.iter().map(|slice| bytes(&values[slice.clone()])).collect())?;
        let own = &mut values[slices[rank].clone()];
        self.add_shares(own, &shares)?;
        let sums = self.gather(bytes(own))?;
        for (from, (sum, slice)) in sums.iter().zip(slices).enumerate() {
            self.check_length(from, sum, slice.len())?;
            bytemuck::cast_slice_mut(&mut values[slice]).copy_from_slice(sum);
        }
        Ok(())
    }

    /// Adds one list of values for each rank, as [`World::sum`] does, and leaves each rank with the sums of its own list.
    ///
    /// # Errors
    /// As [`World::sum`].
    pub(super) fn reduce_scatter(&mut self, mut lists: Vec<Vec<f32>>) -> Result<Vec<f32>> {
        let started = Instant::now();
        let mut own = std::mem::take(&mut lists[self.rank()]);
        let longest = lists.iter().map(Vec::len).max().unwrap_or(0).max(own.len());
        for first in (0..longest).step_by(PIECE) {
            let piece = |list: &[f32]| bytemuck::cast_slice(&list[cut(first, PIECE, list.len())]).to_vec();
            let mut messages: Vec<Vec<u8>> = lists.iter().map(|list| piece(list)).collect();
            messages[self.rank()] = piece(&own);
            let shares = self.exchange(messages)?;
            let of_own = cut(first, PIECE, own.len());
            self.add_shares(&mut own[of_own], &shares)?;
        }
        self.traffic.seconds += started.elapsed().as_secs_f64();
        Ok(own)
    }

    /// As [`World::gather`], of messages of any length; the longest has `longest` bytes.
    ///
    /// # Errors
    /// As [`World::gather`].
    pub(super) fn gather_large(&mut self, message: &[u8], longest: usize) -> Result<Vec<Vec<u8>>> {
        self.send_large(message, longest, 0..self.transport.size())
    }

    /// As [`World::gather_large`], for the first rank alone; the others get nothing.
    ///
    /// # Errors
    /// As [`World::gather`].
    pub(super) fn collect_large(&mut self, message: &[u8], longest: usize) -> Result<Vec<Vec<u8>>> {
        self.send_large(message, longest, 0..1)
    }

    /// Gives some ranks the messages of all.
    fn send_large(&mut self, message: &[u8], longest: usize, to: Range<usize>) -> Result<Vec<Vec<u8>>> {
        let mut all = vec![vec![]; self.transport.size()];
        for first in (0..longest).step_by(4 * PIECE) {
            let piece = &message[cut(first, 4 * PIECE, message.len())];
            let for_rank = |rank: usize| if to.contains(&rank) { piece.to_vec() } else { vec![] };
            let pieces = self.exchange((0..all.len()).map(for_rank).collect())?;
            all.iter_mut().zip(pieces).for_each(|(whole, piece)| whole.extend(piece));
        }
        Ok(all)
    }

    /// On the first rank: deals pieces of work to the others as they ask for them, until each knows that none is left.
    ///
    /// # Errors
    /// As [`World::gather`].
    pub(super) fn deal(&mut self, dealing: Dealing) -> Result<()> {
        let mut working: Vec<(usize, Instant)> = self.others().map(|rank| (rank, Instant::now())).collect();
        while !working.is_empty() && !dealing.is_over() {
            let mut kept = vec![];
            for (rank, heard) in working {
                match self.transport.receive(rank, Tag::Ask)? {
                    Some(message) => {
                        let ask = Ask::of(&message).ok_or_else(|| {
                            self.error(rank, "asks for work in another way than others".into(), false)
                        })?;
                        let answer = dealing.answer(ask);
                        self.transport.send(rank, Tag::Piece, answer.to_bytes())?;
                        kept.extend(answer.0.map(|_| (rank, Instant::now())));
                    }
                    None if heard.elapsed() > self.patience => return Err(self.silent(rank)),
                    None => kept.push((rank, heard)),
                }
            }
            working = kept;
            self.hear()?;
            self.transport.is_sent()?;
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// On another rank: asks for the next piece of work, of which none may be left.
    ///
    /// # Errors
    /// As [`World::gather`].
    pub(super) fn ask(&mut self, ask: &Ask) -> Result<Option<usize>> {
        self.transport.send(0, Tag::Ask, ask.to_bytes())?;
        let answer = self.wait(|transport| transport.receive(0, Tag::Piece), 0)?;
        let answer = Answer::of(&answer);
        answer.map(|next| next.0).ok_or_else(|| self.error(0, "deals work in another way than others".into(), false))
    }

    /// Puts the sum of the ranks' shares, in their order, in place of this rank's own.
    fn add_shares(&self, own: &mut [f32], shares: &[Vec<u8>]) -> Result<()> {
        for (from, share) in shares.iter().enumerate() {
            self.check_length(from, share, own.len())?;
            let share = share.chunks_exact(4).map(|word| f32::from_ne_bytes([word[0], word[1], word[2], word[3]]));
            match from {
                0 => own.iter_mut().zip(share).for_each(|(sum, value)| *sum = value),
                _ => own.iter_mut().zip(share).for_each(|(sum, value)| *sum += value),
            }
        }
        Ok(())
    }

    /// Tells the others why this rank cannot go on.
    pub(super) fn tell(&mut self, problem: &str) {
        let message = [&self.exchanges.to_le_bytes(), problem.as_bytes()].concat();
        for to in self.others() {
            // Whoever cannot be told notices that this rank is silent.
            let _ = self.transport.send(to, Tag::Failure, message.clone());
        }
    }

    /// The end of a run that failed: the first rank says that it is done, and the others wait for that, because launchers
    /// end all ranks as soon as one has ended with an error.
    pub(super) fn end_after_failure(&mut self) {
        let deadline = Instant::now() + self.patience;
        if self.rank() == 0 {
            for to in self.others() {
                let _ = self.transport.send(to, Tag::End, vec![]);
            }
            let soon = Instant::now() + GRACE;
            while Instant::now() < soon && !self.transport.is_sent().unwrap_or(true) {
                std::thread::sleep(PAUSE);
            }
            return;
        }
        while Instant::now() < deadline && matches!(self.transport.receive(0, Tag::End), Ok(None)) {
            // What this rank had to tell must leave, too.
            let _ = self.transport.is_sent();
            std::thread::sleep(PAUSE);
        }
        // The first rank has a message to print, and should end first.
        std::thread::sleep(GRACE);
    }

    /// The end of a run that went well.
    ///
    /// # Errors
    /// As [`World::gather`].
    pub(super) fn end(&mut self) -> Result<()> {
        self.gather(vec![])?;
        self.wait(|transport| Ok(transport.is_sent()?.then_some(())), 0)?;
        self.transport.close();
        Ok(())
    }

    /// The error that a rank is to blame for.
    fn error(&self, rank: usize, problem: String, silent: bool) -> Error {
        Error::Rank { rank, host: self.hosts[rank].clone(), problem, silent }
    }

    /// The error of a rank that does not answer.
    fn silent(&self, rank: usize) -> Error {
        let problem = format!(
            "has not answered for {} s: it died or hangs, or its work takes much longer than that of others",
            self.patience.as_secs()
        );
        self.error(rank, problem, true)
    }

    fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let rank = self.rank();
        (0..self.transport.size()).filter(move |other| *other != rank)
    }

    fn check_length(&self, from: usize, share: &[u8], values: usize) -> Result<()> {
        if share.len() == 4 * values {
            return Ok(());
        }
        let problem =
            format!("sent {} bytes where {} were due: it is at another point of the run", share.len(), 4 * values);
        Err(self.error(from, problem, false))
    }

    /// Sends each rank its message and returns what came from each; a rank's message to itself stays as it is.
    fn exchange(&mut self, mut messages: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        for to in self.others() {
            let message = std::mem::take(&mut messages[to]);
            self.traffic.sent += message.len() as u64;
            self.transport.send(to, Tag::Share, message)?;
        }
        for from in self.others() {
            messages[from] = self.wait(|transport| transport.receive(from, Tag::Share), from)?;
        }
        self.exchanges += 1;
        Ok(messages)
    }

    /// Waits until there is something, which `for_rank` owes.
    fn wait<T>(&mut self, look: impl Fn(&mut dyn Transport) -> Result<Option<T>>, for_rank: usize) -> Result<T> {
        let started = Instant::now();
        loop {
            if let Some(found) = look(&mut *self.transport)? {
                return Ok(found);
            }
            self.hear()?;
            self.transport.is_sent()?;
            let waited = started.elapsed();
            if waited > self.patience {
                return Err(self.silent(for_rank));
            }
            if waited < BUSY { std::thread::yield_now() } else { std::thread::sleep(PAUSE) }
        }
    }

    /// Looks for failures that others tell of. The first stays, and counts from the exchange on that it left incomplete.
    fn hear(&mut self) -> Result<()> {
        for rank in self.others() {
            if self.failure.is_some() {
                break;
            }
            self.failure = self.transport.receive(rank, Tag::Failure)?.map(|told| Failure::of(rank, &told));
        }
        match &self.failure {
            Some(failure) if failure.exchanges <= self.exchanges => {
                Err(self.error(failure.rank, failure.problem.clone(), false))
            }
            _ => Ok(()),
        }
    }
}

/// The places from `first` on, at most so many of `len`.
fn cut(first: usize, most: usize, len: usize) -> Range<usize> {
    first.min(len)..(first + most).min(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranks::threads::{Thread, connected};

    const PATIENCE: Duration = Duration::from_secs(60);

    /// What each of some ranks, on threads, makes of a world.
    fn together<T: Send>(size: usize, patience: Duration, work: impl Fn(World) -> T + Sync) -> Vec<T> {
        let meet = |transport| World::meet(Box::new(transport), "here", patience).unwrap();
        std::thread::scope(|scope| {
            let threads: Vec<_> =
                connected(size).into_iter().map(|transport| scope.spawn(|| work(meet(transport)))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn sums_are_taken_in_the_order_of_ranks() {
        // Of these, no two orders have the same sum: 1e8 swallows ones.
        let value = |rank: usize, place: usize| [1e8, 1.0, -1e8, 3.0][(rank + place) % 4] * (1.0 + place as f32);
        for (size, len) in [(1, 5), (2, 7), (3, 2), (4, 4), (4, 1001), (3, 0)] {
            let sums = together(size, PATIENCE, |mut world| {
                let rank = world.rank();
                world.sum((0..len).map(|place| value(rank, place)).collect()).unwrap()
            });
            let expected: Vec<f32> =
                (0..len).map(|place| (1..size).fold(value(0, place), |sum, rank| sum + value(rank, place))).collect();
            assert_eq!(sums, vec![expected; size], "{size} ranks, {len} values");
        }
    }

    #[test]
    fn each_rank_gets_the_sums_of_its_own_list() {
        let value = |rank: usize, place: usize| [1e8, 1.0, -1e8, 3.0][(rank + place) % 4] * (1.0 + place as f32);
        let lengths = [3, 0, 5];
        let found = together(3, PATIENCE, |mut world| {
            let rank = world.rank();
            let list = |to: usize| (0..lengths[to]).map(|place| value(rank, 10 * to + place)).collect();
            world.reduce_scatter((0..3).map(list).collect()).unwrap()
        });
        for (to, own) in found.iter().enumerate() {
            let expected: Vec<f32> = (0..lengths[to])
                .map(|place| (1..3).fold(value(0, 10 * to + place), |sum, rank| sum + value(rank, 10 * to + place)))
                .collect();
            assert_eq!(*own, expected);
        }
    }

    #[test]
    fn long_messages_are_put_together_again() {
        let messages = |rank: usize| vec![rank as u8; [0, 7, 20 << 20][rank]];
        let found = together(3, PATIENCE, |mut world| world.gather_large(&messages(world.rank()), 20 << 20).unwrap());
        assert!(found.iter().all(|all| *all == [messages(0), messages(1), messages(2)]));
    }

    #[test]
    fn the_first_rank_alone_collects() {
        let messages = |rank: usize| vec![rank as u8; [5, 20 << 20, 0][rank]];
        let found = together(3, PATIENCE, |mut world| world.collect_large(&messages(world.rank()), 20 << 20).unwrap());
        assert!(found[0] == [messages(0), messages(1), messages(2)]);
        assert!(found[1..].iter().flatten().all(Vec::is_empty));
    }

    #[test]
    fn a_sum_sends_what_the_cost_model_says() {
        // 2 (N − 1) / N of the bytes.
        let sent = together(4, PATIENCE, |mut world| {
            let before = world.traffic().sent;
            world.sum(vec![1.0; 1000]).unwrap();
            world.traffic().sent - before
        });
        assert_eq!(sent, [2 * 3 * 1000; 4]);
    }

    #[test]
    fn the_failure_of_one_rank_is_heard_by_all_and_stays() {
        let errors = together(3, PATIENCE, |mut world| {
            if world.rank() == 1 {
                world.tell("the disk is full");
                world.end_after_failure();
                return String::new();
            }
            let error = world.sum(vec![1.0]).unwrap_err().to_string();
            assert_eq!(world.gather(vec![]).unwrap_err().to_string(), error);
            world.end_after_failure();
            error
        });
        assert_eq!(errors, ["rank 1 on here: the disk is full", "", "rank 1 on here: the disk is full"]);
    }

    /// A connection on which failures overtake everything else.
    struct Overtaken {
        thread: Thread,
        is_told: bool,
    }

    impl Transport for Overtaken {
        fn rank(&self) -> usize {
            self.thread.rank()
        }

        fn size(&self) -> usize {
            self.thread.size()
        }

        fn send(&mut self, to: usize, tag: Tag, message: Vec<u8>) -> Result<()> {
            self.thread.send(to, tag, message)
        }

        fn receive(&mut self, from: usize, tag: Tag) -> Result<Option<Vec<u8>>> {
            if tag != Tag::Failure && !self.is_told {
                return Ok(None);
            }
            let message = self.thread.receive(from, tag)?;
            self.is_told |= tag == Tag::Failure && message.is_some();
            Ok(message)
        }

        fn is_sent(&mut self) -> Result<bool> {
            self.thread.is_sent()
        }

        fn close(&mut self) {
            self.thread.close();
        }
    }

    #[test]
    fn what_a_rank_did_before_it_failed_is_completed() {
        let mut threads = connected(2);
        let (other, first) = (threads.pop().unwrap(), threads.pop().unwrap());
        let other =
            std::thread::spawn(|| World::meet(Box::new(other), "there", PATIENCE).unwrap().tell("no such file"));
        let mut world = World::meet(Box::new(Overtaken { thread: first, is_told: false }), "here", PATIENCE).unwrap();
        assert_eq!(world.gather(vec![]).unwrap_err().to_string(), "rank 1 on there: no such file");
        other.join().unwrap();
    }

    #[test]
    fn a_rank_that_is_silent_is_given_up_by_its_name() {
        let errors = together(3, Duration::from_secs(2), |mut world| match world.rank() {
            2 => String::new(),
            _ => world.gather(vec![]).unwrap_err().to_string(),
        });
        assert!(errors[..2].iter().all(|error| error.starts_with("rank 2 on here: has not answered")), "{errors:?}");
    }

    #[test]
    fn ranks_at_different_points_of_a_run_do_not_mix_their_values() {
        let errors = together(2, PATIENCE, |mut world| {
            let values = vec![1.0; 2 + 2 * world.rank()];
            world.sum(values).unwrap_err().to_string()
        });
        assert!(errors.iter().all(|error| error.contains("another point of the run")), "{errors:?}");
    }
}
