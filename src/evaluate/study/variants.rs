//! Which rows a cell is trained on, and with which labels.
//!
//! A seed shuffles all rows, and a cell takes the first that it can use. Cells of the same size and seed therefore
//! share as many rows as possible, so that they differ only in the subject of the study.

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::rows::{Pick, RatedRow, Rows};
use crate::statistics::units::stream;

/// Streams of the seed: the order of rows, and of users.
const ROWS: u64 = u64::MAX - 2;
const USERS: u64 = u64::MAX - 3;

/// A choice of rows and labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// All rows as they are.
    All,
    /// Rows of N users, equally many of each; one more from some users if that does not divide evenly.
    Users(usize),
    /// Mined rows go back to the annotator's level: neutral, so that they leave, where neutral has no label.
    WithoutMining,
    /// Rows whose refusal was found justified go back to the annotator's level.
    WithoutValidation,
}

impl Variant {
    /// The label of a row; `None` where the row leaves.
    pub fn label(self, row: &RatedRow) -> Option<u32> {
        match self {
            Self::WithoutMining if row.mined => row.annotated,
            Self::WithoutValidation if row.validated => row.annotated,
            Self::Users(_) if row.user.is_none() => None,
            _ => Some(row.label),
        }
    }

    /// The maximum number of rows that it can be trained on.
    pub fn available(self, rows: &Rows) -> usize {
        match self {
            Self::Users(users) => {
                let mut counts = rows_per_user(rows);
                counts.sort_unstable_by(|a, b| b.cmp(a));
                // As many from each as the last of the users with the most rows has.
                users.checked_sub(1).and_then(|last| counts.get(last)).map_or(0, |least| users.saturating_mul(*least))
            }
            _ => rows.rows.iter().filter(|row| self.label(row).is_some()).count(),
        }
    }

    /// Chooses `size` rows with a seed, in the order of the rows. At most [`available`](Self::available) can be had.
    pub fn pick(self, rows: &Rows, size: usize, seed: u64) -> Vec<Pick> {
        let mut order: Vec<usize> = (0..rows.rows.len()).collect();
        order.shuffle(&mut stream(seed, ROWS));
        let mut quotas = match self {
            Self::Users(users) => quotas(rows, users, size, seed),
            _ => vec![],
        };
        let mut is_wanted = |row: &RatedRow| match row.user.filter(|_| !quotas.is_empty()) {
            Some(user) => quotas[user].checked_sub(1).map(|left| quotas[user] = left).is_some(),
            None => true,
        };
        let pick = |&row: &usize| {
            let label = self.label(&rows.rows[row])?;
            is_wanted(&rows.rows[row]).then_some(Pick { row, label })
        };
        let mut picks: Vec<Pick> = order.iter().filter_map(pick).take(size).collect();
        picks.sort_unstable_by_key(|pick| pick.row);
        picks
    }
}

fn rows_per_user(rows: &Rows) -> Vec<usize> {
    let mut counts = vec![0; rows.users];
    rows.rows.iter().filter_map(|row| row.user).for_each(|user| counts[user] += 1);
    counts
}

/// The number of rows to take from each user: equally many from `users` users that have enough, chosen by the seed;
/// none from the others.
fn quotas(rows: &Rows, users: usize, size: usize, seed: u64) -> Vec<usize> {
    let counts = rows_per_user(rows);
    let (share, rest) = (size / users.max(1), size % users.max(1));
    let enough = share + usize::from(rest > 0);
    let mut chosen: Vec<usize> = (0..counts.len()).filter(|&user| counts[user] >= enough).collect();
    chosen.shuffle(&mut stream(seed, USERS));
    let mut quotas = vec![0; counts.len()];
    for (place, &user) in chosen.iter().take(users).enumerate() {
        quotas[user] = share + usize::from(place < rest);
    }
    quotas
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;

    fn row(user: Option<usize>, label: u32) -> RatedRow {
        RatedRow { user, label, mined: false, validated: false, annotated: None }
    }

    fn rows(rows: Vec<RatedRow>) -> Rows {
        let users = rows.iter().filter_map(|row| row.user).max().map_or(0, |last| last + 1);
        Rows::of(rows, users)
    }

    /// Sixteen rows: every fourth mined, every eighth validated, which the annotator rejected.
    fn changed() -> Rows {
        let one = |i: usize| {
            let (mined, validated) = (i % 4 == 1, i % 8 == 2);
            RatedRow { mined, validated, annotated: validated.then_some(1), ..row(None, 4) }
        };
        rows((0..16).map(one).collect())
    }

    fn picked(variant: Variant, size: usize, seed: u64) -> Vec<Pick> {
        variant.pick(&changed(), size, seed)
    }

    #[test]
    fn without_mining_mined_rows_leave_and_without_validation_labels_go_back() {
        let all = changed();
        assert_eq!(
            [Variant::All, Variant::WithoutMining, Variant::WithoutValidation].map(|v| v.available(&all)),
            [16, 12, 16]
        );
        let without = picked(Variant::WithoutMining, 12, 0);
        assert!(without.len() == 12 && without.iter().all(|pick| pick.row % 4 != 1 && pick.label == 4));
        let labels: Vec<u32> = picked(Variant::WithoutValidation, 16, 0).iter().map(|pick| pick.label).collect();
        assert_eq!(labels, (0..16).map(|i| if i % 8 == 2 { 1 } else { 4 }).collect::<Vec<_>>());
        // A validated row that was neutral before has no label to go back to.
        let neutral = rows(vec![RatedRow { validated: true, ..row(None, 4) }, row(None, 2)]);
        assert_eq!(Variant::WithoutValidation.available(&neutral), 1);
        // If neutral has a label, mined rows stay with it.
        let five = rows(vec![RatedRow { mined: true, annotated: Some(3), ..row(None, 5) }]);
        assert_eq!(Variant::WithoutMining.pick(&five, 1, 0), [Pick { row: 0, label: 3 }]);
    }

    #[test]
    fn a_seed_decides_and_cells_share_what_they_can() {
        let rows_of = |picks: Vec<Pick>| picks.iter().map(|pick| pick.row).collect::<HashSet<_>>();
        assert_eq!(picked(Variant::All, 6, 1), picked(Variant::All, 6, 1));
        assert_ne!(picked(Variant::All, 6, 1), picked(Variant::All, 6, 2));
        for seed in 0..20 {
            let with = rows_of(picked(Variant::All, 8, seed));
            let without = rows_of(picked(Variant::WithoutMining, 8, seed));
            assert_eq!((with.len(), without.len()), (8, 8));
            assert!(with.iter().filter(|row| *row % 4 != 1).all(|row| without.contains(row)));
            let unvalidated = rows_of(picked(Variant::WithoutValidation, 8, seed));
            assert_eq!(with, unvalidated, "validation changes labels and no rows");
        }
    }

    #[test]
    fn users_give_equally_many_rows() {
        // Users 0 … 9 have 10, 9, … 1 rows; some rows have no user.
        let all =
            rows((0..10).flat_map(|user| vec![row(Some(user), 1); 10 - user]).chain(vec![row(None, 1); 5]).collect());
        assert_eq!([1, 3, 5, 10, 11].map(|n| Variant::Users(n).available(&all)), [10, 24, 30, 10, 0]);
        for (users, size) in [(3, 24), (3, 11), (5, 30), (10, 10)] {
            let picks = Variant::Users(users).pick(&all, size, 5);
            let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
            picks.iter().for_each(|pick| *counts.entry(all.rows[pick.row].user.unwrap()).or_default() += 1);
            assert_eq!((picks.len(), counts.len()), (size, users));
            let (least, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
            assert!(most - least <= 1, "{counts:?}");
        }
        let users = |seed| {
            let picks = Variant::Users(3).pick(&all, 6, seed);
            picks.iter().map(|pick| all.rows[pick.row].user.unwrap()).collect::<HashSet<_>>()
        };
        assert!((1..9).any(|seed| users(seed) != users(0)), "the seed chooses among those who have enough");
    }
}
