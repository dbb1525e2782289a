//! Text of a causal model.

use js_sys::Function;
use wasm_bindgen::prelude::*;
use wgr::Ranks;
use wgr::generate::{self, GenerateConfig};
use wgr::kernels::Passes;

use crate::engine::Engine;
use crate::json::{from_js, thrown, to_js};
use crate::listener::Listener;

/// Completes a prompt as the settings say, which are those of `wgr generate`. The listener hears the text as it grows.
#[wasm_bindgen(unchecked_return_type = "Completion[]")]
pub async fn generate(
    engine: &Engine,
    #[wasm_bindgen(unchecked_param_type = "GenerateSettings")] settings: JsValue,
    #[wasm_bindgen(js_name = onEvent, unchecked_optional_param_type = "Listener")] on_event: Option<Function>,
) -> Result<JsValue, JsError> {
    let config: GenerateConfig = from_js("settings", &settings)?;
    let gpu = engine.tested_for(Passes::Generation).await?;
    let mut listener = Listener::new(on_event);
    let summary = generate::generate(&gpu, &Ranks::alone(), &config, &mut listener).await.map_err(thrown)?;
    to_js(&summary.rows)
}
