use super::page;
use crate::data::Feedback;
use crate::extract::annotator::Usage;
use crate::extract::report::{Distribution, Example, Labels, Levels, Mining, Named, Refusals, Report, Split, Stage};

fn stage(name: &str, count: u64) -> Stage {
    Stage { name: name.into(), count }
}

fn distribution(values: impl Iterator<Item = u64>) -> Distribution {
    let mut distribution = Distribution::default();
    values.for_each(|value| distribution.add(value));
    distribution
}

fn split(rows: u64) -> Split {
    Split {
        rows,
        conversations: rows * 7 / 10,
        users: rows * 6 / 10,
        labels: vec![rows / 8, rows / 2, rows / 4, rows - rows / 8 - rows / 2 - rows / 4],
        languages: [("Chinese".into(), rows / 5), ("English".into(), rows - rows / 5)].into(),
    }
}

fn example(label: u32, index: usize) -> Example {
    let name = Feedback::ALL.iter().find(|level| level.label(false) == Some(label)).unwrap().name();
    Example {
        id: format!("0a1f{index}c7e{label}:{}", index + 1),
        label,
        evidence: format!("rules: {name} (en/{name}); mined from response 3, whose query has cosine 0.71"),
        history_turns: index as u64,
        query: "Write a function that reads <stdin> & sums\n    the numbers, one a line.".into(),
        response: "def total():\n    import sys\n    return sum(float(line) for line in sys.stdin)\n\n"
            .repeat(1 + 8 * index),
        feedback: ["不对，你弄错了。", "Thank you, that is exactly what I needed."][index % 2].into(),
    }
}

/// A report as a run over some of WildChat may write it.
fn report() -> Report {
    let languages = [("Chinese".into(), 6_120), ("English".into(), 24_601)];
    let models = ["gpt-3.5-turbo-0301", "gpt-3.5-turbo-0613", "gpt-4-0314", "gpt-4-1106-preview"];
    Report {
        inputs: (0..14).map(|shard| format!("data/train-{shard:05}-of-00014.parquet")).collect(),
        annotator: "rules".into(),
        labels: None,
        embedder: Some("sentence-transformers/all-MiniLM-L6-v2".into()),
        similarity: Some(0.6),
        funnel: vec![
            stage("conversations read", 200_000),
            stage("usable conversations", 199_310),
            stage("responses with a next user message", 301_224),
            stage("left by the filters", 120_443),
            stage("judged", 120_401),
            stage("rows", 30_721),
        ],
        irregular: [("broken_json".into(), 3), ("no_messages".into(), 87), ("repeated_conversation".into(), 600)]
            .into(),
        filters: ["language", "short_query", "short_response", "tools", "personal_data", "long_history", "duplicate"]
            .into_iter()
            .zip([98_000, 41_000, 9_000, 14_000, 2_781, 5_000, 11_000])
            .map(|(name, count)| stage(name, count))
            .collect(),
        annotated: Levels([3_612, 16_856, 91_508, 7_224, 1_201]),
        mined: Levels([3_612, 16_856, 90_108, 8_324, 1_501]),
        validated: Levels([3_012, 16_656, 90_108, 8_324, 2_301]),
        unparsable: 42,
        mining: Mining {
            candidates: 4_210,
            refusals: 71,
            mined: 1_400,
            cosines: [0, 0, 0, 0, 0, 0, 0, 2, 40, 211, 520, 830, 900, 760, 610, 520, 480, 400, 300, 210],
            embedded: 8_000,
            cached: 1_200,
        },
        refusals: Refusals { found: 3_400, justified: 800, unjustified: 310, unjudged: 12 },
        train: split(27_721),
        test: split(3_000),
        languages: languages.into(),
        models: models.into_iter().zip([12_000, 9_000, 6_000, 3_721]).map(|(name, rows)| (name.into(), rows)).collect(),
        query_words: distribution((0..4000).map(|i| 5 + i % 37 + if i % 9 == 0 { i } else { 0 })),
        response_words: distribution((0..4000).map(|i| 10 + i % 611)),
        history_turns: distribution((0..4000).map(|i| i % 20 * (i % 3) / 2)),
        rows_per_user: distribution((0..4000).map(|i| 1 + i % 5 * (i % 4))),
        usage: Usage {
            requests: 120_401,
            retries: 13,
            prompt_tokens: 88_120_345,
            cost: Some(13.2),
            ..Usage::default()
        },
        examples: (1..=4).flat_map(|label| (0..3).map(move |index| example(label, index))).collect(),
    }
}

#[test]
fn the_page_shows_every_part_of_a_report() {
    let html = page(&report()).render();
    for heading in [
        "From conversations to rows",
        "Dropped responses",
        "Levels of feedback",
        "Implicit feedback",
        "Refusals",
        "Training and test rows",
        "Distributions",
        "Usage of the annotator",
        "Rows to read",
    ] {
        assert!(html.contains(&format!(">{heading}</h2>")), "{heading}");
    }
    assert!(html.contains("27,721 rows for training and 3,000 for testing, from 200,000 conversations in 14 files"));
    assert!(html.contains("Lexical rules are the weak annotator"));
    // Levels, labels, cosines, four histograms.
    assert_eq!(html.matches("<svg ").count(), 7);
    assert!(html.contains("4 satisfaction") && html.contains("class=\"bar\"") && html.contains("13.20"));
    assert!(html.contains("reads &lt;stdin&gt; &amp; sums\n    the numbers") && html.contains("不对，你弄错了。"));
    assert!(html.contains("0a1f1c7e4:2, after 1 earlier turn"));
}

#[test]
fn shares_are_those_of_the_same_unit() {
    let html = page(&report()).render();
    let row = |name: &str| html.lines().find(|line| line.contains(name)).unwrap().to_owned();
    assert!(row("usable conversations").contains("99.7 %"));
    assert!(row(">responses with a next").contains(">301,224</td><td class=\"number\">–<"));
    assert!(row("left by the filters").contains("40.0 %"));
    assert!(row("short_query").contains("13.6 %"), "a share of all responses");
}

#[test]
fn stages_that_did_not_run_are_left_out() {
    let report = Report {
        annotator: "api:gpt-oss-120b".into(),
        embedder: None,
        similarity: None,
        usage: Usage::default(),
        ..report()
    };
    let html = page(&report).render();
    assert!(html.contains("No embedder was named") && !html.contains("Implicit feedback</h2>"));
    assert!(!html.contains(">mined<") && !html.contains("weak annotator") && !html.contains("consumed"));
}

#[test]
fn labels_made_elsewhere_are_accounted_for() {
    assert!(!page(&report()).render().contains("Labels made elsewhere"));
    let unknown = Named { count: 1_200, examples: vec!["turn 2 of <c> (row 7)".into()] };
    let labels =
        Labels { file: "l.jsonl".into(), turns: 4_800, judged: 3_600, unlabelled: 400, unknown, ..Labels::default() };
    let html = page(&Report { labels: Some(labels), ..report() }).render();
    for part in
        ["Labels made elsewhere</h2>", "25.0 %", "90.0 %", "turn 2 of &lt;c&gt; (row 7).", "neutral: 400 of 4000."]
    {
        assert!(html.contains(part), "{part}");
    }
}

#[test]
fn an_empty_report_is_a_page() {
    let mines = Report { embedder: Some("e".into()), similarity: Some(0.6), ..Report::default() };
    for report in [Report::default(), Report { labels: Some(Labels::default()), ..Report::default() }, mines] {
        let html = page(&report).render();
        assert!(!html.contains("NaN") && !html.contains("inf ") && !html.contains("<svg"));
        assert!(html.contains("No response was judged.") && html.contains("There are no rows."));
    }
}

#[test]
fn enormous_numbers_are_written_out() {
    let most = u64::MAX;
    let report = report();
    let all = |stages: &[Stage]| stages.iter().map(|one| stage(&one.name, most)).collect();
    let enormous = Distribution { count: most, mean: most as f64, max: most, bins: vec![most; 65] };
    let split = Split { rows: most, conversations: most, users: most, labels: vec![most; 5], ..report.train.clone() };
    let html = page(&Report {
        funnel: all(&report.funnel),
        filters: all(&report.filters),
        annotated: Levels([most; 5]),
        mining: Mining { cosines: [most; 20], embedded: most, cached: most, ..report.mining },
        refusals: Refusals { found: most, justified: most, unjustified: most, unjudged: most },
        train: split.clone(),
        test: split,
        models: (0..30).map(|model| (format!("m{model}"), most)).collect(),
        query_words: enormous.clone(),
        rows_per_user: enormous,
        ..report
    })
    .render();
    assert!(!html.contains("NaN") && html.contains("18,446,744,073,709,551,615"));
    assert!(html.contains("10 others") && html.contains("9,223,372,036,854,775,808 to 18,446,744,073,709,551,615"));
}
