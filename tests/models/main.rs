//! Whole models against PyTorch: logits, loss, every gradient, ten training losses. The golden files and the programs
//! that wrote them are in `tests/golden`.

mod golden;
mod harness;
mod smollm2;
