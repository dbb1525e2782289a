//! Losses with their gradients.

use serde::{Deserialize, Serialize};

/// What training minimises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// Independent thresholds.
    Ordinal,
    /// CORAL.
    Coral,
    /// CORN.
    Corn,
    /// Bradley–Terry.
    Pairwise,
    /// Mean squared error.
    Regression,
}
