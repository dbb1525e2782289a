//! Training and scoring loops that read like the method.

mod config;
mod observer;
mod validate;

pub use config::{Checkpointing, Precision, ScheduleKind, ScoreConfig, TrainConfig};
pub use observer::{Observer, ScoreProgress, ScoreSummary, Silent, StepMetrics, TrainSummary};
