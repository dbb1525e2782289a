//! Gradients on their way between the device and other ranks.

use std::collections::VecDeque;
use std::ops::Range;

use crate::Result;
use crate::gpu::Gpu;
use crate::optimizer::{AdamW, Parameter};
use crate::ranks::{Pending, Ranks};

/// Gradients are added over ranks in buckets of at least so many values, so that small tensors do not each wait for a
/// message.
const BUCKET: usize = 1 << 20;

/// Buckets whose sums are under way while the next is read from the device.
const AHEAD: usize = 2;

/// Replaces the gradients by their sums over all ranks, and says whether those of this rank are finite. The device reads the
/// next bucket while the ranks add one up.
pub(super) async fn sum_gradients(gpu: &Gpu, optimizer: &AdamW, ranks: &Ranks) -> Result<bool> {
    let mut is_finite = true;
    if ranks.size() == 1 {
        return Ok(is_finite);
    }
    let parameters = optimizer.parameters();
    let sizes: Vec<usize> = parameters.iter().map(|parameter| parameter.gradient.capacity()).collect();
    let mut under_way: VecDeque<(Range<usize>, Pending<Vec<f32>>)> = VecDeque::new();
    for bucket in buckets(&sizes) {
        let mut values = vec![];
        for parameter in &parameters[bucket.clone()] {
            values.extend(read_gradient(gpu, parameter).await?);
        }
        is_finite &= values.iter().all(|value| value.is_finite());
        under_way.push_back((bucket, ranks.begin_sum(values)));
        if under_way.len() > AHEAD
            && let Some((bucket, sum)) = under_way.pop_front()
        {
            write_gradients(gpu, &parameters[bucket], &sum.wait().await?)?;
        }
    }
    for (bucket, sum) in under_way {
        write_gradients(gpu, &parameters[bucket], &sum.wait().await?)?;
    }
    Ok(is_finite)
}

/// A gradient with its padding.
pub(super) async fn read_gradient(gpu: &Gpu, parameter: &Parameter) -> Result<Vec<f32>> {
    Ok(bytemuck::pod_collect_to_vec(&parameter.gradient.read_stored(gpu).await?))
}

/// Overwrites gradients with values that follow each other.
pub(super) fn write_gradients<'a>(
    gpu: &Gpu,
    parameters: impl IntoIterator<Item = &'a Parameter>,
    values: &[f32],
) -> Result<()> {
    let mut rest = values;
    for parameter in parameters {
        let (own, others) = rest.split_at(parameter.gradient.capacity());
        parameter.gradient.write_stored(gpu, bytemuck::cast_slice(own))?;
        rest = others;
    }
    Ok(())
}

/// Places of parameters with so many values that go to other ranks together.
pub(super) fn buckets(sizes: &[usize]) -> Vec<Range<usize>> {
    let (mut buckets, mut first, mut values) = (vec![], 0, 0);
    for (place, size) in sizes.iter().enumerate() {
        values += size;
        if values >= BUCKET || place + 1 == sizes.len() {
            buckets.push(first..place + 1);
            (first, values) = (place + 1, 0);
        }
    }
    buckets
}
