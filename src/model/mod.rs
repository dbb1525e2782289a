//! Configurations, checkpoints and the decoder.
