//! Metrics of a scored set.

pub mod metrics;
pub mod ordinal;
