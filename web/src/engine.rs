//! The GPU of the page.

use std::rc::Rc;

use wasm_bindgen::prelude::*;
use wgr::gpu::{AdapterChoice, Gpu};
use wgr::kernels::{self, Passes};

use crate::json::thrown;

/// The GPU, opened and tested.
#[wasm_bindgen]
pub struct Engine {
    pub(crate) gpu: Rc<Gpu>,
}

#[wasm_bindgen]
impl Engine {
    /// Opens the GPU and compares its kernels with their twins on the CPU. Fails with a sentence where the browser has no
    /// WebGPU, no GPU is to be had, or a kernel is wrong.
    pub async fn open() -> Result<Engine, JsError> {
        console_errors();
        let gpu = kernels::open(&AdapterChoice::default(), Passes::ForwardAndBackward).await.map_err(thrown)?;
        Ok(Self { gpu: Rc::new(gpu) })
    }

    /// What the browser calls the GPU; many browsers say nothing.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.gpu.name().to_owned()
    }
}

/// Panics are bugs of the engine. They end it, so the console is the only place that they can be told in.
fn console_errors() {
    std::panic::set_hook(Box::new(|panic| web_sys::console::error_1(&panic.to_string().into())));
}
