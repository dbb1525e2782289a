//! Training and scoring from files to files: what may not change a score or a run, how runs go on, and how they fail.

mod harness;
mod memory;
mod scoring;
