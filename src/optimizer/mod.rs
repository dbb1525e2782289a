//! AdamW, learning-rate schedules, clipping.

mod adamw;
mod clipping;
mod loss_scale;
mod schedule;

pub use adamw::{AdamW, AdamWConfig, Moments, Parameter};
pub use clipping::{Clipping, GradNorm};
pub use loss_scale::LossScale;
pub use schedule::{LearningRate, Schedule};
