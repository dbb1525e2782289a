//! A user's own preference pairs: `prompt`, `chosen` and `rejected` as in TRL and ShareGPT, or HH-RLHF's transcripts;
//! optionally `id`, `source`, `language`, `user` and `conversation`.
//!
//! Scores are listed chosen, rejected.

use std::path::Path;

use super::definition::Definition;
use crate::Result;
use crate::data::rows::parse_row;
use crate::data::{Content, Preference, Purpose, ReadReport, Record};
use crate::evaluate::items::own::{Origin, unnamed};
use crate::evaluate::items::{Item, transcript};

pub(super) const SUITE: Definition =
    Definition::new("pairs", "Preference pairs", |file, record, report| item(file, record, report).map(Ok));

fn item(file: &Path, mut record: Record, report: &mut ReadReport) -> Result<Item> {
    let (origin, unnamed) = (Origin::of(file, &record), unnamed(file, &record));
    let row = parse_row(&mut record, unnamed, Purpose::Preference, report)?;
    let responses = match &row.content {
        Content::Pair(Preference::Text { prompt: None, chosen, rejected }) => [chosen, rejected]
            .map(|text| transcript::exchange(text).map_or_else(|| Content::Text(text.clone()), Content::Chat)),
        Content::Pair(pair) => pair.exchanges(origin.place())?.map(Content::Chat),
        Content::Text(_) | Content::Chat(_) => return origin.wrong("the row is not a pair".into(), ""),
    };
    Ok(origin.item(row.id, responses.into(), true).decided_for(0))
}
