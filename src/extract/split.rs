//! The split into training and test rows: seeded, and never through a conversation or a user.

use std::collections::{HashMap, HashSet};

use twox_hash::XxHash3_64;

use super::config::SplitBy;
use super::turn::Turn;

/// Decides which rows stay together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grouping {
    /// The unit that is never split.
    pub by: SplitBy,
    /// Seed of the order in which groups are held out.
    pub seed: u64,
}

impl Grouping {
    /// The group of a turn: a hash, which is also the group's place in the order. A conversation of a user whom the log
    /// does not name is a group of its own.
    pub(super) fn of(&self, turn: &Turn) -> u64 {
        let conversation = &turn.conversation;
        // The prefix keeps a user and a conversation of the same name apart.
        let name = match (&conversation.user, self.by) {
            (Some(user), SplitBy::User) => format!("user {user}"),
            _ => format!("conversation {}", conversation.id),
        };
        XxHash3_64::oneshot_with_seed(self.seed, name.as_bytes())
    }
}

/// The groups to hold out, given the group of every row: in the order of their hashes, each that still fits into `rows`.
///
/// A group larger than what is left to fill stays in the training rows, so a few rows may be missing.
pub(super) fn held_out(groups: impl Iterator<Item = u64>, rows: u64) -> HashSet<u64> {
    let mut sizes: HashMap<u64, u64> = HashMap::new();
    groups.for_each(|group| *sizes.entry(group).or_default() += 1);
    let mut sizes: Vec<(u64, u64)> = sizes.into_iter().collect();
    sizes.sort_unstable();
    let mut left = rows;
    let mut chosen = HashSet::new();
    for (group, size) in sizes {
        if left == 0 {
            break;
        }
        if size <= left {
            left -= size;
            chosen.insert(group);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::turn::tests::conversation;
    use std::sync::Arc;

    /// Turns of 60 conversations of two turns each, every three of one user.
    fn turns() -> Vec<Turn> {
        let conversations = (0..60).map(|index| {
            let mut conversation = conversation(&["user", "assistant", "user", "assistant", "user"]);
            conversation.id = format!("c{index}");
            conversation.user = Some(format!("u{}", index / 3));
            Arc::new(conversation)
        });
        conversations.flat_map(|conversation| Turn::of(&conversation)).collect()
    }

    fn split(by: SplitBy, seed: u64, rows: u64) -> (Vec<Turn>, Vec<Turn>) {
        let grouping = Grouping { by, seed };
        let turns = turns();
        let chosen = held_out(turns.iter().map(|turn| grouping.of(turn)), rows);
        turns.into_iter().partition(|turn| !chosen.contains(&grouping.of(turn)))
    }

    fn shared(name: impl Fn(&Turn) -> String, (train, test): &(Vec<Turn>, Vec<Turn>)) -> usize {
        let train: HashSet<String> = train.iter().map(&name).collect();
        test.iter().map(name).collect::<HashSet<_>>().intersection(&train).count()
    }

    #[test]
    fn no_conversation_is_on_both_sides() {
        for seed in 0..20 {
            let split = split(SplitBy::Conversation, seed, 30);
            assert_eq!(split.1.len(), 30);
            assert_eq!(shared(|turn| turn.conversation.id.clone(), &split), 0);
        }
    }

    #[test]
    fn no_user_is_on_both_sides() {
        let user = |turn: &Turn| turn.conversation.user.clone().unwrap_or_default();
        for seed in 0..20 {
            let split = split(SplitBy::User, seed, 30);
            assert_eq!(split.1.len(), 30);
            assert_eq!(shared(user, &split), 0);
        }
        // The property is not there by chance: a split by conversation does divide users.
        assert!(shared(user, &self::split(SplitBy::Conversation, 1, 30)) > 0);
    }

    #[test]
    fn the_seed_decides() {
        let ids = |seed| split(SplitBy::Conversation, seed, 20).1.iter().map(Turn::id).collect::<Vec<_>>();
        assert_eq!(ids(1), ids(1));
        assert_ne!(ids(1), ids(2));
    }

    #[test]
    fn sizes_that_do_not_fit_are_passed_over() {
        let groups = [1, 1, 1, 2, 3, 3];
        assert_eq!(held_out(groups.into_iter(), 2), HashSet::from([2]));
        assert_eq!(held_out(groups.into_iter(), 0), HashSet::new());
        assert_eq!(held_out(groups.into_iter(), 100), HashSet::from([1, 2, 3]));
        assert_eq!(held_out([].into_iter(), 5), HashSet::new());
    }
}
