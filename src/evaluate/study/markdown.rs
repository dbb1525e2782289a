//! `study.md`: the comparison for people, one table per study.

use std::fmt::Write as _;

use super::report::{CellReport, StudyReport, StudySection, Summary, with_spread};
use crate::evaluate::report::number;

/// The whole comparison.
pub(super) fn markdown(report: &StudyReport) -> String {
    let mut text = String::from("# Studies\n\n");
    if report.partial {
        text.push_str("**Partial**: runs are missing.\n\n");
    }
    for failure in &report.failures {
        let _ = writeln!(text, "- {}, {}, seed {}: {}", failure.study, failure.cell, failure.seed, failure.problem);
    }
    let data = &report.data;
    let _ = writeln!(
        text,
        "\nAll cells start from {} and choose from {} rows of {} users ({} mined, {} validated refusals). Numbers are means \
         over seeds ± one standard deviation; gains are against the first cell of a study, seed by seed.\n",
        report.model, data.rows, data.users, data.mined, data.validated
    );
    report.studies.iter().for_each(|section| study(&mut text, section, report.seeds.len()));
    text
}

fn study(text: &mut String, section: &StudySection, seeds: usize) {
    let _ = writeln!(text, "## {}\n\n{} rows per cell, {seeds} seeds.", section.study, section.size);
    let names: Vec<&str> = section.cells.iter().map(|cell| cell.cell.as_str()).collect();
    let _ = writeln!(text, "\n| measure | {} | baseline |\n|---|{}---|", names.join(" | "), "---|".repeat(names.len()));
    for summary in section.cells.iter().find(|cell| !cell.measures.is_empty()).into_iter().flat_map(|c| &c.measures) {
        let cells: Vec<String> = section.cells.iter().map(|cell| value(cell, summary)).collect();
        let name = summary.name.replace('|', "\\|");
        let _ = writeln!(text, "| {} {name} | {} | {} |", summary.suite, cells.join(" | "), number(summary.baseline));
    }
    text.push('\n');
}

/// A measure of a cell, with its gain.
fn value(cell: &CellReport, of: &Summary) -> String {
    let Some(summary) = cell.get(of.suite, &of.name) else { return "–".to_owned() };
    let mut shown = with_spread(&summary.spread);
    if let Some(gain) = summary.difference.as_ref().and_then(|gain| gain.mean) {
        let _ = write!(shown, " ({gain:+.4})");
    }
    shown
}
