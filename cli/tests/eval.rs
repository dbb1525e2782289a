//! `wgr eval` as users meet it: what it prints and writes, what it refuses, and what a failing part leaves. None of this
//! needs a GPU.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use self::fetched::fetched;

#[path = "../../tests/support/fetched.rs"]
mod fetched;

fn eval(output: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wgr"));
    command.arg("eval").args(flags).arg("--output").arg(output).env_remove("WGR_API_KEY").output().unwrap()
}

#[track_caller]
fn done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn report(output: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(output.join("report.json")).unwrap()).unwrap()
}

/// A folder with pairs and scores of two models for them, the second of which is right on half.
fn pairs(count: usize) -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, rows: Vec<Value>| {
        let path = folder.path().join(name);
        std::fs::write(&path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
        path
    };
    let pair =
        |i: usize| json!({"id": i, "prompt": format!("question {i}"), "chosen": "good", "rejected": "not so good"});
    let data = write("pairs.jsonl", (0..count).map(pair).collect());
    let score = |model: &str, i: usize, scores: [f64; 2]| json!({"model": model, "id": i, "scores": scores});
    let of_model = |i: usize| [score("right", i, [1.0, 0.0]), score("half", i, [1.0, (i % 2) as f64 * 2.0])];
    let scores = write("scores.jsonl", (0..count).flat_map(of_model).collect());
    (folder, data, scores)
}

/// The repository does not hold the benchmark; if it is available, the published scores give the published accuracies.
#[test]
fn judgebench_gives_the_published_accuracies() {
    let Some(data) = fetched("WGR_DATA", "judgebench") else { return };
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let suite = format!("judgebench={}", data.join("gpt-4o.jsonl").display());
    let scores = data.join("published_reward_scores.jsonl");
    let flags = ["--suite", &suite, "--scores", scores.to_str().unwrap()];
    let text = done(&eval(&output, &flags));
    assert!(text.contains("judgebench total") && text.contains("0.6429"), "{text}");
    let report = report(&output);
    let suite = &report["suites"][0];
    assert_eq!((&report["partial"], &suite["items"], &suite["responses"]), (&json!(false), &json!(350), &json!(700)));
    let results = suite["results"].as_array().unwrap();
    assert_eq!(results.len(), 5);
    for (model, expected) in [
        ("Skywork-Reward-Llama-3.1-8B", 0.6229),
        ("Skywork-Reward-Gemma-2-27B", 0.6429),
        ("internlm2-20b-reward", 0.6343),
        ("internlm2-7b-reward", 0.5943),
        ("GRM-Gemma-2B", 0.5943),
    ] {
        let result = results.iter().find(|result| result["model"].as_str().unwrap().contains(model)).unwrap();
        let (benchmark, pairs) = (&result["benchmark"], &result["pairs"]);
        assert!((benchmark["value"].as_f64().unwrap() - expected).abs() < 0.5e-4, "{model}: {benchmark}");
        assert!(benchmark["interval"]["low"].as_f64().unwrap() > 0.5 && benchmark["baseline"] == 0.5);
        assert!(
            pairs["calibration"]["ece"]["value"].is_number() && pairs["slices"]["source"]["slices"][0]["n"].is_number()
        );
        assert!(pairs["worst"][0]["margin"].as_f64().unwrap() > 0.0);
    }
    let text = std::fs::read_to_string(output.join("report.md")).unwrap();
    assert!(text.contains("livebench-reasoning (98)") && text.contains("arXiv 2602.08829"));
}

#[test]
fn columns_stand_side_by_side_and_settings_are_kept() {
    let (folder, data, scores) = pairs(20);
    let output = folder.path().join("out");
    let config = folder.path().join("run.toml");
    let (suite, scores) = (format!("pairs={}", data.display()), scores.display().to_string());
    std::fs::write(&config, toml(&suite, &scores)).unwrap();
    let flags = ["--config", config.to_str().unwrap(), "--seed", "7"];
    let text = done(&eval(&output, &flags));
    let columns: Vec<Vec<&str>> = text.lines().take(2).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((&columns[0][..], columns[1][2]), (&["right", "half"][..], "1.0000"), "{text}");
    let first = report(&output);
    assert_eq!((&first["bootstrap"]["samples"], &first["bootstrap"]["seed"]), (&json!(50), &json!(7)));
    let half = &first["suites"][0]["results"][1]["pairs"];
    assert_eq!((&half["accuracy"]["value"], &half["length_bias"]["longer_is_worse"]), (&json!(0.5), &json!(20)));
    assert!(output.join("wgr.toml").exists());
    assert!(text.contains(&output.join("report.html").display().to_string()), "{text}");
    let page = std::fs::read_to_string(output.join("report.html")).unwrap();
    assert!(page.contains("right") && page.contains("half") && !page.contains("Partial"));

    let again = eval(&output, &flags);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("--force"));
    let forced = done(&eval(&output, &[&flags[..], &["--force", "--json"]].concat()));
    assert_eq!(serde_json::from_str::<Value>(&forced).unwrap(), first, "the same seed gives the same report");
}

fn toml(suite: &str, scores: &str) -> String {
    format!("suite = ['{suite}']\nscores = ['{scores}']\nbootstrap = 50\n")
}

/// Files as they are published, scores of one model for all of them, and every number by hand.
#[test]
fn benchmarks_of_best_of_n_languages_and_votes() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    };
    let lines = |rows: &[Value]| rows.iter().map(|row| format!("{row}\n")).collect::<String>();
    let chat = |asked: &str| json!([{"role": "user", "content": asked, "language": "English"}]);
    let answer = |text: &str| json!({"llm_name": "m", "answer": text});
    let bon = |uid: &str, losers: &[&str]| {
        let losers: Vec<Value> = losers.iter().map(|text| answer(text)).collect();
        json!({"bon_uid": uid, "conversation_input": chat(uid), "bon_best": answer("best"), "loser_list": losers,
               "category_path": "BoN_set/Helpfulness/Code/Documentation"})
    };
    let bons = json!([bon("1", &["b", "c"]), bon("2", &["b", "c", "d"])]);
    write("rmb/BoN_set/Helpfulness/Code/Documentation.json", bons.to_string());
    let pair = json!({"pair_uid": "1", "conversation_input": chat("1"), "chosen": answer("good"), "reject": answer("bad"),
                      "category_path": "Pairwise_set/Harmlessness/S1"});
    write("rmb/Pairwise_set/Harmlessness/S1.json", json!([pair]).to_string());
    let translated = json!({"id": 7, "prompt": "p", "chosen": "c", "rejected": "r", "source": "donotanswer"});
    write("languages/arb_Arab/test.jsonl", lines(std::slice::from_ref(&translated)));
    write("languages/ces_Latn/test.jsonl", lines(&[translated]));
    let vote = |id: &str, winner: &str| {
        let side = |text: &str| json!([{"role": "user", "content": id}, {"role": "assistant", "content": text}]);
        json!({"id": id, "winner": winner, "conversation_a": side("a"), "conversation_b": side("b")})
    };
    write("votes.jsonl", lines(&[vote("1", "model_a"), vote("2", "model_b"), vote("3", "both_bad")]));
    let score = |suite: &str, id: &str, scores: &[f64]| json!({"suite": suite, "id": id, "scores": scores});
    write(
        "scores.jsonl",
        lines(&[
            score("rmb", "bon:1", &[2.0, 1.0, 0.0]),
            score("rmb", "2", &[2.0, 2.0, 0.0, 0.0]),
            score("rmb", "pair:1", &[1.0, 0.0]),
            score("m-rewardbench", "arb_Arab:7", &[1.0, 0.0]),
            score("m-rewardbench", "ces_Latn:7", &[0.0, 1.0]),
            score("arena", "1", &[3.0, 1.0]),
            score("arena", "2", &[3.0, 1.0]),
            score("arena", "3", &[0.5, 1.0]),
        ]),
    );
    let at = |name: &str| folder.path().join(name).display().to_string();
    let suites = [
        format!("rmb={}", at("rmb")),
        format!("m-rewardbench={}", at("languages")),
        format!("arena={}", at("votes.jsonl")),
    ];
    let (output, scores) = (folder.path().join("out"), at("scores.jsonl"));
    let [rmb, languages, votes] = &suites;
    let flags = ["--suite", rmb, languages, votes, "--scores", &scores, "--bootstrap", "20"];
    let text = done(&eval(&output, &flags));
    assert!(text.contains("arena total") && text.contains("BoN helpfulness"), "{text}");
    let report = report(&output);
    let tree = |suite: usize| report["suites"][suite]["results"][0]["benchmark"].clone();
    let part = |tree: &Value, name: &str| {
        let parts = tree["parts"].as_array().unwrap();
        parts.iter().find(|part| part["name"] == name).unwrap_or_else(|| panic!("{name}: {tree}")).clone()
    };
    let bon = part(&tree(0), "BoN helpfulness");
    assert_eq!((&bon["value"], &bon["n"], &tree(0)["value"]), (&json!(0.5), &json!(2), &json!(null)));
    assert_eq!(bon["baseline"], json!((1.0 / 3.0 + 1.0 / 4.0) / 2.0));
    assert_eq!(part(&tree(0), "pairwise harmlessness")["value"], 1.0);
    let safety = |language: &str| part(&part(&tree(1), language), "Safety")["value"].clone();
    assert_eq!((safety("arb_Arab"), safety("ces_Latn")), (json!(1.0), json!(0.0)));
    assert_eq!((&tree(2)["value"], &tree(2)["n"]), (&json!(0.5), &json!(2)));
    assert_eq!(part(&tree(2), "with ties")["value"], json!(2.0 / 3.0));
    assert_eq!((&report["suites"][2]["ties"], &report["suites"][2]["dropped"]), (&json!(1), &json!(0)));
    let text = std::fs::read_to_string(output.join("report.md")).unwrap();
    assert!(text.contains("Ties of people: 1 items (33.3 %)."), "{text}");
    let page = std::fs::read_to_string(output.join("report.html")).unwrap();
    assert!(page.contains(">Chatbot Arena</h2>") && page.contains(">M-RewardBench</h2>") && page.contains(">RMB</h2>"));
}

#[test]
fn a_suite_that_fails_leaves_the_others() {
    let (folder, data, scores) = pairs(12);
    let rows: String =
        (0..4).map(|i| format!("{}\n", json!({"id": format!("r{i}"), "text": "t", "label": 1 + i}))).collect();
    let rated = folder.path().join("rated.jsonl");
    std::fs::write(&rated, rows).unwrap();
    let output = folder.path().join("out");
    let suites = [format!("wildfb={}", rated.display()), format!("pairs={}", data.display())];
    let flags = ["--suite", &suites[0], &suites[1], "--scores", scores.to_str().unwrap(), "--bootstrap", "10"];
    let failed = eval(&output, &flags);
    let error = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert_eq!(failed.status.code(), Some(2), "{error}");
    assert!(error.contains("rated.jsonl:1: wildfb has no score of right for \"r0\""), "{error}");
    assert!(String::from_utf8_lossy(&failed.stdout).contains("failed"));
    let report = report(&output);
    assert_eq!((&report["partial"], report["failures"].as_array().unwrap().len()), (&json!(true), 2));
    assert_eq!(report["failures"][0]["suite"], "wildfb");
    let results = |suite: usize| report["suites"][suite]["results"].as_array().unwrap().len();
    assert_eq!((results(0), results(1)), (0, 2));
    assert!(std::fs::read_to_string(output.join("report.md")).unwrap().contains("**Partial**"));
    let page = std::fs::read_to_string(output.join("report.html")).unwrap();
    assert!(
        page.contains("Partial: results are missing, because something failed.") && page.contains("has no score of")
    );
}

#[test]
fn where_nothing_is_found_there_is_no_report() {
    let (folder, data, _) = pairs(3);
    let output = folder.path().join("out");
    let suite = format!("pairs={}", data.display());
    for (scores, problem) in [
        ("", "holds no rows"),
        ("{\"id\": 0, \"scores\": [1]}\n", "holds 1 scores, but \"0\" has 2 responses"),
        ("{\"id\": 0, \"scores\": [1, NaN]}\n", "scores.jsonl:1: `scores` is [1,NaN], not a list of finite numbers"),
    ] {
        let path = folder.path().join("bad-scores.jsonl");
        std::fs::write(&path, scores).unwrap();
        let failed = eval(&output, &["--suite", &suite, "--scores", path.to_str().unwrap()]);
        let error = String::from_utf8_lossy(&failed.stderr).into_owned();
        assert!(failed.status.code() == Some(2) && error.contains(problem), "{error}");
        assert!(!output.join("report.json").exists());
    }
}

#[test]
fn bad_settings_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    for (flags, problem) in [
        (&["--suite", "pairs=x"][..], "--model"),
        (&["--scores", "s"], "--suite"),
        (&["--scores", "s", "--suite", "rewards=x"], "there is no suite \"rewards\""),
        (&["--scores", "s", "--suite", "pairs=no-such-file"], "no-such-file"),
        (&["--scores", "s", "--suite", "pairs=x", "--bins", "0"], "--bins"),
    ] {
        let failed = eval(&output, flags);
        let error = String::from_utf8_lossy(&failed.stderr).into_owned();
        assert!(failed.status.code() == Some(2) && error.contains(problem), "{flags:?}: {error}");
        assert!(!output.exists());
    }
}

#[test]
fn a_study_that_cannot_be_is_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out");
    let config = folder.path().join("study.toml");
    std::fs::write(&config, "model = 'm'\ndata = ['d']\nstudy = ['users']\nsuite = ['pairs=x']\nuser = [1]\n").unwrap();
    let study = |flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgr"));
        command.args(["eval", "study"]).args(flags).arg("--output").arg(&output).output().unwrap()
    };
    let whole = ["--model", "m", "--data", "d", "--study", "users", "--suite", "pairs=x"];
    for (flags, problem) in [
        (&["--model", "m", "--data", "d"][..], "--study: is missing"),
        (&whole[..6], "--suite: is missing"),
        (&whole, "--users: leaves nothing to compare"),
        (&[&whole[..], &["--users", "4"]].concat(), "--users: leaves nothing to compare"),
        (&[&whole[..], &["--users", "4", "8", "--seeds", "0"]].concat(), "--seeds"),
        (&[&whole[..], &["--users", "4", "8", "--lr", "0"]].concat(), "--lr"),
        (&["--config", config.to_str().unwrap()], "unknown field `user`"),
    ] {
        let failed = study(flags);
        let error = String::from_utf8_lossy(&failed.stderr).into_owned();
        assert!(failed.status.code() == Some(2) && error.contains(problem), "{flags:?}: {error}");
        assert_eq!(error.trim_end().lines().count(), 1, "{error}");
        assert!(!output.exists());
    }
    for (flag, value) in [("--study", "user"), ("--heads", "head"), ("--users", "few")] {
        assert_eq!(study(&[flag, value]).status.code(), Some(2));
    }
    let help = study(&["--help"]);
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(
        help.contains("--keep-models") && help.contains("[default: 1e-5]") && !help.contains("--eval-data"),
        "{help}"
    );
}
