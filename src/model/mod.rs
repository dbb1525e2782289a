//! Configurations, checkpoints and the decoder.

pub mod plan;
