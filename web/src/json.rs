//! Values between the page and the library, by way of JSON.

use js_sys::JSON;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsError, JsValue};

/// A value of the library as the page sees it.
pub(crate) fn to_js(value: &impl Serialize) -> Result<JsValue, JsError> {
    let text = serde_json::to_string(value)?;
    JSON::parse(&text).map_err(|_| JsError::new("the page cannot read what the engine has written"))
}

/// A value of the page, called `what` in errors, as the library sees it.
pub(crate) fn from_js<T: DeserializeOwned>(what: &str, value: &JsValue) -> Result<T, JsError> {
    let text = JSON::stringify(value).ok().and_then(|text| text.as_string());
    let text = text.ok_or_else(|| JsError::new(&format!("{what}: cannot be written as JSON")))?;
    serde_json::from_str(&text).map_err(|error| JsError::new(&format!("{what}: {error}")))
}

/// An error of the library as the page throws it.
pub(crate) fn thrown(error: wgr::Error) -> JsError {
    JsError::new(&error.to_string())
}
