//! The GPU of the page.

use std::rc::Rc;

use wasm_bindgen::prelude::*;
use wgr::gpu::{AdapterChoice, Gpu};
use wgr::kernels::{self, Passes};

use crate::json::thrown;
use crate::warnings;

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
        warnings::to_console();
        let gpu = kernels::open(&AdapterChoice::default(), Passes::ForwardAndBackward).await.map_err(thrown)?;
        Ok(Self { gpu: Rc::new(gpu) })
    }

    /// What the browser calls the GPU; many browsers say nothing.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.gpu.name().to_owned()
    }
}
