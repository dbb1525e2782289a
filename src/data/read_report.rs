//! Counts of what was repaired, translated or ignored when files were read, to be reported once.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};

use super::role::Role;

/// Counts of the irregularities of some files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReadReport {
    /// Rows in which half a surrogate pair was read as U+FFFD.
    pub lone_surrogates: usize,
    /// Messages whose content was a list of texts; joined, except for chat templates that handle such lists.
    pub joined_contents: usize,
    /// Messages by the role they are logged with, where that is not the name templates see.
    pub translated_roles: BTreeMap<String, usize>,
    /// Pairs whose completions repeat the messages of their prompt, which are shown once.
    pub repeated_prompts: usize,
    /// Pairs of strings whose completions both begin with the prompt, which stand as they are.
    pub repeated_texts: usize,
    /// Rows of two rated responses that became a row for each.
    pub rated_pairs: usize,
    /// Ids that an earlier file has too, by file.
    pub shared_ids: BTreeMap<String, usize>,
    /// Columns that nothing reads, by file.
    pub unused_columns: BTreeMap<String, BTreeSet<String>>,
}

impl ReadReport {
    /// Counts a message by the role it is logged with.
    pub(super) fn role(&mut self, name: &str, role: Role) {
        if name != role.as_str() {
            *self.translated_roles.entry(name.to_owned()).or_default() += 1;
        }
    }

    /// Notes the fields of a row that nothing has read.
    pub fn unused(&mut self, file: &str, fields: &Map<String, Value>) {
        let left: Vec<&String> = fields.iter().filter(|(_, value)| !value.is_null()).map(|(name, _)| name).collect();
        if !left.is_empty() {
            self.unused_columns.entry(file.to_owned()).or_default().extend(left.into_iter().cloned());
        }
    }

    /// Notes columns that were not even decoded.
    pub(crate) fn unused_columns(&mut self, file: &str, columns: impl IntoIterator<Item = String>) {
        let mut columns = columns.into_iter().peekable();
        if columns.peek().is_some() {
            self.unused_columns.entry(file.to_owned()).or_default().extend(columns);
        }
    }

    /// Messages about it, one per line.
    pub fn notes(&self) -> Vec<String> {
        let mut lines = vec![];
        let mut counted = |count: usize, what: &str| {
            if count > 0 {
                lines.push(format!("{what}: {count}"));
            }
        };
        counted(self.lone_surrogates, "rows with half of a surrogate pair (a split emoji), read as U+FFFD");
        counted(
            self.joined_contents,
            "messages with content in parts, which are joined for templates that only take texts",
        );
        counted(
            self.repeated_prompts,
            "pairs whose completions repeat the messages of their prompt, which are used once",
        );
        counted(self.rated_pairs, "pairs of rated responses, which became two rows each");
        counted(
            self.repeated_texts,
            "warning: pairs of strings whose completions both begin with the prompt, which the model therefore sees twice; \
             drop the column `prompt` if that is not meant",
        );
        if !self.translated_roles.is_empty() {
            let role = |(name, count): (&String, &usize)| {
                let role = Role::parse(name).map_or("none", Role::as_str);
                let unless = match name.eq_ignore_ascii_case("developer") {
                    true => " unless the chat template shows it",
                    false => "",
                };
                format!("{name:?} as {role}{unless} ({count})")
            };
            let roles: Vec<String> = self.translated_roles.iter().map(role).collect();
            lines.push(format!("roles of messages were read as follows: {}", roles.join(", ")));
        }
        for (file, count) in &self.shared_ids {
            lines.push(format!(
                "{file}: ids that an earlier file also has, now prefixed with this file's name: {count}"
            ));
        }
        for (file, columns) in &self.unused_columns {
            let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
            lines.push(format!("{file}: columns not used: {}", columns.join(", ")));
        }
        lines
    }
}

impl std::ops::AddAssign for ReadReport {
    fn add_assign(&mut self, other: Self) {
        self.lone_surrogates += other.lone_surrogates;
        self.joined_contents += other.joined_contents;
        self.repeated_prompts += other.repeated_prompts;
        self.repeated_texts += other.repeated_texts;
        self.rated_pairs += other.rated_pairs;
        for (name, count) in other.translated_roles {
            *self.translated_roles.entry(name).or_default() += count;
        }
        for (file, count) in other.shared_ids {
            *self.shared_ids.entry(file).or_default() += count;
        }
        for (file, columns) in other.unused_columns {
            self.unused_columns.entry(file).or_default().extend(columns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_quiet_reading_says_nothing_and_any_other_says_it_with_counts() {
        assert_eq!(ReadReport::default().notes(), [""; 0]);
        let mut report = ReadReport { lone_surrogates: 2, ..ReadReport::default() };
        report.role("user", Role::User);
        report.role("gpt", Role::Assistant);
        report.role("gpt", Role::Assistant);
        report.role("developer", Role::System);
        report.unused("a.jsonl", json!({"x": 1, "empty": null}).as_object().unwrap());
        report.unused("a.jsonl", json!({"b": 1}).as_object().unwrap());
        report.unused_columns("c.parquet", []);
        let notes = report.notes();
        assert!(notes[0].starts_with("rows with half of a surrogate pair") && notes[0].ends_with(": 2"), "{notes:?}");
        assert_eq!(
            notes[1],
            "roles of messages were read as follows: \"developer\" as system unless the chat template shows it (1), \
             \"gpt\" as assistant (2)"
        );
        assert_eq!(notes[2..], ["a.jsonl: columns not used: b, x"]);
    }
}
