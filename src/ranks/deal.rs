//! Rows of a step, dealt to ranks so that all finish together.

use std::cmp::Reverse;

/// The places of each rank in `lengths`, in their order: longest first, each to the rank with the fewest tokens (Graham
/// 1969, within 4/3 of the best). A function of the lengths only, so that all ranks deal alike.
pub(crate) fn deal(lengths: &[usize], ranks: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|place| Reverse(lengths[*place]));
    let mut dealt = vec![(0, vec![]); ranks];
    for place in order {
        let least = (0..ranks).min_by_key(|rank| (dealt[*rank].0, dealt[*rank].1.len())).unwrap_or(0);
        dealt[least].0 += lengths[place];
        dealt[least].1.push(place);
    }
    let in_order = |(_, mut places): (usize, Vec<usize>)| {
        places.sort_unstable();
        places
    };
    dealt.into_iter().map(in_order).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranks_have_about_as_many_tokens() {
        assert_eq!(deal(&[5, 1, 4, 2, 3, 3], 2), [[0, 1, 5], [2, 3, 4]]);
        assert_eq!(deal(&[7], 3), [vec![0], vec![], vec![]]);
        assert_eq!(deal(&[2, 2, 2], 1), [[0, 1, 2]]);
    }

    proptest! {
        #[test]
        fn every_row_is_dealt_once_and_none_has_much_more(
            lengths in prop::collection::vec(1usize..300, 0..60), ranks in 1usize..9,
        ) {
            let dealt = deal(&lengths, ranks);
            prop_assert_eq!(dealt.len(), ranks);
            let tokens: Vec<usize> = dealt.iter().map(|places| places.iter().map(|p| lengths[*p]).sum()).collect();
            let longest = lengths.iter().copied().max().unwrap_or(0);
            let (most, least) = (tokens.iter().max().unwrap(), tokens.iter().min().unwrap());
            prop_assert!(most - least <= longest, "{tokens:?}");
            let mut all = dealt.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
        }
    }
}
