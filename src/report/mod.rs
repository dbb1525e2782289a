//! The output of a run for people: metrics, charts, cards.

pub(crate) mod card;
pub mod chart;
pub mod html;
pub mod metrics;
pub(crate) mod number;
pub(crate) mod tensorboard;
