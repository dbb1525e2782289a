//! Rated responses: rows of `wgr extract`, of WildFB, or any with `messages` (or `text`) and a `label` from 1;
//! optionally `language`, `user`, `conversation` and `source`.
//!
//! A row has one score; the output of `wgr score` works.

use std::path::Path;

use serde_json::Value;

use super::definition::Definition;
use crate::Result;
use crate::data::rows::parse_row;
use crate::data::{Purpose, ReadReport, Record};
use crate::evaluate::items::Item;
use crate::evaluate::items::own::{Origin, unnamed};

pub(super) const SUITE: Definition =
    Definition::new("wildfb", "Rated responses", |file, record, report| item(file, record, report).map(Ok));

/// More levels than any rating scale has.
const MAX_LEVELS: f64 = 256.0;

fn item(file: &Path, mut record: Record, report: &mut ReadReport) -> Result<Item> {
    let (origin, unnamed) = (Origin::of(file, &record), unnamed(file, &record));
    let label = match record.fields.get("label").filter(|label| !label.is_null()) {
        None => return origin.wrong("the row has no `label`".into(), "ratings are whole numbers from 1"),
        Some(label) => match label.as_f64() {
            Some(level) if level.fract() == 0.0 && (1.0..=MAX_LEVELS).contains(&level) => level as u32,
            _ => return origin.wrong(format!("`label` is {}", shown(label)), "ratings are whole numbers from 1"),
        },
    };
    let row = parse_row(&mut record, unnamed, Purpose::Score, report)?;
    Ok(Item { label: Some(label), ..origin.item(row.id, vec![row.content], false) })
}

fn shown(value: &Value) -> String {
    value.to_string().chars().take(40).collect()
}
