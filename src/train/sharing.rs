//! Optimizer state that ranks share (ZeRO-1, arXiv 1910.02054): each has the moments of its share of the parameters, gets the
//! sums of their gradients only, updates them, and hands the new weights to all.

use crate::Result;
use crate::gpu::{Gpu, Recording};
use crate::optimizer::AdamW;
use crate::ranks::{Ranks, deal};

use super::gradients::{buckets, read_gradient, write_gradients};

/// Who updates which parameters. A parameter is never cut, so shares differ by at most the largest.
pub(super) struct Shares {
    /// The squared norms of the gradients of this rank's parameters.
    pub squares: Recording,
    /// The rank that updates each parameter.
    owners: Vec<usize>,
    /// What goes over the wire together: for each rank some of its parameters, by their places.
    rounds: Vec<Vec<Vec<usize>>>,
}

impl Shares {
    /// Shares of parameters with so many values.
    pub(super) fn new(sizes: &[usize], ranks: usize) -> Self {
        let mut owners = vec![0; sizes.len()];
        let shares = deal(sizes, ranks);
        let cut = |places: &Vec<usize>| -> Vec<Vec<usize>> {
            let sizes: Vec<usize> = places.iter().map(|place| sizes[*place]).collect();
            buckets(&sizes).into_iter().map(|bucket| places[bucket].to_vec()).collect()
        };
        let buckets: Vec<Vec<Vec<usize>>> = shares.iter().map(cut).collect();
        for (rank, places) in shares.into_iter().enumerate() {
            places.into_iter().for_each(|place| owners[place] = rank);
        }
        let most = buckets.iter().map(Vec::len).max().unwrap_or(0);
        let of_round = |round: usize| buckets.iter().map(|own| own.get(round).cloned().unwrap_or_default()).collect();
        Self { squares: Recording::new(), owners, rounds: (0..most).map(of_round).collect() }
    }

    /// The rank that updates the parameter at a place.
    pub(super) fn owner(&self, place: usize) -> usize {
        self.owners[place]
    }

    /// Replaces the gradients of this rank's parameters by their sums over all ranks and makes the norms of all known to the
    /// optimizer; says whether this rank's own gradients are finite.
    ///
    /// # Errors
    /// The device or another rank fails.
    pub(super) async fn sum_gradients(&mut self, gpu: &Gpu, optimizer: &AdamW, ranks: &Ranks) -> Result<bool> {
        let parameters = optimizer.parameters();
        let mut is_finite = true;
        for round in &self.rounds {
            let mut lists = vec![vec![]; ranks.size()];
            for (list, places) in lists.iter_mut().zip(round) {
                for place in places {
                    list.extend(read_gradient(gpu, &parameters[*place]).await?);
                }
            }
            is_finite &= lists.iter().flatten().all(|value: &f32| value.is_finite());
            let sums = ranks.begin_reduce_scatter(lists).wait().await?;
            write_gradients(gpu, round[ranks.rank()].iter().map(|place| &parameters[*place]), &sums)?;
        }
        self.squares.replay(gpu)?;
        let of_ranks = ranks.gather_values(&optimizer.clipping().squares(gpu).await?).await?;
        let squares: Vec<f32> = self.owners.iter().enumerate().map(|(place, rank)| of_ranks[*rank][place]).collect();
        optimizer.clipping().write_squares(gpu, &squares);
        Ok(is_finite)
    }

    /// Gives all ranks the weights that each has updated.
    ///
    /// # Errors
    /// The device or another rank fails.
    pub(super) async fn gather_weights(&self, gpu: &Gpu, optimizer: &AdamW, ranks: &Ranks) -> Result<()> {
        let parameters = optimizer.parameters();
        let tensors = |place: usize| [Some(&parameters[place].weight), parameters[place].compute.as_ref()];
        let bytes =
            |place: &usize| tensors(*place).into_iter().flatten().map(|tensor| tensor.stored_bytes()).sum::<usize>();
        for round in &self.rounds {
            let mut own = vec![];
            for tensor in round[ranks.rank()].iter().flat_map(|place| tensors(*place)).flatten() {
                own.extend(tensor.read_stored(gpu).await?);
            }
            let longest = round.iter().map(|places| places.iter().map(bytes).sum::<usize>()).max().unwrap_or(0);
            let all = ranks.gather_large(own, longest).await?;
            for (rank, (places, bytes)) in round.iter().zip(&all).enumerate() {
                let mut rest = &bytes[..];
                for tensor in places.iter().flat_map(|place| tensors(*place)).flatten().filter(|_| rank != ranks.rank())
                {
                    let (stored, others) = rest.split_at(tensor.stored_bytes().min(rest.len()));
                    tensor.write_stored(gpu, stored)?;
                    rest = others;
                }
            }
        }
        Ok(())
    }
}
