//! What sampling needs of the logits of each row: the most likely tokens, sums of the softmax, and one token drawn. There is
//! no backward pass: nothing is learned from drawing.

use wgr_shaders::params::shortlist::Params;

use crate::Result;
use crate::gpu::{Cost, Kernel, Recorder, Tensor, grid};

/// Tokens that a list has at least, where the vocabulary has them.
pub const CERTAIN: usize = 64;
/// Tokens that a list has room for. Lists of logits that are equal, or that have all large ones in few of 256 places, do not
/// fit.
pub const ROOM: usize = 124;
/// Pairs of values before the list.
const HEAD: usize = 4;
/// Values a row of what is found.
pub const COLUMNS: usize = 2 * (HEAD + ROOM);
/// Most tokens of a vocabulary: f32 holds them exactly.
pub const MOST_TOKENS: usize = 1 << 24;

/// The rows of logits that are looked at.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// Number of rows.
    pub rows: usize,
    /// `[rows, vocabulary]`, f32.
    pub logits: &'a Tensor,
    /// Four values per row (f32), which [`Draw::words`] gives.
    pub draws: &'a Tensor,
}

/// How a token is drawn after a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// One over the temperature.
    pub scale: f32,
    /// Share of the probability up to the token drawn, from 0 to 1.
    pub share: f32,
    /// What [`penalise`] divides positive logits by.
    pub penalty: f32,
}

impl Draw {
    /// As the shader reads it.
    pub fn words(self) -> [f32; 4] {
        [self.scale, self.share, self.penalty, 0.0]
    }
}

impl Rows<'_> {
    fn params(&self) -> Params {
        let columns = self.logits.columns();
        Params { rows: self.rows as u32, columns: columns.len() as u32, stride: columns.padded() as u32 }
    }

    fn cost(&self, flops: f64, passes: f64) -> Cost {
        let values = self.rows as f64 * self.logits.columns().len() as f64;
        Cost { flops: flops * values, bytes: 4.0 * passes * values, ..Cost::default() }
    }
}

/// Fills `found[rows, COLUMNS]`, f32; [`Found::parse`] reads its rows.
///
/// # Errors
/// If a tensor is not what the shader declares, or the driver fails.
pub fn forward(recorder: &mut Recorder, rows: &Rows, found: &Tensor) -> Result<()> {
    let params = rows.params();
    let bindings = [rows.logits.whole(), rows.draws.whole(), found.whole()];
    recorder.dispatch(&Kernel::new("shortlist/forward"), &params, &bindings, grid(params.rows), rows.cost(6.0, 2.0))
}

/// Penalises the logits of tokens that were there before, in place: row i those of
/// `seen[offsets[i]..offsets[i + 1]]` (u32), each once.
///
/// # Errors
/// If a tensor is not what the shader declares, or the driver fails.
pub fn penalise(recorder: &mut Recorder, rows: &Rows, offsets: &Tensor, seen: &Tensor) -> Result<()> {
    let params = rows.params();
    let bindings = [offsets.whole(), seen.whole(), rows.draws.whole(), rows.logits.whole()];
    // A few tokens of each row are touched.
    let cost = Cost { flops: rows.rows as f64, bytes: 8.0 * rows.rows as f64, ..Cost::default() };
    recorder.dispatch(&Kernel::new("shortlist/penalise"), &params, &bindings, grid(params.rows), cost)
}

/// What was found in a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The first token whose logit is not finite; then nothing else holds.
    pub not_finite: Option<u32>,
    /// The largest logit.
    pub largest: f32,
    /// The sum of `exp(logit - largest)`.
    pub sum: f32,
    /// The sum of `exp(scale * (logit - largest))`.
    pub scaled_sum: f32,
    /// The token at the share of the scaled sum, and its logit.
    pub drawn: (u32, f32),
    /// The most likely tokens with their logits, in no particular order: no other is as likely as one of them. `None` if they
    /// have no room.
    pub listed: Option<Vec<(u32, f32)>>,
}

impl Found {
    /// From a row of [`COLUMNS`] values.
    ///
    /// # Panics
    /// The row is shorter.
    pub fn parse(row: &[f32]) -> Self {
        let pair = |index: usize| (row[2 * index], row[2 * index + 1]);
        let token = |(token, logit): (f32, f32)| (token as u32, logit);
        let ((count, not_finite), (largest, _), (sum, scaled_sum)) = (pair(0), pair(1), pair(2));
        let count = count as usize;
        let listed = (count <= ROOM).then(|| (HEAD..HEAD + count).map(|index| token(pair(index))).collect());
        let not_finite = (not_finite as u32).checked_sub(1);
        Self { not_finite, largest, sum, scaled_sum, drawn: token(pair(3)), listed }
    }
}
