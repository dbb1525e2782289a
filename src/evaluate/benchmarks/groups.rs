//! Rows in named groups, so that one pass computes the mean of every group.

/// Groups of rows: the known ones in their order, then unknown ones in the order they appear.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    /// Names, including known ones without a row.
    pub names: Vec<String>,
    /// Number of known names, which come first.
    pub known: usize,
    /// The group of each row.
    pub of_row: Vec<usize>,
    /// Rows in each group.
    pub sizes: Vec<usize>,
}

impl Groups {
    pub(super) fn new<'a>(keys: impl IntoIterator<Item = &'a str>, known: &[&str]) -> Self {
        let mut names: Vec<String> = known.iter().map(|&name| name.to_owned()).collect();
        let group = |key: &str| {
            names.iter().position(|name| name == key).unwrap_or_else(|| {
                names.push(key.to_owned());
                names.len() - 1
            })
        };
        let of_row: Vec<usize> = keys.into_iter().map(group).collect();
        let mut sizes = vec![0; names.len()];
        of_row.iter().for_each(|&group| sizes[group] += 1);
        Self { names, known: known.len(), of_row, sizes }
    }

    /// The mean of each group; `None` where nothing is counted. Of more weights than rows, the first ones are used.
    pub(super) fn means(&self, values: &[f64], weights: &[u32]) -> Vec<Option<f64>> {
        let mut sums = vec![(0u64, 0.0); self.names.len()];
        for ((&group, value), &weight) in self.of_row.iter().zip(values).zip(weights) {
            sums[group].0 += u64::from(weight);
            sums[group].1 += value * f64::from(weight);
        }
        sums.into_iter().map(|(count, sum)| (count > 0).then(|| sum / count as f64)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_groups_come_first_even_without_rows() {
        let groups = Groups::new(["new", "b", "new"], &["a", "b"]);
        assert_eq!((groups.names.join(" "), groups.known), ("a b new".to_owned(), 2));
        assert_eq!((groups.of_row.as_slice(), groups.sizes.as_slice()), (&[2, 1, 2][..], &[0, 1, 2][..]));
        assert_eq!(groups.means(&[1.0, 5.0, 4.0], &[2, 1, 1]), [None, Some(5.0), Some(2.0)]);
        assert_eq!(groups.means(&[1.0, 5.0, 4.0], &[1, 0, 0]), [None, None, Some(1.0)]);
    }
}
