//! Optimizer state that ranks share (ZeRO-1, arXiv 1910.02054): each has the moments of its share of the parameters, gets the
//! sums of their gradients only, updates them, and hands the new weights to all.

use std::ops::Range;

use crate::Result;
use crate::gpu::{Gpu, Recording, Replay, Tensor};
use crate::optimizer::{AdamW, Parameter};
use crate::ranks::{Ranks, deal};

use super::gradients::{BUCKET, buckets, in_rounds, write_values};

/// Who updates which parameters. A parameter is never cut, so shares differ by at most the largest.
pub(super) struct Shares {
    /// The squared norms of the gradients of this rank's parameters.
    pub squares: Recording,
    /// The rank that updates each parameter.
    owners: Vec<usize>,
    /// What goes over the wire together: some pieces of each rank's parameters.
    rounds: Vec<Vec<Vec<Piece>>>,
}

/// Rows of a parameter.
struct Piece {
    gradient: Tensor,
    /// What an update changes: the weights, and the copy that is computed with.
    updated: Vec<Tensor>,
}

impl Piece {
    /// All of a parameter.
    fn of(parameter: &Parameter) -> Result<Vec<Self>> {
        let Parameter { gradient, weight, compute, .. } = parameter;
        let piece = |rows: Range<usize>| {
            let view = |tensor: &Tensor| tensor.rows_view(rows.start, rows.end);
            let updated = std::iter::once(weight).chain(compute).map(view).collect::<Result<_>>()?;
            Ok(Self { gradient: view(gradient)?, updated })
        };
        gradient.viewed_rows(BUCKET).into_iter().map(piece).collect()
    }
}

/// The gradients of some pieces.
fn gradients(pieces: &[Piece]) -> impl Iterator<Item = &Tensor> {
    pieces.iter().map(|piece| &piece.gradient)
}

/// What an update changes of some pieces.
fn updated(pieces: &[Piece]) -> impl Iterator<Item = &Tensor> {
    pieces.iter().flat_map(|piece| &piece.updated)
}

impl Shares {
    /// Shares of parameters among so many ranks.
    ///
    /// # Errors
    /// A parameter whose weights and gradients are not of the same shape.
    pub(super) fn new(parameters: &[Parameter], ranks: usize) -> Result<Self> {
        let sizes: Vec<usize> = parameters.iter().map(|parameter| parameter.gradient.capacity()).collect();
        let mut owners = vec![0; sizes.len()];
        let mut of_ranks = vec![];
        for (rank, places) in deal(&sizes, ranks).into_iter().enumerate() {
            let mut pieces = vec![];
            for place in places {
                owners[place] = rank;
                pieces.extend(Piece::of(&parameters[place])?);
            }
            // A backward pass ends with the first parameters.
            pieces.reverse();
            let sizes: Vec<usize> = pieces.iter().map(|piece| piece.gradient.capacity()).collect();
            let mut pieces = pieces.into_iter();
            of_ranks.push(buckets(&sizes).into_iter().map(move |bucket| pieces.by_ref().take(bucket.len()).collect()));
        }
        let mut rounds = vec![];
        loop {
            let round: Vec<Option<Vec<Piece>>> = of_ranks.iter_mut().map(Iterator::next).collect();
            if round.iter().all(Option::is_none) {
                return Ok(Self { squares: Recording::new(), owners, rounds });
            }
            rounds.push(round.into_iter().map(Option::unwrap_or_default).collect());
        }
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
        let mut is_finite = true;
        let add = |round: &&Vec<Vec<Piece>>, values: Vec<f32>| {
            is_finite &= values.iter().all(|value| value.is_finite());
            let mut rest = &values[..];
            let list = |pieces: &Vec<Piece>| {
                let (own, others) = rest.split_at(gradients(pieces).map(Tensor::capacity).sum());
                rest = others;
                own.to_vec()
            };
            ranks.begin_reduce_scatter(round.iter().map(list).collect())
        };
        let write = |round: &Vec<Vec<Piece>>, sums: Vec<f32>| write_values(gpu, gradients(&round[ranks.rank()]), &sums);
        let rounds =
            self.rounds.iter().map(|round| (round, round.iter().flat_map(|pieces| gradients(pieces)).collect()));
        in_rounds(gpu, last, rounds, add, write).await?;
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
    pub(super) async fn gather_weights(&self, gpu: &Gpu, ranks: &Ranks, update: Replay<'_>) -> Result<()> {
        let send = |round: &&Vec<Vec<Piece>>, own: Vec<u8>| {
            let bytes = |pieces: &Vec<Piece>| updated(pieces).map(Tensor::stored_bytes).sum::<usize>();
            ranks.begin_gather_large(own, round.iter().map(bytes).max().unwrap_or(0))
        };
        let write = |round: &Vec<Vec<Piece>>, all: Vec<Vec<u8>>| {
            for (_, (pieces, bytes)) in round.iter().zip(&all).enumerate().filter(|(rank, _)| *rank != ranks.rank()) {
                let mut rest = &bytes[..];
                for tensor in updated(pieces) {
                    let (stored, others) = rest.split_at(tensor.stored_bytes().min(rest.len()));
                    tensor.write_stored(gpu, stored)?;
                    rest = others;
                }
            }
            Ok(())
        };
        // The update begins with the first parameters.
        let rounds = self.rounds.iter().rev().map(|round| (round, updated(&round[ranks.rank()]).collect()));
        in_rounds(gpu, update, rounds, send, write).await
    }
}
