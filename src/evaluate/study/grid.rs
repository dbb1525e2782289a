//! The cells of each study.

use super::rows::Rows;
use super::variants::Variant;
use super::{StudyConfig, StudyName};
use crate::objective::Objective;
use crate::{Error, Result};

/// A training run without its seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Its name in its study.
    pub name: String,
    /// Its rows and labels.
    pub variant: Variant,
    /// The loss function.
    pub objective: Objective,
}

/// A study: cells that differ in one thing. Differences are told against the first.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Which one.
    pub study: StudyName,
    /// Rows that each of its cells is trained on.
    pub size: usize,
    /// Its cells.
    pub cells: Vec<Cell>,
}

/// The studies that the settings ask for, with as many rows for each cell as all cells of its study can have.
///
/// # Errors
/// Rows that have nothing to study, and fewer rows than the settings ask for.
pub(super) fn plans(config: &StudyConfig, rows: &Rows) -> Result<Vec<Plan>> {
    config.grid.study.iter().map(|&study| plan(config, rows, study)).collect()
}

fn plan(config: &StudyConfig, rows: &Rows, study: StudyName) -> Result<Plan> {
    let at = format!("`.study` {study}");
    let cells = cells(config, study);
    let refuse = |problem: &str, hint: &str| Err(Error::input(&at, problem, hint));
    match study {
        StudyName::Mining if !rows.rows.iter().any(|row| row.mined) => {
            let hint = "rows of `wgr extract --embedder` record it in `evidence.mined_from`";
            return refuse("no row of `.data` was mined", hint);
        }
        StudyName::Refusals if !rows.rows.iter().any(|row| row.validated) => {
            let hint = "rows of `wgr extract` record it in `evidence.refusal_verdict`";
            return refuse("no row of `.data` is a refusal that was found justified", hint);
        }
        _ => {}
    }
    for cell in &cells {
        match cell.variant {
            Variant::Users(users) if users > rows.users => {
                let problem = format!("{users} users are requested, but the rows of `.data` have {}", rows.users);
                return Err(Error::input("`.users`", problem, "rows name it in `user`"));
            }
            _ => {}
        }
    }
    let available: Vec<usize> = cells.iter().map(|cell| cell.variant.available(rows)).collect();
    let most = available.iter().copied().min().unwrap_or(0);
    let size = config.grid.size.unwrap_or(most);
    if size > most || most == 0 {
        let least = available.iter().position(|&rows| rows == most).map_or("", |place| &cells[place].name);
        let problem = format!("{size} rows are more than the {most} that {study}: {least} has");
        return Err(Error::input("`.size`", problem, "use fewer, or leave it out"));
    }
    let widest = cells.iter().filter_map(|cell| match cell.variant {
        Variant::Users(users) => Some(users),
        _ => None,
    });
    match widest.max() {
        Some(users) if users > size => {
            let problem = format!("{users} users cannot share the {size} rows that every cell of the study has");
            Err(Error::input("`.users`", problem, "use numbers of users that are closer to each other"))
        }
        _ => Ok(Plan { study, size, cells }),
    }
}

fn cells(config: &StudyConfig, study: StudyName) -> Vec<Cell> {
    let objective = config.train.objective;
    let cell = |name: String, variant| Cell { name, variant, objective };
    match study {
        StudyName::Users => {
            config.grid.users.iter().map(|&users| cell(format!("{users} users"), Variant::Users(users))).collect()
        }
        StudyName::Mining => {
            vec![cell("without mining".into(), Variant::WithoutMining), cell("with mining".into(), Variant::All)]
        }
        StudyName::Refusals => vec![
            cell("without validation".into(), Variant::WithoutValidation),
            cell("with validation".into(), Variant::All),
        ],
        StudyName::Heads => {
            let head = |&objective: &Objective| Cell { name: objective.to_string(), variant: Variant::All, objective };
            config.grid.heads.iter().map(head).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::RatedRow;
    use super::*;

    /// Thirty rows of five users with 10, 8, 6, 4 and 2 rows; two are mined, one is a justified refusal.
    fn rows() -> Rows {
        let users = (0..5).flat_map(|user| vec![user; 10 - 2 * user]);
        let row = |(place, user): (usize, usize)| RatedRow {
            user: Some(user),
            label: 1 + place as u32 % 4,
            mined: place < 2,
            validated: place == 2,
            annotated: (place == 2).then_some(1),
        };
        Rows::of(users.enumerate().map(row).collect(), 5)
    }

    fn config(study: StudyName) -> StudyConfig {
        let mut config = StudyConfig::default();
        (config.grid.study, config.grid.users) = (vec![study], vec![2, 5]);
        config
    }

    #[test]
    fn all_cells_of_a_study_have_as_many_rows() {
        let of = |study| plans(&config(study), &rows()).unwrap().remove(0);
        let sizes = StudyName::ALL.map(|study| (of(study).size, of(study).cells.len()));
        assert_eq!(sizes, [(10, 2), (28, 2), (30, 2), (30, 5)]);
        for study in StudyName::ALL {
            let plan = of(study);
            for cell in &plan.cells {
                assert_eq!(cell.variant.pick(&rows(), plan.size, 9).len(), plan.size, "{study}: {}", cell.name);
            }
        }
        let mut smaller = config(StudyName::Mining);
        smaller.grid.size = Some(7);
        assert_eq!(plans(&smaller, &rows()).unwrap()[0].size, 7);
    }

    #[test]
    fn what_cannot_be_studied_is_said() {
        let said = |config: &StudyConfig, rows: &Rows| plans(config, rows).unwrap_err().to_string();
        let plain = Rows::of(rows().rows.into_iter().skip(3).collect(), 5);
        assert!(said(&config(StudyName::Mining), &plain).contains("`.study` mining: no row of `.data` was mined"));
        assert!(said(&config(StudyName::Refusals), &plain).contains("`.study` refusals: no row"));
        let mut many = config(StudyName::Users);
        many.grid.users = vec![2, 6];
        assert!(said(&many, &rows()).contains("`.users`: 6 users are requested, but the rows of `.data` have 5"));
        let mut large = config(StudyName::Users);
        large.grid.size = Some(11);
        assert!(said(&large, &rows()).contains("`.size`: 11 rows are more than the 10 that users: 5 users has"));
        large.grid.size = Some(4);
        assert!(said(&large, &rows()).contains("`.users`: 5 users cannot share the 4 rows"));
    }
}
