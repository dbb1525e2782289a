//! Dispatches prepared once and replayed: pipelines, bind groups and parameters are ready before the first replay.
//!
//! A recording holds the tensors that it binds, so that they may be dropped before it is replayed.
//!
//! It is written again when the shape of a batch changes. That costs about a microsecond per dispatch, because
//! bind groups are kept (the buffers stay, only sizes in the parameters and workgroup counts change) and all
//! parameters go to the device in one copy per 64 KiB.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use wgr_shaders::Parameters;

use super::device::{Gpu, Pipeline};
use super::kernel::{Cost, Kernel};
use super::memory::{Memory, Pooled};
use super::tensor::Shard;
use crate::Result;

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
    /// The number of dispatches after which a buffer is bound no more.
    last_uses: HashMap<wgpu::Buffer, usize>,
    prepared: usize,
    uploaded: bool,
}

struct KeptBindGroup {
    group: wgpu::BindGroup,
    used: bool,
    /// What is bound. It must not return to the pool, where others would take it, while a replay can still write it.
    _operands: Vec<Arc<Pooled>>,
}

impl Recording {
    /// An empty recording.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the dispatches but keeps their bind groups and parameter memory for the next recording.
    ///
    /// Bind groups that these dispatches did not use are dropped, and with them what they bind, since their number would
    /// grow with every shape.
    pub fn clear(&mut self) {
        self.bind_groups.retain(|_, kept| std::mem::take(&mut kept.used));
        self.dispatches.clear();
        self.last_uses.clear();
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

    /// Name and features of the kernel of each dispatch.
    pub fn kernels(&self) -> impl Iterator<Item = (&str, &[&'static str])> {
        self.dispatches.iter().map(|dispatch| (&*dispatch.pipeline.name, &*dispatch.pipeline.features))
    }

    /// Dispatches prepared so far, those forgotten included. Replaying prepares none.
    pub fn prepared(&self) -> usize {
        self.prepared
    }

    /// Bind groups held: those that this recording uses, and those that only the previous one used.
    pub fn bind_groups(&self) -> usize {
        self.bind_groups.len()
    }

    /// Sum of the costs of all dispatches.
    pub fn cost(&self) -> Cost {
        let mut sum = Cost::default();
        self.dispatches.iter().for_each(|dispatch| sum += dispatch.cost);
        sum
    }

    /// The recorder that kernels record into.
    pub fn recorder<'a>(&'a mut self, gpu: &'a Gpu) -> Recorder<'a> {
        Recorder { gpu, recording: self }
    }

    /// Prepares one dispatch; `bindings` are storage bindings 1, 2, … in order. Nothing is recorded if there is no work,
    /// or if anything differs from what the shader declares.
    fn dispatch<P: Parameters>(
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
        gpu.check_rounds(kernel, cost.rounds)?;
        let pipeline = gpu.pipeline(kernel)?;
        let words = params.words();
        let operands: Vec<_> = bindings.iter().map(|shard| shard.operand()).collect();
        pipeline.check(P::MEMBERS, &words, &operands)?;
        let (arena, offset) = self.store(gpu, bytemuck::cast_slice(&words))?;
        let bind_group = self.bind_group(gpu, &pipeline, arena, bindings);
        self.prepared += 1;
        self.dispatches.push(Dispatch { pipeline, bind_group, offset, workgroups, cost });
        let count = self.dispatches.len();
        self.last_uses.extend(bindings.iter().map(|shard| (shard.buffer().clone(), count)));
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
            label: Some(&pipeline.name),
            layout: &pipeline.layout,
            entries: &entries,
        });
        let operands = bindings.iter().map(|shard| shard.pooled().clone()).collect();
        self.bind_groups.insert(key, KeptBindGroup { group: group.clone(), used: true, _operands: operands });
        group
    }

    /// The number of dispatches after which a buffer is bound no more; 0 if it never is.
    pub(super) fn last_use(&self, buffer: &wgpu::Buffer) -> usize {
        self.last_uses.get(buffer).copied().unwrap_or(0)
    }

    /// Submits every dispatch in order. Returns at once; reading a tensor back waits for it.
    ///
    /// # Errors
    /// If the driver has failed since the last call that reported a failure.
    pub fn replay(&mut self, gpu: &Gpu) -> Result<()> {
        self.submit(gpu, 0..self.len(), None)
    }

    /// Submits some dispatches; if a query set is given, writes a timestamp before the first dispatch and after each one.
    pub(super) fn submit(&mut self, gpu: &Gpu, part: Range<usize>, queries: Option<&wgpu::QuerySet>) -> Result<()> {
        if !self.uploaded {
            for (pooled, bytes) in self.arenas.iter().filter(|(_, bytes)| !bytes.is_empty()) {
                gpu.queue.write_buffer(&pooled.buffer, 0, bytes);
            }
            self.uploaded = true;
        }
        let flops_per_submit = gpu.flops_per_submit();
        let Range { start: mut next, end } = part;
        while next < end {
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            let mut pass = encoder.begin_compute_pass(&Default::default());
            if let (Some(queries), 0) = (queries, next) {
                pass.write_timestamp(queries, 0);
            }
            let mut flops = 0.0;
            while next < end && (flops == 0.0 || flops < flops_per_submit) {
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

/// A recording with its device: the first argument of every kernel.
pub struct Recorder<'a> {
    /// The device.
    pub gpu: &'a Gpu,
    recording: &'a mut Recording,
}

impl Recorder<'_> {
    /// Records one dispatch; `bindings` are storage bindings 1, 2, … in order.
    ///
    /// # Errors
    /// If parameters or tensors are not what the shader declares ([`wgr_shaders::Contract`]), or the driver fails.
    pub fn dispatch<P: Parameters>(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Dtype, Tensor};

    #[test]
    fn a_recording_holds_what_it_binds() {
        let gpu = pollster::block_on(Gpu::open(&Default::default())).unwrap();
        // A size of its own: the pool would hand these very buffers to the next request.
        let tensor = |value: f32| {
            let tensor = Tensor::workspace(&gpu, "test", 52, Dtype::F32).unwrap();
            tensor.write_f32(&gpu, &[value; 52]);
            tensor
        };
        let mut recording = Recording::new();
        {
            let (x, y) = (tensor(1.0), tensor(2.0));
            let params = wgr_shaders::params::add::Params { count: 13 };
            let (kernel, bindings) = (Kernel::new("add/main"), [x.whole(), y.whole()]);
            recording.recorder(&gpu).dispatch(&kernel, &params, &bindings, [1, 1, 1], Cost::default()).unwrap();
        }
        let others = [tensor(8.0), tensor(9.0)];
        recording.replay(&gpu).unwrap();
        for (other, value) in others.iter().zip([8.0, 9.0]) {
            assert_eq!(pollster::block_on(other.read(&gpu)).unwrap(), [value; 52]);
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
            let params = wgr_shaders::params::add::Params { count: 16 };
            recording.recorder(&gpu).dispatch(&kernel, &params, &bindings, [1, 1, 1], Cost::default()).unwrap();
            recording.replay(&gpu).unwrap();
        }
        assert_eq!(recording.prepared(), 20);
        assert!(recording.bind_groups() <= 2, "{}", recording.bind_groups());
    }
}
