//! Training and scoring from files to files: what must not change a score or a run, how runs resume, and how they fail.

mod calibration;
mod evaluating;
mod faults;
mod foreign;
mod harness;
mod library;
mod lora;
mod memory;
mod preferences;
mod refusals;
mod resuming;
mod scoring;
mod steps;
mod studying;
