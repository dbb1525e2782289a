//! Files that models, rows and results are read from and written to. They are in the memory of the page.

use std::path::Path;

use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use wgr::page;

use crate::json::thrown;

/// Bytes that are read of a file of the disk at a time: they exist twice until they are copied.
const PIECE: f64 = (64 << 20) as f64;

/// Makes a file that was chosen in the page, or any other Blob, one of the engine's, at `path`.
#[wasm_bindgen(js_name = addFile)]
pub async fn add_file(path: String, file: web_sys::Blob) -> Result<(), JsError> {
    let too_large = || JsError::new(&format!("{path}: is too large for the memory of a page"));
    let unread = |_| JsError::new(&format!("{path}: cannot be read; choose it again if it has changed meanwhile"));
    let size = file.size();
    let mut bytes = Vec::new();
    // A page addresses 4 GiB.
    bytes
        .try_reserve_exact(if size < f64::from(u32::MAX) { size as usize } else { usize::MAX })
        .map_err(|_| too_large())?;
    let mut start = 0.0;
    while start < size {
        let end = size.min(start + PIECE);
        let piece = file.slice_with_f64_and_f64(start, end).map_err(unread)?;
        let piece = Uint8Array::new(&JsFuture::from(piece.array_buffer()).await.map_err(unread)?);
        let filled = bytes.len();
        bytes.resize(filled + piece.length() as usize, 0);
        piece.copy_to(&mut bytes[filled..]);
        start = end;
    }
    page::add(Path::new(&path), bytes).map_err(thrown)
}

/// The content of a file, such as one that training has written.
#[wasm_bindgen(js_name = readFile)]
pub fn read_file(path: &str) -> Result<Uint8Array, JsError> {
    Ok(Uint8Array::from(&*page::read(Path::new(path)).map_err(thrown)?))
}

/// The paths of all files in a directory, at any depth.
#[wasm_bindgen(js_name = listFiles)]
pub fn list_files(directory: &str) -> Result<Vec<String>, JsError> {
    let files = page::list(Path::new(directory)).map_err(thrown)?;
    Ok(files.iter().map(|path| path.display().to_string()).collect())
}

/// Removes a directory and all that it holds, if it is there.
#[wasm_bindgen(js_name = removeFiles)]
pub fn remove_files(directory: &str) -> Result<(), JsError> {
    page::remove(Path::new(directory)).map_err(thrown)
}
