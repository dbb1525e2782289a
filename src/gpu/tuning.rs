//! Which variant of an operation an adapter runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// An operation for which software adapters have more than one variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// The product of a forward pass.
    ProductNt,
    /// The product of at most 16 rows.
    ProductFew,
    /// The product that gives the gradient of an input.
    ProductNn,
    /// The product that gives the gradient of a weight.
    ProductTn,
    /// Attention without a cache.
    Attention,
    /// The gradients of attention.
    AttentionBackward,
}

/// How an operation is computed. All variants of one add up in the same order, so that no bit depends on the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Whether operands are loaded in words of 64 bits, not 32.
    pub wide: bool,
    /// Rows of a tile. Products of operands of 8 or 16 bits run the smallest, whatever this says.
    pub rows: u32,
}

impl Operation {
    /// All of them, in the order of a forward and a backward pass.
    pub const ALL: [Self; 6] =
        [Self::ProductNt, Self::ProductFew, Self::ProductNn, Self::ProductTn, Self::Attention, Self::AttentionBackward];

    /// The name, as files and lists have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ProductNt => "product_nt",
            Self::ProductFew => "product_few",
            Self::ProductNn => "product_nn",
            Self::ProductTn => "product_tn",
            Self::Attention => "attention",
            Self::AttentionBackward => "attention_backward",
        }
    }

    /// The variants, from the one that is used before any was timed.
    pub fn variants(self, has_wide: bool) -> Vec<Variant> {
        let rows: &[u32] = match self {
            Self::ProductNt | Self::ProductNn | Self::ProductTn => &[32, 64],
            Self::ProductFew | Self::Attention | Self::AttentionBackward => &[16],
        };
        let widths: &[bool] = if has_wide { &[true, false] } else { &[false] };
        rows.iter().flat_map(|rows| widths.iter().map(|wide| Variant { wide: *wide, rows: *rows })).collect()
    }
}

/// The variants in use; those of operations that it does not name are the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tuning(pub BTreeMap<Operation, Variant>);

impl Tuning {
    /// The variant of an operation.
    pub fn variant(&self, operation: Operation, has_wide: bool) -> Variant {
        self.0.get(&operation).copied().unwrap_or_else(|| operation.variants(has_wide)[0])
    }
}
