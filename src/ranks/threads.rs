//! Messages between threads of one process, for tests.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::transport::{Tag, Transport};
use crate::Result;

const TAGS: [Tag; 5] = [Tag::Share, Tag::Failure, Tag::End, Tag::Ask, Tag::Piece];

/// A rank on a thread.
pub(super) struct Thread {
    rank: usize,
    size: usize,
    to: HashMap<(usize, Tag), Sender<Vec<u8>>>,
    from: HashMap<(usize, Tag), Receiver<Vec<u8>>>,
}

/// Ranks that are connected to each other.
pub(super) fn connected(size: usize) -> Vec<Thread> {
    let alone = |rank| Thread { rank, size, to: HashMap::new(), from: HashMap::new() };
    let mut threads: Vec<Thread> = (0..size).map(alone).collect();
    for from in 0..size {
        for to in 0..size {
            for tag in TAGS {
                let (sender, receiver) = channel();
                threads[from].to.insert((to, tag), sender);
                threads[to].from.insert((from, tag), receiver);
            }
        }
    }
    threads
}

impl Transport for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn send(&mut self, to: usize, tag: Tag, message: Vec<u8>) -> Result<()> {
        // A rank that has ended hears nothing any more, as with MPI.
        let _ = self.to[&(to, tag)].send(message);
        Ok(())
    }

    fn receive(&mut self, from: usize, tag: Tag) -> Result<Option<Vec<u8>>> {
        Ok(self.from[&(from, tag)].try_recv().ok())
    }

    fn is_sent(&mut self) -> Result<bool> {
        Ok(true)
    }

    fn close(&mut self) {}
}
