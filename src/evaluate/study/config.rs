//! Settings of `wgr eval study`: the grid, and the settings that every cell is trained with.

use std::collections::HashSet;
use std::hash::Hash;

use serde::{Deserialize, Serialize};

use super::StudyName;
use crate::evaluate::SuitePath;
use crate::objective::Objective;
use crate::statistics::Bootstrap;
use crate::train::TrainConfig;
use crate::{Error, Result};

/// The settings that are not those of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct GridConfig {
    /// The studies to run.
    pub study: Vec<StudyName>,
    /// Numbers of users, one cell each, of the study of users.
    pub users: Vec<usize>,
    /// Objectives, one cell each, of the study of heads.
    pub heads: Vec<Objective>,
    /// Rows a cell is trained on; as many as every cell of a study has, when absent.
    pub size: Option<usize>,
    /// Times that every cell is trained, each with a seed of its own.
    pub seeds: u64,
    /// The suites to evaluate on.
    pub suite: Vec<SuitePath>,
    /// Samples of the bootstrap of each evaluation; 0 for no intervals.
    pub bootstrap: u32,
    /// Keep the models and their rows.
    pub keep_models: bool,
}

impl Default for GridConfig {
    fn default() -> Self {
        Self {
            study: vec![],
            users: vec![],
            heads: Objective::ALL.to_vec(),
            size: None,
            seeds: 3,
            suite: vec![],
            bootstrap: Bootstrap::default().samples,
            keep_models: false,
        }
    }
}

/// Settings of `wgr eval study`; in a file, those of the grid and of training stand side by side.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StudyConfig {
    /// The grid, and what to measure on. It comes first: what it does not know is left to the settings of training, which
    /// refuse unknown names.
    #[serde(flatten)]
    pub grid: GridConfig,
    /// How a cell is trained. `model`, `output`, `resume` and `force` are those of the study, `data` are the rows that cells
    /// choose from, and `seed` is the first seed.
    #[serde(flatten)]
    pub train: TrainConfig,
}

impl StudyConfig {
    /// The seeds of the runs of a cell.
    pub fn seeds(&self) -> Vec<u64> {
        (0..self.grid.seeds).map(|number| self.train.trainer.seed.saturating_add(number)).collect()
    }

    /// Checks every value that can be wrong on its own.
    ///
    /// # Errors
    /// The first setting that no study can have, by its name.
    pub fn validate(&self) -> Result<()> {
        let check = |setting: &str, holds: bool, problem: &str, hint: &str| match holds {
            true => Ok(()),
            false => Err(Error::input(setting, problem, hint)),
        };
        self.train.validate()?;
        let GridConfig { study, users, heads, size, seeds, suite, bootstrap, .. } = &self.grid;
        let names = StudyName::ALL.map(StudyName::as_str).join(", ");
        check("`.study`", !study.is_empty(), "is missing", &format!("use one or more of {names}"))?;
        check("`.study`", are_distinct(study), "has a study twice", "")?;
        check("`.suite`", !suite.is_empty(), "is missing", "such as wildfb=test.jsonl")?;
        if study.contains(&StudyName::Users) {
            let hint = "give two or more numbers of users, such as `.users` 10 100 1000";
            check("`.users`", users.len() > 1, "leaves nothing to compare", hint)?;
            check("`.users`", users.iter().all(|&number| number > 0), "cannot be 0", "")?;
            check("`.users`", are_distinct(users), "has a number twice", "")?;
        }
        if study.contains(&StudyName::Heads) {
            check("`.heads`", heads.len() > 1, "leaves nothing to compare", "give two or more objectives")?;
            check("`.heads`", are_distinct(heads), "has an objective twice", "")?;
        }
        check("`.size`", *size != Some(0), "cannot be 0", "use at least 1, or leave it out")?;
        check("`.seeds`", (1..=1000).contains(seeds), "is out of range", "use a number from 1 to 1000")?;
        check("`.bootstrap`", *bootstrap <= 1_000_000, "is out of range", "use at most 1000000 samples")?;
        let held_out = self.train.trainer.eval_data.is_empty();
        check("`.eval_data`", held_out, "is not used by studies", "measure on `.suite` wildfb=FILE instead")
    }
}

fn are_distinct<T: Eq + Hash>(values: &[T]) -> bool {
    values.iter().collect::<HashSet<_>>().len() == values.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::TrainerConfig;

    fn whole() -> StudyConfig {
        let grid = GridConfig {
            study: StudyName::ALL.to_vec(),
            users: vec![2, 4],
            suite: vec!["wildfb=test.jsonl".parse().unwrap()],
            size: Some(100),
            ..GridConfig::default()
        };
        let trainer = TrainerConfig { output: "o".into(), ..TrainerConfig::default() };
        let train = TrainConfig { model: "m".into(), data: vec!["d".into()], trainer, ..TrainConfig::default() };
        StudyConfig { grid, train }
    }

    #[test]
    fn settings_survive_a_file_in_which_both_kinds_stand_side_by_side() {
        let text = toml::to_string(&whole()).unwrap();
        assert!(text.contains("users = [2, 4]") && text.contains("epochs = 1"), "{text}");
        assert_eq!(toml::from_str::<StudyConfig>(&text).unwrap(), whole());
        let [grid, train] =
            [toml::Table::try_from(&whole().grid), toml::Table::try_from(&whole().train)].map(Result::unwrap);
        assert!(grid.keys().all(|name| !train.contains_key(name)), "a name cannot mean two things");
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        let said = toml::from_str::<StudyConfig>("user = [1]").unwrap_err().to_string();
        assert!(said.contains("user"), "{said}");
        assert!(toml::from_str::<StudyConfig>("study = ['user']").is_err());
    }

    #[test]
    fn impossible_settings_are_named() {
        whole().validate().unwrap();
        type Spoil = fn(&mut StudyConfig);
        let cases: &[(&str, Spoil)] = &[
            ("`.model`", |c| c.train.model.clear()),
            ("`.lr`", |c| c.train.lr = 0.0),
            ("`.study`", |c| c.grid.study.clear()),
            ("`.study`", |c| c.grid.study = vec![StudyName::Mining; 2]),
            ("`.suite`", |c| c.grid.suite.clear()),
            ("`.users`", |c| c.grid.users = vec![5]),
            ("`.users`", |c| c.grid.users = vec![5, 0]),
            ("`.users`", |c| c.grid.users = vec![5, 5]),
            ("`.heads`", |c| c.grid.heads.truncate(1)),
            ("`.heads`", |c| c.grid.heads = vec![Objective::Corn; 2]),
            ("`.size`", |c| c.grid.size = Some(0)),
            ("`.seeds`", |c| c.grid.seeds = 0),
            ("`.bootstrap`", |c| c.grid.bootstrap = u32::MAX),
            ("`.eval_data`", |c| c.train.trainer.eval_data = vec!["e".into()]),
            ("`.resume`", |c| (c.train.trainer.resume, c.train.trainer.force) = (true, true)),
        ];
        for (setting, spoil) in cases {
            let mut config = whole();
            spoil(&mut config);
            let error = config.validate().expect_err(setting);
            assert!(error.to_string().starts_with(&format!("{setting}: ")), "{setting}: {error}");
            assert_eq!(error.exit_code(), 2);
        }
        let mut config = whole();
        (config.grid.study, config.grid.users) = (vec![StudyName::Mining], vec![]);
        config.validate().unwrap();
    }
}
