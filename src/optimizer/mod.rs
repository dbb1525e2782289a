//! AdamW, learning-rate schedules, clipping.

mod adamw;
mod clipping;
mod schedule;

pub use adamw::{AdamW, AdamWConfig, Moments, Parameter};
pub use clipping::{Clipping, GradNorm};
pub use schedule::{LearningRate, Schedule};
