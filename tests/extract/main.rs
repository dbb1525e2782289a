//! `extract` from logs to rows: what a run writes, what it refuses, and that the known bugs of other pipelines are
//! absent.

mod bad_input;
mod compare;
mod faults;
mod harness;
mod labels;
mod output;
