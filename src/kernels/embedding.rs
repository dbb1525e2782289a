//! Rows of a table by token id, and the deterministic sum of their gradients back into it. The table may be sharded.

use wgr_shaders::params::embedding::Params;

use super::guard::check_columns;
use crate::gpu::{Cost, Dtype, Kernel, Recorder, Shard, Tensor, grid};
use crate::{Error, Result};

const WORKGROUP: u32 = 64;

/// Tokens grouped by id, on the host: group `g` has the id `unique[g]` and the tokens `rows[starts[g]..starts[g + 1]]`
/// in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenGroups {
    /// The distinct ids, ascending.
    pub unique: Vec<u32>,
    /// Where each group starts, and where the last one ends: one value more than there are groups.
    pub starts: Vec<u32>,
    /// Rows of tokens, group after group.
    pub rows: Vec<u32>,
}

impl TokenGroups {
    /// Groups the tokens of a batch, all but those of the `frozen` id, whose row gets no gradient.
    pub fn of(ids: &[u32], frozen: Option<u32>) -> Self {
        let mut rows: Vec<u32> = (0..ids.len() as u32).filter(|row| Some(ids[*row as usize]) != frozen).collect();
        rows.sort_by_key(|row| ids[*row as usize]);
        let (mut unique, mut starts) = (vec![], vec![]);
        for (place, row) in rows.iter().enumerate() {
            let id = ids[*row as usize];
            if unique.last() != Some(&id) {
                unique.push(id);
                starts.push(place as u32);
            }
        }
        starts.push(rows.len() as u32);
        Self { unique, starts, rows }
    }

    /// Adds empty groups, which the kernel skips, so that one recording serves batches of any text.
    pub fn padded_to(mut self, groups: usize) -> Self {
        self.unique.resize(groups.max(self.unique.len()), 0);
        self.starts.resize(self.unique.len() + 1, self.rows.len() as u32);
        self
    }
}

/// [`TokenGroups`] on the device: three lists of u32.
#[derive(Debug, Clone, Copy)]
pub struct Groups<'a> {
    /// Ids.
    pub unique: &'a Tensor,
    /// Bounds of the groups.
    pub starts: &'a Tensor,
    /// Rows of tokens.
    pub rows: &'a Tensor,
}

fn params(rows: usize, groups: usize, table: &Tensor, shard: &Shard) -> Params {
    Params {
        tokens: rows as u32,
        columns4: table.columns4(),
        first_row: shard.first_row as u32,
        shard_rows: shard.rows as u32,
        groups: groups as u32,
    }
}

/// `y[rows, columns] = table[ids]`: `y` is f32, the table f32, bf16, f16 or quantised. Every id must be below the table's rows;
/// a row of `y` whose id is not keeps what it held.
///
/// # Errors
/// If the columns of `table` and `y` differ, no shader reads the storage of the table, a tensor is not what the shader
/// declares, or the driver fails.
pub fn forward(recorder: &mut Recorder, rows: usize, ids: &Tensor, table: &Tensor, y: &Tensor) -> Result<()> {
    const NAME: &str = "embedding/forward";
    check_columns(NAME, &[table, y])?;
    let kernel = match table.dtype() {
        Dtype::F32 => Kernel::new(NAME),
        Dtype::Bf16 => Kernel::new(NAME).feature("w_bf16"),
        Dtype::F16 => Kernel::new(NAME).feature("w_f16"),
        Dtype::Quantized(layout) => Kernel::new(NAME).feature("w_quantized").quantized(layout),
        other => return Err(Error::kernel(NAME, format!("{} is {other}", table.label()))),
    };
    let workgroups = grid((rows as u32 * table.columns4()).div_ceil(WORKGROUP));
    for shard in table.shards() {
        let bindings = [ids.whole(), shard, y.whole()];
        recorder.dispatch(&kernel, &params(rows, 0, table, shard), &bindings, workgroups, cost(rows, table))?;
    }
    Ok(())
}

/// `d_table[id] += Σ d_y[token]` over the tokens of each id, in the order of the tokens; both are f32.
///
/// `rows` counts tokens. `groups` may exceed the number of ids where the groups in excess are empty, so that one
/// recording serves batches of different text.
///
/// # Errors
/// If the columns of `d_table` and `d_y` differ, a tensor is not what the shader declares, or the driver fails.
pub fn backward(
    recorder: &mut Recorder,
    rows: usize,
    groups: usize,
    tokens: Groups,
    d_y: &Tensor,
    d_table: &Tensor,
) -> Result<()> {
    let kernel = Kernel::new("embedding/backward");
    check_columns(kernel.name(), &[d_table, d_y])?;
    let workgroups = grid((groups as u32 * d_table.columns4()).div_ceil(WORKGROUP));
    for shard in d_table.shards() {
        let bindings = [tokens.unique.whole(), tokens.starts.whole(), tokens.rows.whole(), d_y.whole(), shard];
        // All tokens may be the same.
        let cost = Cost { rounds: rows as f64, ..cost(rows, d_table) };
        recorder.dispatch(&kernel, &params(rows, groups, d_table, shard), &bindings, workgroups, cost)?;
    }
    Ok(())
}

/// The share of one shard.
fn cost(rows: usize, table: &Tensor) -> Cost {
    let (rows, columns) = (rows as f64 / table.shards().len() as f64, table.columns().len());
    let bytes = table.dtype().row_bytes(columns) + Dtype::F32.row_bytes(columns);
    Cost { flops: rows * columns as f64, bytes: rows * bytes as f64, ..Cost::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_grouped_by_id_and_keep_their_order() {
        let groups = TokenGroups::of(&[7, 2, 7, 0, 2, 7], None);
        assert_eq!(groups.unique, [0, 2, 7]);
        assert_eq!(groups.starts, [0, 1, 3, 6]);
        assert_eq!(groups.rows, [3, 1, 4, 0, 2, 5]);
        assert_eq!(TokenGroups::of(&[], None), TokenGroups { unique: vec![], starts: vec![0], rows: vec![] });
    }

    #[test]
    fn a_frozen_id_and_added_groups_hold_no_tokens() {
        let groups = TokenGroups::of(&[7, 2, 7, 0], Some(7)).padded_to(4);
        assert_eq!(groups.unique, [0, 2, 0, 0]);
        assert_eq!(groups.starts, [0, 1, 2, 2, 2]);
        assert_eq!(groups.rows, [3, 1]);
    }
}
