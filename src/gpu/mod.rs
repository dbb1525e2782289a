//! The host runtime: adapters, tensors, shaders and recordings. It knows dispatches and nothing of transformers.
//!
//! A [`Gpu`] is an open adapter with its pipelines. [`Tensor`]s live on it, sharded where they exceed the largest
//! binding. A [`Recording`] is a list of prepared dispatches that is replayed as often as needed.

mod adapter;
mod cooperative;
mod device;
pub(crate) mod fit;
mod kernel;
mod memory;
mod poller;
mod profile;
mod quantized;
mod read_back;
mod recording;
mod replay;
mod roofline;
mod tensor;
mod tuning;

pub use adapter::{AdapterChoice, AdapterSummary, Preset, adapters};
pub use cooperative::Cooperative;
pub(crate) use device::LOOP_HINT;
pub use device::{Gpu, LOOP_ROUNDS, Limits, Mode, Options, Pipeline};
pub use kernel::{Cost, Kernel, grid};
pub use memory::{Ledger, Memory};
pub use profile::{Profile, ProfileRow};
pub(crate) use quantized::{push_row, steps};
pub use recording::{Recorder, Recording};
pub(crate) use replay::Replay;
pub use roofline::{Bandwidth, Bound, Ceilings, Raised, Roofline, Work};
pub use tensor::{Layout, Shard, Tensor, VIEW_ROWS};
pub use tuning::{Operation, Tiling, Tuning, Variant};
pub use wgr_shaders::{Dtype, Quantized};
