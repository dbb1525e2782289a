//! Buffers by purpose, with a ledger of the bytes that each purpose holds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::{Error, Result};

/// The purpose of a buffer: a row of the memory plan and of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Memory {
    /// Parameters, and their low-precision copies.
    Weights,
    /// Gradients of parameters.
    Gradients,
    /// Moments of the optimizer.
    Optimizer,
    /// Values kept from the forward pass, and their gradients.
    Activations,
    /// Batches, parameters of dispatches, partial sums, read-back.
    Workspace,
}

/// Current and peak bytes of each purpose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    entries: BTreeMap<Memory, (u64, u64)>,
}

impl Ledger {
    /// Bytes now held for a purpose.
    pub fn current(&self, memory: Memory) -> u64 {
        self.entries.get(&memory).map_or(0, |entry| entry.0)
    }

    /// The peak of the bytes held for a purpose.
    pub fn peak(&self, memory: Memory) -> u64 {
        self.entries.get(&memory).map_or(0, |entry| entry.1)
    }

    /// Bytes now held for all purposes.
    pub fn total(&self) -> u64 {
        self.entries.values().map(|entry| entry.0).sum()
    }

    fn add(&mut self, memory: Memory, bytes: u64) {
        let entry = self.entries.entry(memory).or_default();
        entry.0 += bytes;
        entry.1 = entry.1.max(entry.0);
    }

    fn remove(&mut self, memory: Memory, bytes: u64) {
        self.entries.entry(memory).or_default().0 -= bytes;
    }
}

/// Hands out buffers; a dropped buffer is kept for the next request of its size and purpose.
#[derive(Debug, Default)]
pub(super) struct Pool {
    ledger: Ledger,
    free: BTreeMap<(Memory, u64, bool), Vec<wgpu::Buffer>>,
}

pub(super) type SharedPool = Arc<Mutex<Pool>>;

/// A buffer that returns to the pool when its last user drops it.
#[derive(Debug)]
pub(super) struct Pooled {
    pub buffer: wgpu::Buffer,
    memory: Memory,
    readable: bool,
    pool: SharedPool,
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let mut pool = self.pool.lock().expect("the pool is never poisoned: nothing under its lock can panic");
        pool.ledger.remove(self.memory, self.buffer.size());
        // Read-back and batch buffers come and go every step; large ones are given back to the driver.
        if self.memory == Memory::Workspace {
            let key = (self.memory, self.buffer.size(), self.readable);
            let shelf = pool.free.entry(key).or_default();
            if shelf.len() < 4 {
                shelf.push(self.buffer.clone());
            }
        }
    }
}

pub(super) fn take(
    pool: &SharedPool,
    device: &wgpu::Device,
    memory: Memory,
    label: &str,
    bytes: u64,
    readable: bool,
) -> Result<Pooled> {
    let bytes = bytes.max(16).next_multiple_of(16);
    let max = device.limits().max_buffer_size;
    if bytes > max {
        return Err(Error::device(
            format!("allocating {label}"),
            format!("{bytes} bytes exceed the adapter's largest buffer of {max}"),
            "use a smaller `.batch_size` or `.max_length`",
        ));
    }
    let kept = {
        let mut pool = pool.lock().expect("see drop");
        let kept = pool.free.get_mut(&(memory, bytes, readable)).and_then(Vec::pop);
        pool.ledger.add(memory, bytes);
        kept
    };
    let buffer = kept.unwrap_or_else(|| {
        let usage = if readable {
            wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST
        } else {
            wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::UNIFORM
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST
        };
        device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes,
            usage,
            mapped_at_creation: false,
        })
    });
    Ok(Pooled { buffer, memory, readable, pool: pool.clone() })
}

pub(super) fn ledger(pool: &SharedPool) -> Ledger {
    pool.lock().expect("see drop").ledger.clone()
}
