use super::super::message::Message;
use super::super::role::Role;
use super::*;
use arrow_array::builder::{ListBuilder, StringBuilder, StructBuilder};
use arrow_array::{
    ArrayRef, BinaryArray, Decimal128Array, Float64Array, Int64Array, LargeBinaryArray, RecordBatch, StringArray,
    StructArray,
};
use arrow_schema::{DataType, Field, Fields};
use std::fs;
use std::path::Path;
use std::sync::Arc;

const CHAT: &str = r#"[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]"#;

fn write(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn read(contents: impl AsRef<[u8]>, purpose: Purpose) -> Result<Vec<Row>> {
    let dir = tempfile::tempdir().unwrap();
    Ok(read_rows(&[write(dir.path(), "data.jsonl", contents)], purpose)?.0)
}

fn refusal(contents: impl AsRef<[u8]>, purpose: Purpose) -> String {
    read(contents, purpose).unwrap_err().to_string()
}

#[test]
fn rows_of_every_kind_are_read() {
    let rows = read(
        format!(
            "\u{feff}{}\n\n{}\r\n{}",
            r#"{"id": 7, "text": "one", "label": 2}"#,
            format_args!(r#"{{"id": "b", "text": "rendered", "messages": {CHAT}, "label": 4.0}}"#),
            format_args!(r#"{{"history": "earlier", "messages": {CHAT}, "label": 1}}"#),
        ),
        Purpose::Levels(4),
    )
    .unwrap();
    assert_eq!(rows[0], Row { id: "7".into(), content: Content::Text("one".into()), label: Some(2.0) });
    let exchange = Exchange::new(vec![], "q", "a");
    assert_eq!(rows[1], Row { id: "b".into(), content: Content::Chat(exchange.clone()), label: Some(4.0) });
    let history = vec![Message::new(Role::User, "earlier")];
    // The blank line counts, as it does in an editor.
    assert_eq!(rows[2].id, "data:4");
    assert_eq!(rows[2].content, Content::Chat(Exchange { history, ..exchange }));
}

#[test]
fn an_empty_history_is_the_same_however_it_is_written() {
    let histories = [r#""history": [],"#, r#""history": "","#, r#""history": null,"#, ""];
    let lines: Vec<_> = histories.iter().map(|h| format!(r#"{{{h} "messages": {CHAT}}}"#)).collect();
    let rows = read(lines.join("\n"), Purpose::Score).unwrap();
    assert!(rows.iter().all(|row| row.content == rows[0].content));
    assert!(matches!(&rows[0].content, Content::Chat(e) if e.history.is_empty()));
}

#[test]
fn bad_labels_name_the_row() {
    for (label, expected) in [
        ("", "the label is missing"),
        (r#", "label": null"#, "the label is missing"),
        (r#", "label": "3""#, "the label is a string"),
        (r#", "label": true"#, "the label is a boolean"),
        (r#", "label": 2.5"#, "the label 2.5 is not a whole number"),
        (r#", "label": 0"#, "the label 0 is outside 1..4"),
        (r#", "label": 5"#, "the label 5 is outside 1..4"),
        (r#", "label": 1e300"#, "is out of range"),
        (r#", "label": 1e999"#, "the label is Infinity"),
        (
            r#", "label": 1000000000000000000000000000000000000000"#,
            "1000000000000000000000000000000000000000 is out of range",
        ),
    ] {
        let error = refusal(format!(r#"{{"id": "r1", "text": "t"{label}}}"#), Purpose::Levels(4));
        assert!(error.contains("data.jsonl:1: row \"r1\"") && error.contains(expected), "{error}");
    }
    let rows = read(r#"{"text": "t", "label": -2.5}"#, Purpose::Regression).unwrap();
    assert_eq!(rows[0].label, Some(-2.5));
}

#[test]
fn broken_files_are_named_with_their_line() {
    let good = r#"{"text": "t"}"#;
    for (contents, expected) in [
        (b"".to_vec(), "data.jsonl: holds no rows"),
        (b"\n \n".to_vec(), "data.jsonl: holds no rows"),
        (format!("{good}\n{{\"text\": \"t").into_bytes(), "data.jsonl:2: broken JSON: EOF while parsing a string"),
        (format!("{good}\n3").into_bytes(), "data.jsonl:2: broken JSON: invalid type"),
        (br#"{"text": NaN}"#.to_vec(), "data.jsonl:1: `text` is NaN, not a string"),
        (b"\xff\xfe{\0}\0".to_vec(), "data.jsonl: is UTF-16 text"),
        (b"PK\x03\x04".to_vec(), "data.jsonl: is a zip archive (unpack it"),
        (b"text,label\nhello,3\n".to_vec(), "data.jsonl: looks like CSV"),
        (b"{\n  \"text\": \"t\"\n}".to_vec(), "data.jsonl: holds JSON objects that span several lines"),
        ([good.as_bytes(), b"\n{\"text\": \"\xff\"}"].concat(), "data.jsonl:2: invalid UTF-8 at byte 11"),
        (format!("[{good},\n{{]").into_bytes(), "data.jsonl:2: broken JSON"),
        (b"PAR1 but nothing else".to_vec(), "data.jsonl: unreadable parquet"),
        ("[".repeat(100_000).into_bytes(), "broken JSON"),
    ] {
        let error = refusal(&contents, Purpose::Score);
        assert!(error.contains(expected), "{error}");
    }
    let missing = read_rows(&["nowhere.jsonl".into()], Purpose::Score).unwrap_err();
    assert!(missing.to_string().contains("nowhere.jsonl") && missing.exit_code() == 2);
    let dir = tempfile::tempdir().unwrap();
    let error = read_rows(&[dir.path().to_owned()], Purpose::Score).unwrap_err().to_string();
    assert!(error.contains("is a directory"), "{error}");
}

#[test]
fn malformed_rows_are_refused() {
    for (row, expected) in [
        (r#"{"id": "x"}"#, "none of `text`, `messages`"),
        (r#"{"id": "x", "text": ""}"#, "`text` is empty"),
        (r#"{"id": "x", "text": ["t"]}"#, "`text` is a list, not a string"),
        (r#"{"id": [1], "text": "t"}"#, "`id` is a list"),
        (r#"{"id": "x", "messages": "hello"}"#, "`messages` is a string, not a list of messages"),
        (r#"{"id": "x", "messages": [], "history": 3}"#, "`history` is a number"),
        (r#"{"id": "x", "messages": []}"#, "the response to judge, is missing"),
        (r#"{"id": "x", "chosen": "a", "rejected": "b"}"#, "preference pair"),
    ] {
        let error = refusal(row, Purpose::Score);
        assert!(error.contains("data.jsonl:1") && error.contains(expected), "{error}");
    }
    let error = refusal(r#"{"text": "t"}"#, Purpose::Preference);
    assert!(error.contains("needs preference pairs"), "{error}");
}

#[test]
fn files_may_share_ids_and_the_rows_of_one_may_not() {
    let dir = tempfile::tempdir().unwrap();
    let a = write(dir.path(), "a.jsonl", "{\"id\": 1, \"text\": \"t\"}\n{\"id\": \"2\", \"text\": \"t\"}");
    let b = write(dir.path(), "b.jsonl", "{\"text\": \"t\"}\n{\"id\": 2, \"text\": \"t\"}");
    std::fs::create_dir(dir.path().join("other")).unwrap();
    let again = write(dir.path(), "other/b.jsonl", "{\"text\": \"t\"}\n{\"id\": 2, \"text\": \"t\"}");
    let (rows, report) = read_rows(&[a, b.clone(), again.clone()], Purpose::Score).unwrap();
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let last = format!("{}/2", again.display());
    assert_eq!(ids, ["1", "2", "b:1", "b/2", "b/b:1", &last]);
    let expected = [(b.display().to_string(), 1), (again.display().to_string(), 2)];
    assert_eq!(report.shared_ids, expected.into());
    let twice = write(dir.path(), "c.jsonl", "{\"id\": 1, \"text\": \"t\"}\n{\"id\": \"1\", \"text\": \"t\"}");
    let error = read_rows(&[twice], Purpose::Score).unwrap_err().to_string();
    assert!(error.contains("c.jsonl:2: the id \"1\" was already used at ") && error.contains("c.jsonl:1"), "{error}");
}

#[test]
fn a_file_is_read_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "a.jsonl", "{\"text\": \"t\"}");
    let again = dir.path().join(".").join("..").join(dir.path().file_name().unwrap()).join("a.jsonl");
    let error = read_rows(&[path, again], Purpose::Score).unwrap_err().to_string();
    assert!(error.contains("is the same file as"), "{error}");
}

#[test]
fn rows_as_python_writes_them_are_read_and_what_was_mended_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let lines = [
        r#"{"id": 123456789012345678901234567890, "text": "cut \ud83d", "rating": NaN, "empty": null}"#,
        r#"{"id": "b", "messages": [{"from": "human", "value": [{"type": "text", "text": "q"}]}, {"from": "bing", "value": "a"}], "rating": Infinity}"#,
        r#"{"id": "c", "conversations": [{"role": "User", "content": "q"}, {"role": "assistant", "content": "a"}], "system": "s"}"#,
    ];
    for (name, text) in [("a.jsonl", lines.join("\n")), ("a.json", format!("[{}]", lines.join(",\n")))] {
        let (rows, report) = read_rows(&[write(dir.path(), name, text)], Purpose::Score).unwrap();
        assert_eq!(rows[0].id, "123456789012345678901234567890");
        assert_eq!(rows[0].content, Content::Text("cut \u{fffd}".into()));
        assert_eq!(rows[1].content, Content::Chat(Exchange::new(vec![], "q", "a")));
        let system = vec![Message::new(Role::System, "s")];
        assert_eq!(rows[2].content, Content::Chat(Exchange::new(system, "q", "a")));
        assert_eq!((report.lone_surrogates, report.joined_contents), (1, 1));
        let roles = [("User", 1), ("bing", 1), ("human", 1)].map(|(name, count)| (name.to_owned(), count));
        assert_eq!(report.translated_roles, roles.into());
        assert_eq!(report.unused_columns.values().next().unwrap().iter().collect::<Vec<_>>(), ["rating"]);
    }
    let error = refusal(r#"{"id": "x", "text": "t", "label": NaN}"#, Purpose::Levels(4));
    assert!(error.contains("row \"x\": the label is NaN (`label` must be a number"), "{error}");
}

#[test]
fn rated_pairs_are_two_rated_rows() {
    let pair = r#"{"id": "p", "prompt": "q", "chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "good"}],
        "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "bad"}], "score_chosen": 4.5, "score_rejected": 1}"#
        .replace('\n', " ");
    let row = |side: &str, response: &str, label: f64| Row {
        id: format!("p/{side}"),
        content: Content::Chat(Exchange::new(vec![], "q", response)),
        label: Some(label),
    };
    assert_eq!(read(&pair, Purpose::Levels(5)).unwrap(), [row("chosen", "good", 5.0), row("rejected", "bad", 1.0)]);
    assert_eq!(read(&pair, Purpose::Regression).unwrap(), [row("chosen", "good", 4.5), row("rejected", "bad", 1.0)]);
    assert_eq!(read(&pair, Purpose::Preference).unwrap().len(), 1);
    let error = refusal(pair.replace("score_chosen", "other").replace("score_rejected", "more"), Purpose::Levels(4));
    assert!(error.contains("`score_chosen` and `score_rejected`"), "{error}");
}

#[test]
fn a_reader_stops_at_its_first_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "data.jsonl", "{\"text\": \"t\"}\nbroken\n{\"text\": \"t\"}");
    let outcomes: Vec<_> =
        RowReader::new(&[path], Purpose::Score, RatingScale::default()).unwrap().map(|row| row.is_ok()).collect();
    assert_eq!(outcomes, [true, false]);
}

#[test]
fn parquet_rows_equal_jsonl_rows() {
    let fields =
        Fields::from(vec![Field::new("role", DataType::Utf8, true), Field::new("content", DataType::Utf8, true)]);
    let mut messages = ListBuilder::new(StructBuilder::from_fields(fields, 0));
    for conversation in [&[("user", "q"), ("assistant", "a")][..], &[("user", "q2"), ("assistant", "a2")]] {
        for (role, content) in conversation {
            let message = messages.values();
            message.field_builder::<StringBuilder>(0).unwrap().append_value(role);
            message.field_builder::<StringBuilder>(1).unwrap().append_value(content);
            message.append(true);
        }
        messages.append(true);
    }
    let nothing = StructArray::new_null(Fields::from(vec![Field::new("x", DataType::Utf8, true)]), 2);
    let columns: [(&str, ArrayRef); 4] = [
        ("id", Arc::new(StringArray::from(vec![Some("p"), None]))),
        ("messages", Arc::new(messages.finish())),
        ("label", Arc::new(Int64Array::from(vec![3, 4]))),
        ("history", Arc::new(nothing)),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();

    let from_parquet = read(&bytes, Purpose::Levels(4)).unwrap();
    let lines = [
        format!(r#"{{"id": "p", "messages": {CHAT}, "label": 3}}"#),
        r#"{"messages": [{"role":"user","content":"q2"},{"role":"assistant","content":"a2"}], "label": 4}"#.into(),
    ];
    assert_eq!(from_parquet, read(lines.join("\n"), Purpose::Levels(4)).unwrap());
    // Damage in the middle of a parquet file is an error as well.
    bytes[20..60].fill(0xA5);
    assert!(read(&bytes, Purpose::Levels(4)).is_err());
}

#[test]
fn parquet_of_other_tools_is_read() {
    use parquet::basic::Compression as C;
    // As ClickHouse writes texts, polars decimals and pandas absent numbers.
    let decimals = Decimal128Array::from(vec![3, 4]).with_precision_and_scale(38, 0).unwrap();
    let columns: [(&str, ArrayRef); 4] = [
        ("id", Arc::new(BinaryArray::from(vec![&b"p"[..], b"q"]))),
        ("text", Arc::new(LargeBinaryArray::from(vec![&b"t"[..], "\u{e9}".as_bytes()]))),
        ("label", Arc::new(decimals)),
        ("rating", Arc::new(Float64Array::from(vec![f64::NAN, 1.0]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    for codec in [
        C::UNCOMPRESSED,
        C::SNAPPY,
        C::LZ4,
        C::LZ4_RAW,
        C::BROTLI(Default::default()),
        C::ZSTD(Default::default()),
        C::GZIP(Default::default()),
    ] {
        let properties = parquet::file::properties::WriterProperties::builder().set_compression(codec).build();
        let mut bytes = Vec::new();
        let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let row = |id: &str, text: &str, label| Row {
            id: id.into(),
            content: Content::Text(text.into()),
            label: Some(label),
        };
        let dir = tempfile::tempdir().unwrap();
        let (rows, report) = read_rows(&[write(dir.path(), "x.parquet", &bytes)], Purpose::Levels(4)).unwrap();
        assert_eq!(rows, [row("p", "t", 3.0), row("q", "\u{e9}", 4.0)], "{codec}");
        assert_eq!(report.unused_columns.values().flatten().collect::<Vec<_>>(), ["rating"]);
    }
}

#[test]
fn real_files_are_read_whole() {
    let Some(data) = crate::test_files::fetched("WGR_DATA", "") else { return };
    for (file, purpose, count) in [
        ("ifllm/train.jsonl", Purpose::Levels(5), 1752),
        ("ifllm/pairs_train.jsonl", Purpose::Preference, 557),
        ("preference/ultrafeedback_train.jsonl", Purpose::Preference, 1000),
        ("preference/sharegpt_style_dpo_en.json", Purpose::Preference, 300),
    ] {
        assert_eq!(read_rows(&[data.join(file)], purpose).unwrap().0.len(), count, "{file}");
    }
    let shard = records(&data.join("conversations/train-00000-of-00002.parquet"), &[]).unwrap();
    let conversations: Vec<_> = shard.collect::<Result<_>>().unwrap();
    assert!(conversations.iter().all(|record| record.fields["conversation"][0]["content"].is_string()));
}
