//! Settings of `wgr eval`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::suites::SuiteName;
use crate::http::is_address;
use crate::model::base::BaseDtype;
use crate::statistics::Bootstrap;
use crate::statistics::calibration::BINS;
use crate::train::HeadReading;
use crate::{Error, Result};

/// Settings of `wgr eval`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct EvalConfig {
    /// Models to score with: directories, `.gguf` files, hub names, or addresses of reward servers.
    pub model: Vec<String>,
    /// Files of scores that were given elsewhere.
    pub scores: Vec<PathBuf>,
    /// The suites to evaluate on.
    pub suite: Vec<SuitePath>,
    /// Directory for the report and the scores.
    pub output: PathBuf,
    /// Prompt template; the one saved with a model, or the built-in one, when absent.
    pub template: Option<PathBuf>,
    /// The meaning of a head's outputs, if its model does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadReading>,
    /// How matrices are held on the device; as stored when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_dtype: Option<BaseDtype>,
    /// Longest sequence in tokens; longer ones are truncated as in training.
    pub max_length: usize,
    /// Maximum sequences per batch, and texts per request to a server.
    pub batch_size: usize,
    /// Bins of reliability diagrams and histograms.
    pub bins: usize,
    /// Samples of the bootstrap; 0 for no intervals.
    pub bootstrap: u32,
    /// Seed of the bootstrap, of the halves that calibration is fitted and tested on, and of the orientation of pairs.
    pub seed: u64,
    /// Continue the run in the output.
    pub resume: bool,
    /// Replace an existing report; the scores that the output holds are kept and used.
    pub force: bool,
}

impl Default for EvalConfig {
    fn default() -> Self {
        Self {
            model: vec![],
            scores: vec![],
            suite: vec![],
            output: PathBuf::new(),
            template: None,
            head: None,
            base_dtype: None,
            max_length: 4096,
            batch_size: 16,
            bins: BINS,
            bootstrap: Bootstrap::default().samples,
            seed: Bootstrap::default().seed,
            resume: false,
            force: false,
        }
    }
}

impl EvalConfig {
    /// Whether a model has to be run here.
    pub fn needs_adapter(&self) -> bool {
        self.model.iter().any(|model| !is_address(model))
    }

    /// How intervals are made.
    pub fn bootstrap(&self) -> Bootstrap {
        Bootstrap { samples: self.bootstrap, seed: self.seed, ..Bootstrap::default() }
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
        let any = !self.model.is_empty() || !self.scores.is_empty();
        check("`.model`", any, "is missing", "give a model, or scores computed elsewhere with `.scores`")?;
        check("`.suite`", !self.suite.is_empty(), "is missing", "such as judgebench=gpt-4o.jsonl")?;
        check("`.output`", !self.output.as_os_str().is_empty(), "is missing", "give a directory")?;
        check("`.batch_size`", self.batch_size > 0, "cannot be 0", "use at least 1")?;
        check("`.max_length`", self.max_length > 0, "cannot be 0", "use at least 1")?;
        check("`.bins`", (1..=1000).contains(&self.bins), "is out of range", "use a number from 1 to 1000")?;
        check("`.bootstrap`", self.bootstrap <= 1_000_000, "is out of range", "use at most 1000000 samples")?;
        check("`.resume`", !(self.resume && self.force), "contradicts `.force`", "use one of them")
    }
}

/// A suite with the file or folder it is read from, written `NAME=PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SuitePath {
    /// The suite.
    pub name: SuiteName,
    /// A file, or a folder to search for files.
    pub path: PathBuf,
}

impl FromStr for SuitePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, path) = text.split_once('=').ok_or_else(|| format!("{text:?} is not of the form NAME=PATH"))?;
        if path.is_empty() {
            return Err(format!("{text:?} has no path"));
        }
        Ok(Self { name: name.parse()?, path: path.into() })
    }
}

impl TryFrom<String> for SuitePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for SuitePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.path.display())
    }
}

impl From<SuitePath> for String {
    fn from(suite: SuitePath) -> Self {
        suite.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> EvalConfig {
        EvalConfig {
            model: vec!["m".into()],
            suite: vec!["pairs=a.jsonl".parse().unwrap()],
            output: "o".into(),
            ..EvalConfig::default()
        }
    }

    #[test]
    fn a_suite_is_a_name_and_a_path() {
        let suite: SuitePath = "ppe-human=a=b.parquet".parse().unwrap();
        assert_eq!((suite.name, suite.path.to_str()), (SuiteName::PpeHuman, Some("a=b.parquet")));
        assert_eq!(suite.to_string(), "ppe-human=a=b.parquet");
        for (text, problem) in [("pairs", "NAME=PATH"), ("pairs=", "no path"), ("rewards=x", "judgebench")] {
            let said = text.parse::<SuitePath>().unwrap_err();
            assert!(said.contains(problem), "{said}");
        }
    }

    #[test]
    fn settings_survive_a_file() {
        let text = toml::to_string(&config()).unwrap();
        assert!(text.contains("suite = [\"pairs=a.jsonl\"]"), "{text}");
        assert_eq!(toml::from_str::<EvalConfig>(&text).unwrap(), config());
    }

    #[test]
    fn impossible_settings_are_named() {
        config().validate().unwrap();
        type Spoil = fn(&mut EvalConfig);
        let bad: [(&str, Spoil); 6] = [
            ("`.model`", |c| c.model.clear()),
            ("`.suite`", |c| c.suite.clear()),
            ("`.output`", |c| c.output = PathBuf::new()),
            ("`.batch_size`", |c| c.batch_size = 0),
            ("`.bins`", |c| c.bins = 0),
            ("`.resume`", |c| (c.resume, c.force) = (true, true)),
        ];
        for (setting, change) in bad {
            let mut config = config();
            change(&mut config);
            assert!(config.validate().unwrap_err().to_string().contains(setting));
        }
    }

    #[test]
    fn only_models_that_run_here_need_an_adapter() {
        assert!(config().needs_adapter());
        assert!(!EvalConfig { model: vec!["http://h/get_reward".into()], ..config() }.needs_adapter());
    }
}
