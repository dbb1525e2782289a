//! Pairs out of ratings, for heads that learn from pairs.

use rand::RngExt;
use rand::seq::SliceRandom;
use serde_json::{Map, Value, json};

use crate::statistics::units::stream;

/// The stream of the seed that pairs are drawn with.
const PAIRS: u64 = u64::MAX - 4;

/// Pairs up rows of different levels, as places of the better and the worse one; no row is in two pairs, so that a head that
/// learns from pairs sees each response as often as the others do.
///
/// Every pair takes a row of the level with the most rows left and one of any other level. So rows are left over only
/// if one level has more rows than all others together.
pub(super) fn pairs(labels: &[u32], seed: u64) -> Vec<[usize; 2]> {
    let mut rng = stream(seed, PAIRS);
    let mut levels: Vec<Vec<usize>> = vec![vec![]; labels.iter().max().map_or(0, |&most| most as usize + 1)];
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.shuffle(&mut rng);
    order.into_iter().for_each(|row| levels[labels[row] as usize].push(row));
    let mut pairs = vec![];
    loop {
        let Some(largest) = (0..levels.len()).max_by_key(|&level| levels[level].len()) else { return pairs };
        let others: usize = levels.iter().map(Vec::len).sum::<usize>() - levels[largest].len();
        if others == 0 {
            return pairs;
        }
        // A row among those of the other levels, all alike.
        let mut place = rng.random_range(0..others);
        let other = (0..levels.len()).filter(|&level| level != largest).find(|&level| {
            let is_here = place < levels[level].len();
            place = place.saturating_sub(levels[level].len());
            is_here
        });
        let Some((one, another)) = levels[largest].pop().zip(other.and_then(|other| levels[other].pop())) else {
            return pairs;
        };
        pairs.push(if labels[one] > labels[another] { [one, another] } else { [another, one] });
    }
}

/// The rows of pairs as training reads them: `id`, `chosen` and `rejected`, each a whole conversation or text.
pub(super) fn rows(rated: &[Map<String, Value>], pairs: &[[usize; 2]]) -> Vec<Map<String, Value>> {
    let side = |row: &Map<String, Value>| match (row.get("messages"), row.get("text")) {
        (Some(messages), _) => {
            let said = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
            // A history that is one text is a message of the user, as elsewhere.
            let told = row.get("history").and_then(Value::as_str).filter(|text| !text.trim().is_empty());
            let told = told.map(|text| json!({"role": "user", "content": text}));
            json!([told.into_iter().collect(), said(row.get("history")), said(Some(messages))].concat())
        }
        (None, text) => json!(text),
    };
    let id = |row: &Map<String, Value>| match &row["id"] {
        Value::String(id) => id.clone(),
        other => other.to_string(),
    };
    let pair = |&[better, worse]: &[usize; 2]| {
        let (better, worse) = (&rated[better], &rated[worse]);
        Map::from_iter([
            ("id".to_owned(), json!(format!("{} > {}", id(better), id(worse)))),
            ("chosen".to_owned(), side(better)),
            ("rejected".to_owned(), side(worse)),
        ])
    };
    pairs.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::data::rows::parse_row;
    use crate::data::{Content, Purpose, ReadReport, Record};

    #[test]
    fn all_levels_meet() {
        let labels: Vec<u32> = (0..400).map(|i| 1 + i % 4).collect();
        let met: HashSet<(u32, u32)> = pairs(&labels, 3).iter().map(|&[a, b]| (labels[a], labels[b])).collect();
        assert_eq!(met, HashSet::from([(2, 1), (3, 1), (4, 1), (3, 2), (4, 2), (4, 3)]));
        assert_eq!(pairs(&labels, 3), pairs(&labels, 3));
        assert_ne!(pairs(&labels, 3), pairs(&labels, 4));
        assert!(pairs(&[], 0).is_empty() && pairs(&[2, 2, 2], 0).is_empty());
    }

    #[test]
    fn training_reads_both_sides_whole() {
        let said = |role: &str, content: &str| json!({"role": role, "content": content});
        let chat = |id: Value, history: Value, query: &str, answer: &str| {
            let row = json!({"id": id, "label": 1, "history": history,
                             "messages": [said("user", query), said("assistant", answer)]});
            row.as_object().unwrap().clone()
        };
        let first = chat(json!("a"), json!([said("user", "h"), said("assistant", "i")]), "q", "good");
        let second = chat(json!(7), json!("told before"), "p", "bad");
        let row = rows(&[second, first], &[[1, 0]]).remove(0);
        assert_eq!(row["id"], "a > 7");
        let mut record = Record { place: "t".into(), number: 1, fields: row, mended: false };
        let mut report = ReadReport::default();
        let Content::Pair(pair) =
            parse_row(&mut record, String::new(), Purpose::Preference, &mut report).unwrap().content
        else {
            panic!()
        };
        let [better, worse] = pair.exchanges("t").unwrap();
        assert_eq!(
            (better.history.len(), better.query.content.as_str(), better.response.content.as_str()),
            (2, "q", "good")
        );
        assert_eq!((worse.history[0].content.as_str(), worse.query.content.as_str()), ("told before", "p"));
        let text = |id: &str| json!({"id": id, "text": id}).as_object().unwrap().clone();
        assert_eq!(
            json!(rows(&[text("x"), text("y")], &[[0, 1]])),
            json!([
                {"id": "x > y", "chosen": "x", "rejected": "y"}
            ])
        );
    }

    proptest! {
        #[test]
        fn rows_are_left_over_only_where_one_level_outnumbers_the_rest(
            labels in prop::collection::vec(1u32..5, 0..80), seed: u64,
        ) {
            let pairs = pairs(&labels, seed);
            let used: HashSet<usize> = pairs.iter().flatten().copied().collect();
            prop_assert_eq!(used.len(), 2 * pairs.len());
            prop_assert!(pairs.iter().all(|&[better, worse]| labels[better] > labels[worse]));
            let most = (1..5).map(|level| labels.iter().filter(|&&l| l == level).count()).max().unwrap();
            prop_assert_eq!(pairs.len(), (labels.len() / 2).min(labels.len() - most));
        }
    }
}
