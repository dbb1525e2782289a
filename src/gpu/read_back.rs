//! Bytes on their way from the device to the host.

use bytemuck::Pod;
use futures_channel::oneshot;

use super::device::Gpu;
use super::memory::{self, Memory, Pooled};
use super::tensor::{Shard, Tensor};
use crate::{Error, Result};

/// A copy that was asked for. It comes while the device goes on with what was submitted later.
pub(crate) struct ReadBack {
    pieces: Vec<Piece>,
    submission: Option<wgpu::SubmissionIndex>,
}

struct Piece {
    staging: Pooled,
    bytes: u64,
    mapped: oneshot::Receiver<Result<(), wgpu::BufferAsyncError>>,
}

impl Gpu {
    /// Begins to read tensors as they are stored, with their padding, one after the other: as what is submitted so far leaves
    /// them.
    ///
    /// # Errors
    /// There is no room for the copy.
    pub(crate) fn begin_read<'a>(&self, tensors: impl IntoIterator<Item = &'a Tensor>) -> Result<ReadBack> {
        self.begin_copy(tensors.into_iter().flat_map(Tensor::shards).map(Shard::stored))
    }

    /// Copies bytes out of a buffer.
    pub(super) async fn read_bytes(&self, buffer: &wgpu::Buffer, offset: u64, bytes: u64) -> Result<Vec<u8>> {
        self.begin_copy([(buffer, offset, bytes)])?.wait(self).await
    }

    /// Begins to copy some bytes, given by buffer, offset and length.
    fn begin_copy<'a>(&self, places: impl IntoIterator<Item = (&'a wgpu::Buffer, u64, u64)>) -> Result<ReadBack> {
        let mut encoder = self.device.create_command_encoder(&Default::default());
        let mut copies = vec![];
        for (buffer, offset, bytes) in places {
            let staging = memory::take(&self.pool, &self.device, Memory::Workspace, "read-back", bytes, true)?;
            encoder.copy_buffer_to_buffer(buffer, offset, &staging.buffer, 0, bytes);
            copies.push((staging, bytes));
        }
        let submission = (!copies.is_empty()).then(|| self.queue.submit([encoder.finish()]));
        let map = |(staging, bytes): (Pooled, u64)| {
            let (sender, mapped) = oneshot::channel();
            staging.buffer.slice(..bytes).map_async(wgpu::MapMode::Read, move |result| {
                // The receiver is gone only if this was dropped, and then nobody waits for the answer.
                let _ = sender.send(result);
            });
            Piece { staging, bytes, mapped }
        };
        Ok(ReadBack { pieces: copies.into_iter().map(map).collect(), submission })
    }
}

impl ReadBack {
    /// Waits for the values, but for nothing that was submitted after them.
    ///
    /// # Errors
    /// The driver fails.
    pub(crate) async fn wait<T: Pod>(self, gpu: &Gpu) -> Result<Vec<T>> {
        let bytes: u64 = self.pieces.iter().map(|piece| piece.bytes).sum();
        let mut out: Vec<T> = Vec::with_capacity(bytes as usize / size_of::<T>());
        for Piece { staging, bytes, mapped } in self.pieces {
            let failed = |e: String| Error::device("reading back", e, "");
            gpu.polled(mapped, self.submission.clone(), "reading back").await?.map_err(|e| failed(e.to_string()))?;
            let range = staging.buffer.slice(..bytes).get_mapped_range().map_err(|e| failed(e.to_string()))?;
            match bytemuck::try_cast_slice(&range) {
                Ok(values) => out.extend_from_slice(values),
                Err(_) => out.extend(bytemuck::pod_collect_to_vec::<u8, T>(&range)),
            }
            drop(range);
            staging.buffer.unmap();
        }
        Ok(out)
    }
}
