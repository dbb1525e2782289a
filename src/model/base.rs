//! How matrices are stored on the device that are not trained: all of a model that is only run, and those under adapters.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::weights;
use crate::gpu::Dtype;

/// A storage of matrices, as users name it. Norms, biases and score heads are small and stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BaseDtype {
    /// Each as the checkpoint stores it: the quantised blocks of a GGUF file, or 16 or 32 bits.
    Keep,
    /// 32 bits.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    Bf16,
    /// 8 bits with a scale for every 32 values.
    Q8,
    /// 4 bits with a scale and an offset for every 32 values; embedding and output matrix as in `Q8`.
    Q4,
}

/// The matrices that have a row for each token. Their errors reach every logit, and 4 bits would save little of them.
const VOCABULARY: [&str; 2] = ["model.embed_tokens.weight", "lm_head.weight"];
/// The matrix that is never held otherwise than it is stored.
const HEAD: &str = "score.weight";

impl BaseDtype {
    /// The storage of the matrix called `name`, which a checkpoint stores as `stored`.
    pub(super) fn storage(self, name: &str, stored: weights::Dtype) -> Dtype {
        match self {
            _ if name == HEAD => plain(stored),
            Self::Keep => match stored {
                weights::Dtype::Quantized(kind) => Dtype::Quantized(kind.layout()),
                stored => plain(stored),
            },
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::Bf16,
            Self::Q4 if !VOCABULARY.contains(&name) => Dtype::Q4,
            Self::Q8 | Self::Q4 => Dtype::Q8,
        }
    }
}

/// As a checkpoint stores it, where no storage was chosen: quantised blocks are widened.
pub(super) fn plain(stored: weights::Dtype) -> Dtype {
    match stored {
        weights::Dtype::F16 => Dtype::F16,
        weights::Dtype::BF16 => Dtype::Bf16,
        weights::Dtype::F32 | weights::Dtype::Quantized(_) => Dtype::F32,
    }
}

impl fmt::Display for BaseDtype {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Self::Keep => "keep",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Quantized;
    use crate::model::weights::quantized::GgmlType;

    #[test]
    fn what_is_kept_is_stored_as_the_file_stores_it_and_the_head_is_never_quantised() {
        let layer = "model.layers.0.mlp.up_proj.weight";
        let q6 = weights::Dtype::Quantized(GgmlType::Q6_K);
        assert_eq!(BaseDtype::Keep.storage(layer, q6), Dtype::Quantized(Quantized::Q6_K));
        assert_eq!(BaseDtype::Keep.storage(layer, weights::Dtype::F16), Dtype::F16);
        assert_eq!(BaseDtype::Q4.storage(layer, weights::Dtype::BF16), Dtype::Q4);
        assert_eq!(BaseDtype::Q4.storage(VOCABULARY[0], weights::Dtype::BF16), Dtype::Q8);
        for base in [BaseDtype::Keep, BaseDtype::Q8, BaseDtype::Q4] {
            assert_eq!(base.storage(HEAD, q6), Dtype::F32);
            assert_eq!(base.storage(HEAD, weights::Dtype::BF16), Dtype::Bf16);
        }
    }
}
