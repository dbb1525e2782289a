//! Every kernel, forward and backward, against its f64 twin: every element, odd sizes, checked and trusted shaders.
//!
//! One harness, one file a kernel. `cargo xtask test` runs this binary again with software vector widths of 128 and
//! 512 bits, that is with subgroups of 4 and 16.

mod harness;

mod attention;
mod cached_attention;
mod ceiling;
mod contract;
mod cooperative;
mod dropout;
mod elementwise;
mod embedding;
mod log_prob;
mod loops;
mod norm;
mod objective;
mod optimizer;
mod preference;
mod product;
mod quantized;
mod rope;
mod rowwise;
mod shortlist;
