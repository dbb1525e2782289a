//! Rotary position embedding: its parameters in a configuration, and the resulting frequencies.
//!
//! Formulas: RoFormer (arXiv:2104.09864), YaRN (arXiv:2309.00071) and `modeling_rope_utils.py` of `transformers`,
//! whose field names are kept.

use std::f64::consts::PI;

use super::fields::Fields;
use crate::Result;

/// The rotary embedding of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// The base of the wavelengths.
    pub theta: f64,
    /// How the frequencies are stretched for contexts longer than those of pretraining.
    pub scaling: RopeScaling,
}

/// The ways of stretching rotary frequencies; the names of the fields are those of `rope_parameters`.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// None.
    Default,
    /// Every frequency divided by the same factor.
    Linear {
        /// How many times longer contexts become.
        factor: f64,
    },
    /// Frequencies of many turns within the original context are kept, those of few divided, those between blended.
    Llama3 {
        /// The divisor of low frequencies.
        factor: f64,
        /// Turns within the original context up to which a frequency is low.
        low_freq_factor: f64,
        /// Turns within the original context from which a frequency is high.
        high_freq_factor: f64,
        /// The context of pretraining, in tokens.
        original_max_position_embeddings: usize,
    },
    /// YaRN: as `Llama3` with a blend linear in the dimension, and cos and sin scaled.
    Yarn {
        /// The divisor of low frequencies.
        factor: f64,
        /// The context of pretraining, in tokens.
        original_max_position_embeddings: usize,
        /// The factor of cos and sin, where the configuration states it.
        attention_factor: Option<f64>,
        /// Turns within the original context from which a frequency is kept.
        beta_fast: f64,
        /// Turns within the original context up to which a frequency is divided.
        beta_slow: f64,
        /// With `mscale_all_dim`, another way of stating the factor of cos and sin.
        mscale: Option<f64>,
        /// See `mscale`.
        mscale_all_dim: Option<f64>,
        /// Whether the blend begins and ends at whole dimensions.
        truncate: bool,
    },
}

impl Rope {
    /// Reads `rope_scaling` with `rope_theta`, or the `rope_parameters` of transformers 5.
    pub(super) fn from_fields(config: &Fields, at: &str, max_position_embeddings: usize) -> Result<Self> {
        refuse_partial(config)?;
        let top_theta = config.positive("rope_theta")?;
        let source = ["rope_scaling", "rope_parameters"].into_iter().find_map(|name| Some((name, config.get(name)?)));
        let Some((name, parameters)) = source else {
            return Ok(Self { theta: top_theta.unwrap_or(10_000.0), scaling: RopeScaling::Default });
        };
        let at = format!("{at}: {name}");
        let fields = Fields::new(parameters, &at)?;
        refuse_partial(&fields)?;
        if ["full_attention", "sliding_attention"].iter().any(|kind| fields.get(kind).is_some()) {
            return Err(config.error(name, "differs by type of layer", "wgr rotates all layers alike"));
        }
        let theta = fields.positive("rope_theta")?.or(top_theta).unwrap_or(10_000.0);
        let kind = match fields.text("rope_type")? {
            Some(kind) => kind,
            None => fields.text("type")?.unwrap_or("default"),
        };
        let required = |name: &str| fields.positive(name)?.ok_or_else(|| fields.error(name, "is missing", ""));
        // The top level wins where both state it; without either, the model was never stretched.
        let original = || -> Result<usize> {
            let name = "original_max_position_embeddings";
            let stated = config.whole(name, 1, u64::from(u32::MAX))?.or(fields.whole(name, 1, u64::from(u32::MAX))?);
            Ok(stated.unwrap_or(max_position_embeddings))
        };
        let scaling = match kind {
            "default" => RopeScaling::Default,
            "linear" => RopeScaling::Linear { factor: required("factor")? },
            "llama3" => {
                let (low, high) = (required("low_freq_factor")?, required("high_freq_factor")?);
                if high <= low {
                    return Err(fields.error("high_freq_factor", "is not above low_freq_factor", ""));
                }
                RopeScaling::Llama3 {
                    factor: required("factor")?,
                    low_freq_factor: low,
                    high_freq_factor: high,
                    original_max_position_embeddings: original()?,
                }
            }
            "yarn" => {
                let original = original()?;
                let ratio = max_position_embeddings as f64 / original as f64;
                RopeScaling::Yarn {
                    factor: fields.positive("factor")?.unwrap_or(ratio),
                    original_max_position_embeddings: original,
                    attention_factor: fields.positive("attention_factor")?,
                    beta_fast: fields.positive("beta_fast")?.unwrap_or(32.0),
                    beta_slow: fields.positive("beta_slow")?.unwrap_or(1.0),
                    mscale: fields.number("mscale")?,
                    mscale_all_dim: fields.number("mscale_all_dim")?,
                    truncate: fields.flag("truncate")?.unwrap_or(true),
                }
            }
            other => {
                let hint = "wgr supports default, linear, llama3 and yarn";
                return Err(fields.error("rope_type", format!("{other:?} is not supported"), hint));
            }
        };
        Ok(Self { theta, scaling })
    }

    /// The `head_dim / 2` inverse frequencies in radians a position, and the factor cos and sin are multiplied by.
    pub fn inverse_frequencies(&self, head_dim: usize) -> (Vec<f64>, f64) {
        let dim = head_dim as f64;
        let plain = (0..head_dim / 2).map(|i| self.theta.powf(-(2.0 * i as f64) / dim));
        match self.scaling {
            RopeScaling::Default => (plain.collect(), 1.0),
            RopeScaling::Linear { factor } => (plain.map(|f| f / factor).collect(), 1.0),
            RopeScaling::Llama3 {
                factor,
                low_freq_factor: low,
                high_freq_factor: high,
                original_max_position_embeddings: original,
            } => {
                let stretch = |frequency: f64| {
                    let turns = original as f64 * frequency / (2.0 * PI);
                    let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                    (1.0 - kept) * frequency / factor + kept * frequency
                };
                (plain.map(stretch).collect(), 1.0)
            }
            RopeScaling::Yarn {
                factor,
                original_max_position_embeddings: original,
                attention_factor,
                beta_fast,
                beta_slow,
                mscale,
                mscale_all_dim,
                truncate,
            } => {
                // The dimension whose wavelength makes `turns` turns within the original context.
                let dimension =
                    |turns: f64| dim * (original as f64 / (turns * 2.0 * PI)).ln() / (2.0 * self.theta.ln());
                let (mut low, mut high) = (dimension(beta_fast), dimension(beta_slow));
                if truncate {
                    (low, high) = (low.floor(), high.ceil());
                }
                (low, high) = (low.max(0.0), high.min(dim - 1.0));
                if low == high {
                    high += 0.001;
                }
                let blend = |(i, frequency): (usize, f64)| {
                    let stretched = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
                    frequency / factor * stretched + frequency * (1.0 - stretched)
                };
                let attention = attention_factor.unwrap_or_else(|| match (mscale, mscale_all_dim) {
                    (Some(m), Some(all)) if m != 0.0 && all != 0.0 => yarn_mscale(factor, m) / yarn_mscale(factor, all),
                    _ => yarn_mscale(factor, 1.0),
                });
                (plain.enumerate().map(blend).collect(), attention)
            }
        }
    }
}

fn yarn_mscale(factor: f64, mscale: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { 0.1 * mscale * factor.ln() + 1.0 }
}

fn refuse_partial(fields: &Fields) -> Result<()> {
    match fields.number("partial_rotary_factor")? {
        Some(share) if share != 1.0 => {
            Err(fields.error("partial_rotary_factor", format!("{share} is not supported"), "wgr rotates whole heads"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rope(config: Value) -> Result<Rope> {
        Rope::from_fields(&Fields::new(&config, "config.json")?, "config.json", 131_072)
    }

    /// Expected values: `transformers` 5.23, `ROPE_INIT_FUNCTIONS` with a head_dim of 32, in f32.
    fn check(config: Value, expected: [f64; 16], expected_factor: f64) {
        let (found, factor) = rope(config).unwrap().inverse_frequencies(32);
        assert!((factor - expected_factor).abs() < 1e-12, "{factor} instead of {expected_factor}");
        assert_eq!(found.len(), 16);
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!((found / expected - 1.0).abs() < 2e-6, "frequency {i}: {found} instead of {expected}");
        }
    }

    #[test]
    fn default_and_linear_frequencies() {
        let expected = [1.0, 0.316_227_76, 0.1, 0.031_622_78, 0.01, 0.003_162_277_9, 0.001, 0.000_316_227_79];
        for (config, factor) in
            [(json!({}), 1.0), (json!({"rope_scaling": {"type": "linear", "factor": 4.0}, "rope_theta": 1e4}), 4.0)]
        {
            let (found, attention) = rope(config).unwrap().inverse_frequencies(16);
            assert_eq!(attention, 1.0);
            for (found, expected) in found.iter().zip(expected) {
                assert!((found * factor / expected - 1.0).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn llama3_frequencies() {
        let scaling = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                             "original_max_position_embeddings": 8192});
        let expected = [
            1.0,
            0.44036663,
            0.19392276,
            0.085397102,
            0.037606031,
            0.016560441,
            0.0072926651,
            0.0032114461,
            0.00052484602,
            7.7846555e-05,
            3.4281024e-05,
            1.5096218e-05,
            6.6478697e-06,
            2.9274997e-06,
            1.2891732e-06,
            5.6770881e-07,
        ];
        check(json!({"rope_theta": 500000.0, "rope_scaling": scaling}), expected, 1.0);
        let mut parameters = scaling;
        parameters["rope_theta"] = json!(500000.0);
        check(json!({"rope_parameters": parameters}), expected, 1.0);
    }

    #[test]
    fn yarn_frequencies() {
        check(
            json!({"rope_theta": 1e6, "rope_scaling":
                {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}}),
            [
                1.0,
                0.42169651,
                0.17782794,
                0.074989416,
                0.031622779,
                0.013335215,
                0.0047799014,
                0.0016599617,
                0.00055,
                0.00016867858,
                4.4456985e-05,
                1.8747356e-05,
                7.9056936e-06,
                3.3338035e-06,
                1.4058534e-06,
                5.9284343e-07,
            ],
            1.138629436111989,
        );
    }

    #[test]
    fn yarn_without_truncation_and_with_mscales() {
        check(
            json!({"rope_parameters": {"rope_theta": 1e6, "rope_type": "yarn", "factor": 40.0, "truncate": false,
                "original_max_position_embeddings": 4096, "mscale": 1.0, "mscale_all_dim": 0.5, "beta_fast": 16,
                "beta_slow": 2}}),
            [
                1.0,
                0.42169651,
                0.17782794,
                0.074989416,
                0.031622779,
                0.0095208623,
                0.0017382191,
                5.9284346e-05,
                2.4999999e-05,
                1.0542412e-05,
                4.4456983e-06,
                1.8747355e-06,
                7.905694e-07,
                3.3338034e-07,
                1.4058533e-07,
                5.9284343e-08,
            ],
            1.1557219901962608,
        );
    }

    #[test]
    fn an_explicit_attention_factor_wins() {
        let config = json!({"rope_theta": 1e6, "rope_scaling": {"type": "yarn", "factor": 2.0, "mscale": 1.0,
            "mscale_all_dim": 0.5, "attention_factor": 0.75, "original_max_position_embeddings": 4096}});
        assert_eq!(rope(config).unwrap().inverse_frequencies(32).1, 0.75);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        for (config, field) in [
            (json!({"rope_scaling": {"type": "dynamic", "factor": 2.0}}), "rope_scaling: rope_type"),
            (json!({"rope_scaling": {"rope_type": "longrope"}}), "rope_scaling: rope_type"),
            (json!({"rope_scaling": {"type": "linear"}}), "rope_scaling: factor"),
            (json!({"rope_scaling": {"type": "linear", "factor": "two"}}), "rope_scaling: factor"),
            (json!({"rope_scaling": [1]}), "rope_scaling"),
            (json!({"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}}), "partial_rotary_factor"),
            (json!({"partial_rotary_factor": 0.5}), "partial_rotary_factor"),
            (json!({"rope_parameters": {"full_attention": {"rope_theta": 1e4}}}), "rope_parameters"),
            (json!({"rope_theta": -1.0}), "rope_theta"),
        ] {
            let message = rope(config.clone()).unwrap_err().to_string();
            assert!(message.contains(field), "{config}: {message}");
        }
    }
}
