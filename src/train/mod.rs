//! Training and scoring loops.
