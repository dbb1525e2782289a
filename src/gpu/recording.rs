//! Dispatches prepared once and replayed: pipelines, bind groups and parameters are ready before the first replay.
//!
//! A recording is written again when the shape of a batch changes. That costs about a microsecond a dispatch, because
//! bind groups are kept (the buffers stay, only sizes in the parameters and workgroup counts change) and all
//! parameters go to the device in one copy per 64 KiB.

use std::collections::HashMap;
use std::sync::Arc;

use super::device::{Gpu, Pipeline};
use super::memory::{Memory, Pooled};
use super::tensor::Shard;
use crate::{Error, Result};

/// What a dispatch costs, for splitting submits and for the roofline in profiles.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Floating-point operations.
    pub flops: f64,
    /// Bytes read and written, each operand counted once.
    pub bytes: f64,
}

/// Which permutation to run, with which constants.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// `file/entry` in `shaders/registry.rs`.
    pub name: &'static str,
    /// Features of the permutation.
    pub features: Vec<&'static str>,
    /// Values of `override` constants.
    pub constants: Vec<(&'static str, u32)>,
}

impl Kernel {
    /// A kernel without features or constants.
    pub fn new(name: &'static str) -> Self {
        Self { name, features: vec![], constants: vec![] }
    }

    /// Adds a feature.
    pub fn feature(mut self, feature: &'static str) -> Self {
        self.features.push(feature);
        self
    }

    /// Adds a feature if a condition holds.
    pub fn feature_if(self, condition: bool, feature: &'static str) -> Self {
        if condition { self.feature(feature) } else { self }
    }

    /// Sets an `override` constant.
    pub fn constant(mut self, name: &'static str, value: u32) -> Self {
        self.constants.push((name, value));
        self
    }
}

/// Workgroups of a one-dimensional dispatch, folded where a dimension would exceed the portable limit of 65,535.
pub fn grid(workgroups: u32) -> [u32; 3] {
    const MAX: u32 = 65_535;
    if workgroups <= MAX { [workgroups, 1, 1] } else { [MAX, workgroups.div_ceil(MAX), 1] }
}

/// Estimated operations after which a submit is cut, so that no driver watchdog fires: about a tenth of a second on
/// the slowest adapters.
const FLOPS_PER_SUBMIT: f64 = 4e9;
const ARENA_BYTES: u64 = 64 << 10;

pub(super) struct Dispatch {
    pub pipeline: Arc<Pipeline>,
    bind_group: wgpu::BindGroup,
    offset: u32,
    workgroups: [u32; 3],
    pub cost: Cost,
}

type BindGroupKey = (wgpu::ComputePipeline, usize, Vec<(wgpu::Buffer, u64, u64)>);

/// A list of prepared dispatches.
#[derive(Default)]
pub struct Recording {
    pub(super) dispatches: Vec<Dispatch>,
    arenas: Vec<(Arc<Pooled>, Vec<u8>)>,
    arena: usize,
    bind_groups: HashMap<BindGroupKey, KeptBindGroup>,
    prepared: usize,
    uploaded: bool,
}

struct KeptBindGroup {
    group: wgpu::BindGroup,
    used: bool,
}

impl Recording {
    /// An empty recording.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the dispatches but keeps their bind groups and parameter memory for the next recording.
    ///
    /// Bind groups that these dispatches did not use are dropped: they would keep their buffers alive, and their number
    /// would grow with every shape.
    pub fn clear(&mut self) {
        self.bind_groups.retain(|_, kept| std::mem::take(&mut kept.used));
        self.dispatches.clear();
        self.arena = 0;
        for (_, bytes) in &mut self.arenas {
            bytes.clear();
        }
        self.uploaded = false;
    }

    /// Number of dispatches.
    pub fn len(&self) -> usize {
        self.dispatches.len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.dispatches.is_empty()
    }

    /// Dispatches prepared so far, those forgotten included. Replaying prepares none.
    pub fn prepared(&self) -> usize {
        self.prepared
    }

    /// Bind groups held: those that this recording uses, and those that only the last one did.
    pub fn bind_groups(&self) -> usize {
        self.bind_groups.len()
    }

    /// Sum of the costs of all dispatches.
    pub fn cost(&self) -> Cost {
        self.dispatches
            .iter()
            .fold(Cost::default(), |sum, d| Cost { flops: sum.flops + d.cost.flops, bytes: sum.bytes + d.cost.bytes })
    }

    /// What kernels record into.
    pub fn recorder<'a>(&'a mut self, gpu: &'a Gpu) -> Recorder<'a> {
        Recorder { gpu, recording: self }
    }

    /// Prepares one dispatch; `bindings` are storage bindings 1, 2, … in order. Nothing is recorded where there is no
    /// work.
    fn dispatch<P: bytemuck::NoUninit>(
        &mut self,
        gpu: &Gpu,
        kernel: &Kernel,
        params: &P,
        bindings: &[&Shard],
        workgroups: [u32; 3],
        cost: Cost,
    ) -> Result<()> {
        if workgroups.contains(&0) {
            return Ok(());
        }
        let pipeline = gpu.pipeline(kernel);
        assert_eq!(bindings.len(), pipeline.storage_bindings, "{}: storage bindings", kernel.name);
        let (arena, offset) = self.store(gpu, bytemuck::bytes_of(params))?;
        let bind_group = self.bind_group(gpu, &pipeline, arena, bindings);
        self.prepared += 1;
        self.dispatches.push(Dispatch { pipeline, bind_group, offset, workgroups, cost });
        self.uploaded = false;
        Ok(())
    }

    /// Appends parameters to the current arena, opening a new one when it is full.
    fn store(&mut self, gpu: &Gpu, params: &[u8]) -> Result<(usize, u32)> {
        let alignment = gpu.device.limits().min_uniform_buffer_offset_alignment as usize;
        let fits = |bytes: &Vec<u8>| bytes.len().next_multiple_of(alignment) + 256 <= ARENA_BYTES as usize;
        while self.arenas.get(self.arena).is_some_and(|(_, bytes)| !fits(bytes)) {
            self.arena += 1;
        }
        if self.arena == self.arenas.len() {
            let pooled = gpu.allocate(Memory::Workspace, "dispatch parameters", ARENA_BYTES)?;
            self.arenas.push((Arc::new(pooled), Vec::new()));
        }
        let bytes = &mut self.arenas[self.arena].1;
        let offset = bytes.len().next_multiple_of(alignment);
        bytes.resize(offset, 0);
        bytes.extend_from_slice(params);
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        Ok((self.arena, offset as u32))
    }

    fn bind_group(&mut self, gpu: &Gpu, pipeline: &Pipeline, arena: usize, bindings: &[&Shard]) -> wgpu::BindGroup {
        let params = &self.arenas[arena].0.buffer;
        let key = (pipeline.pipeline.clone(), arena, bindings.iter().map(|shard| shard.place()).collect());
        if let Some(kept) = self.bind_groups.get_mut(&key) {
            kept.used = true;
            return kept.group.clone();
        }
        let uniform = wgpu::BindGroupEntry {
            binding: 0,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer: params,
                offset: 0,
                size: std::num::NonZeroU64::new(256),
            }),
        };
        let storage = key.2.iter().zip(1..).map(|((buffer, offset, bytes), binding)| wgpu::BindGroupEntry {
            binding,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                buffer,
                offset: *offset,
                size: std::num::NonZeroU64::new(*bytes),
            }),
        });
        let entries: Vec<_> = std::iter::once(uniform).chain(storage).collect();
        let group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(pipeline.name),
            layout: &pipeline.layout,
            entries: &entries,
        });
        self.bind_groups.insert(key, KeptBindGroup { group: group.clone(), used: true });
        group
    }

    /// Submits every dispatch in order. Returns at once; reading a tensor back waits for it.
    pub fn replay(&mut self, gpu: &Gpu) -> Result<()> {
        self.replay_timed(gpu, None)
    }

    /// Replays, writing a timestamp before the first dispatch and after each one where a query set is given.
    pub(super) fn replay_timed(&mut self, gpu: &Gpu, queries: Option<&wgpu::QuerySet>) -> Result<()> {
        if !self.uploaded {
            for (pooled, bytes) in self.arenas.iter().filter(|(_, bytes)| !bytes.is_empty()) {
                gpu.queue.write_buffer(&pooled.buffer, 0, bytes);
            }
            self.uploaded = true;
        }
        let mut next = 0;
        while next < self.dispatches.len() {
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            if let (Some(queries), 0) = (queries, next) {
                pass.write_timestamp(queries, 0);
            }
            let mut flops = 0.0;
            while next < self.dispatches.len() && (flops == 0.0 || flops < FLOPS_PER_SUBMIT) {
                let dispatch = &self.dispatches[next];
                pass.set_pipeline(&dispatch.pipeline.pipeline);
                pass.set_bind_group(0, &dispatch.bind_group, &[dispatch.offset]);
                let [x, y, z] = dispatch.workgroups;
                pass.dispatch_workgroups(x, y, z);
                if let Some(queries) = queries {
                    pass.write_timestamp(queries, next as u32 + 1);
                }
                flops += dispatch.cost.flops.max(1.0);
                next += 1;
            }
            drop(pass);
            gpu.queue.submit([encoder.finish()]);
        }
        gpu.check("submitting a recording")
    }
}

/// A recording together with the device it is for: the first argument of every kernel.
pub struct Recorder<'a> {
    /// The device.
    pub gpu: &'a Gpu,
    recording: &'a mut Recording,
}

impl Recorder<'_> {
    /// Records one dispatch; `bindings` are storage bindings 1, 2, … in order.
    pub fn dispatch<P: bytemuck::NoUninit>(
        &mut self,
        kernel: &Kernel,
        params: &P,
        bindings: &[&Shard],
        workgroups: [u32; 3],
        cost: Cost,
    ) -> Result<()> {
        self.recording.dispatch(self.gpu, kernel, params, bindings, workgroups, cost)
    }
}

/// The error of a kernel whose guards refuse its arguments: a fault of the caller, named.
pub(crate) fn refuse(kernel: &str, problem: impl Into<String>) -> Error {
    Error::device(kernel, problem, "this is a fault of the engine; please report it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Dtype, Tensor};

    #[test]
    fn large_grids_fold_into_two_dimensions_and_lose_nothing() {
        for workgroups in [1, 65_535, 65_536, 1_000_000] {
            let [x, y, z] = grid(workgroups);
            assert!(x <= 65_535 && y <= 65_535 && z == 1);
            assert!(x * y >= workgroups && x * y - workgroups < x, "{workgroups}");
        }
    }

    #[test]
    fn bind_groups_of_buffers_that_went_are_dropped() {
        let gpu = pollster::block_on(Gpu::open(&Default::default())).unwrap();
        let mut recording = Recording::new();
        for _ in 0..20 {
            recording.clear();
            let [x, y] = [(); 2].map(|()| Tensor::workspace(&gpu, "test", 64, Dtype::F32).unwrap());
            let (kernel, bindings) = (Kernel::new("add/main"), [x.whole(), y.whole()]);
            recording.recorder(&gpu).dispatch(&kernel, &[16u32; 4], &bindings, [1, 1, 1], Cost::default()).unwrap();
            recording.replay(&gpu).unwrap();
        }
        assert_eq!(recording.prepared(), 20);
        assert!(recording.bind_groups() <= 2, "{}", recording.bind_groups());
    }
}
