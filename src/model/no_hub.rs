//! Models of the Hugging Face hub, where there is none: a page fetches nothing.

use std::path::PathBuf;

use crate::{Error, Result};

/// No model.
///
/// # Errors
/// Always.
pub(super) fn snapshot(name: &str) -> Result<PathBuf> {
    Err(Error::input(name, "there is no such model", "models of the hub are not fetched here: choose the files of one"))
}
