//! AdamW, learning-rate schedules, clipping; the outer optimizer of DiLoCo.

mod adamw;
mod clipping;
mod loss_scale;
mod nesterov;
mod schedule;

pub use adamw::{AdamW, AdamWConfig, Moments, Parameter};
pub use clipping::{Clipping, GradNorm, Worst};
pub use loss_scale::LossScale;
pub use nesterov::Nesterov;
pub use schedule::{LearningRate, Schedule};
