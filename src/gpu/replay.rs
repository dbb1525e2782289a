//! Replays in parts, so that a result can be read while the device computes the next.

use super::device::Gpu;
use super::recording::Recording;
use super::tensor::{Shard, Tensor};
use crate::Result;

/// A replay that has come to some dispatch.
pub(crate) struct Replay<'a> {
    gpu: &'a Gpu,
    recording: &'a mut Recording,
    next: usize,
}

impl Recording {
    /// Begins a replay that submits nothing yet.
    pub(crate) fn begin_replay<'a>(&'a mut self, gpu: &'a Gpu) -> Replay<'a> {
        Replay { gpu, recording: self, next: 0 }
    }
}

impl Replay<'_> {
    /// Submits all that has to run before some tensors are as the whole replay leaves them.
    ///
    /// # Errors
    /// If the driver has failed since the last call that reported a failure.
    pub(crate) fn advance_to<'a>(&mut self, tensors: impl IntoIterator<Item = &'a Tensor>) -> Result<()> {
        let buffers = tensors.into_iter().flat_map(Tensor::shards).map(Shard::buffer);
        let end = buffers.map(|buffer| self.recording.last_use(buffer)).max().unwrap_or(0);
        self.submit_until(end)
    }

    /// Submits the rest.
    ///
    /// # Errors
    /// As [`Self::advance_to`].
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.submit_until(self.recording.len())
    }

    fn submit_until(&mut self, end: usize) -> Result<()> {
        if end > self.next {
            self.recording.submit(self.gpu, self.next..end, None)?;
            self.next = end;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Cost, Dtype, Kernel};

    /// Three sums, each added to the one before: what is read in between is not yet what the next dispatch makes of it.
    #[test]
    fn a_tensor_is_read_after_its_last_dispatch_and_before_the_rest() {
        let gpu = pollster::block_on(Gpu::open(&Default::default())).unwrap();
        let tensor = |value: f32| {
            let tensor = Tensor::workspace(&gpu, "test", 4, Dtype::F32).unwrap();
            tensor.write_f32(&gpu, &[value; 4]);
            tensor
        };
        let [one, early, late] = [1.0, 2.0, 3.0].map(tensor);
        let mut recording = Recording::new();
        for sum in [&early, &late, &early, &late] {
            let params = wgr_shaders::params::add::Params { count: 1 };
            let bindings = [one.whole(), sum.whole()];
            let mut recorder = recording.recorder(&gpu);
            recorder.dispatch(&Kernel::new("add/main"), &params, &bindings, [1, 1, 1], Cost::default()).unwrap();
        }
        let read = |tensor: &Tensor| pollster::block_on(gpu.begin_read([tensor]).unwrap().wait::<f32>(&gpu)).unwrap();
        for _ in 0..2 {
            let before = [read(&early)[0], read(&late)[0]];
            let mut replay = recording.begin_replay(&gpu);
            replay.advance_to([&early]).unwrap();
            assert_eq!([read(&early)[0], read(&late)[0]], [before[0] + 2.0, before[1] + 1.0]);
            replay.advance_to([&early]).unwrap();
            replay.finish().unwrap();
            assert_eq!([read(&early)[0], read(&late)[0]], [before[0] + 2.0, before[1] + 2.0]);
        }
    }
}
