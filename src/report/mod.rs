//! The output of a run for people: metrics, charts, cards.

pub mod card;
pub mod chart;
pub mod html;
pub mod metrics;
pub mod number;
pub mod tensorboard;
