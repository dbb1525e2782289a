//! Files that import each other in a circle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use super::modules::Arrow;

/// Circles of arrows, each the shortest through one of its files, until every file that is in one has been named.
pub(super) fn circles(arrows: &[Arrow]) -> Vec<Vec<&Arrow>> {
    let mut by_file: BTreeMap<&Path, Vec<&Arrow>> = BTreeMap::new();
    for arrow in arrows {
        by_file.entry(&arrow.from).or_default().push(arrow);
    }
    let mut named: BTreeSet<&Path> = BTreeSet::new();
    let mut circles = vec![];
    for file in by_file.keys() {
        if named.contains(file) {
            continue;
        }
        if let Some(circle) = shortest(file, &by_file) {
            named.extend(circle.iter().map(|arrow| arrow.from.as_path()));
            circles.push(circle);
        }
    }
    circles
}

/// The shortest way from a file back to it.
fn shortest<'a>(file: &Path, by_file: &BTreeMap<&'a Path, Vec<&'a Arrow>>) -> Option<Vec<&'a Arrow>> {
    // The arrow by which each file was first reached.
    let mut reached: BTreeMap<&Path, &Arrow> = BTreeMap::new();
    let mut left = VecDeque::from([file]);
    while let Some(next) = left.pop_front() {
        for arrow in by_file.get(next).into_iter().flatten() {
            if !reached.contains_key(arrow.to.as_path()) {
                reached.insert(&arrow.to, arrow);
                left.push_back(&arrow.to);
            }
        }
    }
    let mut circle = vec![*reached.get(file)?];
    while circle[0].from != *file {
        circle.insert(0, reached[circle[0].from.as_path()]);
    }
    Some(circle)
}
