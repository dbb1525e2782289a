//! The companions of a reward model besides weights, configuration and tokenizer: its prompt template and its
//! calibration. They are files in a model directory, and texts in the metadata of a GGUF file.

/// The prompt template that a model was trained with.
pub const TEMPLATE: &str = "wgr_template.jinja";
/// The calibration of its thresholds.
pub const CALIBRATION: &str = "calibration.json";

/// Both, each with its key in a GGUF file.
pub(super) const KEYS: [(&str, &str); 2] = [(TEMPLATE, "wgr.template"), (CALIBRATION, "wgr.calibration")];

/// The key about the head in `config.json`, and its key in a GGUF file.
pub(super) const HEAD: (&str, &str) = ("wgr", "wgr.head");
