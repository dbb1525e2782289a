//! Slices: the same measure for each language, length, source or user, to find weak spots.

use std::collections::HashMap;

use serde::Serialize;

/// A slice with fewer rows than this is marked as small: what it says is mostly chance.
pub const SMALL: usize = 10;

/// Rows that share a key, with what was measured on them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slice<T> {
    /// The key: a language, a bucket of lengths, a source, a user.
    pub name: String,
    /// Rows.
    pub n: usize,
    /// Whether there are fewer than [`SMALL`] rows.
    pub small: bool,
    /// The measure of these rows.
    pub measure: T,
}

/// The slices by one key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slices<T> {
    /// The largest slices, by falling size, then by name.
    pub slices: Vec<Slice<T>>,
    /// Slices beyond the limit.
    pub unlisted: usize,
    /// Rows in those.
    pub unlisted_rows: usize,
}

/// Slices rows by their keys, one key per row, and measures the `limit` largest slices.
///
/// `measure` gets the indices of the rows of a slice, ascending.
pub fn slices<K: AsRef<str>, T>(keys: &[K], limit: usize, mut measure: impl FnMut(&[usize]) -> T) -> Slices<T> {
    let mut rows_of: HashMap<&str, Vec<usize>> = HashMap::new();
    for (row, key) in keys.iter().enumerate() {
        rows_of.entry(key.as_ref()).or_default().push(row);
    }
    let mut sorted: Vec<(&str, Vec<usize>)> = rows_of.into_iter().collect();
    sorted.sort_by(|(a, rows_a), (b, rows_b)| rows_b.len().cmp(&rows_a.len()).then(a.cmp(b)));
    let rest = sorted.split_off(limit.min(sorted.len()));
    let measured = sorted.into_iter().map(|(name, rows)| Slice {
        name: name.to_owned(),
        n: rows.len(),
        small: rows.len() < SMALL,
        measure: measure(&rows),
    });
    Slices {
        slices: measured.collect(),
        unlisted: rest.len(),
        unlisted_rows: rest.iter().map(|(_, rows)| rows.len()).sum(),
    }
}

/// The bucket of a response's length in words, as a key for [`slices`].
pub fn length_bucket(words: u64) -> &'static str {
    match words {
        0..50 => "under 50 words",
        50..150 => "50 to 149 words",
        150..400 => "150 to 399 words",
        _ => "400 words and more",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first_and_names_settle_ties() {
        let keys = ["fr", "en", "de", "en", "zh", "fr"];
        let by_language = slices(&keys, 3, <[usize]>::to_vec);
        let listed: Vec<_> = by_language.slices.iter().map(|s| (s.name.as_str(), s.measure.as_slice())).collect();
        assert_eq!(listed, [("en", &[1, 3][..]), ("fr", &[0, 5]), ("de", &[2])]);
        assert_eq!((by_language.unlisted, by_language.unlisted_rows), (1, 1));
    }

    #[test]
    fn small_slices_are_marked() {
        let keys: Vec<&str> = (0..19).map(|i| if i < 10 { "a" } else { "b" }).collect();
        let marks: Vec<_> = slices(&keys, 9, |_| ()).slices.into_iter().map(|s| (s.n, s.small)).collect();
        assert_eq!(marks, [(10, false), (9, true)]);
    }

    #[test]
    fn no_rows_and_no_room() {
        assert!(slices::<&str, _>(&[], 5, <[usize]>::len).slices.is_empty());
        let none = slices(&["a", "a"], 0, <[usize]>::len);
        assert_eq!((none.slices.len(), none.unlisted, none.unlisted_rows), (0, 1, 2));
    }

    #[test]
    fn every_length_has_one_bucket() {
        assert_eq!([0, 49, 50, 149, 150, 399, 400].map(length_bucket).windows(2).filter(|w| w[0] != w[1]).count(), 3);
    }
}
