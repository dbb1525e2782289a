// 1 / (1 + exp(-x)). The exponential is taken of -|x|, so that it never overflows, which WGSL leaves undefined.
fn sigmoid(x: vec4<f32>) -> vec4<f32> {
    let small = exp(-abs(x));
    return select(small, vec4<f32>(1.0), x >= vec4<f32>(0.0)) / (1.0 + small);
}
