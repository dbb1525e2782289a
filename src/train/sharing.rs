//! Optimizer state that ranks share (ZeRO-1, arXiv 1910.02054): each has the moments of its share of the parameters, gets the
//! sums of their gradients only, updates them, and hands the new weights to all.

use std::cmp::Reverse;

use crate::Result;
use crate::gpu::{Gpu, Recording, Replay, Tensor};
use crate::optimizer::{AdamW, Parameter};
use crate::ranks::{Ranks, deal};

use super::gradients::{buckets, in_rounds, write_gradients};

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
            // A backward pass ends with the first parameters.
            let mut places = places.clone();
            places.sort_by_key(|place| Reverse(*place));
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
    /// optimizer; says whether this rank's own gradients are finite. `last` is the backward pass that completes them.
    ///
    /// # Errors
    /// The device or another rank fails.
    pub(super) async fn sum_gradients(
        &mut self,
        gpu: &Gpu,
        optimizer: &AdamW,
        ranks: &Ranks,
        last: Replay<'_>,
    ) -> Result<bool> {
        let parameters = optimizer.parameters();
        let gradient = |place: &usize| &parameters[*place].gradient;
        let mut is_finite = true;
        let add = |round: &&Vec<Vec<usize>>, values: Vec<f32>| {
            is_finite &= values.iter().all(|value| value.is_finite());
            let mut rest = &values[..];
            let list = |places: &Vec<usize>| {
                let (own, others) = rest.split_at(places.iter().map(|place| gradient(place).capacity()).sum());
                rest = others;
                own.to_vec()
            };
            ranks.begin_reduce_scatter(round.iter().map(list).collect())
        };
        let tensors = |round: &&Vec<Vec<usize>>| round.iter().flatten().map(gradient).collect();
        let write = |round: &Vec<Vec<usize>>, sums: Vec<f32>| {
            write_gradients(gpu, round[ranks.rank()].iter().map(|place| &parameters[*place]), &sums)
        };
        in_rounds(gpu, last, &self.rounds, tensors, add, write).await?;
        self.squares.replay(gpu)?;
        let of_ranks = ranks.gather_values(&optimizer.clipping().squares(gpu).await?).await?;
        let squares: Vec<f32> = self.owners.iter().enumerate().map(|(place, rank)| of_ranks[*rank][place]).collect();
        optimizer.clipping().write_squares(gpu, &squares);
        Ok(is_finite)
    }

    /// Gives all ranks the weights that each updates, as soon as the replay of the update has completed them.
    ///
    /// # Errors
    /// The device or another rank fails.
    pub(super) async fn gather_weights(
        &self,
        gpu: &Gpu,
        optimizer: &AdamW,
        ranks: &Ranks,
        update: Replay<'_>,
    ) -> Result<()> {
        let parameters = optimizer.parameters();
        let of = |place: &usize| {
            let Parameter { weight, compute, .. } = &parameters[*place];
            std::iter::once(weight).chain(compute)
        };
        let send = |round: &&Vec<Vec<usize>>, own: Vec<u8>| {
            let bytes = |places: &Vec<usize>| places.iter().flat_map(of).map(Tensor::stored_bytes).sum::<usize>();
            ranks.begin_gather_large(own, round.iter().map(bytes).max().unwrap_or(0))
        };
        let write = |round: &Vec<Vec<usize>>, all: Vec<Vec<u8>>| {
            for (_, (places, bytes)) in round.iter().zip(&all).enumerate().filter(|(rank, _)| *rank != ranks.rank()) {
                let mut rest = &bytes[..];
                for tensor in places.iter().flat_map(of) {
                    let (stored, others) = rest.split_at(tensor.stored_bytes().min(rest.len()));
                    tensor.write_stored(gpu, stored)?;
                    rest = others;
                }
            }
            Ok(())
        };
        let tensors = |round: &&Vec<Vec<usize>>| round[ranks.rank()].iter().flat_map(of).collect();
        // The update begins with the first parameters.
        in_rounds(gpu, update, self.rounds.iter().rev(), tensors, send, write).await
    }
}
