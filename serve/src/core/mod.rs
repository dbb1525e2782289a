//! The one thread that owns the device of the reward model, and the way to it.
//!
//! `batch` chooses which rows are scored together, `scoring` scores them, and `device` is the thread: between two batches
//! it takes what has come meanwhile. Where the device fails, every row of the batch gets the error, and the device is
//! opened anew for the next.

mod batch;
mod device;
mod scoring;
#[cfg(test)]
mod tests;

pub(crate) use device::{Device, Setup, THREAD};
pub(crate) use scoring::{Current, Entry, Missed, Served};
