//! Several ranks on one machine, started by `mpirun`: that they agree with one rank, and how they end together.

mod dealing;
mod extracting;
mod failing;
mod harness;
mod syncing;
mod training;
