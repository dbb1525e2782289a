//! Which of the waiting rows are scored together.

/// A batch out of rows of these lengths in tokens, the first of which has waited longest: that row, and those that are
/// most like it in length, as far as they fit; at most `sequences` rows of `tokens` tokens in all. A first row that is
/// longer than `tokens` is a batch of its own.
///
/// The places are in order of length.
pub(super) fn batch(lengths: &[usize], sequences: usize, tokens: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&place| (lengths[place], place));
    let Some(first) = order.iter().position(|&place| place == 0) else { return vec![] };
    let (mut start, mut end, mut total) = (first, first + 1, lengths[0]);
    while end - start < sequences {
        let distance = |place: usize| lengths[place].abs_diff(lengths[0]);
        let shorter = start.checked_sub(1).map(|at| order[at]);
        let longer = order.get(end).copied().filter(|&place| total + lengths[place] <= tokens);
        // Shorter rows fit where longer ones do, and perhaps where these do not.
        match (shorter.filter(|&place| total + lengths[place] <= tokens), longer) {
            (Some(shorter), Some(longer)) if distance(longer) < distance(shorter) => {
                (end, total) = (end + 1, total + lengths[longer]);
            }
            (Some(shorter), _) => (start, total) = (start - 1, total + lengths[shorter]),
            (None, Some(longer)) => (end, total) = (end + 1, total + lengths[longer]),
            (None, None) => break,
        }
    }
    order[start..end].to_vec()
}

#[cfg(test)]
mod tests {
    use super::batch;

    #[test]
    fn the_oldest_row_goes_with_those_like_it() {
        assert_eq!(batch(&[5, 100, 6, 4, 7], 10, 20), [3, 0, 2]);
        assert_eq!(batch(&[5, 100, 6, 4, 7], 10, 30), [3, 0, 2, 4]);
        assert_eq!(batch(&[5, 100, 6, 4, 7], 2, 1000), [3, 0]);
    }

    #[test]
    fn a_row_beyond_the_budget_is_alone_and_no_rows_are_no_batch() {
        assert_eq!(batch(&[50, 1, 1], 8, 20), [0]);
        assert!(batch(&[], 8, 20).is_empty());
    }
}
