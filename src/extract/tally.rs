//! The counters of a run, for the report.

use std::collections::{BTreeMap, HashMap};

use twox_hash::XxHash3_64;

use super::annotator::{Refusal, Verdict};
use super::config::ExtractConfig;
use super::filters::Filter;
use super::instance::{Evidence, Judged};
use super::report::{Distribution, Example, Mining, Refusals, Report, Stage};
use crate::data::Role;
use crate::data::conversations::Irregular;
use crate::data::words::words;

/// The name of a language or a model that the log does not name.
pub(super) const UNKNOWN: &str = "unknown";
/// Rows to read in the report, for each label.
const EXAMPLES: usize = 6;
/// Characters shown of a message in the report.
const SHOWN: usize = 1200;

/// The counts so far.
pub(super) struct Tally {
    seed: u64,
    keep_neutral: bool,
    report: Report,
    conversations: u64,
    irregular: u64,
    turns: u64,
    dropped: HashMap<Filter, u64>,
    unparsable: u64,
    rows: u64,
    rows_per_user: HashMap<u64, u64>,
    /// Rows to read, by label and then by a hash of the id with the seed: which ones depends on nothing else.
    examples: BTreeMap<(u32, u64), Example>,
}

impl Tally {
    /// Nothing counted yet.
    pub(super) fn new(config: &ExtractConfig) -> Self {
        Self {
            seed: config.seed,
            keep_neutral: config.keep_neutral,
            report: Report::default(),
            conversations: 0,
            irregular: 0,
            turns: 0,
            dropped: HashMap::new(),
            unparsable: 0,
            rows: 0,
            rows_per_user: HashMap::new(),
            examples: BTreeMap::new(),
        }
    }

    /// Counts a window that has gone through all stages.
    pub(super) fn window(&mut self, conversations: usize, irregular: &[Irregular], turns: &[Judged], annotator: &str) {
        self.conversations += conversations as u64;
        self.irregular += irregular.len() as u64;
        for row in irregular {
            *self.report.irregular.entry(row.reason.name().to_owned()).or_default() += 1;
        }
        self.turns += turns.len() as u64;
        for judged in turns {
            match judged.dropped {
                Some(filter) => *self.dropped.entry(filter).or_default() += 1,
                None => self.kept(judged, annotator),
            }
        }
    }

    /// Counts a turn that the filters left.
    fn kept(&mut self, judged: &Judged, annotator: &str) {
        let levels = [judged.annotated(), judged.after_mining(), judged.feedback()];
        let counts = [&mut self.report.annotated, &mut self.report.mined, &mut self.report.validated];
        for (level, count) in levels.into_iter().zip(counts) {
            level.into_iter().for_each(|level| count.add(level));
        }
        self.unparsable += u64::from(matches!(judged.verdict, Some(Verdict::Unparsable { .. })));
        if judged.refusal.is_some() {
            count_refusal(&mut self.report.refusals, judged);
        }
        if let Some(label) = judged.label(self.keep_neutral) {
            self.row(judged, label, annotator);
        }
    }

    fn row(&mut self, judged: &Judged, label: u32, annotator: &str) {
        let (turn, conversation) = (&judged.turn, &judged.turn.conversation);
        self.rows += 1;
        let name = |field: &Option<String>| field.clone().unwrap_or_else(|| UNKNOWN.to_owned());
        *self.report.languages.entry(name(&conversation.language)).or_default() += 1;
        *self.report.models.entry(name(&conversation.model)).or_default() += 1;
        let history = turn.history().iter().filter(|message| message.role == Role::User).count() as u64;
        self.report.query_words.add(words(turn.query()) as u64);
        self.report.response_words.add(words(turn.response()) as u64);
        self.report.history_turns.add(history);
        if let Some(user) = &conversation.user {
            *self.rows_per_user.entry(XxHash3_64::oneshot(user.as_bytes())).or_default() += 1;
        }
        let order = XxHash3_64::oneshot_with_seed(self.seed, turn.id().as_bytes());
        let of_label = |key: &(u32, u64)| key.0 == label;
        let last = self.examples.range((label, 0)..=(label, u64::MAX)).next_back().map(|(key, _)| *key);
        let full = self.examples.keys().filter(|key| of_label(key)).count() >= EXAMPLES;
        match last.filter(|_| full) {
            Some(last) if last.1 <= order => return,
            Some(last) => drop(self.examples.remove(&last)),
            None => {}
        }
        let example = Example {
            id: turn.id(),
            label,
            evidence: Evidence::of(judged, annotator).in_words(),
            history_turns: history,
            query: shortened(turn.query()),
            response: shortened(turn.response()),
            feedback: shortened(turn.feedback()),
        };
        self.examples.insert((label, order), example);
    }

    /// The report without the parts that only the run knows: inputs, names, split, usage.
    pub(super) fn report(self, mining: Mining) -> Report {
        let mut rows_per_user = Distribution::default();
        // The mean of many numbers depends on their order by a hair, and a map has none.
        let mut counts: Vec<u64> = self.rows_per_user.into_values().collect();
        counts.sort_unstable();
        counts.into_iter().for_each(|count| rows_per_user.add(count));
        let stage = |name: &str, count: u64| Stage { name: name.to_owned(), count };
        let dropped: u64 = self.dropped.values().sum();
        let judged = self.report.annotated.total();
        Report {
            funnel: vec![
                stage("conversations read", self.conversations + self.irregular),
                stage("usable conversations", self.conversations),
                stage("responses with a next user message", self.turns),
                stage("left by the filters", self.turns - dropped),
                stage("judged", judged),
                stage("rows", self.rows),
            ],
            filters: Filter::ALL
                .iter()
                .map(|filter| stage(filter.name(), self.dropped.get(filter).copied().unwrap_or_default()))
                .collect(),
            unparsable: self.unparsable,
            mining,
            rows_per_user,
            examples: self.examples.into_values().collect(),
            ..self.report
        }
    }
}

fn count_refusal(refusals: &mut Refusals, judged: &Judged) {
    refusals.found += 1;
    match judged.validated {
        Some(Verdict::Given { value: Refusal::Justified, .. }) => refusals.justified += 1,
        Some(Verdict::Given { value: Refusal::Unjustified, .. }) => refusals.unjustified += 1,
        Some(Verdict::Given { value: Refusal::Unjudged, .. }) => refusals.unjudged += 1,
        Some(Verdict::Unparsable { .. }) | None => {}
    }
}

/// The beginning of a text, with an ellipsis where something is cut off.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{} …", text[..end].trim_end()),
        None => text.to_owned(),
    }
}
