//! The work of models, shared among ranks: the first rank has the run and asks, the others only answer.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::ranks::{Next, Ranks};

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

/// Batches for each rank that the first gives to all before they begin. At the end of them ranks wait for the last batch.
const BATCHES_OF_ROUND: usize = 16;

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
        round.play(ranks, model, |place, rows| kept(&of_round[place], rows)).await?;
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
            (Part::Annotator, Some(model), _) => round.play(ranks, model, |_, _| Ok(())).await?,
            (Part::Embedder, _, Some(model)) => round.play(ranks, model, |_, _| Ok(())).await?,
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
    /// Computes the rows of each batch on the rank that is free; the first keeps them, by the places of their batches.
    async fn play(
        &self,
        ranks: &Ranks,
        model: &mut impl Model,
        mut kept: impl FnMut(usize, Vec<Vec<f32>>) -> Result<()>,
    ) -> Result<()> {
        let mut pieces = ranks.pieces(self.batches.len());
        while let Some(next) = pieces.next(false).await? {
            match next {
                Next::Work(place) => {
                    let sequences: Vec<&[u32]> = self.batches[place].iter().map(|sequence| &sequence[..]).collect();
                    let rows = model.rows(&sequences).await?.concat();
                    pieces.hand_in(place, bytemuck::cast_slice(&rows).to_vec());
                }
                Next::Keep(place, rows) => {
                    let values: Vec<f32> = bytemuck::pod_collect_to_vec(&rows);
                    let width = (values.len() / self.batches[place].len().max(1)).max(1);
                    kept(place, values.chunks(width).map(<[f32]>::to_vec).collect())?;
                }
            }
        }
        Ok(())
    }
}
