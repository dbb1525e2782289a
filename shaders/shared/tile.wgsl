// Arithmetic of register tiles.

/// Four columns of a row of a product, over four values of the inner dimension: `row` are those of the left operand, and
/// column i of the matrix is row i of the right one. Every tiling adds up in this order, so that a value has the same bits
/// from all of them.
fn weighed(fragment: mat4x4<f32>, row: vec4<f32>) -> vec4<f32> {
    let first = fragment[0] * row.x;
    let second = fma(fragment[1], vec4<f32>(row.y), first);
    let third = fma(fragment[2], vec4<f32>(row.z), second);
    return fma(fragment[3], vec4<f32>(row.w), third);
}

/// Adds to `sum` what `weighed` gives, value by value: where the inner dimension is tokens, so that no bit depends on how
/// they fall into groups of four.
fn chained(sum: vec4<f32>, fragment: mat4x4<f32>, row: vec4<f32>) -> vec4<f32> {
    let first = fma(fragment[0], vec4<f32>(row.x), sum);
    let second = fma(fragment[1], vec4<f32>(row.y), first);
    let third = fma(fragment[2], vec4<f32>(row.z), second);
    return fma(fragment[3], vec4<f32>(row.w), third);
}
