//! Gradients on their way between the device and other ranks.

use std::collections::VecDeque;
use std::ops::Range;

use bytemuck::Pod;

use crate::Result;
use crate::gpu::{Gpu, Replay, Tensor};
use crate::optimizer::{AdamW, Parameter};
use crate::ranks::{Pending, Ranks};

/// Gradients are added over ranks in buckets of about so many values, so that small tensors do not each wait for a message,
/// and one part of a large tensor is read while another is with the other ranks.
pub(super) const BUCKET: usize = 1 << 19;

/// Rounds that are being read from the device, and as many that are with other ranks, while one more is begun.
const AHEAD: usize = 2;

/// Replaces the gradients by their sums over all ranks, and says whether those of this rank are finite. `last` is the
/// backward pass that completes them: the gradients of its first layers are added up while the device computes the next.
pub(super) async fn sum_gradients(gpu: &Gpu, optimizer: &AdamW, ranks: &Ranks, last: Replay<'_>) -> Result<bool> {
    let mut gradients = vec![];
    for Parameter { gradient, .. } in optimizer.parameters() {
        for rows in gradient.viewed_rows(BUCKET) {
            gradients.push(gradient.rows_view(rows.start, rows.end)?);
        }
    }
    let sizes: Vec<usize> = gradients.iter().map(Tensor::capacity).collect();
    let mut is_finite = true;
    let add = |_: &Range<usize>, values: Vec<f32>| {
        is_finite &= values.iter().all(|value| value.is_finite());
        ranks.begin_sum(values)
    };
    let write = |bucket: Range<usize>, sums: Vec<f32>| write_values(gpu, &gradients[bucket], &sums);
    let with_tensors = |bucket: Range<usize>| (bucket.clone(), gradients[bucket].iter().collect());
    // A backward pass ends with the first parameters.
    in_rounds(gpu, last, buckets(&sizes).into_iter().rev().map(with_tensors), add, write).await?;
    Ok(is_finite)
}

/// Takes what some rounds are about from the device to other ranks and back: the tensors of each are read as soon as a replay
/// has completed them, `send` gives them to the others, and `receive` gets what comes of it. All of this goes on side by side,
/// each in the order of rounds, which must be the same on all ranks.
///
/// # Errors
/// The device or another rank fails.
pub(super) async fn in_rounds<'a, R, T: Pod, A>(
    gpu: &Gpu,
    mut replay: Replay<'_>,
    rounds: impl IntoIterator<Item = (R, Vec<&'a Tensor>)>,
    mut send: impl FnMut(&R, Vec<T>) -> Pending<A>,
    mut receive: impl FnMut(R, A) -> Result<()>,
) -> Result<()> {
    let mut rounds = rounds.into_iter().peekable();
    let (mut reading, mut sent) = (VecDeque::new(), VecDeque::new());
    loop {
        while reading.len() < AHEAD
            && let Some((round, tensors)) = rounds.next()
        {
            replay.advance_to(tensors.iter().copied())?;
            reading.push_back((round, gpu.begin_read(tensors)?));
        }
        if rounds.peek().is_none() {
            replay.finish()?;
        }
        let Some((round, values)) = reading.pop_front() else { break };
        let answer = send(&round, values.wait(gpu).await?);
        sent.push_back((round, answer));
        if sent.len() > AHEAD
            && let Some((round, answer)) = sent.pop_front()
        {
            receive(round, answer.wait().await?)?;
        }
    }
    for (round, answer) in sent {
        receive(round, answer.wait().await?)?;
    }
    Ok(())
}

/// Overwrites tensors in f32 with values that follow each other.
pub(super) fn write_values<'a>(gpu: &Gpu, tensors: impl IntoIterator<Item = &'a Tensor>, values: &[f32]) -> Result<()> {
    let mut rest = values;
    for tensor in tensors {
        let (own, others) = rest.split_at(tensor.capacity());
        tensor.write_stored(gpu, bytemuck::cast_slice(own))?;
        rest = others;
    }
    Ok(())
}

/// Places of tensors with so many values that go to other ranks together.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Dtype, Layout, Memory, Recording};
    use crate::kernels::add;
    use crate::optimizer::AdamWConfig;
    use crate::train::sharing::Shares;

    /// More values than a bucket has, so that tensors are cut.
    const SIDE: usize = 1024;

    /// The value that each gradient has everywhere on a rank, after `sum` was given a backward pass that adds one to the
    /// gradients from the last to the first, and once more to the last.
    fn summed(gpu: &Gpu, rank: usize, sum: impl AsyncFnOnce(&AdamW, Replay<'_>) -> Result<bool>) -> Vec<f32> {
        let side = Layout::plain(SIDE);
        let tensor = |value: usize| {
            let tensor = Tensor::new(gpu, Memory::Gradients, "test", side, side, Dtype::F32).unwrap();
            tensor.write(gpu, &vec![value as f32; SIDE * SIDE]).unwrap();
            tensor
        };
        let parameter = |place: usize| Parameter {
            name: format!("p{place}"),
            decay: true,
            weight: tensor(0),
            compute: None,
            gradient: tensor(10 * rank + place),
        };
        let optimizer = AdamW::new(gpu, (0..4).map(parameter).collect(), AdamWConfig::default()).unwrap();
        let (one, mut backward) = (tensor(1), Recording::new());
        for place in [3, 2, 1, 0, 3] {
            let gradient = &optimizer.parameters()[place].gradient;
            add::forward(&mut backward.recorder(gpu), SIDE, &one, gradient).unwrap();
        }
        assert!(pollster::block_on(sum(&optimizer, backward.begin_replay(gpu))).unwrap());
        let value = |parameter: &Parameter| {
            let values = pollster::block_on(parameter.gradient.read(gpu)).unwrap();
            assert!(values.iter().all(|value| *value == values[0]), "{}", parameter.name);
            values[0]
        };
        optimizer.parameters().iter().map(value).collect()
    }

    #[test]
    fn sums_are_of_gradients_as_the_whole_backward_pass_leaves_them() {
        let of_rank = |ranks: Ranks| {
            let gpu = pollster::block_on(Gpu::open(&Default::default())).unwrap();
            let whole = async |optimizer: &AdamW, last: Replay<'_>| sum_gradients(&gpu, optimizer, &ranks, last).await;
            let whole = summed(&gpu, ranks.rank(), whole);
            let mut own = vec![];
            let shared = async |optimizer: &AdamW, last: Replay<'_>| {
                let mut shares = Shares::new(optimizer.parameters(), 2)?;
                own.extend((0..4).filter(|place| shares.owner(*place) == ranks.rank()));
                optimizer.record_squares(&mut shares.squares.recorder(&gpu))?;
                shares.sum_gradients(&gpu, optimizer, &ranks, last).await
            };
            let shared = summed(&gpu, ranks.rank(), shared);
            (whole, own.into_iter().map(|place| (place, shared[place])).collect::<Vec<_>>())
        };
        // Of both ranks: their gradients before, and once or twice a one of each.
        let expected = [12.0, 14.0, 16.0, 20.0];
        let found = std::thread::scope(|scope| {
            let ranks = Ranks::on_threads(2).into_iter().map(|ranks| scope.spawn(|| of_rank(ranks)));
            let ranks: Vec<_> = ranks.collect();
            ranks.into_iter().map(|rank| rank.join().unwrap()).collect::<Vec<_>>()
        });
        let mut shared = vec![];
        for (whole, own) in found {
            assert_eq!(whole, expected);
            assert_eq!(own.len(), 2);
            shared.extend(own);
        }
        shared.sort_by_key(|(place, _)| *place);
        assert_eq!(shared.into_iter().map(|(_, value)| value).collect::<Vec<_>>(), expected);
    }
}
