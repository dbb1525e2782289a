//! `study.html`: the comparison as a page.

use super::StudyName;
use super::report::{CellReport, StudyReport, StudySection, Summary, headlines, with_spread};
use super::results::RunResult;
use crate::evaluate::report::number;
use crate::evaluate::suites::SuiteName;
use crate::report::chart::{Dots, dot_chart};
use crate::report::html::Page;
use crate::report::number::{count, short};

/// The page of a report.
pub(super) fn page(report: &StudyReport) -> Page {
    let mut page = Page::new("Studies");
    let data = &report.data;
    page.paragraph(&format!(
        "All cells start from {} and choose from {} rows of {} users; {} of the rows were mined, and of {} the validation \
         of refusals decided the label. Every cell is trained {} times, with the seeds {}.",
        report.model,
        count(data.rows as u64),
        count(data.users as u64),
        count(data.mined as u64),
        count(data.validated as u64),
        report.seeds.len(),
        report.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
    ));
    if report.partial {
        page.note("Partial: runs are missing.");
    }
    if report.seeds.len() < 3 {
        page.note("With fewer than three seeds, differences cannot be told from chance.");
    }
    if !report.failures.is_empty() {
        let row = |failure: &super::report::Failure| {
            vec![failure.study.to_string(), failure.cell.clone(), failure.seed.to_string(), failure.problem.clone()]
        };
        let rows: Vec<_> = report.failures.iter().map(row).collect();
        page.table("Runs without a result", &["study", "cell", "seed", "problem"], &rows);
    }
    report.studies.iter().for_each(|section| study(&mut page, section));
    page.section("Settings of training").folded("Shared settings of all cells", |page| {
        let rows: Vec<_> = report.training.iter().map(|(name, value)| vec![name.clone(), value.to_string()]).collect();
        page.table("Settings of wgr train", &["setting", "value"], &rows);
    });
    page
}

fn study(page: &mut Page, section: &StudySection) {
    let (title, what) = match section.study {
        StudyName::Users => ("User diversity", "Rows of few users against as many rows of many users."),
        StudyName::Mining => {
            ("Implicit feedback", "Rows with and without those whose level was mined from a later turn.")
        }
        StudyName::Refusals => ("Validation of refusals", "The same rows with and without the labels that it changed."),
        StudyName::Heads => ("Heads", "The same rows under other heads; pairs are made of rows of different levels."),
    };
    page.section(title).paragraph(&format!("{what} Every cell has {} rows.", count(section.size as u64)));
    let headlines = headlines(section);
    if headlines.is_empty() {
        page.paragraph("No run is done.");
        return;
    }
    for (suite, name) in &headlines {
        chart(page, section, *suite, name);
    }
    let first = &section.cells[0].cell;
    for (suite, name) in &headlines {
        let rows: Vec<_> = section.cells.iter().map(|cell| row(cell, *suite, name)).collect();
        let headers = ["cell", "mean ± sd", "gain ± sd", "seeds", "baseline"];
        page.table(&format!("{suite}: {name}. Gains are over {first}, seed by seed"), &headers, &rows);
    }
    page.folded("Everything that was measured", |page| {
        let names: Vec<&str> = section.cells.iter().map(|cell| cell.cell.as_str()).collect();
        let headers = [&["suite", "measure"], &names[..]].concat();
        let measured = section.cells.iter().map(|cell| &cell.measures).find(|measures| !measures.is_empty());
        let row = |summary: &Summary| {
            let of = |cell: &CellReport| {
                cell.get(summary.suite, &summary.name).map_or("–".to_owned(), |found| with_spread(&found.spread))
            };
            [vec![summary.suite.to_string(), summary.name.clone()], section.cells.iter().map(of).collect()].concat()
        };
        let rows: Vec<_> = measured.into_iter().flatten().map(row).collect();
        page.table("Means over seeds ± one standard deviation", &headers, &rows);
    });
    page.folded("All runs", |page| {
        let mut headers: Vec<String> =
            ["cell", "seed", "rows", "by level from 1", "users", "pairs", "steps", "last loss"]
                .map(str::to_owned)
                .into();
        headers.extend(headlines.iter().map(|(suite, name)| format!("{suite} {name}")));
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let row = |(cell, run): (&CellReport, &RunResult)| {
            let labels: Vec<String> = run.labels.iter().map(usize::to_string).collect();
            let mut cells = vec![
                cell.cell.clone(),
                run.seed.to_string(),
                run.rows.to_string(),
                labels.join(" / "),
                run.users.to_string(),
                run.pairs.map_or("–".to_owned(), |pairs| pairs.to_string()),
                run.steps.to_string(),
                number(run.last_loss),
            ];
            cells.extend(headlines.iter().map(|(suite, name)| number(run.value(*suite, name))));
            cells
        };
        let runs = section.cells.iter().flat_map(|cell| cell.runs.iter().map(move |run| (cell, run)));
        let rows: Vec<_> = runs.map(row).collect();
        page.table("Training rows and results of each run", &headers, &rows);
    });
}

/// A dot a run, with mean and standard deviation of each cell.
fn chart(page: &mut Page, section: &StudySection, suite: SuiteName, name: &str) {
    let row = |cell: &CellReport| {
        let values = cell.get(suite, name).map(|summary| summary.spread.values.clone()).unwrap_or_default();
        Dots { name: cell.cell.clone(), values }
    };
    let rows: Vec<Dots> = section.cells.iter().map(row).collect();
    let caption = format!(
        "{suite}: {name}. One dot per seed; the vertical line is their mean, the bar one standard deviation to either \
         side"
    );
    // Measures without values have no chart; the tables show them.
    if let Ok(svg) = dot_chart(&rows, short) {
        page.svg(&caption, &svg);
    }
}

fn row(cell: &CellReport, suite: SuiteName, name: &str) -> Vec<String> {
    let summary = cell.get(suite, name);
    let gain = summary.and_then(|summary| summary.difference.as_ref());
    vec![
        cell.cell.clone(),
        summary.map_or("–".to_owned(), |summary| with_spread(&summary.spread)),
        gain.map_or("–".to_owned(), with_spread),
        summary.map_or(0, |summary| summary.spread.n).to_string(),
        number(summary.and_then(|summary| summary.baseline)),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::markdown::markdown;
    use super::super::report::Failure;
    use super::super::report::tests::{empty, run};
    use super::*;

    fn report() -> StudyReport {
        let mut report = empty();
        report.data.files = vec!["rows/train.jsonl".into()];
        report.model = "Qwen/Qwen3-0.6B <base>".into();
        for seed in 42..45 {
            let noise = [0.004, -0.011, 0.006][seed as usize - 42];
            for (cell, auc, total) in [("10 users", 0.71, 0.58), ("100 users", 0.755, 0.61)] {
                report.add(StudyName::Users, cell, run(seed, [Some(auc + noise), Some(total - noise)]));
            }
        }
        report.add(StudyName::Mining, "with mining", run(42, [Some(0.73), None]));
        let problem = "the loss is NaN at step 7".to_owned();
        report.failures.push(Failure { study: StudyName::Mining, cell: "without mining".into(), seed: 42, problem });
        report
    }

    #[test]
    fn the_page_shows_every_study_with_its_spread() {
        let html = page(&report()).render();
        // Two suites of one study, one of the other: what is undefined has no picture.
        assert_eq!(html.matches("<svg ").count(), 3);
        for text in
            ["User diversity", "Implicit feedback", "0.7547 ± 0.0093", "0.0450 ± 0.0000", "Partial", "loss is NaN"]
        {
            assert!(html.contains(text), "{text}");
        }
        assert!(html.contains("Qwen3-0.6B &lt;base&gt;") && html.contains("40 / 160 / 700 / 300"));
        assert!(!html.contains("NaN ±") && !html.contains("Heads</h2>"));
        let text = markdown(&report());
        assert!(text.contains("| wildfb roc_auc | 0.7097 ± 0.0093 | 0.7547 ± 0.0093 (+0.0450) | 0.5000 |"), "{text}");
        assert!(text.contains("**Partial**") && text.contains("- mining, without mining, seed 42: the loss"));
    }

    #[test]
    fn a_report_without_runs_is_a_page() {
        let html = page(&empty()).render();
        assert!(html.contains("No run is done.") && !html.contains("<svg "));
        assert!(markdown(&empty()).contains("## users"));
    }
}
