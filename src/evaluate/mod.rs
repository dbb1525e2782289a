//! Metrics of a scored set.
