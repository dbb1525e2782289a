//! Training and scoring loops that read like the method.

mod calibration;
mod config;
pub(crate) mod course;
mod evaluation;
mod head;
mod inputs;
pub(crate) mod likeness;
pub(crate) mod output;
mod pad;
mod plan;
pub(crate) mod records;
mod reward_model;
pub(crate) mod saving;
mod score;
mod scorer;
mod step;
mod summary;
mod trainer;
mod update;
pub(crate) mod validate;

pub use crate::model::companions::{CALIBRATION, TEMPLATE};
pub use calibration::ModelCalibration;
pub use config::{Precision, ScoreConfig, TrainConfig, TrainerConfig};
pub use head::{Head, HeadReading};
pub(crate) use plan::adapters_to_plan;
pub use plan::{Smaller, fitting, plan, plan_scoring};
pub use reward_model::{RewardModel, RewardOptions};
pub(crate) use saving::latest_checkpoint;
pub use score::score;
pub use scorer::{BatchScorer, Score, Scorer};
pub use step::{Outcome, Stepper};
pub use summary::{RanksSummary, ScoreSummary, TrainSummary};
pub use trainer::{train, train_on};
pub use update::Update;
