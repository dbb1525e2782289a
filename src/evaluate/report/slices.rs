//! Results by source, language, user and length.

use std::collections::BTreeMap;

use crate::data::words::words;
use crate::evaluate::suites::{Suite, response};
use crate::statistics::slices::{Slices, length_bucket, slices};

/// Slices that are listed for one key.
const SLICES: usize = 20;

/// Slices by the name of their key.
pub type SlicesBy<T> = BTreeMap<&'static str, Slices<T>>;

/// The length of a text in words; in languages without spaces, in characters.
pub(super) fn length(text: &str) -> u64 {
    words(text) as u64
}

/// Slices rows, each of which belongs to an item and one of its responses; keys that no row names are left out.
pub(super) fn slices_by<T>(
    suite: &Suite,
    rows: &[(usize, usize)],
    mut measure: impl FnMut(&[usize]) -> T,
) -> SlicesBy<T> {
    let key = |of: &dyn Fn(usize, usize) -> Option<String>| -> Vec<Option<String>> {
        rows.iter().map(|&(item, place)| of(item, place)).collect()
    };
    let items = &suite.items;
    let keys = [
        ("source", key(&|item, _| Some(items[item].source.clone()))),
        ("language", key(&|item, _| items[item].language.clone())),
        ("user", key(&|item, _| items[item].user.clone())),
        ("length", key(&|item, place| Some(length_bucket(length(response(&items[item].responses[place]))).to_owned()))),
    ];
    let mut all = BTreeMap::new();
    for (name, keys) in keys {
        if keys.iter().any(Option::is_some) {
            let keys: Vec<String> = keys.into_iter().map(|key| key.unwrap_or_else(|| "not named".into())).collect();
            all.insert(name, slices(&keys, SLICES, &mut measure));
        }
    }
    all
}
