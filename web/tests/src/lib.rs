//! The tests of kernels and golden models, in a page.
//!
//! The page calls `run` for one test after the other. A test that waits for the GPU suspends all of the engine, as no
//! other code can in a page: `block_on` needs JavaScript Promise Integration, which Chromium has. A test that fails ends
//! the engine, and the page loads it anew for the next.
#![cfg(target_family = "wasm")]
#![allow(dead_code, unused_imports, reason = "harnesses serve tests that are not here, too")]
#![allow(unreachable_pub, reason = "what the page reaches is `pub` in Rust, too")]

mod block_on;
mod files;

use wasm_bindgen::prelude::*;

use block_on::block_on;

include!(concat!(env!("OUT_DIR"), "/tests.rs"));

/// Prints a line where the results are printed.
macro_rules! say {
    ($($argument:tt)*) => { crate::print(&format!($($argument)*)) };
}
use say;

#[wasm_bindgen]
extern "C" {
    /// Prints a line where the results are printed.
    #[wasm_bindgen(js_namespace = globalThis, js_name = say)]
    fn print(line: &str);
}

/// The names of all tests, in the order in which [`run`] counts them.
#[wasm_bindgen]
pub fn tests() -> Vec<String> {
    std::panic::set_hook(Box::new(|panic| print(&panic.to_string())));
    TESTS.iter().map(|(name, _)| (*name).to_owned()).collect()
}

/// Puts a file where tests read it.
#[wasm_bindgen(js_name = addFile)]
pub fn add_file(path: &str, bytes: Vec<u8>) {
    wgr::page::add(path.as_ref(), bytes).expect("a file of the tests");
}

/// Runs a test. It may suspend, so the page calls this through `WebAssembly.promising`, past what `wasm-bindgen` makes.
#[unsafe(no_mangle)]
pub extern "C" fn run(number: u32) {
    TESTS[number as usize].1();
}
