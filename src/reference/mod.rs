//! The CPU twin of every kernel.
