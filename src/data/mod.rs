//! Rows, templates, tokenization, packing and the sampler.
