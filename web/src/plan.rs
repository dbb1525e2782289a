//! The memory that training needs.

use serde_json::{Value, json};
use wasm_bindgen::prelude::*;
use wgr::model::Checkpoint;
use wgr::model::plan::MemoryPlan;
use wgr::train::{self, TrainConfig};

use crate::json::{from_js, thrown, to_js};

/// The most memory of the GPU that [`crate::training::train`] needs with these settings, in bytes. Only the model's
/// configuration and the head of its weights are read.
#[wasm_bindgen(unchecked_return_type = "MemoryPlan")]
pub fn plan(#[wasm_bindgen(unchecked_param_type = "TrainSettings")] settings: JsValue) -> Result<JsValue, JsError> {
    let config: TrainConfig = from_js("settings", &settings)?;
    let source = Checkpoint::open(&config.model).map_err(thrown)?;
    to_js(&with_total(&train::plan(&config, &source).map_err(thrown)?))
}

/// A plan as the page gets it.
pub(crate) fn with_total(plan: &MemoryPlan) -> Value {
    let mut value = json!(plan);
    value["total"] = plan.total().into();
    value
}
