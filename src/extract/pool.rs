//! The work of models, shared among ranks: the first rank has the run and asks, the others only answer.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::ranks::{BATCHES_OF_ROUND, Ranks, deal};

/// A model that every rank has.
pub(super) trait Model {
    /// Which of them it is.
    const PART: Part;

    /// A row of numbers for each sequence of token ids, all rows of the same length. A row does not depend on the sequences
    /// beside it, except for rounding.
    ///
    /// # Errors
    /// The device fails.
    async fn rows(&mut self, sequences: &[&[u32]]) -> Result<Vec<Vec<f32>>>;
}

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Part {
    Annotator,
    Embedder,
}

/// Batches that all ranks work on before the first goes on.
#[derive(Serialize, Deserialize)]
struct Round {
    part: Part,
    /// The sequences of each batch.
    batches: Vec<Vec<Vec<u32>>>,
}

/// Runs batches of sequences, given by their places, on all ranks. `kept` is given each batch and its rows, and may end it.
///
/// # Errors
/// The device or another rank fails, or `kept` ended it.
pub(super) async fn run<M: Model>(
    ranks: &Ranks,
    model: &mut M,
    sequences: &[Vec<u32>],
    batches: &[Vec<usize>],
    mut kept: impl FnMut(&[usize], Vec<Vec<f32>>) -> Result<()>,
) -> Result<()> {
    if ranks.size() == 1 {
        for batch in batches {
            let of_batch: Vec<&[u32]> = batch.iter().map(|place| &sequences[*place][..]).collect();
            kept(batch, model.rows(&of_batch).await?)?;
        }
        return Ok(());
    }
    for of_round in batches.chunks(ranks.size() * BATCHES_OF_ROUND) {
        let tokens = |batch: &Vec<usize>| batch.iter().map(|place| sequences[*place].clone()).collect();
        let round = Round { part: M::PART, batches: of_round.iter().map(tokens).collect() };
        ranks.gather_json::<Option<Round>>(&Some(&round)).await?;
        for (batch, rows) in of_round.iter().zip(round.play(ranks, model).await?) {
            kept(batch, rows)?;
        }
    }
    Ok(())
}

/// Answers until the first rank needs nothing more.
///
/// # Errors
/// The device or another rank fails.
pub(super) async fn assist(
    ranks: &Ranks,
    mut annotator: Option<impl Model>,
    mut embedder: Option<impl Model>,
) -> Result<()> {
    while let Some(round) = ranks.gather_json::<Option<Round>>(&None::<Round>).await?.swap_remove(0) {
        match (round.part, &mut annotator, &mut embedder) {
            (Part::Annotator, Some(model), _) => drop(round.play(ranks, model).await?),
            (Part::Embedder, _, Some(model)) => drop(round.play(ranks, model).await?),
            (part, ..) => return Err(ranks.error(0, format!("asks for an {part:?} that this rank has not loaded"))),
        }
    }
    Ok(())
}

/// Tells the others that nothing more is needed.
///
/// # Errors
/// A rank fails.
pub(super) async fn end(ranks: &Ranks) -> Result<()> {
    ranks.gather_json::<Option<Round>>(&None::<Round>).await.map(drop)
}

impl Round {
    /// The rows of each batch, of which this rank computes its share.
    async fn play(&self, ranks: &Ranks, model: &mut impl Model) -> Result<Vec<Vec<Vec<f32>>>> {
        let tokens = |batch: &Vec<Vec<u32>>| batch.iter().map(Vec::len).sum();
        let shares = deal(&self.batches.iter().map(tokens).collect::<Vec<_>>(), ranks.size());
        let mut own: Vec<f32> = vec![];
        for place in &shares[ranks.rank()] {
            let sequences: Vec<&[u32]> = self.batches[*place].iter().map(|sequence| &sequence[..]).collect();
            own.extend(model.rows(&sequences).await?.concat());
        }
        let mut rows = vec![vec![]; self.batches.len()];
        for (places, values) in shares.iter().zip(ranks.gather_values(&own).await?) {
            let sequences: usize = places.iter().map(|place| self.batches[*place].len()).sum();
            let width = values.len() / sequences.max(1);
            let mut each = values.chunks_exact(width.max(1)).map(<[f32]>::to_vec);
            for place in places {
                rows[*place] = each.by_ref().take(self.batches[*place].len()).collect();
            }
        }
        Ok(rows)
    }
}
