//! Rows of a matrix by number, in any order, and the sum of their gradients back into it.

use wgr_shaders::params::gather::Params;

use super::guard::check_columns;
use crate::Result;
use crate::gpu::{Cost, Kernel, Recorder, Tensor, grid};

const WORKGROUP: u32 = 64;

/// For the backward pass, where each row of the matrix was taken to: the places of row `r` are
/// `uses[starts[r]..starts[r + 1]]`, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uses {
    /// One value more than there are rows.
    pub starts: Vec<u32>,
    /// One value per taken row.
    pub uses: Vec<u32>,
}

impl Uses {
    /// Groups the places of `sources`, all below `rows`, by row.
    pub fn of(sources: &[u32], rows: usize) -> Self {
        let mut uses: Vec<u32> = (0..sources.len() as u32).collect();
        uses.sort_by_key(|place| sources[*place as usize]);
        let starts = (0..=rows as u32).map(|row| uses.partition_point(|place| sources[*place as usize] < row) as u32);
        Self { starts: starts.collect(), uses }
    }
}

/// `y[taken, columns] = x[sources]`, both f32; `sources` are rows of the `rows` of `x`.
///
/// # Errors
/// If the columns of `x` and `y` differ, a tensor is not what the shader declares, or the driver fails.
pub fn forward(
    recorder: &mut Recorder,
    rows: usize,
    taken: usize,
    sources: &Tensor,
    x: &Tensor,
    y: &Tensor,
) -> Result<()> {
    let kernel = Kernel::new("gather/forward");
    check_columns(kernel.name(), &[x, y])?;
    let params = params([rows, taken], x);
    let workgroups = grid((params.taken * params.columns4).div_ceil(WORKGROUP));
    let bindings = [sources.whole(), x.whole(), y.whole()];
    recorder.dispatch(&kernel, &params, &bindings, workgroups, cost(2 * taken, x))
}

/// `d_x[row] = Σ d_y[place]` over the places that each of the `rows` was taken to, in order; rows not taken become
/// zero. `starts` and `uses` are the lists of [`Uses`].
///
/// # Errors
/// If the columns of `d_x` and `d_y` differ, a tensor is not what the shader declares, or the driver fails.
pub fn backward(
    recorder: &mut Recorder,
    rows: usize,
    taken: usize,
    [starts, uses]: [&Tensor; 2],
    d_y: &Tensor,
    d_x: &Tensor,
) -> Result<()> {
    let kernel = Kernel::new("gather/backward");
    check_columns(kernel.name(), &[d_x, d_y])?;
    let params = params([rows, taken], d_x);
    let workgroups = grid((params.rows * params.columns4).div_ceil(WORKGROUP));
    let bindings = [starts.whole(), uses.whole(), d_y.whole(), d_x.whole()];
    recorder.dispatch(&kernel, &params, &bindings, workgroups, cost(rows + taken, d_x))
}

fn params([rows, taken]: [usize; 2], x: &Tensor) -> Params {
    Params { taken: taken as u32, rows: rows as u32, columns4: x.columns4() }
}

fn cost(rows: usize, x: &Tensor) -> Cost {
    let values = rows as f64 * x.columns().len() as f64;
    Cost { flops: values, bytes: 4.0 * values, ..Cost::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_grouped_by_row_in_order() {
        let uses = Uses::of(&[3, 1, 3, 0], 5);
        assert_eq!(uses.starts, [0, 1, 2, 2, 4, 4]);
        assert_eq!(uses.uses, [3, 1, 0, 2]);
        assert_eq!(Uses::of(&[], 1), Uses { starts: vec![0, 0], uses: vec![] });
    }
}
