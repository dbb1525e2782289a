//! Ranks that take steps of their own and meet every so often (DiLoCo, arXiv 2311.08105). The inner optimizer is AdamW, on a
//! rank's share of the rows; where ranks meet, the outer one takes a step along the mean of their differences.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::gpu::{Gpu, Tensor};
use crate::model::TensorSpec;
use crate::optimizer::{AdamW, GradNorm, Nesterov, Parameter, Worst};
use crate::ranks::Ranks;
use crate::{Error, Result};

use super::gradients::buckets;
use super::tensor_file::{Listed, NewTensorFile, TensorFile, listed, write_tensor};

/// Why such a run cannot train in f16.
pub(super) const SYNCS_BAR_F16: &str = "ranks that take steps of their own would each scale their loss";

/// What a run must go on with, as its checkpoints record it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct DilocoSettings {
    /// Ranks, each with a state of its own.
    pub ranks: usize,
    /// Steps of each rank from one meeting to the next.
    pub sync_every: u64,
    /// Of the outer optimizer.
    pub outer_learning_rate: f64,
    /// Of the outer optimizer.
    pub outer_momentum: f64,
}

impl DilocoSettings {
    /// Those of a run on so many ranks.
    pub(super) fn new(sync_every: u64, ranks: usize) -> Self {
        let Nesterov { learning_rate, momentum } = Nesterov::default();
        Self { ranks, sync_every, outer_learning_rate: learning_rate, outer_momentum: momentum }
    }

    /// What there is to say of the run at its start.
    pub(super) fn note(self) -> String {
        let Self { sync_every, outer_learning_rate, outer_momentum, .. } = self;
        format!(
            "`.sync_every` {sync_every}: DiLoCo, which is another algorithm than training with the same weights on all ranks: \
             each takes steps of AdamW on its share of the rows, clipped by its own norm, and every {sync_every} the mean of \
             what weights have moved is a step of SGD with Nesterov momentum {outer_momentum} and learning rate \
             {outer_learning_rate}"
        )
    }
}

/// Refuses to go on from a checkpoint of another algorithm, or of another number of ranks.
///
/// # Errors
/// What differs.
pub(super) fn check_resumed(
    saved: Option<DilocoSettings>,
    wanted: Option<DilocoSettings>,
    directory: &Path,
) -> Result<()> {
    let refuse = |problem: String, hint: &str| Err(Error::input(directory.display().to_string(), problem, hint));
    let again = "resume with the same, or start a new run in another `.output`";
    match (saved, wanted) {
        (saved, wanted) if saved == wanted => Ok(()),
        (Some(saved), Some(wanted)) if saved.ranks != wanted.ranks => {
            let problem = format!("holds a state for each of {} ranks, and this run has {}", saved.ranks, wanted.ranks);
            refuse(problem, "start as many ranks")
        }
        (Some(saved), _) => refuse(format!("was trained with `.sync_every` {}", saved.sync_every), again),
        (None, _) => refuse("was trained without `.sync_every`".into(), again),
    }
}

/// What the outer optimizer has of a parameter, without padding.
struct Outer {
    /// The weights where ranks met last.
    weights: Vec<f32>,
    velocity: Vec<f32>,
}

/// The outer optimizer. All ranks hold the same, in memory of the host.
pub(super) struct Diloco {
    optimizer: Nesterov,
    /// One for each parameter, once the run has begun.
    outer: Vec<Outer>,
}

impl Diloco {
    pub(super) fn new(optimizer: Nesterov) -> Self {
        Self { optimizer, outer: vec![] }
    }

    /// Remembers the weights before the first step, unless it has some.
    ///
    /// # Errors
    /// The device fails.
    pub(super) async fn begin(&mut self, gpu: &Gpu, parameters: &[Parameter]) -> Result<()> {
        for parameter in &parameters[self.outer.len()..] {
            let weights = parameter.weight.read(gpu).await?;
            self.outer.push(Outer { velocity: vec![0.0; weights.len()], weights });
        }
        Ok(())
    }

    /// Takes a step of the outer optimizer, after which all ranks have the same weights.
    ///
    /// # Errors
    /// A weight that is no number any more; the device or another rank fails.
    pub(super) async fn sync(&mut self, gpu: &Gpu, parameters: &[Parameter], ranks: &Ranks) -> Result<()> {
        let sizes: Vec<usize> = self.outer.iter().map(|outer| outer.weights.len()).collect();
        for bucket in buckets(&sizes) {
            let mut differences = vec![];
            for (parameter, outer) in parameters[bucket.clone()].iter().zip(&self.outer[bucket.clone()]) {
                let own = parameter.weight.read(gpu).await?;
                differences.extend(outer.weights.iter().zip(own).map(|(outer, own)| outer - own));
            }
            if ranks.size() > 1 {
                differences = ranks.begin_sum(differences).wait().await?;
            }
            let mean: Vec<f32> = differences.into_iter().map(|sum| sum / ranks.size() as f32).collect();
            let mut rest = &mean[..];
            for (parameter, Outer { weights, velocity }) in
                parameters[bucket.clone()].iter().zip(&mut self.outer[bucket])
            {
                let (gradient, others) = rest.split_at(weights.len());
                self.optimizer.step(weights, gradient, velocity);
                if !weights.iter().all(|weight| weight.is_finite()) {
                    return Err(Error::run(format!("{} is not finite after a sync", parameter.name), "lower `.lr`"));
                }
                parameter.write(gpu, weights)?;
                rest = others;
            }
            gpu.flush("writing the weights of a sync")?;
        }
        Ok(())
    }

    /// Writes a file for each rank, with its weights and moments, and one for the outer optimizer. All ranks take part, and the
    /// first writes.
    ///
    /// # Errors
    /// The device, the disk or another rank fails.
    pub(super) async fn save(
        &self,
        gpu: &Gpu,
        (specs, optimizer): (&[TensorSpec], &AdamW),
        ranks: &Ranks,
        directory: &Path,
    ) -> Result<()> {
        if ranks.is_first() {
            let tensors = listed(specs, &OUTER);
            let mut file = NewTensorFile::create(directory.join(OUTER_FILE), &tensors)?;
            for tensor in tensors {
                let Outer { weights, velocity } = &self.outer[tensor.parameter];
                file.append([weights, velocity][tensor.kind])?;
            }
            file.finish()?;
        }
        let tensors = listed(specs, &INNER);
        for rank in 0..ranks.size() {
            let create = || NewTensorFile::create(rank_file(directory, rank), &tensors);
            let mut file = ranks.is_first().then(create).transpose()?;
            for tensor in &tensors {
                let own = inner(optimizer, tensor.parameter)[tensor.kind];
                write_tensor(gpu, ranks, (rank, Some(own)), own, &mut file).await?;
            }
            file.map_or(Ok(()), NewTensorFile::finish)?;
        }
        Ok(())
    }

    /// Puts this rank's weights and moments back, and the outer optimizer.
    ///
    /// # Errors
    /// A file that is missing or of other tensors; the device fails.
    pub(super) fn restore(
        &mut self,
        gpu: &Gpu,
        (specs, optimizer): (&[TensorSpec], &AdamW),
        ranks: &Ranks,
        directory: &Path,
    ) -> Result<()> {
        let own = TensorFile::open(rank_file(directory, ranks.rank()))?;
        for tensor in listed(specs, &INNER) {
            let Listed { parameter, kind, .. } = tensor;
            own.restore(gpu, &tensor, inner(optimizer, parameter)[kind])?;
            if let (0, Some(copy)) = (kind, &optimizer.parameters()[parameter].compute) {
                own.restore(gpu, &tensor, copy)?;
            }
        }
        let outer = TensorFile::open(directory.join(OUTER_FILE))?;
        self.outer = specs.iter().map(|_| Outer { weights: vec![], velocity: vec![] }).collect();
        for tensor in listed(specs, &OUTER) {
            let Outer { weights, velocity } = &mut self.outer[tensor.parameter];
            *[weights, velocity][tensor.kind] = outer.read(&tensor)?;
        }
        Ok(())
    }
}

const OUTER_FILE: &str = "outer.safetensors";
/// What there is of each parameter in the file of a rank.
const INNER: [&str; 3] = ["weight", "first", "second"];
/// What there is of each parameter in the file of the outer optimizer.
const OUTER: [&str; 2] = ["weight", "velocity"];

/// The tensors that [`INNER`] names, of the parameter at a place.
fn inner(optimizer: &AdamW, place: usize) -> [&Tensor; 3] {
    let moments = optimizer.moments()[place].as_ref().expect("a rank that takes steps of its own has all moments");
    [&optimizer.parameters()[place].weight, &moments.first, &moments.second]
}

fn rank_file(directory: &Path, rank: usize) -> PathBuf {
    directory.join(format!("rank-{rank}.safetensors"))
}

/// The mean norm of the ranks' gradients; if one is not finite, the first such, with its rank.
///
/// # Errors
/// A rank failed or does not answer.
pub(super) async fn norm_of_ranks(norm: GradNorm, ranks: &Ranks) -> Result<GradNorm> {
    if ranks.size() == 1 {
        return Ok(norm);
    }
    let of_ranks = ranks.gather_values(&[norm.norm, f32::from(u8::from(norm.finite))]).await?;
    let Some(rank) = of_ranks.iter().position(|of_rank| of_rank[1] == 0.0) else {
        let sum: f32 = of_ranks.iter().map(|of_rank| of_rank[0]).sum();
        return Ok(GradNorm { norm: sum / ranks.size() as f32, ..norm });
    };
    let own = norm.worst.map(|worst| worst.parameter).unwrap_or_default();
    let parameters = ranks.gather(own.into_bytes()).await?;
    let parameter = String::from_utf8_lossy(&parameters[rank]).into_owned();
    Ok(GradNorm { norm: of_ranks[rank][0], finite: false, worst: Some(Worst { parameter, rank: Some(rank) }) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_with_its_own_algorithm_and_as_many_ranks() {
        let of = |ranks, sync_every| {
            Some(DilocoSettings { ranks, sync_every, outer_learning_rate: 0.7, outer_momentum: 0.9 })
        };
        let check = |saved, wanted| check_resumed(saved, wanted, Path::new("step-3"));
        check(None, None).unwrap();
        check(of(2, 5), of(2, 5)).unwrap();
        for (saved, wanted, problem) in [
            (of(2, 5), of(3, 5), "holds a state for each of 2 ranks, and this run has 3"),
            (of(2, 5), of(2, 6), "was trained with `.sync_every` 5"),
            (of(2, 5), None, "was trained with `.sync_every` 5"),
            (None, of(2, 5), "was trained without `.sync_every`"),
        ] {
            let error = check(saved, wanted).unwrap_err().to_string();
            assert!(error.starts_with("step-3: ") && error.contains(problem), "{error}");
        }
    }
}
