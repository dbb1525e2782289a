//! Matrices on the device: rows of values, padded to groups of four, and sharded if they exceed the binding limit.

use std::ops::Range;
use std::sync::Arc;

use half::{bf16, f16};
use wgr_shaders::{Dtype, Operand};

use super::device::Gpu;
use super::memory::{Memory, Pooled};
use super::quantized;
use crate::{Error, Result};

/// A dimension of a tensor: `groups` blocks of `size` values, each padded with zeros to a multiple of four.
///
/// Because tensors are padded once, on creation, every kernel reads groups of four values, and none needs a second
/// path for odd sizes. Most dimensions are one block; attention heads are two blocks each, so that both
/// halves of a rotary pair start on a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layout {
    groups: usize,
    size: usize,
}

impl Layout {
    /// A plain dimension.
    pub fn plain(size: usize) -> Self {
        Self { groups: 1, size }
    }

    /// `heads` attention heads of `head_dim` values, each split into its rotary halves.
    pub fn heads(heads: usize, head_dim: usize) -> Self {
        Self { groups: heads * 2, size: head_dim / 2 }
    }

    /// Values without padding.
    pub fn len(self) -> usize {
        self.groups * self.size
    }

    /// Whether the dimension holds nothing.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether there is no padding.
    pub fn is_whole(self) -> bool {
        self.padded() == self.len()
    }

    /// Values with padding, a multiple of four.
    pub fn padded(self) -> usize {
        self.groups * self.size.next_multiple_of(4)
    }

    /// Where each value lies in the padded dimension, in order.
    pub fn places(self) -> impl Iterator<Item = usize> + Clone {
        let stride = self.size.next_multiple_of(4);
        (0..self.groups).flat_map(move |group| (0..self.size).map(move |i| group * stride + i))
    }
}

/// Consecutive rows of a tensor in one binding.
#[derive(Debug, Clone)]
pub struct Shard {
    /// First row.
    pub first_row: usize,
    /// Number of rows.
    pub rows: usize,
    label: Arc<str>,
    dtype: Dtype,
    pooled: Arc<Pooled>,
    /// Bytes before the first row, and bytes bound: those of the whole buffer, except for views.
    offset: u64,
    bytes: u64,
    /// Bytes of the rows alone.
    held: u64,
}

impl Shard {
    fn whole(label: &Arc<str>, dtype: Dtype, rows: Range<usize>, row_bytes: u64, pooled: Pooled) -> Self {
        let (first_row, rows, bytes) = (rows.start, rows.len(), pooled.buffer.size());
        let held = row_bytes * rows as u64;
        Self { first_row, rows, label: label.clone(), dtype, pooled: Arc::new(pooled), offset: 0, bytes, held }
    }

    /// The rows `from..to` of the tensor, which it has, in a binding of their own.
    fn part(&self, from: usize, to: usize) -> Self {
        let row_bytes = self.held / self.rows.max(1) as u64;
        let held = (to - from) as u64 * row_bytes;
        let offset = self.offset + (from - self.first_row) as u64 * row_bytes;
        Self { first_row: from, rows: to - from, offset, bytes: held, held, ..self.clone() }
    }

    /// The shard in parts of at most so many rows, a multiple of [`VIEW_ROWS`].
    pub(crate) fn parts(&self, rows: usize) -> Vec<Self> {
        if self.rows <= rows {
            return vec![self.clone()];
        }
        let end = self.first_row + self.rows;
        (self.first_row..end).step_by(rows).map(|from| self.part(from, end.min(from + rows))).collect()
    }

    pub(super) fn buffer(&self) -> &wgpu::Buffer {
        &self.pooled.buffer
    }

    pub(super) fn pooled(&self) -> &Arc<Pooled> {
        &self.pooled
    }

    /// The operand that is compared with a shader's contract.
    pub(super) fn operand(&self) -> Operand<'_> {
        Operand { label: &self.label, dtype: self.dtype, bytes: self.held }
    }

    /// Buffer, first byte and number of bytes of the rows.
    pub(super) fn stored(&self) -> (&wgpu::Buffer, u64, u64) {
        (self.buffer(), self.offset, self.held)
    }

    /// Buffer, first byte and number of bytes that are bound.
    pub(super) fn place(&self) -> (wgpu::Buffer, u64, u64) {
        (self.buffer().clone(), self.offset, self.bytes)
    }
}

/// Views start at a multiple of this number of rows. Their offset in bytes is then a multiple of 256, at which every
/// adapter can bind: a row has at least four values of two bytes.
pub const VIEW_ROWS: usize = 32;

/// What [`Tensor::row_pieces`] gives at a time.
const PIECE_BYTES: u64 = 16 << 20;

/// A matrix on the device. Cloning shares the storage.
#[derive(Debug, Clone)]
pub struct Tensor {
    label: Arc<str>,
    rows: Layout,
    columns: Layout,
    dtype: Dtype,
    shards: Vec<Shard>,
}

impl Tensor {
    /// A matrix, zeroed unless it belongs to the workspace, whose buffers are reused. If it exceeds the binding limit, it
    /// is cut into shards of whole groups of four rows.
    ///
    /// # Errors
    /// If four of its rows exceed the binding limit, or the device has no room.
    pub fn new(gpu: &Gpu, memory: Memory, label: &str, rows: Layout, columns: Layout, dtype: Dtype) -> Result<Self> {
        let row_bytes = dtype.row_bytes(columns.padded());
        let limit = gpu.limits().binding_bytes;
        let padded_rows = rows.padded();
        let per_shard = if row_bytes * padded_rows as u64 <= limit {
            padded_rows
        } else {
            let rows = (limit / row_bytes.max(1)) as usize;
            // Whole views, unless rows are huge.
            if rows >= VIEW_ROWS { rows / VIEW_ROWS * VIEW_ROWS } else { rows / 4 * 4 }
        };
        if per_shard == 0 && padded_rows > 0 {
            return Err(Error::device(
                format!("allocating {label}"),
                format!("four rows of {row_bytes} bytes exceed the binding limit of {limit} bytes"),
                "use an adapter with a larger limit",
            ));
        }
        let name: Arc<str> = label.into();
        let shards = (0..padded_rows)
            .step_by(per_shard.max(1))
            .map(|first_row| {
                let end = padded_rows.min(first_row + per_shard);
                let pooled = gpu.allocate(memory, label, row_bytes * (end - first_row) as u64)?;
                Ok(Shard::whole(&name, dtype, first_row..end, row_bytes, pooled))
            })
            .collect::<Result<_>>()?;
        Ok(Self { label: name, rows, columns, dtype, shards })
    }

    /// A matrix of activations: `rows` tokens, which are not padded, in one binding.
    ///
    /// # Errors
    /// If it exceeds the binding limit: activations are never sharded.
    pub fn activation(gpu: &Gpu, label: &str, rows: usize, columns: Layout, dtype: Dtype) -> Result<Self> {
        let row_bytes = dtype.row_bytes(columns.padded());
        let bytes = row_bytes * rows as u64;
        if bytes > gpu.limits().binding_bytes {
            return Err(Error::device(
                format!("allocating {label}"),
                format!("{bytes} bytes exceed the binding limit of {} bytes", gpu.limits().binding_bytes),
                "use a smaller `.batch_size` or `.max_length`",
            ));
        }
        let pooled = gpu.allocate(Memory::Activations, label, bytes)?;
        let label = label.into();
        let shards = vec![Shard::whole(&label, dtype, 0..rows, row_bytes, pooled)];
        Ok(Self { label, rows: Layout::plain(rows), columns, dtype, shards })
    }

    /// A zeroed vector of parameters: one row, in one binding.
    ///
    /// # Errors
    /// If it exceeds the largest buffer of the adapter, or the device has no room.
    pub fn vector(gpu: &Gpu, memory: Memory, label: &str, columns: Layout) -> Result<Self> {
        let bytes = columns.padded() as u64 * Dtype::F32.bytes();
        let pooled = gpu.allocate(memory, label, bytes)?;
        let label = label.into();
        let shards = vec![Shard::whole(&label, Dtype::F32, 0..1, bytes, pooled)];
        Ok(Self { label, rows: Layout::plain(1), columns, dtype: Dtype::F32, shards })
    }

    /// A plain list in the workspace: token ids, offsets, partial sums.
    ///
    /// # Errors
    /// If it exceeds the largest buffer of the adapter, or the device has no room.
    pub fn workspace(gpu: &Gpu, label: &str, len: usize, dtype: Dtype) -> Result<Self> {
        let bytes = len as u64 * dtype.bytes();
        let pooled = gpu.allocate(Memory::Workspace, label, bytes)?;
        let label = label.into();
        let shards = vec![Shard::whole(&label, dtype, 0..1, bytes, pooled)];
        Ok(Self { label, rows: Layout::plain(1), columns: Layout::plain(len), dtype, shards })
    }

    /// The rows `first..end` as a tensor that shares their storage, sharded where this one is.
    ///
    /// # Errors
    /// If these are not all rows, and `first` is not a multiple of [`VIEW_ROWS`] in its shard, or the rows are not plain or do
    /// not exist.
    pub fn rows_view(&self, first: usize, end: usize) -> Result<Self> {
        if (first, end) == (0, self.rows.len()) {
            return Ok(self.clone());
        }
        let refused = || Error::kernel("a view of rows", format!("{} has no view of {first}..{end}", self.label));
        if self.rows != Layout::plain(self.rows.len()) || first > end || end > self.rows.len() {
            return Err(refused());
        }
        // The padding of the last rows goes with them, as products read whole groups of four.
        let padded_end = end.next_multiple_of(4);
        let overlapping = self.shards.iter().filter(|s| s.first_row < padded_end && s.first_row + s.rows > first);
        let shards = overlapping
            .map(|shard| {
                let (from, to) = (first.max(shard.first_row), padded_end.min(shard.first_row + shard.rows));
                if !(from - shard.first_row).is_multiple_of(VIEW_ROWS) {
                    return Err(refused());
                }
                Ok(Shard { first_row: from - first, ..shard.part(from, to) })
            })
            .collect::<Result<_>>()?;
        Ok(Self { rows: Layout::plain(end - first), shards, ..self.clone() })
    }

    /// All rows, in ranges of about so many values, of which [`Self::rows_view`] gives views; in one range where there are none.
    pub(crate) fn viewed_rows(&self, values: usize) -> Vec<Range<usize>> {
        let rows = self.rows.len();
        let has_views = self.rows == Layout::plain(rows)
            && self.shards.iter().all(|shard| shard.first_row.is_multiple_of(VIEW_ROWS));
        let step = match values / self.columns.padded().max(1) {
            some if has_views => some.next_multiple_of(VIEW_ROWS).max(VIEW_ROWS),
            _ => rows.max(1),
        };
        (0..rows).step_by(step).map(|first| first..rows.min(first + step)).collect()
    }

    /// The same storage, from its start, with another shape.
    ///
    /// # Errors
    /// If it has no room for that shape, or is sharded.
    pub fn reshaped(&self, rows: usize, columns: Layout) -> Result<Self> {
        let bytes = rows as u64 * self.dtype.row_bytes(columns.padded());
        match &self.shards[..] {
            [shard] if bytes <= shard.bytes => {
                let shards = vec![Shard { first_row: 0, rows, held: bytes, ..shard.clone() }];
                Ok(Self { rows: Layout::plain(rows), columns, shards, ..self.clone() })
            }
            _ => {
                Err(Error::kernel("a tensor of another shape", format!("{} has no room for {bytes} bytes", self.label)))
            }
        }
    }

    /// Name in errors, profiles and plans.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Layout of the rows.
    pub fn rows(&self) -> Layout {
        self.rows
    }

    /// Layout of the columns.
    pub fn columns(&self) -> Layout {
        self.columns
    }

    /// Row stride in groups of four values.
    pub fn columns4(&self) -> u32 {
        (self.columns.padded() / 4) as u32
    }

    /// Storage type of the values.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The pieces, in row order.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// The only piece of a tensor that is not sharded.
    ///
    /// # Panics
    /// If the tensor is sharded: kernels that cannot work by shards say so in their guards.
    pub fn whole(&self) -> &Shard {
        assert_eq!(self.shards.len(), 1, "{} is sharded and this kernel needs it whole", self.label);
        &self.shards[0]
    }

    /// Number of values that the tensor has room for, padding included.
    pub fn capacity(&self) -> usize {
        self.shards.iter().map(|shard| shard.rows).sum::<usize>() * self.columns.padded()
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.bytes).sum()
    }

    /// Writes values given row by row without padding, rounding to the storage type.
    ///
    /// # Errors
    /// If there are more or fewer values than the tensor holds, or the storage cannot hold them.
    pub fn write(&self, gpu: &Gpu, values: &[f32]) -> Result<()> {
        if values.len() != self.rows.len() * self.columns.len() {
            return Err(Error::input(
                self.label.as_ref(),
                format!("{} values for a {} x {} tensor", values.len(), self.rows.len(), self.columns.len()),
                "",
            ));
        }
        let stride = self.columns.padded();
        let mut rows = self.rows.places().zip(values.chunks_exact(self.columns.len().max(1))).peekable();
        for shard in &self.shards {
            let mut padded = vec![0f32; shard.rows * stride];
            while let Some((row, line)) = rows.next_if(|(row, _)| *row < shard.first_row + shard.rows) {
                let out = &mut padded[(row - shard.first_row) * stride..][..stride];
                for (place, value) in self.columns.places().zip(line) {
                    out[place] = *value;
                }
            }
            let bytes = encode(&padded, stride, self.dtype)
                .map_err(|problem| Error::input(self.label.as_ref(), problem, "hold it in bf16 or f32"))?;
            gpu.queue.write_buffer(shard.buffer(), shard.offset, &bytes);
        }
        Ok(())
    }

    /// Writes rows of a quantised storage, words as [`Quantized`](super::Quantized) lays them out, without rows of padding.
    ///
    /// # Errors
    /// If the storage is not quantised, columns are padded, or there are more or fewer words than the rows need.
    pub fn write_rows(&self, gpu: &Gpu, words: &[u32]) -> Result<()> {
        let refused = |problem: String| Error::kernel("writing quantised rows", format!("{} {problem}", self.label));
        let Dtype::Quantized(layout) = self.dtype else { return Err(refused(format!("is {}", self.dtype))) };
        if !self.columns.is_whole() {
            return Err(refused("has padded columns".into()));
        }
        let stride = layout.row_words(self.columns.len());
        if words.len() != self.rows.len() * stride {
            return Err(refused(format!("has {} rows of {stride} words, not {}", self.rows.len(), words.len())));
        }
        let mut rows = self.rows.places().zip(words.chunks_exact(stride.max(1))).peekable();
        for shard in &self.shards {
            let mut padded = vec![0; shard.rows * stride];
            while let Some((row, line)) = rows.next_if(|(row, _)| *row < shard.first_row + shard.rows) {
                padded[(row - shard.first_row) * stride..][..stride].copy_from_slice(line);
            }
            gpu.queue.write_buffer(shard.buffer(), shard.offset, bytemuck::cast_slice(&padded));
        }
        Ok(())
    }

    /// Writes integers (token ids, offsets, tables) from the start of an unsharded tensor.
    pub fn write_u32(&self, gpu: &Gpu, values: &[u32]) {
        gpu.queue.write_buffer(self.whole().buffer(), self.whole().offset, bytemuck::cast_slice(values));
    }

    /// Writes raw f32 words from the start of an unsharded tensor.
    pub fn write_f32(&self, gpu: &Gpu, values: &[f32]) {
        gpu.queue.write_buffer(self.whole().buffer(), self.whole().offset, bytemuck::cast_slice(values));
    }

    /// Overwrites the tensor with what [`Gpu::begin_read`] gives for one of its shape and storage.
    ///
    /// # Errors
    /// If there are more or fewer bytes than the tensor holds.
    pub(crate) fn write_stored(&self, gpu: &Gpu, bytes: &[u8]) -> Result<()> {
        if bytes.len() != self.stored_bytes() {
            let problem = format!("{} holds {} bytes, not {}", self.label, self.stored_bytes(), bytes.len());
            return Err(Error::kernel("writing a tensor as it is stored", problem));
        }
        let mut rest = bytes;
        for shard in &self.shards {
            let (own, others) = rest.split_at(shard.held as usize);
            gpu.queue.write_buffer(shard.buffer(), shard.offset, own);
            rest = others;
        }
        Ok(())
    }

    /// Bytes of all rows, padding included.
    pub(crate) fn stored_bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.held as usize).sum()
    }

    /// Reads the values back, row by row without padding.
    ///
    /// # Errors
    /// If the driver fails.
    pub async fn read(&self, gpu: &Gpu) -> Result<Vec<f32>> {
        self.read_rows(gpu, 0..self.rows.len()).await
    }

    /// All rows, in pieces that are small enough to pass through a host on which the tensor has no room.
    pub(crate) fn row_pieces(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let rows = self.rows.len();
        let step = (PIECE_BYTES / self.dtype.row_bytes(self.columns.padded()).max(1)).max(1) as usize;
        (0..rows).step_by(step).map(move |first| first..rows.min(first + step))
    }

    /// As [`Self::read`], of some of the rows.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn read_rows(&self, gpu: &Gpu, rows: Range<usize>) -> Result<Vec<f32>> {
        let mut out = Vec::with_capacity(rows.len() * self.columns.len());
        let stride = self.columns.padded();
        let places: Vec<usize> = self.rows.places().skip(rows.start).take(rows.len()).collect();
        for shard in &self.shards {
            let inside = |row: &&usize| (shard.first_row..shard.first_row + shard.rows).contains(*row);
            let wanted: Vec<usize> = places.iter().filter(inside).map(|row| row - shard.first_row).collect();
            let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else { continue };
            let bytes = |rows: usize| rows as u64 * self.dtype.row_bytes(stride);
            let (offset, length) = (shard.offset + bytes(*first), bytes(last + 1 - first).next_multiple_of(4));
            let values = decode(&gpu.read_bytes(shard.buffer(), offset, length).await?, stride, self.dtype);
            for row in &wanted {
                let line = &values[(row - first) * stride..][..stride];
                out.extend(self.columns.places().map(|place| line[place]));
            }
        }
        Ok(out)
    }
}

impl Gpu {
    /// Sets every value of some tensors to zero, in one submit.
    pub fn clear<'a>(&self, tensors: impl Iterator<Item = &'a Tensor>) {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        for shard in tensors.flat_map(Tensor::shards) {
            encoder.clear_buffer(shard.buffer(), shard.offset, Some(shard.bytes));
        }
        self.queue.submit([encoder.finish()]);
    }
}

/// Bytes of rows of f32 values in a storage type.
///
/// # Errors
/// In words, if a quantised storage cannot hold them.
fn encode(values: &[f32], columns: usize, dtype: Dtype) -> Result<Vec<u8>, String> {
    Ok(match dtype {
        Dtype::F32 => bytemuck::cast_slice(values).to_vec(),
        Dtype::Bf16 => bytemuck::cast_slice(&values.iter().map(|v| bf16::from_f32(*v)).collect::<Vec<_>>()).to_vec(),
        Dtype::F16 => bytemuck::cast_slice(&values.iter().map(|v| f16::from_f32(*v)).collect::<Vec<_>>()).to_vec(),
        Dtype::Quantized(layout) => bytemuck::cast_slice(&quantized::encode(layout, values, columns)?).to_vec(),
        Dtype::U32 => bytemuck::cast_slice(&values.iter().map(|v| *v as u32).collect::<Vec<_>>()).to_vec(),
    })
}

fn decode(bytes: &[u8], columns: usize, dtype: Dtype) -> Vec<f32> {
    match dtype {
        Dtype::F32 => bytemuck::pod_collect_to_vec(bytes),
        Dtype::Bf16 => bytemuck::pod_collect_to_vec::<u8, bf16>(bytes).into_iter().map(bf16::to_f32).collect(),
        Dtype::F16 => bytemuck::pod_collect_to_vec::<u8, f16>(bytes).into_iter().map(f16::to_f32).collect(),
        Dtype::Quantized(layout) => quantized::decode(layout, &bytemuck::pod_collect_to_vec::<u8, u32>(bytes), columns),
        Dtype::U32 => bytemuck::pod_collect_to_vec::<u8, u32>(bytes).into_iter().map(|v| v as f32).collect(),
    }
}
