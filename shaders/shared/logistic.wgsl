// The logistic function and its integral, without overflow for any finite argument: exp only sees values below zero.

/// ln(1 + e^u) = -ln(sigmoid(-u)).
fn softplus(u: vec4<f32>) -> vec4<f32> {
    return max(u, vec4<f32>(0.0)) + log(1.0 + exp(-abs(u)));
}

/// 1 / (1 + e^-u), the derivative of softplus.
fn sigmoid(u: vec4<f32>) -> vec4<f32> {
    let small = exp(-abs(u));
    return select(small, vec4<f32>(1.0), u >= vec4<f32>(0.0)) / (1.0 + small);
}
