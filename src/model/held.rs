//! How the weights of a model are held on the device, in one line.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::base::BaseDtype;
use super::weights;
use crate::gpu::Dtype;

/// Numbers of tensors, by the type that the checkpoint stores them as.
type Counts = BTreeMap<String, usize>;

/// How the tensors of a checkpoint are held; adapters and new weights are not counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Those that are held as they are stored.
    #[serde(skip_serializing_if = "Counts::is_empty")]
    pub as_stored: Counts,
    /// The others, by what they are held as.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub converted: BTreeMap<String, Counts>,
}

impl Held {
    /// Counts a tensor.
    pub(super) fn add(&mut self, name: &str, stored: weights::Dtype, held: Dtype) {
        let counts = match BaseDtype::Keep.storage(name, stored) == held {
            true => &mut self.as_stored,
            false => self.converted.entry(held.name().to_owned()).or_default(),
        };
        *counts.entry(stored.to_string()).or_default() += 1;
    }

    /// Whether nothing was counted, as for a new model.
    pub fn is_empty(&self) -> bool {
        self.as_stored.is_empty() && self.converted.is_empty()
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let all = std::iter::once(("stored", &self.as_stored));
        let all = all.chain(self.converted.iter().map(|(held, counts)| (held.as_str(), counts)));
        for (i, (held, counts)) in all.filter(|(_, counts)| !counts.is_empty()).enumerate() {
            let kinds: Vec<_> = counts.iter().map(|(stored, count)| format!("{stored} {count}")).collect();
            f.write_str(if i > 0 { "; " } else { "" })?;
            write!(f, "{} as {held} ({})", counts.values().sum::<usize>(), kinds.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::weights::quantized::GgmlType;

    #[test]
    fn one_line_says_what_is_held_how() {
        let (q4, q6) = (weights::Dtype::Quantized(GgmlType::Q4_K), weights::Dtype::Quantized(GgmlType::Q6_K));
        let held = |base: BaseDtype| {
            let mut held = Held::default();
            for (name, stored) in [("a.weight", q4), ("b.weight", q6), ("c.weight", q4)] {
                held.add(name, stored, base.storage(name, stored));
            }
            held.add("norm.weight", weights::Dtype::F32, Dtype::F32);
            held.to_string()
        };
        assert_eq!(held(BaseDtype::Keep), "4 as stored (F32 1, Q4_K 2, Q6_K 1)");
        assert_eq!(held(BaseDtype::F32), "1 as stored (F32 1); 3 as f32 (Q4_K 2, Q6_K 1)");
        assert!(Held::default().is_empty() && Held::default().to_string().is_empty());
    }
}
