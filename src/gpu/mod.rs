//! The host runtime: adapters, tensors, shaders and recordings. It knows dispatches and nothing of transformers.
//!
//! A [`Gpu`] is an open adapter with its pipelines. [`Tensor`]s live on it, sharded where they exceed the largest
//! binding. A [`Recording`] is a list of prepared dispatches that is replayed as often as needed.

mod adapter;
mod device;
mod memory;
mod profile;
mod quantized;
mod recording;
mod shader;
mod tensor;

pub use adapter::{AdapterChoice, AdapterSummary, Preset, adapters};
pub use device::{Gpu, Limits, Mode, Options, Pipeline};
pub use memory::{Ledger, Memory};
pub use profile::{Profile, ProfileRow};
pub(crate) use recording::refuse;
pub use recording::{Cost, Kernel, Recorder, Recording, grid};
pub use shader::{Program, program, programs};
pub use tensor::{Dtype, Layout, Shard, Tensor, VIEW_ROWS};
