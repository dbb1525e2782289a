//! A small file of every suite, as its authors publish it, and what is wrong with files that are not.

use std::io::Write as _;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, BooleanArray, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::data::Role;

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
    assert!(error.to_string().contains("total_dataset.json: row 1: it is not clear which part"), "{error}");
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
    assert_eq!((suite.items.len(), suite.dropped), (2, 2));
    assert_eq!((suite.items[1].pairs[0], suite.items[1].language.as_deref()), ([1, 0], Some("German")));
    assert_eq!(results(&suite, &[vec![1.0, 0.0], vec![1.0, 0.0]]).0, Some(0.5));
    folder.rows("test.jsonl", &[row("1", "nobody")]);
    assert!(folder.read(SuiteName::PpeHuman).unwrap_err().to_string().contains("model_a, model_b or tie"));
    folder.rows("test.jsonl", &[row("1", "tie")]);
    assert!(folder.read(SuiteName::PpeHuman).unwrap_err().to_string().contains("nothing that ppe-human counts"));
}

/// Best-of-K sets are published as parquet, each in a repository that is named after it.
#[test]
fn ppe_correctness_in_parquet() {
    let folder = Folder::new();
    let text = |values: [&str; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let booleans = |rows: [[bool; 3]; 2]| {
        let offsets = arrow::buffer::OffsetBuffer::new(vec![0, 3, 6].into());
        let field = Arc::new(arrow::datatypes::Field::new("item", arrow::datatypes::DataType::Boolean, true));
        Arc::new(ListArray::new(field, offsets, Arc::new(BooleanArray::from(rows.concat())), None)) as ArrayRef
    };
    let places = ListArray::from_iter_primitive::<Int64Type, _, _>(
        [[0, 1], [2, 1], [0, 2]].map(|pair| Some(pair.map(Some).to_vec())),
    );
    let field = Arc::new(arrow::datatypes::Field::new("item", places.data_type().clone(), true));
    let pairs = ListArray::new(field, arrow::buffer::OffsetBuffer::new(vec![0, 2, 3].into()), Arc::new(places), None);
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
    assert_eq!((exchange.history[0].role, exchange.response.as_str()), (Role::User, "a"));
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

/// A row of every suite with nothing but the fields it needs.
fn bare_rows() -> [(SuiteName, &'static str, Value); 8] {
    let texts = |n: usize| vec!["t"; n];
    [
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
        (json!({"sampled_conflict_pairs": [[0]]}), "not a list of pairs of places"),
        (json!({"scores": []}), "`scores` is empty"),
    ] {
        let [.., (name, file, mut row), _, _] = bare_rows();
        row.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let folder = Folder::new();
        folder.rows(file, &[row]);
        let error = folder.read(name).unwrap_err().to_string();
        assert!(error.contains("math.jsonl:1: ") && error.contains(problem), "{error}");
    }
}

/// The files that are at hand in full read as what they are.
#[test]
fn published_files_are_read() {
    let Some(data) = crate::data::test_data() else { return };
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
