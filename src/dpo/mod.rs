//! Direct preference optimization: a policy learns to prefer the better completion of a pair.

mod step;

pub use step::{MicroBatch, Outcome, Rated, Stepper};
