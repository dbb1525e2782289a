//! Twin of storage of 8 bits a value.

/// The values as rows of `columns` keep them: in each block of 32, multiples of a 127th of the largest magnitude, the
/// nearest ones. In f32 alone, as that is what is stored.
pub fn stored(columns: usize, values: &[f32]) -> Vec<f32> {
    let mut kept = Vec::with_capacity(values.len());
    for row in values.chunks_exact(columns) {
        for block in row.chunks(32) {
            let step = block.iter().map(|value| value.abs()).fold(0.0, f32::max) / 127.0;
            kept.extend(block.iter().map(|value| if step > 0.0 { step * (value / step).round() } else { 0.0 }));
        }
    }
    kept
}
