//! A small file of every suite in its published format, and the errors of files that differ.

use std::io::Write as _;
use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{Array as _, ArrayRef, BooleanArray, Int64Array, ListArray, RecordBatch, StringArray};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::data::{Content, Role};

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn rows(&self, name: &str, rows: &[Value]) -> PathBuf {
        self.write(name, rows.iter().map(|row| format!("{row}\n")).collect::<String>())
    }

    fn read(&self, name: SuiteName) -> Result<Suite> {
        Suite::read(name, &[self.0.path().to_owned()])
    }
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// The total of a suite whose items have these scores, and the values of the parts below it.
fn results(suite: &Suite, scores: &[Vec<f64>]) -> (Option<f64>, Vec<(String, Option<f64>)>) {
    let tree = suite.benchmark(scores, &Bootstrap { samples: 10, ..Bootstrap::default() }).unwrap();
    let parts = tree.parts.iter().map(|part| (part.name.clone(), part.estimate.value));
    (tree.estimate.value, parts.collect())
}

fn chat_of(content: &Content) -> (&str, &str) {
    (query(content), response(content))
}

#[test]
fn rewardbench() {
    let folder = Folder::new();
    let row = |id: u64, subset: &str| json!({"prompt": "p", "chosen": "c", "chosen_model": "x", "rejected": "r", "rejected_model": "y", "subset": subset, "id": id});
    folder.rows("filtered.jsonl", &[row(1, "alpacaeval-easy"), row(2, "hep-rust"), row(3, "hep-rust")]);
    let suite = folder.read(SuiteName::Rewardbench).unwrap();
    assert_eq!((suite.items[0].id.as_str(), suite.items[0].source.as_str()), ("1", "alpacaeval-easy"));
    assert_eq!(suite.items[0].responses.iter().map(chat_of).collect::<Vec<_>>(), [("p", "c"), ("p", "r")]);
    let (total, parts) = results(&suite, &[vec![1.0, 0.0], vec![1.0, 1.0], vec![2.0, 1.0]]);
    assert_eq!(total, None);
    let value = |name: &str| parts.iter().find(|(part, _)| part == name).unwrap().1;
    assert_eq!((value("Chat"), value("Chat Hard"), value("Reasoning")), (Some(1.0), None, Some(0.5)));
}

#[test]
fn rewardbench2_with_ties() {
    let folder = Folder::new();
    let row = |id: &str, subset: &str, chosen: usize, rejected: usize| {
        let texts = |kind: &str, n: usize| (0..n).map(|i| format!("{kind}{i}")).collect::<Vec<_>>();
        json!({"id": id, "prompt": "p", "chosen": texts("c", chosen), "rejected": texts("r", rejected), "subset": subset,
               "num_correct": chosen, "num_incorrect": rejected, "total_completions": chosen + rejected})
    };
    folder.rows("test.jsonl", &[row("7", "Math", 1, 3), row("ref:0", "Ties", 1, 2), row("tied:0", "Ties", 2, 1)]);
    let suite = folder.read(SuiteName::Rewardbench2).unwrap();
    assert_eq!(suite.items[0].pairs, [[0, 1], [0, 2], [0, 3]]);
    assert!(suite.items[1].pairs.is_empty() && suite.items[2].pairs.is_empty());
    assert_eq!(suite.items[2].correct, [true, true, false]);
    let (total, parts) = results(&suite, &[vec![1.0, 1.0, 0.0, 0.0], vec![5.0, 0.0, 1.0], vec![4.0, 5.0, 1.0]]);
    let ties = 1.0 + 0.01 * 2.0f64.tanh();
    assert_eq!((total, parts[0].clone()), (None, ("Math".into(), Some(0.5))));
    assert!((parts[1].1.unwrap() - ties).abs() < 1e-12);
    folder.rows("test.jsonl", &[row("0", "Ties", 1, 2)]);
    assert!(folder.read(SuiteName::Rewardbench2).unwrap_err().to_string().contains("ref:<n>"));
    folder.rows("test.jsonl", &[row("0", "Math", 2, 2)]);
    assert!(folder.read(SuiteName::Rewardbench2).unwrap_err().to_string().contains("holds 2 responses"));
}

#[test]
fn rmbench_in_parts_or_as_one_file() {
    let row = |id: u64| json!({"id": id, "prompt": "p", "chosen": ["a", "b", "c"], "rejected": ["x", "y", "z"]});
    let folder = Folder::new();
    folder.write("chat_filtered.json", json!([row(8)]).to_string());
    folder.write("safety-refuse_filtered.json.gz", gzipped(&json!([row(8)]).to_string()));
    let whole = json!([row(1)]);
    folder.write("total_dataset.json", whole.to_string());
    let suite = folder.read(SuiteName::Rmbench).unwrap();
    let ids: Vec<&str> = suite.items.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ids, ["chat:8", "safety-refuse:8"], "the file of all parts is left alone");
    assert_eq!(suite.items[0].pairs, [[0, 3], [1, 4], [2, 5]]);
    let (total, parts) = results(&suite, &[vec![1.0, 0.0, 0.0, 5.0, 5.0, 0.0], vec![1.0, 1.0, 1.0, 0.0, 0.0, 0.0]]);
    assert_eq!(total, None);
    let value = |name: &str| parts.iter().find(|(part, _)| part == name).unwrap().1;
    assert_eq!((value("chat"), value("safety")), (Some(1.0 / 9.0), Some(1.0)));

    let error = Suite::read(SuiteName::Rmbench, &[folder.0.path().join("total_dataset.json")]).unwrap_err();
    assert!(error.to_string().contains("total_dataset.json: row 1: it is unclear which part"), "{error}");
    let mut named = row(1);
    named["domain"] = json!("math");
    let one = Folder::new();
    one.write("total_dataset.json", json!([named]).to_string());
    assert_eq!(one.read(SuiteName::Rmbench).unwrap().items[0].id, "math:1");
}

#[test]
fn judgebench() {
    let folder = Folder::new();
    let row = |id: &str, label: &str| json!({"pair_id": id, "original_id": 1, "source": "mmlu-pro-law", "question": "q", "response_model": "m", "response_A": "a", "response_B": "b", "label": label});
    folder.rows("gpt-4o.jsonl", &[row("x", "A>B"), row("y", "B>A")]);
    let suite = folder.read(SuiteName::Judgebench).unwrap();
    assert_eq!(
        (suite.items[1].correct.as_slice(), suite.items[1].pairs.as_slice()),
        (&[false, true][..], &[[1, 0]][..])
    );
    // A tie is a verdict for B, also for the benchmark's own parts.
    assert_eq!(results(&suite, &[vec![1.0, 1.0], vec![1.0, 1.0]]).0, Some(0.5));
    folder.rows("gpt-4o.jsonl", &[row("x", "A=B")]);
    assert!(folder.read(SuiteName::Judgebench).unwrap_err().to_string().contains("`label` is \"A=B\""));
}

#[test]
fn ppe_human_leaves_ties_out() {
    let folder = Folder::new();
    let row = |id: &str, winner: &str| json!({"question_id": id, "prompt": "p", "response_1": "a", "response_2": "b", "winner": winner, "language": "German", "hard_prompt": true});
    let winners = ["model_a", "tie", "model_b", "tie (bothbad)"];
    folder.rows("test.jsonl", &winners.map(|winner| row(winner, winner)));
    let suite = folder.read(SuiteName::PpeHuman).unwrap();
    assert_eq!((suite.items.len(), suite.left_out.clone()), (2, BTreeMap::from([("ties", 2)])));
    assert_eq!((suite.items[1].pairs[0], suite.items[1].language.as_deref()), ([1, 0], Some("German")));
    assert_eq!(results(&suite, &[vec![1.0, 0.0], vec![1.0, 0.0]]).0, Some(0.5));
    folder.rows("test.jsonl", &[row("1", "nobody")]);
    assert!(folder.read(SuiteName::PpeHuman).unwrap_err().to_string().contains("model_a, model_b or tie"));
    folder.rows("test.jsonl", &[row("1", "tie")]);
    assert!(folder.read(SuiteName::PpeHuman).unwrap_err().to_string().contains("nothing that ppe-human counts"));
}

#[test]
fn mrewardbench_in_folders_or_with_a_column() {
    let folder = Folder::new();
    let row = |id: u64, source: &str, language: Value| json!({"id": id, "language": language, "prompt": "p", "chosen": "c", "rejected": "r", "chosen_model": "x", "rejected_model": "y", "source": source, "category": "Chat"});
    folder.rows("arb_Arab/test.jsonl", &[row(7, "hep-rust", json!(null)), row(8, "hep-go", json!("ar"))]);
    folder.rows("ces_Latn.jsonl", &[row(7, "hep-rust", json!(null))]);
    folder.rows("others.jsonl", &[row(7, "hep-rust", json!("zh-TW")), row(7, "hep-rust", json!("eng_Latn"))]);
    // The row alone does not say which script.
    folder.rows("zho_Hans/test.jsonl", &[row(7, "hep-rust", json!("zh"))]);
    let translated =
        |id: u64, subset: &str| json!({"id": id, "prompt": "p", "chosen": "c", "rejected": "r", "subset": subset});
    folder.rows("translation/test.jsonl", &[translated(7, "translation-de2en"), translated(8, "maple-zh2en")]);
    let suite = folder.read(SuiteName::MRewardbench).unwrap();
    let known: Vec<(&str, Option<&str>, &str)> =
        suite.items.iter().map(|item| (item.id.as_str(), item.language.as_deref(), item.unit.as_str())).collect();
    let expected = [
        ("arb_Arab:7", Some("arb_Arab"), "7"),
        ("arb_Arab:8", Some("arb_Arab"), "8"),
        ("ces_Latn:7", Some("ces_Latn"), "7"),
        ("zho_Hant:7", Some("zho_Hant"), "7"),
        ("eng_Latn:7", Some("eng_Latn"), "7"),
        ("translation:7", None, "translation:7"),
        ("translation:8", None, "translation:8"),
        ("zho_Hans:7", Some("zho_Hans"), "7"),
    ];
    assert_eq!(known, expected);
    assert_eq!((suite.items[0].own_id.as_str(), suite.items[0].pairs.as_slice()), ("7", &[[0, 1]][..]));
    let (right, wrong) = (vec![1.0, 0.0], vec![1.0, 1.0]);
    let scores = [&right, &wrong, &right, &right, &right, &right, &wrong, &right].map(Clone::clone);
    let tree = suite.benchmark(&scores, &Bootstrap { samples: 10, ..Bootstrap::default() }).unwrap();
    let value = |path: &[&str]| tree.get(path).unwrap().estimate.value;
    // Both of the subsets present weigh 164.
    assert_eq!((value(&["arb_Arab", "Reasoning"]), value(&["ces_Latn", "Reasoning"])), (Some(0.5), Some(1.0)));
    assert_eq!((value(&[]), value(&["translation"])), (None, Some(0.5)));

    let other = Folder::new();
    other.rows("rows.jsonl", &[row(7, "hep-rust", json!(null))]);
    let error = other.read(SuiteName::MRewardbench).unwrap_err().to_string();
    assert!(error.contains("rows.jsonl:1: ") && error.contains("no `language`"), "{error}");
}

#[test]
fn rmb_best_of_n_and_pairs() {
    let folder = Folder::new();
    let conversation = json!([
        {"role": "user", "content": "h", "language": "German"}, {"role": "assistant", "content": "i", "language": "German"},
        {"role": "user", "content": "q", "language": "English"}]);
    let answer = |text: &str| json!({"llm_name": "m", "answer": text});
    let bon = |uid: &str, path: &str, losers: Vec<Value>| json!({"bon_uid": uid, "conversation_input": conversation, "bon_best": answer("a"), "loser_list": losers, "category_path": path});
    let rows = json!([
        bon("1", "BoN_set/Helpfulness/Code/Data Management", vec![answer("b"), answer("c")]),
        bon("2", "BoN_set/Helpfulness/Code/Data Management", vec![answer("b"), answer("c"), answer("d")]),
    ]);
    folder.write("BoN_set/Helpfulness/Code/Data Management.json", rows.to_string());
    let pair = |uid: &str| json!({"pair_uid": uid, "conversation_input": conversation, "chosen": answer("a"), "reject": answer("b"), "category_path": "Pairwise_set/Harmlessness/S1"});
    folder.write("Pairwise_set/Harmlessness/S1.json", json!([pair("1"), pair("2")]).to_string());
    let suite = folder.read(SuiteName::Rmb).unwrap();
    let ids: Vec<(&str, &str)> = suite.items.iter().map(|item| (item.id.as_str(), item.own_id.as_str())).collect();
    assert_eq!(ids, [("bon:1", "1"), ("bon:2", "2"), ("pair:1", "1"), ("pair:2", "2")]);
    let first = &suite.items[0];
    assert_eq!(first.responses.iter().map(chat_of).collect::<Vec<_>>(), [("q", "a"), ("q", "b"), ("q", "c")]);
    let Content::Chat(exchange) = &first.responses[1] else { panic!() };
    assert_eq!(exchange.history.iter().map(|said| said.content.as_str()).collect::<Vec<_>>(), ["h", "i"]);
    assert_eq!((first.pairs.as_slice(), first.correct.as_slice()), (&[[0, 1], [0, 2]][..], &[true, false, false][..]));
    assert_eq!((first.language.as_deref(), suite.items[3].pairs.as_slice()), (Some("English"), &[[0, 1]][..]));
    assert_eq!(first.unit, suite.items[3].unit, "one conversation is one unit, whatever is asked of it");

    let scores = [vec![3.0, 2.0, 1.0], vec![3.0, 3.0, 1.0, 0.0], vec![1.0, 1.0], vec![1.0, 0.0]];
    let tree = suite.benchmark(&scores, &Bootstrap { samples: 10, ..Bootstrap::default() }).unwrap();
    let estimate = |path: &[&str]| tree.get(path).unwrap().estimate;
    let scenario = estimate(&["BoN helpfulness", "Code", "Data Management"]);
    assert_eq!((scenario.value, scenario.baseline), (Some(0.5), Some((1.0 / 3.0 + 1.0 / 4.0) / 2.0)));
    assert_eq!(estimate(&["pairwise harmlessness", "S1"]).value, Some(0.5), "a tie is wrong");
    assert_eq!(tree.missing, ["pairwise helpfulness", "BoN harmlessness"]);
}

/// A copy on the hub has other names, and texts for responses.
#[test]
fn rmb_flattened() {
    let folder = Folder::new();
    let conversation = json!([{"role": "user", "content": "q", "language": "English"}]);
    let rows = [
        json!({"bon_uid": "1", "conversation": conversation, "chosen": "a", "rejected": ["b", "c"], "chosen_model": "m", "alignment_goal": "Helpfulness", "category_path": "BoN_set/Helpfulness/Chat/Discussion"}),
        json!({"pair_uid": "1", "conversation": conversation, "chosen": "a", "rejected": "b", "category_path": "Pairwise_set/Harmlessness/multi"}),
    ];
    folder.rows("rows.jsonl", &rows);
    let suite = folder.read(SuiteName::Rmb).unwrap();
    assert_eq!(suite.items.iter().map(|item| item.responses.len()).collect::<Vec<_>>(), [3, 2]);
    for (change, problem) in [
        (json!({"category_path": "BoN_set/Honesty/Chat"}), "`category_path` is \"BoN_set/Honesty/Chat\""),
        (json!({"category_path": "BoN_set/Helpfulness"}), "`category_path` is "),
        (json!({"rejected": []}), "`rejected` is [], not a list of responses"),
        (json!({"rejected": ["b", 7]}), "`rejected` is 7, not a response"),
        (json!({"rejected": "b"}), "`rejected` is \"b\", not a list of responses"),
        (json!({"chosen": {"llm_name": "m"}}), "`chosen` is {\"llm_name\":\"m\"}, not a response with an `answer`"),
        (json!({"conversation": []}), "the message before the response is missing"),
        (json!({"conversation": [{"role": "assistant", "content": "q"}]}), "has role `assistant`, not `user`"),
    ] {
        let mut row = rows[0].clone();
        row.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        folder.rows("rows.jsonl", &[row]);
        let error = folder.read(SuiteName::Rmb).unwrap_err().to_string();
        assert!(error.contains("rows.jsonl:1: ") && error.contains(problem), "{error}");
    }
}

/// Two turns that end in an answer of a side.
fn battle(answer: &str) -> Value {
    json!([{"role": "user", "content": "h"}, {"role": "assistant", "content": format!("i {answer}")},
           {"role": "user", "content": "q"}, {"role": "assistant", "content": answer}])
}

#[test]
fn arena_keeps_ties_beside_its_pairs() {
    let folder = Folder::new();
    let row = |id: &str, winner: &str| json!({"question_id": id, "model_a": "x", "model_b": "y", "winner": winner, "judge": "j1", "conversation_a": battle("a"), "conversation_b": battle("b"), "turn": 2, "anony": true, "language": "German"});
    let winners = ["model_a", "tie", "model_b", "tie (bothbad)", "both_bad"];
    folder.rows("train.jsonl", &winners.map(|winner| row(winner, winner)));
    let suite = folder.read(SuiteName::Arena).unwrap();
    assert_eq!((suite.items.len(), suite.ties(), suite.left_out.len()), (5, 3, 0));
    let (first, tie, third) = (&suite.items[0], &suite.items[1], &suite.items[2]);
    assert_eq!(first.responses.iter().map(chat_of).collect::<Vec<_>>(), [("q", "a"), ("q", "b")]);
    let Content::Chat(exchange) = &first.responses[1] else { panic!() };
    assert_eq!(exchange.history[1].content, "i b", "each side goes on from what it said itself");
    assert_eq!((first.pairs.as_slice(), third.pairs.as_slice()), (&[[0, 1]][..], &[[1, 0]][..]));
    assert!(tie.pairs.is_empty() && tie.correct.is_empty() && tie.label.is_none());
    assert_eq!((first.language.as_deref(), first.user.as_deref()), (Some("German"), Some("j1")));
    assert_eq!((first.source.as_str(), first.unit == third.unit), ("several turns", true));

    let scores = [[3.0, 0.0], [1.0, 1.5], [2.0, 0.0], [1.0, 1.0], [0.0, 1.0]].map(|scores| scores.to_vec());
    let tree = suite.benchmark(&scores, &Bootstrap { samples: 10, ..Bootstrap::default() }).unwrap();
    let part =
        |path: &[&str]| tree.get(path).map(|part| (part.n, part.estimate.value, part.estimate.baseline)).unwrap();
    assert_eq!(part(&[]), (2, Some(0.5), Some(0.5)));
    // Whatever differs by at most 1 is called a tie.
    assert_eq!(part(&["with ties"]), (5, Some(4.0 / 5.0), Some(3.0 / 5.0)));

    folder.rows("train.jsonl", &[row("1", "nobody")]);
    let error = folder.read(SuiteName::Arena).unwrap_err().to_string();
    assert!(error.contains("train.jsonl:1: `winner` is \"nobody\"") && error.contains("both_bad"), "{error}");
}

#[test]
fn arena_with_parts_of_messages() {
    let folder = Folder::new();
    let part = |text: Value, image: Value| json!({"type": "text", "text": text, "image": image, "mimeType": null});
    let chat =
        |asked: Value, said: Value| json!([{"role": "user", "content": asked}, {"role": "assistant", "content": said}]);
    let text = |text: &str| json!([part(json!(text), json!(null))]);
    let row = |id: &str, a: Value| json!({"id": id, "winner": "model_b", "evaluation_session_id": "s", "conversation_a": a, "conversation_b": chat(text("q"), text("b")), "language": "en"});
    let two = json!([part(json!("one"), json!(null)), part(json!(", two"), json!(null))]);
    let rows = [
        row("parts", chat(two, text("a"))),
        row("image", chat(json!([part(json!("q"), json!("x.png"))]), text("a"))),
        row("kind", chat(json!([{"type": "image_url", "image_url": "x.png"}]), text("a"))),
        row("null", chat(text("q"), json!(null))),
        row("nothing", chat(text("q"), json!([]))),
        row("encoded", json!(chat(text("q"), text("a")).to_string())),
    ];
    folder.rows("train.jsonl", &rows);
    let suite = folder.read(SuiteName::Arena).unwrap();
    let ids: Vec<&str> = suite.items.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ids, ["parts", "encoded"]);
    assert_eq!(chat_of(&suite.items[0].responses[0]), ("one, two", "a"));
    assert_eq!((suite.items[0].unit.as_str(), suite.items[0].source.as_str()), ("s", "one turn"));
    assert_eq!(suite.left_out.values().copied().collect::<Vec<_>>(), [2, 2], "{:?}", suite.left_out);
    for (content, problem) in [
        (json!([7]), "`conversation_a[1].content[0]` is a number, not text"),
        (json!([{"type": "text", "text": 7}]), "`conversation_a[1].content[0]` is a part without a text, not text"),
    ] {
        folder.rows("train.jsonl", &[row("x", chat(text("q"), content))]);
        let error = folder.read(SuiteName::Arena).unwrap_err().to_string();
        assert!(error.contains("train.jsonl:1: ") && error.contains(problem), "{error}");
    }
    folder.rows("train.jsonl", &[row("x", json!("[{"))]);
    assert!(
        folder.read(SuiteName::Arena).unwrap_err().to_string().contains("`conversation_a` is a text, but not a list")
    );
    folder.rows("train.jsonl", &[row("x", json!([{"role": "user", "content": "q"}]))]);
    assert!(folder.read(SuiteName::Arena).unwrap_err().to_string().contains("has role `user`, not `assistant`"));
}

/// Parquet fills the parts of messages up with nulls, and has columns that are of no use here.
#[test]
fn arena_in_parquet() {
    let folder = Folder::new();
    let said =
        |role: &str, text: &str| json!({"role": role, "content": [{"type": "text", "text": text, "image": null}]});
    let image = json!({"role": "user", "content": [{"type": "image", "text": null, "image": "x.png"}]});
    let row = |id: &str, asked: Value| {
        let conversation = json!([asked, said("assistant", "a")]);
        json!({"id": id, "winner": "model_a", "conversation_a": conversation, "conversation_b": conversation, "num": 1})
    };
    let rows: String = [row("x", said("user", "q")), row("y", image)].iter().map(|row| format!("{row}\n")).collect();
    let (schema, _) = arrow_json::reader::infer_json_schema(rows.as_bytes(), None).unwrap();
    let schema = Arc::new(schema);
    let batch = arrow_json::ReaderBuilder::new(Arc::clone(&schema)).build(rows.as_bytes()).unwrap().next().unwrap();
    let mut bytes = vec![];
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, schema, None).unwrap();
    writer.write(&batch.unwrap()).unwrap();
    writer.close().unwrap();
    folder.write("train.parquet", &bytes);
    let suite = folder.read(SuiteName::Arena).unwrap();
    assert_eq!((suite.items.len(), suite.left_out.values().sum::<usize>()), (1, 1));
    assert_eq!(chat_of(&suite.items[0].responses[1]), ("q", "a"));
}

#[test]
fn arena_with_a_column_for_each_outcome() {
    let folder = Folder::new();
    let row = |id: u64, outcome: [u8; 3], b: &str| json!({"id": id, "model_a": "x", "model_b": "y", "prompt": "[\"h\",\"q\"]", "response_a": "[\"i\",\"a\"]", "response_b": b, "winner_model_a": outcome[0], "winner_model_b": outcome[1], "winner_tie": outcome[2]});
    let good = "[\"j\",\"b\"]";
    let rows = [
        row(1, [1, 0, 0], good),
        row(2, [0, 1, 0], "[\"j\",\"half \\ud83d\"]"),
        row(3, [0, 0, 1], good),
        row(4, [0, 0, 1], "[\"j\",null]"),
    ];
    folder.rows("train.jsonl", &rows);
    let suite = folder.read(SuiteName::Arena).unwrap();
    assert_eq!((suite.items.len(), suite.ties(), suite.left_out.values().sum::<usize>()), (3, 1, 1));
    let Content::Chat(exchange) = &suite.items[0].responses[1] else { panic!() };
    let said: Vec<&str> = exchange.history.iter().map(|message| message.content.as_str()).collect();
    assert_eq!((said, exchange.query.content.as_str(), exchange.response.content.as_str()), (vec!["h", "j"], "q", "b"));
    assert_eq!(chat_of(&suite.items[1].responses[1]), ("q", "half \u{fffd}"));
    assert_eq!(suite.items[1].pairs, [[1, 0]]);
    for (row, problem) in [
        (row(1, [1, 0, 1], good), "not exactly one of `winner_model_a`, `winner_model_b`, `winner_tie` is 1"),
        (row(1, [0, 0, 0], good), "not exactly one of `winner_model_a`"),
        (row(1, [2, 0, 0], good), "`winner_model_a` is 2, not a boolean"),
        (row(1, [1, 0, 0], "[\"j\"]"), "`prompt` holds 2 texts, and `response_b` 1"),
        (row(1, [1, 0, 0], "{}"), "`response_b` is {}, not a list of texts"),
        (row(1, [1, 0, 0], "b"), "`response_b` is a text, but not a list in JSON"),
    ] {
        folder.rows("train.jsonl", &[row]);
        let error = folder.read(SuiteName::Arena).unwrap_err().to_string();
        assert!(error.contains("train.jsonl:1: ") && error.contains(problem), "{error}");
    }
}

/// Best-of-K sets are published as parquet, each in a repository that is named after it.
#[test]
fn ppe_correctness_in_parquet() {
    let folder = Folder::new();
    let text = |values: [&str; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let booleans = |rows: [[bool; 3]; 2]| {
        let offsets = OffsetBuffer::new(vec![0, 3, 6].into());
        let field = Arc::new(Field::new("item", DataType::Boolean, true));
        Arc::new(ListArray::new(field, offsets, Arc::new(BooleanArray::from(rows.concat())), None)) as ArrayRef
    };
    let places = ListArray::from_iter_primitive::<Int64Type, _, _>(
        [[0, 1], [2, 1], [0, 2]].map(|pair| Some(pair.map(Some).to_vec())),
    );
    let field = Arc::new(Field::new("item", places.data_type().clone(), true));
    let pairs = ListArray::new(field, OffsetBuffer::new(vec![0, 2, 3].into()), Arc::new(places), None);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("question_id", Arc::new(Int64Array::from(vec![5, 5]))),
        ("model_name", text(["m", "n"])),
        ("prompt", text(["p", "p"])),
        ("response_1", text(["a", "a"])),
        ("response_2", text(["b", "b"])),
        ("response_3", text(["c", "c"])),
        ("scores", booleans([[true, false, true], [false, true, true]])),
        ("sampled_conflict_pairs", Arc::new(pairs)),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = vec![];
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    folder.write("PPE-MMLU-Pro-Best-of-K/data/train-00000.parquet", &bytes);
    let suite = folder.read(SuiteName::PpeCorrectness).unwrap();
    let ids: Vec<&str> = suite.items.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ids, ["mmlu-pro:5:m", "mmlu-pro:5:n"]);
    assert_eq!(suite.items[0].pairs, [[0, 1], [2, 1]]);
    assert_eq!(suite.items[1].pairs, [[2, 0]], "the better response comes first");
    let (total, parts) = results(&suite, &[vec![3.0, 2.0, 1.0], vec![3.0, 2.0, 1.0]]);
    assert_eq!((total, parts[0].clone()), (None, ("mmlu-pro".into(), Some(1.0 / 3.0))));

    let other = Folder::new();
    let row = json!({"question_id": 1, "prompt": "p", "response_1": "a", "scores": [true, false], "sampled_conflict_pairs": [[0, 1]]});
    let path = other.rows("rows.jsonl", std::slice::from_ref(&row));
    assert!(other.read(SuiteName::PpeCorrectness).unwrap_err().to_string().contains("which set of PPE"));
    std::fs::rename(path, other.0.path().join("math_rows.jsonl")).unwrap();
    assert!(other.read(SuiteName::PpeCorrectness).unwrap_err().to_string().contains("no `response_2`"));
}

#[test]
fn pairs_in_all_their_shapes() {
    let folder = Folder::new();
    let said = |role: &str, content: &str| json!({"role": role, "content": content});
    let rows = [
        json!({"prompt": "p", "chosen": "c", "rejected": "r", "id": 7, "language": "English", "source": "s"}),
        json!({"prompt": [said("user", "p")], "chosen": [said("assistant", "c")], "rejected": [said("assistant", "r")]}),
        json!({"chosen": [said("user", "p"), said("assistant", "c")], "rejected": [said("user", "p"), said("assistant", "r")]}),
        json!({"conversations": [{"from": "human", "value": "p"}], "chosen": {"from": "gpt", "value": "c"}, "rejected": {"from": "gpt", "value": "r"}}),
        json!({"chosen": "\n\nHuman: p\n\nAssistant: c", "rejected": "\n\nHuman: p\n\nAssistant: r"}),
        json!({"chosen": "c", "rejected": "r", "user": "u"}),
    ];
    folder.rows("own.jsonl", &rows);
    let suite = folder.read(SuiteName::Pairs).unwrap();
    for item in &suite.items[..5] {
        assert_eq!(item.responses.iter().map(chat_of).collect::<Vec<_>>(), [("p", "c"), ("p", "r")], "{}", item.place);
        assert_eq!((item.pairs.as_slice(), item.unit == suite.items[0].unit), (&[[0, 1]][..], true));
    }
    assert_eq!(suite.items[5].responses, [Content::Text("c".into()), Content::Text("r".into())]);
    let about: Vec<(&str, &str)> = suite.items.iter().map(|item| (item.id.as_str(), item.source.as_str())).collect();
    assert_eq!((about[0], about[5]), (("7", "s"), ("own:6", "own")));
    assert_eq!(suite.items[5].user.as_deref(), Some("u"));
}

#[test]
fn rated_rows() {
    let folder = Folder::new();
    let messages = json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]);
    let history = json!([{"role": "user", "content": "h"}, {"role": "assistant", "content": "i"}]);
    let rows = [
        json!({"id": "x", "text": "rendered", "history": history, "messages": messages, "label": 4, "user": "u"}),
        json!({"id": "y", "text": "whole", "label": 1.0, "conversation": "c"}),
    ];
    folder.rows("rows.jsonl", &rows);
    let suite = folder.read(SuiteName::Wildfb).unwrap();
    let Content::Chat(exchange) = &suite.items[0].responses[0] else { panic!() };
    assert_eq!((exchange.history[0].role, exchange.response.content.as_str()), (Role::User, "a"));
    let known: Vec<_> = suite.items.iter().map(|item| (item.label, item.unit.as_str())).collect();
    assert_eq!(known, [(Some(4), "u"), (Some(1), "c")]);
    assert!(suite.benchmark(&[vec![1.0], vec![1.0]], &Bootstrap::default()).is_none());
    for label in [json!(0), json!(2.5), json!("4"), json!(null), json!(true)] {
        folder.rows("rows.jsonl", &[json!({"id": "x", "text": "t", "label": label})]);
        let error = folder.read(SuiteName::Wildfb).unwrap_err().to_string();
        assert!(error.contains("rows.jsonl:1: ") && error.contains("`label`"), "{error}");
    }
}

#[test]
fn what_is_wrong_with_files_is_named() {
    let folder = Folder::new();
    let pair = |id: &str| json!({"id": id, "prompt": "p", "chosen": "c", "rejected": "r"});
    let check = |what: &str| {
        let error = folder.read(SuiteName::Pairs).unwrap_err();
        assert!(error.to_string().contains(what) && error.exit_code() == 2, "{error}");
    };
    check("holds no file that ends with .json");
    folder.rows("a.jsonl", &[pair("x"), pair("x")]);
    check("a.jsonl:2: the id \"x\" was already used at ");
    folder.rows("a.jsonl", &[pair("x"), json!({"id": "y", "prompt": "p", "chosen": "c"})]);
    check("a.jsonl:2: row \"y\": the pair has no `rejected`");
    folder.write("a.jsonl", "");
    check("a.jsonl: holds no rows");
    folder.write("a.jsonl", "{\"id\": 1,\n");
    check("a.jsonl:1: broken JSON");
    let whole = gzipped(&format!("{}\n{}\n", pair("x"), pair("y")));
    folder.write("a.jsonl", &whole);
    assert_eq!(folder.read(SuiteName::Pairs).unwrap().items.len(), 2, "gzip is told by its bytes");
    folder.write("a.jsonl", &whole[..whole.len() - 12]);
    check("a.jsonl: damaged gzip");
    let missing = Suite::read(SuiteName::Pairs, &["no-such-file".into()]).unwrap_err();
    assert!(missing.to_string().contains("no-such-file") && missing.exit_code() == 2);
}

#[test]
fn a_suite_has_one_name_everywhere() {
    for name in SuiteName::ALL {
        assert_eq!(serde_json::to_value(name).unwrap(), name.as_str());
        assert_eq!(name.as_str().parse(), Ok(name));
        assert!(bare_rows().iter().any(|(tested, ..)| *tested == name));
    }
}

/// A row of every suite with nothing but the fields it needs.
fn bare_rows() -> Vec<(SuiteName, &'static str, Value)> {
    let texts = |n: usize| vec!["t"; n];
    let user = json!([{"role": "user", "content": "q"}]);
    let chat = json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]);
    let answer = json!({"llm_name": "m", "answer": "a"});
    vec![
        (
            SuiteName::Rewardbench,
            "r.jsonl",
            json!({"id": 1, "subset": "s", "prompt": "p", "chosen": "c", "rejected": "r"}),
        ),
        (
            SuiteName::Rewardbench2,
            "r.jsonl",
            json!({"id": "1", "subset": "Math", "prompt": "p", "chosen": texts(1), "rejected": texts(3)}),
        ),
        (
            SuiteName::Rmbench,
            "chat_filtered.jsonl",
            json!({"id": 1, "prompt": "p", "chosen": texts(3), "rejected": texts(3)}),
        ),
        (
            SuiteName::Judgebench,
            "r.jsonl",
            json!({"pair_id": "1", "source": "s", "question": "q", "response_A": "a", "response_B": "b", "label": "A>B"}),
        ),
        (
            SuiteName::MRewardbench,
            "r.jsonl",
            json!({"id": 1, "language": "arb_Arab", "source": "s", "prompt": "p", "chosen": "c", "rejected": "r"}),
        ),
        (
            SuiteName::MRewardbench,
            "arb_Arab/r.jsonl",
            json!({"id": 1, "source": "s", "prompt": "p", "chosen": "c", "rejected": "r"}),
        ),
        (
            SuiteName::MRewardbench,
            "translation/r.jsonl",
            json!({"id": 1, "subset": "translation-de2en", "prompt": "p", "chosen": "c", "rejected": "r"}),
        ),
        (
            SuiteName::Rmb,
            "r.jsonl",
            json!({"bon_uid": "1", "category_path": "BoN_set/Helpfulness/Code/Documentation", "conversation_input": user,
                   "bon_best": answer, "loser_list": [answer, answer]}),
        ),
        (
            SuiteName::Rmb,
            "r.jsonl",
            json!({"pair_uid": "1", "category_path": "Pairwise_set/Harmlessness/S1", "conversation_input": user,
                   "chosen": answer, "reject": answer}),
        ),
        (
            SuiteName::Arena,
            "r.jsonl",
            json!({"question_id": "1", "winner": "tie", "conversation_a": chat, "conversation_b": chat}),
        ),
        (
            SuiteName::Arena,
            "r.jsonl",
            json!({"id": 1, "winner_model_a": 0, "winner_model_b": 1, "winner_tie": 0, "prompt": "[\"p\"]",
                   "response_a": "[\"a\"]", "response_b": "[\"b\"]"}),
        ),
        (
            SuiteName::PpeHuman,
            "r.jsonl",
            json!({"question_id": "1", "winner": "model_a", "prompt": "p", "response_1": "a", "response_2": "b"}),
        ),
        (
            SuiteName::PpeCorrectness,
            "math.jsonl",
            json!({"question_id": "1", "prompt": "p", "response_1": "a", "response_2": "b", "scores": [true, false],
                   "sampled_conflict_pairs": [[0, 1]]}),
        ),
        (SuiteName::Pairs, "r.jsonl", json!({"chosen": "c", "rejected": "r"})),
        (SuiteName::Wildfb, "r.jsonl", json!({"text": "t", "label": 1})),
    ]
}

#[test]
fn every_field_that_a_suite_needs_is_asked_for_by_name_and_row() {
    for (name, file, row) in bare_rows() {
        let folder = Folder::new();
        folder.rows(file, std::slice::from_ref(&row));
        assert_eq!(folder.read(name).unwrap().items.len(), 1, "{name}");
        for field in row.as_object().unwrap().keys() {
            for without in [None, Some(json!(null)), Some(json!({}))] {
                let mut second = row.clone();
                let fields = second.as_object_mut().unwrap();
                match without.clone() {
                    Some(value) => fields.insert(field.clone(), value),
                    None => fields.shift_remove(field),
                };
                if fields.contains_key("id") {
                    fields.insert("id".into(), if field == "id" { fields["id"].clone() } else { json!("2") });
                }
                folder.rows(file, &[row.clone(), second]);
                let error = folder.read(name).unwrap_err();
                let said = error.to_string();
                assert!(
                    said.contains(&format!("{file}:2")) && error.exit_code() == 2,
                    "{name}, {field}, {without:?}: {said}"
                );
                assert!(said.contains(&format!("`{field}`")), "{name}, {field}, {without:?}: {said}");
            }
        }
    }
}

#[test]
fn lists_of_unequal_lengths_are_named() {
    for (change, problem) in [
        (json!({"scores": [true, false, true]}), "the row has no `response_3`"),
        (json!({"scores": [true]}), "`scores` holds 1 entries, but there is a `response_2`"),
        (json!({"sampled_conflict_pairs": [[0, 2]]}), "`sampled_conflict_pairs` holds [0, 2]"),
        (json!({"sampled_conflict_pairs": [[0]]}), "not a list of pairs of positions"),
        (json!({"scores": []}), "`scores` is empty"),
    ] {
        let of_ppe = bare_rows().into_iter().find(|(name, ..)| *name == SuiteName::PpeCorrectness);
        let (name, file, mut row) = of_ppe.unwrap();
        row.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let folder = Folder::new();
        folder.rows(file, &[row]);
        let error = folder.read(name).unwrap_err().to_string();
        assert!(error.contains("math.jsonl:1: ") && error.contains(problem), "{error}");
    }
}

/// The complete files that are available are read correctly.
#[test]
fn published_files_are_read() {
    let Some(data) = crate::test_files::fetched("WGR_DATA", "") else { return };
    let read = |name, paths: &[&str]| {
        Suite::read(name, &paths.iter().map(|path| data.join(path)).collect::<Vec<_>>()).unwrap()
    };
    assert_eq!(read(SuiteName::Judgebench, &["judgebench/gpt-4o.jsonl"]).items.len(), 350);
    assert_eq!(read(SuiteName::Rmbench, &["rmbench"]).items.len(), 129 + 284);
    assert_eq!(read(SuiteName::Wildfb, &["ifllm/dev.jsonl"]).items.len(), 151);
    let files =
        ["ifllm/pairs_dev.jsonl", "preference/ultrafeedback_train.jsonl", "preference/sharegpt_style_dpo_en.json"];
    assert_eq!(read(SuiteName::Pairs, &files).items.len(), 49 + 1000 + 300);
}
