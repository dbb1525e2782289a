//! The adapter of each rank.

use std::collections::BTreeMap;

use super::Ranks;
use crate::Result;
use crate::gpu::{AdapterChoice, AdapterSummary, adapters};

impl Ranks {
    /// The adapter for this rank: the one that is named, or of the best kind that its host has the one of its place. Also the
    /// lines that say which ranks share one.
    ///
    /// # Errors
    /// There is no such backend; a rank failed or does not answer.
    pub async fn adapter(&self, wanted: &AdapterChoice) -> Result<(AdapterChoice, Vec<String>)> {
        if self.size() == 1 {
            return Ok((wanted.clone(), vec![]));
        }
        let name = match &wanted.name {
            Some(name) => Some(name.clone()),
            None => of_place(&adapters(wanted).await?, self.place()).map(|index| index.to_string()),
        };
        let all = self.gather(name.clone().unwrap_or_default().into_bytes()).await?;
        let names: Vec<String> = all.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        Ok((AdapterChoice { name, ..wanted.clone() }, sharing(&self.hosts, &names)))
    }
}

/// The index of the adapter for a rank's place on its host: ranks beyond the last begin again with the first.
fn of_place(adapters: &[AdapterSummary], place: usize) -> Option<usize> {
    let usable = || adapters.iter().filter(|adapter| adapter.unusable.is_none());
    let best = usable().next()?.kind;
    let alike: Vec<usize> = usable().filter(|adapter| adapter.kind == best).map(|adapter| adapter.index).collect();
    Some(alike[place % alike.len()])
}

/// A line for each adapter that several ranks have.
fn sharing(hosts: &[String], adapters: &[String]) -> Vec<String> {
    let mut users: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for (rank, (host, adapter)) in hosts.iter().zip(adapters).enumerate() {
        users.entry((host, adapter)).or_default().push(rank.to_string());
    }
    let shared = users.into_iter().filter(|(_, ranks)| ranks.len() > 1);
    shared
        .map(|((host, adapter), ranks)| format!("ranks {} share adapter {adapter} of {host}", ranks.join(", ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_that_several_ranks_have_are_named() {
        let texts = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let lines = sharing(&texts(&["a", "a", "b", "a"]), &texts(&["0", "1", "0", "0"]));
        assert_eq!(lines, ["ranks 0, 3 share adapter 0 of a"]);
    }
}
