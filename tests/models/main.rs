//! Whole models against PyTorch: logits, loss, every gradient, ten training losses; hidden states of encoders. The golden files and the programs
//! that wrote them are in `tests/golden`.

mod blocks;
mod dpo;
mod encoders;
#[path = "../support/fetched.rs"]
mod fetched;
mod generation;
mod golden;
mod harness;
mod lora;
mod smollm2;
