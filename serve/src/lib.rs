//! `wgr serve`: rewards and text over HTTP.
//!
//! In reading order: `config` holds the settings; `server` listens, limits connections and drains them at the end; `app`
//! is what all routes share, and `routes/` has a file for each family of clients; `rewards` turns the rows of a request
//! into tokens and waits for their scores, which `core/` computes on the one thread that owns the device. A request that
//! cannot be answered ends as a `Failure`.

mod app;
mod body;
mod config;
mod core;
mod failure;
mod generation;
mod guard;
mod metrics;
mod rewards;
mod routes;
mod server;

#[cfg(test)]
#[path = "../../tests/support/tensors.rs"]
mod tensors;
#[cfg(test)]
#[path = "../../tests/support/words.rs"]
mod words;

pub use config::{Classify, ServeConfig};

/// Names of the threads that own devices. Without them the server is of no use, while a panic of any other thread is the
/// failure of a request.
pub const DEVICE_THREADS: [&str; 2] = [core::THREAD, generation::THREAD];
pub use server::serve;
