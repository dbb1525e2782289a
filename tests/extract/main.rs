//! `extract` from logs to rows: what a run writes, what it refuses, and that the known faults of other pipelines stay out.

mod bad_input;
mod compare;
mod faults;
mod harness;
mod labels;
mod output;
