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
    /// How the result is divided.
    pub tiling: Tiling,
}

/// How the result of an operation is divided among subgroups, and what each of them keeps in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tiling {
    /// The sums of so many rows. Only products of f32 run 64; others run 32 where this says 64.
    Rows(u32),
    /// Panels of the right operand of a product, past which its rows come one by one, for operands in words of 64 bits.
    /// Products of f16, which are never loaded in such, run 32 rows.
    Panel,
}

impl std::fmt::Display for Tiling {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::Rows(rows) => write!(f, "{rows} rows"),
            Self::Panel => f.write_str("panels"),
        }
    }
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
        let tilings: &[Tiling] = match self {
            Self::ProductNt | Self::ProductNn | Self::ProductTn => &[Tiling::Panel, Tiling::Rows(32), Tiling::Rows(64)],
            Self::ProductFew | Self::Attention | Self::AttentionBackward => &[Tiling::Rows(16)],
        };
        let widths: &[bool] = if has_wide { &[true, false] } else { &[false] };
        let all = tilings.iter().flat_map(|tiling| widths.iter().map(|wide| Variant { wide: *wide, tiling: *tiling }));
        all.filter(|variant| variant.wide || variant.tiling != Tiling::Panel).collect()
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
