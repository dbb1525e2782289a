//! A model and where its scores come from, as reports name them.

use serde::Serialize;

use crate::model::Reading;

/// How the scores of a model were had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Run here.
    Model,
    /// Asked from a server.
    Server,
    /// Read from files.
    File,
}

/// A model, as reports name it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelInfo {
    /// Its name; unique in a report.
    pub name: String,
    /// How its scores were had.
    pub origin: Origin,
    /// The user's name for it: a directory, a hub name, an address, a file of scores.
    pub source: String,
    /// Its training objective, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<String>,
    /// The number of its levels, where it has such.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub levels: Option<u32>,
    /// How it is read, where it is run here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
}
