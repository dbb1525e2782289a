use std::path::PathBuf;

use serde_json::{Value, json};

use super::page;
use crate::evaluate::EvalConfig;
use crate::evaluate::report::{FailureReport, ModelResult, Report};
use crate::evaluate::scores::{Answer, ModelInfo, Origin};
use crate::evaluate::suites::{Suite, SuiteName};

/// Text that is markup where it is not escaped.
const HOSTILE: &str = "</details><script>alert('x')</script><img src=\"http://example.org/x.png\"> & more";

fn config() -> EvalConfig {
    EvalConfig { bootstrap: 40, ..EvalConfig::default() }
}

fn suite(name: SuiteName, rows: Vec<Value>) -> Suite {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("rows.jsonl");
    std::fs::write(&path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    Suite::read(name, &[path]).unwrap()
}

/// Pairs of two sources and of unlike lengths.
fn pairs(count: usize) -> Suite {
    let row = |i: usize| {
        let [chosen, rejected] = [i, i + 1].map(|i| format!("an answer {}", "word ".repeat(20 * (i % 4) + i)));
        let (source, prompt) = (["law", "physics"][i % 2], format!("question {i} {HOSTILE}"));
        json!({"id": i, "prompt": prompt, "chosen": chosen, "rejected": rejected, "source": source})
    };
    suite(SuiteName::Pairs, (0..count).map(row).collect())
}

fn judgebench(count: usize) -> Suite {
    let row = |i: usize| {
        let source = ["mmlu-pro-law", "livebench-math"][i % 2];
        json!({"pair_id": format!("p{i}"), "source": source, "question": format!("q{i}"),
               "response_A": "right", "response_B": "not so", "label": "A>B"})
    };
    suite(SuiteName::Judgebench, (0..count).map(row).collect())
}

/// Votes of which every third is a tie, and every tenth is of an image.
fn votes(count: usize) -> Suite {
    let said = |role: &str, content: Value| json!({"role": role, "content": content});
    let chat = |i: usize, asked: &str, answer: &str| {
        let content = if i % 10 == 9 { json!([{"type": "image"}]) } else { json!(format!("{asked} {i}")) };
        json!([said("user", content), said("assistant", json!(format!("{answer} {HOSTILE}")))])
    };
    let row = |i: usize| {
        let (winner, language) = (["model_a", "model_a", "tie"][i % 3], ["en", "de"][i % 2]);
        json!({"id": i, "winner": winner, "conversation_a": chat(i, "q", "right"), "conversation_b": chat(i, "q", "not so"),
               "language": language})
    };
    suite(SuiteName::Arena, (0..count).map(row).collect())
}

/// Best of three, and pairs.
fn rmb(count: usize) -> Suite {
    let answer = |text: &str| json!({"llm_name": "m", "answer": text});
    let row = |i: usize| {
        let conversation = json!([{"role": "user", "content": format!("q{i}")}]);
        let scenario = ["Documentation", "Data Management"][i / 2 % 2];
        match i % 2 {
            0 => json!({"bon_uid": i, "conversation_input": conversation, "bon_best": answer("right"),
                        "loser_list": [answer("not so"), answer("wrong")],
                        "category_path": format!("BoN_set/Helpfulness/Code/{scenario}")}),
            _ => json!({"pair_uid": i, "conversation_input": conversation, "chosen": answer("right"),
                        "reject": answer("wrong"), "category_path": format!("Pairwise_set/Harmlessness/{HOSTILE}")}),
        }
    };
    suite(SuiteName::Rmb, (0..count).map(row).collect())
}

/// Some subsets in two languages, and pairs of translations.
fn mrewardbench(count: usize) -> Suite {
    let row = |i: usize| {
        let subset = ["donotanswer", "hep-go", "translation-de2en"][i % 3];
        let language = ["arb_Arab", "ces_Latn"][i % 2];
        json!({"id": i, "prompt": format!("q{i}"), "chosen": "right", "rejected": "wrong", "source": subset,
               "language": language})
    };
    suite(SuiteName::MRewardbench, (0..count).map(row).collect())
}

fn ratings(count: usize) -> Suite {
    let row = |i: usize| {
        let messages =
            [("user", "?"), ("assistant", HOSTILE)].map(|(role, content)| json!({"role": role, "content": content}));
        let language = ["English", "Chinese"][i / 4 % 2];
        json!({"id": format!("r{i}"), "messages": messages, "history": [], "label": 1 + i % 4,
               "language": language, "user": format!("u{}", i % 30)})
    };
    suite(SuiteName::Wildfb, (0..count).map(row).collect())
}

/// A number in 0..1 that depends on a row and a place.
fn noise(row: usize, place: usize) -> f64 {
    ((row * 7919 + place * 499 * (row % 7 + 1) + 13) % 997) as f64 / 997.0
}

/// Answers that are better than chance: the first response is the better one.
fn scores(suite: &Suite, scale: f64) -> Answers {
    let score = |row: usize, place: usize| scale * (noise(row, place) + if place == 0 { 0.2 } else { 0.0 });
    let answer = |row, place| Answer { score: score(row, place), probs: vec![] };
    let of_item = |row: usize| (0..suite.items[row].responses.len()).map(|place| answer(row, place)).collect();
    (0..suite.items.len()).map(of_item).collect()
}

/// P(y > k) that lean towards the label.
fn probabilities(suite: &Suite) -> Answers {
    let answer = |row: usize| {
        let label = suite.items[row].label.unwrap();
        let towards = |k: u32| if label > k { 0.35 } else { 0.0 };
        let probs: Vec<f64> = (1..4).map(|k| (0.6 * noise(row, 0) + towards(k)).clamp(0.02, 0.98)).collect();
        vec![Answer { score: 1.0 + probs.iter().sum::<f64>(), probs }]
    };
    (0..suite.items.len()).map(answer).collect()
}

fn info(name: &str) -> ModelInfo {
    ModelInfo {
        name: name.into(),
        origin: Origin::File,
        source: "scores.jsonl".into(),
        objective: None,
        levels: Some(4),
        reading: None,
    }
}

/// One answer for each response of each item.
type Answers = Vec<Vec<Answer>>;

/// A report on suites, from answers by suite and model; `None` where a model has none.
fn report(names: &[&str], suites: &[(Suite, Vec<Option<Answers>>)]) -> Report {
    let all: Vec<Suite> = suites.iter().map(|(suite, _)| suite.clone()).collect();
    let mut report = Report::new(&config(), names.iter().map(|name| info(name)).collect(), &all);
    for (place, (suite, answers)) in suites.iter().enumerate() {
        for (name, answers) in names.iter().zip(answers) {
            let result = answers.as_ref().map(|answers| ModelResult::new(name, suite, answers, None, &config()));
            report.suites[place].results.extend(result);
        }
    }
    report.partial = false;
    report
}

fn of_pairs() -> Report {
    let (pairs, bench) = (pairs(60), judgebench(40));
    let answers = |suite: &Suite| vec![Some(scores(suite, 1.0)), Some(scores(suite, 25.0))];
    let (of_pairs, of_bench) = (answers(&pairs), answers(&bench));
    report(&["small", HOSTILE], &[(pairs, of_pairs), (bench, of_bench)])
}

fn of_ratings() -> Report {
    let suite = ratings(160);
    let answers = vec![Some(probabilities(&suite)), Some(scores(&suite, 3.0))];
    report(&["ordinal", "of another scale"], &[(suite, answers)])
}

/// The content under a heading of level 2, up to the next.
fn section<'a>(html: &'a str, title: &str) -> &'a str {
    let start = html.find(&format!(">{title}</h2>")).unwrap_or_else(|| panic!("no section {title}"));
    html[start..].split("<h2 ").next().unwrap()
}

#[track_caller]
fn has(section: &str, parts: &[&str]) {
    for part in parts {
        assert!(section.contains(part), "{part}");
    }
}

/// Every tag is one that a page may have, closed where it has to be, and none fetches anything.
#[track_caller]
fn is_sound(html: &str) {
    let allowed = "a article body caption circle dd details div dl dt figcaption figure h1 h2 h3 head header html li line \
                   main meta nav p path polygon wbr polyline rect section small span style summary svg table tbody td text th \
                   thead title tr ul !doctype";
    let mut open = vec![];
    for tag in html.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap();
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
        assert!(allowed.split_whitespace().any(|one| one == name), "<{tag}>");
        // Every second part is the value of an attribute, which may hold any text.
        let names: String = tag.split('"').step_by(2).collect();
        for fetching in ["src", "data", "background", "onload", "onclick"] {
            assert!(!names.contains(fetching), "<{tag}>");
        }
        if let Some(address) = tag.split("href=\"").nth(1) {
            assert!(name == "a" && (address.starts_with('#') || address.starts_with("https://arxiv.org/")), "<{tag}>");
        }
        match tag {
            _ if tag.starts_with('/') => assert_eq!(open.pop(), Some(name), "</{name}>"),
            _ if tag.ends_with('/') || ["meta", "!doctype", "wbr"].contains(&name) => {}
            _ => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert!(!html.contains("NaN") && !html.contains(">inf") && !html.contains(">-inf"));
}

#[test]
fn pairs_are_shown_in_every_respect() {
    let html = page(&of_pairs()).render();
    is_sound(&html);
    let own = section(&html, "Preference pairs");
    for heading in [
        "Pairs",
        "Accuracy and coverage",
        "Calibration",
        "Margins",
        "Length",
        "Accuracy by slices",
        "The worst mistakes",
    ] {
        assert!(own.contains(&format!("<h3>{heading}</h3>")), "{heading}");
    }
    // Coverage, and at fixed margins two; a reliability diagram and margins for each model.
    assert_eq!(own.matches("<svg ").count(), 3 + 2 + 2);
    has(own, &["60 pairs", "before Platt scaling", "ECE of σ(Δ)", "prefers the longer response", "Accuracy by source"]);
    has(
        own,
        &["<summary>small: ", "in the wrong direction</h3>", ">law <small>30</small></th>", ">90.0 %</th>", "baseline"],
    );
    assert!(!own.contains("published"), "nobody published anything about pairs of one's own");
}

#[test]
fn ratings_are_shown_in_every_respect() {
    let html = page(&of_ratings()).render();
    is_sound(&html);
    let own = section(&html, "Rated responses");
    for heading in [
        "Ratings",
        "Scores by level",
        "Ratings and rounded scores",
        "Calibration of each P(y &gt; k)",
        "Length",
        "ROC-AUC by slices",
        "Mean absolute error by slices",
        "The worst mistakes",
    ] {
        assert!(own.contains(&format!("<h3>{heading}</h3>")), "{heading}");
    }
    // Scores by level of both models; three thresholds of the one that has probabilities.
    assert_eq!(own.matches("<svg ").count(), 2 + 3);
    assert_eq!(own.matches("class=\"matrix\"").count(), 1, "the other model is on another scale");
    has(
        own,
        &["quadratic-weighted κ", "rated 4</th>", "k = 3: ECE, test half, after scaling", "Platt scaling", "level 4"],
    );
    has(section(&html, "Results"), &["ROC-AUC", "ordinal", "of another scale"]);
}

#[test]
fn results_stand_beside_published_numbers_and_the_baseline() {
    let html = page(&of_pairs()).render();
    let results = section(&html, "Results");
    has(
        results,
        &["WildReward-8B (published)", "JudgeBench: total, beside published numbers; the tick is the baseline"],
    );
    has(results, &["40 samples, seed 42", "50.0 %"]);
    let bench = section(&html, "JudgeBench");
    has(bench, &["Beside published numbers", "WildReward-8B <small>published</small></th><td class=\"number\">66.0 %"]);
    has(bench, &["href=\"https://arxiv.org/abs/2602.08829\"", "livebench-math <small>20 items</small>"]);
}

#[test]
fn benchmarks_with_parts_of_many_kinds_are_shown() {
    let suites = [votes(60), rmb(40), mrewardbench(60)];
    let with_scores = suites.map(|suite| {
        let answers = vec![Some(scores(&suite, 1.0)), Some(scores(&suite, 2.0))];
        (suite, answers)
    });
    let html = page(&report(&["first", "second"], &with_scores)).render();
    is_sound(&html);
    let votes = section(&html, "Chatbot Arena");
    has(votes, &["54 items with 108 responses. In 18 of them (33.3 %) people saw no difference."]);
    has(votes, &["6 rows are left out: messages with something other than text, such as images."]);
    has(
        votes,
        &["with ties <small>54 items</small>", ">ties <small>18 items</small>", "36 pairs", "Accuracy by language"],
    );
    let rmb = section(&html, "RMB");
    has(rmb, &["Missing, so there is no total: pairwise helpfulness, BoN harmlessness."]);
    has(rmb, &["Data Management <small>10 items</small>", ">33.3 %</td>", ">50.0 %</td>", "60 pairs"]);
    let translated = section(&html, "M-RewardBench");
    has(
        translated,
        &["Eurus RM 7B <small>published</small></th><td class=\"number\">80.0 %", "translation: models of this run"],
    );
    has(translated, &["href=\"https://arxiv.org/abs/2410.15522\"", "ces_<wbr>Latn <small>20 items</small>"]);
}

#[test]
fn a_model_has_one_colour_whatever_the_others_have() {
    let (pairs, bench) = (pairs(30), judgebench(20));
    let of_pairs = vec![Some(scores(&pairs, 1.0)), Some(scores(&pairs, 2.0))];
    let of_bench = vec![None, Some(scores(&bench, 2.0))];
    let html = page(&report(&["first", "second"], &[(pairs, of_pairs), (bench, of_bench)])).render();
    let colours = ["#2B83C6", "#DD6B20"];
    assert!(colours.iter().all(|colour| section(&html, "Preference pairs").contains(colour)));
    let bench = section(&html, "JudgeBench");
    assert!(!bench.contains(colours[0]) && bench.contains(&format!("{}\">●</span>second", colours[1])));
    assert!(section(&html, "Results").contains("<td>missing</td>"));
}

#[test]
fn what_is_missing_comes_first() {
    let mut report = of_ratings();
    assert!(!page(&report).render().contains("Partial"));
    report.partial = true;
    let html = page(&report).render();
    assert!(html.find("Partial: results are missing. The run was in progress").unwrap() < html.find("<h2").unwrap());

    let failure = |suite, problem: &str| FailureReport { model: "ordinal".into(), suite, problem: problem.into() };
    report.failures = vec![failure(Some(SuiteName::Wildfb), HOSTILE), failure(None, "no room left")];
    report.suites[0].results.remove(0);
    let html = page(&report).render();
    is_sound(&html);
    let top = html.split("<h2").next().unwrap();
    has(
        top,
        &["because something failed", "What failed", "alert(&#39;x&#39;)", "no room left", "all remaining suites"],
    );
    assert!(section(&html, "Results").contains("<td>failed</td>"));
}

#[test]
fn hostile_text_is_text() {
    for report in [of_pairs(), of_ratings()] {
        let html = page(&report).render();
        assert!(html.contains("&lt;/details&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"));
        assert!(!html.contains("<script") && !html.contains("<img"));
    }
}

#[test]
fn a_report_with_little_in_it_is_a_page() {
    let nothing = report(&["m"], &[(pairs(3), vec![None]), (ratings(3), vec![None]), (judgebench(2), vec![None])]);
    let html = page(&nothing).render();
    is_sound(&html);
    assert_eq!(html.matches("No model has a result here.").count(), 3);
    assert!(!html.contains("<svg"), "published numbers alone are a picture of nobody here");

    // One row, ties alone, one level alone.
    let constant = |suite: &Suite| {
        let answers =
            |item: &crate::evaluate::suites::Item| vec![Answer { score: 1.0, probs: vec![] }; item.responses.len()];
        vec![Some(suite.items.iter().map(answers).collect())]
    };
    for suite in [pairs(1), pairs(8), ratings(1), judgebench(1), votes(1), votes(3), rmb(1), mrewardbench(1)] {
        let answers = constant(&suite);
        is_sound(&page(&report(&["m"], &[(suite, answers)])).render());
    }
    let mut none = report(&[], &[]);
    none.bootstrap.samples = 0;
    let html = page(&none).render();
    is_sound(&html);
    assert!(html.contains("There are no confidence intervals"));
}
