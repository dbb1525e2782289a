// Largest value of the lanes that share a row, for row-wise kernels.

import package::shared::grid::WORKGROUP;

var<workgroup> largest: array<f32, WORKGROUP>;

/// Maximum over the `lanes` lanes of a row; every lane gets it. All lanes of the workgroup must take part.
fn row_max(lanes: u32, lane: u32, local: u32, value: f32) -> f32 {
    largest[local] = value;
    workgroupBarrier();
    for (var step = lanes / 2u; step > 0u; step /= 2u) {
        if (lane < step) {
            largest[local] = max(largest[local], largest[local + step]);
        }
        workgroupBarrier();
    }
    let result = largest[local - lane];
    // The next maximum must not overwrite this one while another lane reads it.
    workgroupBarrier();
    return result;
}
