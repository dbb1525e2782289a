// Sum over the lanes that share a row, for row-wise kernels.

import package::shared::grid::WORKGROUP;

var<workgroup> partial: array<f32, WORKGROUP>;

/// Sum over the `lanes` lanes of a row; every lane gets it. All lanes of the workgroup must take part.
fn row_sum(lanes: u32, lane: u32, local: u32, value: f32) -> f32 {
    partial[local] = value;
    workgroupBarrier();
    for (var step = lanes / 2u; step > 0u; step /= 2u) {
        if (lane < step) {
            partial[local] += partial[local + step];
        }
        workgroupBarrier();
    }
    let sum = partial[local - lane];
    // The next sum must not overwrite this one while another lane reads it.
    workgroupBarrier();
    return sum;
}
