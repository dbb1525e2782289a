//! The GPU of the page.

use std::cell::RefCell;
use std::rc::Rc;

use wasm_bindgen::prelude::*;
use wgr::gpu::{AdapterChoice, Gpu};
use wgr::kernels::{self, Passes};

use crate::json::thrown;
use crate::warnings;

/// The GPU, opened and tested for what it is asked to do.
#[wasm_bindgen]
pub struct Engine {
    scoring: Rc<Gpu>,
    /// For other work, once there was some.
    others: RefCell<Vec<(Passes, Rc<Gpu>)>>,
}

#[wasm_bindgen]
impl Engine {
    /// Opens the GPU and compares the kernels that score with their twins on the CPU; those that generate and train follow
    /// when they are first asked for, as compiling them takes time. Fails with a sentence where the browser has no WebGPU, no
    /// GPU is to be had, or a kernel is wrong.
    pub async fn open() -> Result<Engine, JsError> {
        warnings::to_console();
        Ok(Self { scoring: opened(Passes::Forward).await?, others: RefCell::default() })
    }

    /// What the browser calls the GPU; many browsers say nothing.
    #[wasm_bindgen(getter)]
    pub fn name(&self) -> String {
        self.scoring.name().to_owned()
    }
}

impl Engine {
    /// The GPU as it was opened.
    pub(crate) fn scoring(&self) -> Rc<Gpu> {
        self.scoring.clone()
    }

    /// The GPU for other passes, tested now if it was not.
    pub(crate) async fn tested_for(&self, passes: Passes) -> Result<Rc<Gpu>, JsError> {
        let tested = self.others.borrow().iter().find(|(of, _)| *of == passes).map(|(_, gpu)| gpu.clone());
        if let Some(gpu) = tested {
            return Ok(gpu);
        }
        let gpu = opened(passes).await?;
        self.others.borrow_mut().push((passes, gpu.clone()));
        Ok(gpu)
    }
}

async fn opened(passes: Passes) -> Result<Rc<Gpu>, JsError> {
    kernels::open(&AdapterChoice::default(), passes).await.map(Rc::new).map_err(thrown)
}
