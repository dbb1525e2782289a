//! The comparison, as in `study.json`; `docs/evaluation.md` describes the schema.

use serde::Serialize;
use toml::Table;

use super::grid::Plan;
use super::results::RunResult;
use super::rows::Rows;
use super::{StudyConfig, StudyName};
use crate::evaluate::suites::SuiteName;
use crate::objective::Objective;

/// The version of the schema of `study.json`; it grows where a field is removed or changes its meaning.
pub(super) const SCHEMA_VERSION: u32 = 1;

/// The results of a run's studies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StudyReport {
    /// [`SCHEMA_VERSION`](crate::evaluate::report::SCHEMA_VERSION).
    pub schema_version: u32,
    /// The version of wgr that wrote it.
    pub wgr_version: &'static str,
    /// Whether runs are missing: the study is under way, was stopped, or a run failed.
    pub partial: bool,
    /// The model that all cells start from.
    pub model: String,
    /// The rows that cells choose from.
    pub data: DataReport,
    /// The seeds of the runs of each cell.
    pub seeds: Vec<u64>,
    /// The settings of training that all cells share.
    pub training: Table,
    /// The studies, in the order they were named.
    pub studies: Vec<StudySection>,
    /// The missing results, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
}

/// The rows that cells choose from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DataReport {
    /// The files.
    pub files: Vec<String>,
    /// Rows.
    pub rows: usize,
    /// Users that they name.
    pub users: usize,
    /// Rows whose label was mined.
    pub mined: usize,
    /// Rows whose label the validation of refusals decided.
    pub validated: usize,
}

/// A study.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StudySection {
    /// Which one.
    pub study: StudyName,
    /// Rows that each cell is trained on.
    pub size: usize,
    /// Its cells; the others are compared with the first.
    pub cells: Vec<CellReport>,
}

/// A cell with its runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CellReport {
    /// Its name.
    pub cell: String,
    /// The training objective.
    pub objective: Objective,
    /// The mean over its runs of all they measured.
    pub measures: Vec<Summary>,
    /// Its runs, by seed.
    pub runs: Vec<RunResult>,
}

/// A measure over the seeds of a cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The suite.
    pub suite: SuiteName,
    /// The measure; the first of a suite is its result in one number.
    pub name: String,
    /// Over the runs.
    #[serde(flatten)]
    pub spread: Spread,
    /// The value that chance, the majority class or a constant achieves.
    pub baseline: Option<f64>,
    /// The gain over the study's first cell, each run against that of the same seed; absent in the first cell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Spread>,
}

/// Some numbers, in short.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// How many there are.
    pub n: usize,
    /// Their mean; `None` if there are none.
    pub mean: Option<f64>,
    /// Their standard deviation, with n − 1; `None` of fewer than two.
    pub sd: Option<f64>,
    /// The numbers, by seed.
    pub values: Vec<f64>,
}

/// A run without a result.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    /// The study.
    pub study: StudyName,
    /// The cell.
    pub cell: String,
    /// The seed.
    pub seed: u64,
    /// What went wrong.
    pub problem: String,
}

impl Spread {
    /// Of these numbers.
    pub fn of(values: Vec<f64>) -> Self {
        let n = values.len();
        let mean = (n > 0).then(|| values.iter().sum::<f64>() / n as f64);
        let squares = |mean: f64| values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let sd = mean.filter(|_| n > 1).map(|mean| (squares(mean) / (n - 1) as f64).sqrt());
        Self { n, mean, sd, values }
    }
}

impl CellReport {
    /// The results of one measure.
    pub fn get(&self, suite: SuiteName, name: &str) -> Option<&Summary> {
        self.measures.iter().find(|summary| summary.suite == suite && summary.name == name)
    }
}

impl StudyReport {
    /// A report without runs.
    pub fn new(config: &StudyConfig, rows: &Rows, plans: &[Plan]) -> Self {
        let mut training = Table::try_from(&config.train).unwrap_or_default();
        // These are told elsewhere, or belong to the one command.
        for name in ["model", "data", "output", "eval-data", "seed", "resume", "force"] {
            training.remove(name);
        }
        let count = |is: fn(&super::rows::RatedRow) -> bool| rows.rows.iter().filter(|row| is(row)).count();
        let section = |plan: &Plan| StudySection {
            study: plan.study,
            size: plan.size,
            cells: plan
                .cells
                .iter()
                .map(|cell| CellReport {
                    cell: cell.name.clone(),
                    objective: cell.objective,
                    measures: vec![],
                    runs: vec![],
                })
                .collect(),
        };
        Self {
            schema_version: SCHEMA_VERSION,
            wgr_version: env!("CARGO_PKG_VERSION"),
            partial: true,
            model: config.train.model.clone(),
            data: DataReport {
                files: rows.files().iter().map(|file| file.display().to_string()).collect(),
                rows: rows.rows.len(),
                users: rows.users,
                mined: count(|row| row.mined),
                validated: count(|row| row.validated),
            },
            seeds: config.seeds(),
            training,
            studies: plans.iter().map(section).collect(),
            failures: vec![],
        }
    }

    /// Whether there is no run.
    pub fn is_empty(&self) -> bool {
        self.studies.iter().flat_map(|study| &study.cells).all(|cell| cell.runs.is_empty())
    }

    /// Adds a run to a cell, unless it has one with this seed, and sums its study up again.
    pub fn add(&mut self, study: StudyName, cell: &str, run: RunResult) {
        let Some(section) = self.studies.iter_mut().find(|section| section.study == study) else { return };
        let Some(place) = section.cells.iter().position(|found| found.cell == cell) else { return };
        let runs = &mut section.cells[place].runs;
        if let Err(place) = runs.binary_search_by_key(&run.seed, |run| run.seed) {
            runs.insert(place, run);
        }
        let first = section.cells[0].runs.clone();
        for (place, cell) in section.cells.iter_mut().enumerate() {
            cell.measures = summaries(&cell.runs, Some(&first).filter(|_| place > 0));
        }
    }
}

/// Every measure over all runs, and its gain over the runs of another cell with the same seeds.
fn summaries(runs: &[RunResult], first: Option<&Vec<RunResult>>) -> Vec<Summary> {
    let Some(one) = runs.first() else { return vec![] };
    let summary = |measure: &super::results::Measure| {
        let (suite, name) = (measure.suite, measure.name.as_str());
        let gain = |run: &RunResult, first: &[RunResult]| {
            let same = first.iter().find(|first| first.seed == run.seed)?;
            Some(run.value(suite, name)? - same.value(suite, name)?)
        };
        let gains = |first: &Vec<RunResult>| Spread::of(runs.iter().filter_map(|run| gain(run, first)).collect());
        Summary {
            suite,
            name: name.to_owned(),
            spread: Spread::of(runs.iter().filter_map(|run| run.value(suite, name)).collect()),
            baseline: measure.baseline,
            difference: first.map(gains),
        }
    };
    one.measures.iter().map(summary).collect()
}

/// The first measure of each suite, which is its result in one number.
pub(super) fn headlines(section: &StudySection) -> Vec<(SuiteName, String)> {
    let mut found: Vec<(SuiteName, String)> = vec![];
    for summary in section.cells.iter().flat_map(|cell| &cell.measures) {
        if !found.iter().any(|(suite, _)| *suite == summary.suite) {
            found.push((summary.suite, summary.name.clone()));
        }
    }
    found
}

/// A mean with its standard deviation.
pub(super) fn with_spread(spread: &Spread) -> String {
    match (spread.mean, spread.sd) {
        (Some(mean), Some(sd)) => format!("{mean:.4} ± {sd:.4}"),
        (Some(mean), None) => format!("{mean:.4}"),
        _ => "–".to_owned(),
    }
}

/// The results in short, for a terminal: one block per study, with one row per cell and one column a suite.
pub fn table(report: &StudyReport) -> Vec<Vec<Vec<String>>> {
    let block = |section: &StudySection| {
        let headlines = headlines(section);
        let title = format!("{}, {} rows each", section.study, section.size);
        let mut header = vec![title];
        header.extend(headlines.iter().map(|(suite, name)| format!("{suite} {name}")));
        let row = |cell: &CellReport| {
            let of = |(suite, name): &(SuiteName, String)| {
                cell.get(*suite, name).map_or("–".to_owned(), |summary| with_spread(&summary.spread))
            };
            [vec![format!("  {}", cell.cell)], headlines.iter().map(of).collect()].concat()
        };
        std::iter::once(header).chain(section.cells.iter().map(row)).collect()
    };
    report.studies.iter().map(block).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::grid::Cell;
    use super::super::results::Measure;
    use super::super::variants::Variant;
    use super::*;

    /// A run that measured these.
    pub(crate) fn run(seed: u64, values: [Option<f64>; 2]) -> RunResult {
        let measure = |(suite, name): (SuiteName, &str), value| Measure {
            suite,
            name: name.into(),
            value,
            interval: None,
            baseline: Some(0.5),
        };
        RunResult {
            variant: Variant::All,
            objective: Objective::Ordinal,
            seed,
            rows: 1200,
            labels: vec![40, 160, 700, 300],
            users: 17,
            pairs: None,
            steps: 19,
            last_loss: Some(0.52),
            measures: vec![
                measure((SuiteName::Wildfb, "roc_auc"), values[0]),
                measure((SuiteName::Rewardbench, "total"), values[1]),
            ],
        }
    }

    /// A report of the studies of users and of mining, without runs.
    pub(crate) fn empty() -> StudyReport {
        let cell = |name: &str| Cell { name: name.into(), variant: Variant::All, objective: Objective::Ordinal };
        let plan = |study, names: [&str; 2]| Plan { study, size: 1200, cells: names.map(cell).to_vec() };
        let plans = [
            plan(StudyName::Users, ["10 users", "100 users"]),
            plan(StudyName::Mining, ["without mining", "with mining"]),
        ];
        StudyReport::new(&StudyConfig::default(), &Rows::of(vec![], 0), &plans)
    }

    #[test]
    fn a_spread_is_a_mean_and_a_deviation() {
        let of = |values: &[f64]| {
            let spread = Spread::of(values.to_vec());
            (spread.n, spread.mean, spread.sd)
        };
        assert_eq!(
            [of(&[]), of(&[2.0]), of(&[1.0, 3.0])],
            [(0, None, None), (1, Some(2.0), None), (2, Some(2.0), Some(2f64.sqrt()))]
        );
    }

    #[test]
    fn gains_are_told_seed_by_seed() {
        let mut report = empty();
        assert!(report.is_empty());
        // Seeds come in any order, one of them has no twin, and one measure is undefined once.
        for (cell, seed, values) in [
            ("100 users", 3, [Some(0.9), Some(0.7)]),
            ("10 users", 1, [Some(0.5), None]),
            ("100 users", 1, [Some(0.75), Some(0.6)]),
            ("10 users", 2, [Some(0.25), Some(0.5)]),
            ("100 users", 2, [Some(0.75), Some(0.5)]),
            ("100 users", 2, [Some(0.0), Some(0.0)]),
        ] {
            report.add(StudyName::Users, cell, run(seed, values));
        }
        let cells = &report.studies[0].cells;
        assert_eq!(cells[1].runs.iter().map(|run| run.seed).collect::<Vec<_>>(), [1, 2, 3]);
        let of = |name: &str, suite| cells[1].get(suite, name).unwrap();
        let auc = of("roc_auc", SuiteName::Wildfb);
        assert_eq!(auc.spread.values, [0.75, 0.75, 0.9]);
        assert_eq!(auc.difference.as_ref().unwrap().values, [0.25, 0.5]);
        let total = of("total", SuiteName::Rewardbench);
        assert_eq!((total.spread.n, total.difference.as_ref().unwrap().values.as_slice()), (3, &[0.0][..]));
        assert!(cells[0].measures.iter().all(|summary| summary.difference.is_none()));
        let table = table(&report);
        assert_eq!(table[0][0], ["users, 1200 rows each", "wildfb roc_auc", "rewardbench total"]);
        assert_eq!(table[0][2], ["  100 users", "0.8000 ± 0.0866", "0.6000 ± 0.1000"]);
        assert_eq!((table[1][1].as_slice(), table[1].len()), (&["  without mining".to_owned()][..], 3));
    }
}
