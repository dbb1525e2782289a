//! Training of a reward model.

use js_sys::Function;
use wasm_bindgen::prelude::*;
use wgr::Ranks;
use wgr::kernels::Passes;
use wgr::train::{self, TrainConfig};

use crate::engine::Engine;
use crate::json::{from_js, thrown, to_js};
use crate::listener::Listener;

/// Trains a reward model as the settings say, which are those of `wgr train`, and writes it to the engine's files. Where the
/// listener returns `false`, a checkpoint is written and the run ends; with `resume` it goes on.
#[wasm_bindgen(unchecked_return_type = "TrainSummary")]
pub async fn train(
    engine: &Engine,
    #[wasm_bindgen(unchecked_param_type = "TrainSettings")] settings: JsValue,
    #[wasm_bindgen(js_name = onEvent, unchecked_optional_param_type = "Listener")] on_event: Option<Function>,
) -> Result<JsValue, JsError> {
    let config: TrainConfig = from_js("settings", &settings)?;
    let gpu = engine.tested_for(Passes::ForwardAndBackward).await?;
    let mut listener = Listener::new(on_event);
    let summary = train::train(&gpu, &Ranks::alone(), &config, &mut listener).await.map_err(thrown)?;
    to_js(&summary)
}
