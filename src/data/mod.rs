//! Rows, templates, tokenization, packing and the sampler.

pub mod synthetic;
