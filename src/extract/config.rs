//! Settings of `wgr extract`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::base::BaseDtype;
use crate::{Error, Result};

/// Settings of `wgr extract`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExtractConfig {
    /// Files, or folders to search for them.
    pub input: Vec<PathBuf>,
    /// Directory for rows, report and intermediate stages.
    pub output: PathBuf,
    /// The annotator of the feedback; when absent, the labels of `annotator_file` if that is given, and rules
    /// otherwise.
    pub annotator: Option<AnnotatorKind>,
    /// JSONL, JSON or parquet file of labels made elsewhere, for `file`.
    pub annotator_file: Option<PathBuf>,
    /// Base URL of an OpenAI-compatible server, for `api`.
    pub api_base: Option<String>,
    /// The server's name of the model, for `api`.
    pub api_model: Option<String>,
    /// Requests under way at once.
    pub api_concurrency: usize,
    /// Seconds until a request counts as failed.
    pub api_timeout: f64,
    /// Price of a million prompt tokens, to report the cost.
    pub api_prompt_price: Option<f64>,
    /// Price of a million answered tokens, to report the cost.
    pub api_completion_price: Option<f64>,
    /// Ask again where a stored answer was no judgement.
    pub retry_unparsable: bool,
    /// Directory, `.gguf` file or hub name of a causal model, for `local`.
    pub annotator_model: Option<String>,
    /// How the matrices of that model are held on the device; as stored when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_dtype: Option<BaseDtype>,
    /// Directory or hub name of a BERT-family embedder; without one nothing is mined.
    pub embedder: Option<String>,
    /// Queries are about the same topic where their cosine is above this; 0.6, or 0.5 for the public code's variant.
    pub similarity: Option<f32>,
    /// Longer histories are dropped, in turns; in messages for the public code's variant.
    pub max_history_turns: usize,
    /// Size of the held-out set; by default 5000, but at most a tenth of the rows.
    pub test_size: Option<TestSize>,
    /// The unit that is never split between training and test rows.
    pub split_by: SplitBy,
    /// Languages to keep, by their English names.
    pub languages: Vec<String>,
    /// Keep neutral feedback, with labels 1 to 5.
    pub keep_neutral: bool,
    /// The version to follow where paper and public code differ.
    pub variant: Variant,
    /// Format of the rows.
    pub format: Format,
    /// Seed of the split and of the examples in the report.
    pub seed: u64,
    /// Continue the run in the output.
    pub resume: bool,
    /// Replace an existing output; answers that it holds are kept.
    pub force: bool,
}

impl Default for ExtractConfig {
    fn default() -> Self {
        Self {
            input: vec![],
            output: PathBuf::new(),
            annotator: None,
            annotator_file: None,
            api_base: None,
            api_model: None,
            api_concurrency: 16,
            api_timeout: 120.0,
            api_prompt_price: None,
            api_completion_price: None,
            retry_unparsable: false,
            annotator_model: None,
            base_dtype: None,
            embedder: None,
            similarity: None,
            max_history_turns: 20,
            test_size: None,
            split_by: SplitBy::Conversation,
            languages: vec!["English".into(), "Chinese".into()],
            keep_neutral: false,
            variant: Variant::Paper,
            format: Format::Jsonl,
            seed: 42,
            resume: false,
            force: false,
        }
    }
}

/// The annotator of the feedback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnnotatorKind {
    /// Lexical rules.
    Rules,
    /// A model behind an OpenAI-compatible server.
    Api,
    /// A causal model run by the engine.
    Local,
    /// Labels made elsewhere.
    File,
}

impl AnnotatorKind {
    /// Its name as settings give it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Api => "api",
            Self::Local => "local",
            Self::File => "file",
        }
    }
}

/// The unit that is never split between training and test rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitBy {
    /// A conversation.
    Conversation,
    /// All conversations of a user.
    User,
}

/// The version to follow where the paper and its public code differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// The paper.
    Paper,
    /// The public code: similarity 0.5, history counted in messages, every refusal validated, mined rows at engagement.
    PublicCode,
}

/// Format of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// Parquet.
    Parquet,
}

impl Format {
    /// The ending of files in it.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Parquet => "parquet",
        }
    }
}

/// How many rows are held out: a number of rows, `5000`, or a share of them, `0.1`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "toml::Value", into = "toml::Value")]
pub enum TestSize {
    /// So many rows.
    Rows(u64),
    /// This share of the rows.
    Share(f64),
}

impl TestSize {
    /// The number of rows held out of `rows`.
    pub fn of(self, rows: u64) -> u64 {
        match self {
            Self::Rows(count) => count.min(rows),
            Self::Share(share) => (share * rows as f64).round() as u64,
        }
    }
}

impl FromStr for TestSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = || text.parse().ok().filter(|share| (0.0..1.0).contains(share)).map(Self::Share);
        text.parse()
            .ok()
            .map(Self::Rows)
            .or_else(share)
            .ok_or_else(|| format!("`{text}` is neither a number of rows nor a share below 1"))
    }
}

impl fmt::Display for TestSize {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Rows(count) => count.fmt(f),
            Self::Share(share) => share.fmt(f),
        }
    }
}

impl TryFrom<toml::Value> for TestSize {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::String(text) => text.parse(),
            other => other.to_string().parse(),
        }
    }
}

impl From<TestSize> for toml::Value {
    fn from(size: TestSize) -> Self {
        match size {
            TestSize::Rows(count) => i64::try_from(count).unwrap_or(i64::MAX).into(),
            TestSize::Share(share) => share.into(),
        }
    }
}

impl ExtractConfig {
    /// The threshold that the cosine of two queries must pass.
    pub fn similarity(&self) -> f32 {
        self.similarity.unwrap_or(match self.variant {
            Variant::Paper => 0.6,
            Variant::PublicCode => 0.5,
        })
    }

    /// The annotator of the feedback: a file of labels implies it.
    pub fn annotator(&self) -> AnnotatorKind {
        self.annotator.unwrap_or(match self.annotator_file {
            Some(_) => AnnotatorKind::File,
            None => AnnotatorKind::Rules,
        })
    }

    /// Whether some stage runs a model on the adapter.
    pub fn needs_adapter(&self) -> bool {
        self.embedder.is_some() || self.annotator() == AnnotatorKind::Local
    }

    /// Checks every value that can be wrong on its own.
    ///
    /// # Errors
    /// The first setting that no run can have, by its name.
    pub fn validate(&self) -> Result<()> {
        let check = |setting: &str, holds: bool, problem: &str, hint: &str| match holds {
            true => Ok(()),
            false => Err(Error::input(setting, problem, hint)),
        };
        check("`.input`", !self.input.is_empty(), "is missing", "give files or folders with conversations")?;
        check("`.output`", !self.output.as_os_str().is_empty(), "is missing", "give a directory")?;
        let annotator = self.annotator();
        if let Some(file) = &self.annotator_file {
            let setting = format!("`.annotator` {}", annotator.name());
            let problem = format!("contradicts `.annotator_file` {}", file.display());
            check(&setting, annotator == AnnotatorKind::File, &problem, "use one of them")?;
        }
        if annotator == AnnotatorKind::File {
            let hint = "give a JSONL, JSON or parquet file of labels";
            check("`.annotator_file`", self.annotator_file.is_some(), "is missing", hint)?;
        }
        if annotator == AnnotatorKind::Api {
            check("`.api_base`", self.api_base.is_some(), "is missing", "such as http://localhost:8000/v1")?;
            check("`.api_model`", self.api_model.is_some(), "is missing", "give the name of the model on the server")?;
        }
        if annotator == AnnotatorKind::Local {
            let hint = "give a causal model: a directory, a .gguf file or a hub name";
            check("`.annotator_model`", self.annotator_model.is_some(), "is missing", hint)?;
        }
        let local = self.base_dtype.is_none() || annotator == AnnotatorKind::Local;
        check("`.base_dtype`", local, "has no effect here", "use it with `.annotator` local")?;
        let crowd = (1..=1024).contains(&self.api_concurrency);
        check("`.api_concurrency`", crowd, "is out of range", "use 1 to 1024")?;
        let seconds = self.api_timeout > 0.0 && self.api_timeout <= 86400.0;
        check("`.api_timeout`", seconds, "is not a time", "use a number of seconds, at most a day")?;
        for (setting, price) in
            [("`.api_prompt_price`", self.api_prompt_price), ("`.api_completion_price`", self.api_completion_price)]
        {
            let sound = price.is_none_or(|price| price.is_finite() && price >= 0.0);
            check(setting, sound, "is not a price", "use the price per million tokens")?;
        }
        let cosine = (-1.0..=1.0).contains(&self.similarity());
        check("`.similarity`", cosine, "is not a cosine", "use a number from -1 to 1")?;
        check("`.languages`", !self.languages.is_empty(), "is empty", "give languages such as English,Chinese")?;
        let share = !matches!(self.test_size, Some(TestSize::Share(share)) if !(0.0..1.0).contains(&share));
        check("`.test_size`", share, "is not a share", "use a number of rows, or a share below 1")?;
        check("`.resume`", !(self.resume && self.force), "contradicts `.force`", "use one of them")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_size_is_a_count_or_a_share() {
        assert_eq!("5000".parse(), Ok(TestSize::Rows(5000)));
        assert_eq!("0.1".parse(), Ok(TestSize::Share(0.1)));
        assert_eq!("0".parse(), Ok(TestSize::Rows(0)));
        for wrong in ["1.5", "-3", "all", "", "nan"] {
            assert!(wrong.parse::<TestSize>().is_err(), "{wrong}");
        }
        assert_eq!([TestSize::Rows(5000).of(700), TestSize::Share(0.1).of(705)], [700, 71]);
    }

    #[test]
    fn settings_round_trip_through_toml() {
        let config = ExtractConfig {
            test_size: Some(TestSize::Share(0.25)),
            variant: Variant::PublicCode,
            ..ExtractConfig::default()
        };
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<ExtractConfig>(&text).unwrap(), config);
        let as_text: ExtractConfig = toml::from_str("test-size = '5000'").unwrap();
        assert_eq!(as_text.test_size, Some(TestSize::Rows(5000)));
    }

    #[test]
    fn what_an_annotator_needs_is_asked_for() {
        let base = ExtractConfig { input: vec!["i".into()], output: "o".into(), ..ExtractConfig::default() };
        assert!(base.validate().is_ok());
        for (annotator, setting) in [
            (AnnotatorKind::Api, "`.api_base`"),
            (AnnotatorKind::Local, "`.annotator_model`"),
            (AnnotatorKind::File, "`.annotator_file`"),
        ] {
            let error =
                ExtractConfig { annotator: Some(annotator), ..base.clone() }.validate().unwrap_err().to_string();
            assert!(error.starts_with(setting), "{error}");
        }
        let error = ExtractConfig { similarity: Some(1.5), ..base }.validate().unwrap_err().to_string();
        assert!(error.starts_with("`.similarity`"), "{error}");
    }

    #[test]
    fn a_file_of_labels_is_the_annotator_and_bears_no_other() {
        let base = ExtractConfig {
            input: vec!["i".into()],
            output: "o".into(),
            annotator_file: Some("labels.jsonl".into()),
            ..ExtractConfig::default()
        };
        let of = |annotator| ExtractConfig { annotator, ..base.clone() };
        assert_eq!(ExtractConfig::default().annotator(), AnnotatorKind::Rules);
        for annotator in [None, Some(AnnotatorKind::File)] {
            assert_eq!(of(annotator).annotator(), AnnotatorKind::File);
            assert!(of(annotator).validate().is_ok());
        }
        for annotator in [AnnotatorKind::Rules, AnnotatorKind::Api, AnnotatorKind::Local] {
            let error = of(Some(annotator)).validate().unwrap_err().to_string();
            let expected = format!("`.annotator` {}: contradicts `.annotator_file` labels.jsonl", annotator.name());
            assert!(error.starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn the_public_code_compares_queries_more_loosely() {
        let public = ExtractConfig { variant: Variant::PublicCode, ..ExtractConfig::default() };
        assert_eq!((ExtractConfig::default().similarity(), public.similarity()), (0.6, 0.5));
        assert_eq!(ExtractConfig { similarity: Some(0.7), ..public }.similarity(), 0.7);
    }
}
