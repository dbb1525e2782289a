//! Whole inputs: what is read and in which order, what is counted, and what ends a run.

use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use ::parquet::file::properties::WriterProperties;
use arrow_json::ReaderBuilder;
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::data::Role;
use crate::test_files::fetched;
use crate::{Error, Result};

/// Everything that an input holds.
#[derive(Debug, Default)]
struct All {
    conversations: Vec<Arc<Conversation>>,
    irregular: Vec<Irregular>,
    bytes_read: u64,
    largest_window: usize,
}

fn read(paths: &[PathBuf]) -> Result<All> {
    let mut all = All::default();
    for window in Reader::open(paths)? {
        let window = window?;
        all.largest_window = all.largest_window.max(window.conversations.len());
        all.conversations.extend(window.conversations);
        all.irregular.extend(window.irregular);
        all.bytes_read += window.bytes_read;
    }
    Ok(all)
}

fn file(folder: &TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

fn read_text(name: &str, text: impl AsRef<[u8]>) -> All {
    let folder = tempfile::tempdir().unwrap();
    read(&[file(&folder, name, text)]).unwrap()
}

fn reasons(all: &All) -> Vec<&'static str> {
    all.irregular.iter().map(|irregular| irregular.reason.name()).collect()
}

/// A row in the shape of WildChat.
fn row(id: &str) -> Value {
    let message = |role: &str, content: &str| json!({"role": role, "content": content, "language": "English", "hashed_ip": "u1", "header": {"user-agent": "x"}});
    json!({
        "conversation_hash": id, "model": "gpt-4", "timestamp": "2023-04-09T00:02:53", "language": "English",
        "hashed_ip": null, "turn": 1, "toxic": false,
        "conversation": [message("user", "q"), message("assistant", "a"), message("user", "f")],
    })
}

fn schema() -> Schema {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let header = Field::new_struct("header", vec![text("user-agent")], true);
    let message = vec![text("role"), text("content"), text("language"), text("hashed_ip"), header];
    let message = Field::new("element", DataType::Struct(Fields::from(message)), true);
    Schema::new(vec![
        text("conversation_hash"),
        text("model"),
        Field::new("timestamp", DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())), true),
        Field::new_list("conversation", message, true),
        Field::new("turn", DataType::Int64, true),
        text("language"),
        Field::new("toxic", DataType::Boolean, true),
        text("hashed_ip"),
    ])
}

/// Writes rows as parquet, with a given number of rows per row group.
fn write_parquet(path: &Path, rows: &[Value], row_group: usize) {
    write_columns(path, schema(), rows, row_group);
}

fn write_columns(path: &Path, schema: Schema, rows: &[Value], row_group: usize) {
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let schema = Arc::new(schema);
    let batches = ReaderBuilder::new(schema.clone()).build(Cursor::new(text)).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(row_group)).build();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), schema, Some(properties)).unwrap();
    batches.for_each(|batch| writer.write(&batch.unwrap()).unwrap());
    writer.close().unwrap();
}

fn ids(all: &All) -> Vec<&str> {
    all.conversations.iter().map(|conversation| conversation.id.as_str()).collect()
}

#[test]
fn a_row_is_the_same_from_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write_parquet(&path, &[row("x")], 10);
    let parquet = read(&[path]).unwrap();
    let lines = read_text("a.jsonl", row("x").to_string());
    let list = read_text("a.json", serde_json::to_string_pretty(&json!([row("x")])).unwrap());
    let conversation = &lines.conversations[0];
    assert_eq!((conversation.user.as_deref(), conversation.language.as_deref()), (Some("u1"), Some("English")));
    assert_eq!((conversation.messages.len(), conversation.messages[1].role), (3, Role::Assistant));
    assert_eq!(conversation.timestamp.as_deref(), Some("2023-04-09T00:02:53"));
    for other in [parquet, list] {
        assert_eq!(other.conversations, lines.conversations);
        assert!(other.irregular.is_empty());
    }
}

#[test]
fn conversations_of_lmsys_keep_their_ids() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let mut lmsys = row("x");
    lmsys.as_object_mut().unwrap().remove("conversation_hash");
    lmsys["conversation_id"] = "0a1f".into();
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let columns = schema().fields().iter().skip(1).map(|field| field.as_ref().clone()).collect::<Vec<_>>();
    write_columns(&path, Schema::new([vec![text("conversation_id")], columns].concat()), &[lmsys.clone()], 10);
    assert_eq!(ids(&read(&[path]).unwrap()), ["0a1f"]);
    assert_eq!(ids(&read_text("a.jsonl", lmsys.to_string())), ["0a1f"]);
}

#[test]
fn sharegpt_and_bare_messages_are_read_and_their_language_is_told() {
    let sharegpt = json!({"id": 7, "conversations": [
        {"from": "human", "value": "Could you please explain how bread is made at home?"}, {"from": "gpt", "value": "Yes."}]});
    let messages =
        json!({"messages": [{"role": "user", "content": "请问怎么在家里做面包？我没有烤箱。"}], "user_id": "u"});
    let all = read_text("chats.json", json!([sharegpt, messages]).to_string());
    let told: Vec<_> =
        all.conversations.iter().map(|c| (c.id.as_str(), c.language.as_deref(), c.user.as_deref())).collect();
    assert_eq!(told, [("7", Some("English"), None), ("chats:2", Some("Chinese"), Some("u"))]);
}

#[test]
fn irregular_rows_are_counted_and_end_nothing() {
    let lines = [
        row("first").to_string().into_bytes(),
        b"{\"conversation\": [".to_vec(),
        b"{\"conversation\": \"hello\"}".to_vec(),
        b"{\"conversation\": []}".to_vec(),
        b"{\"conversation_hash\": \"c\"}".to_vec(),
        b"{\"conversation\": [{\"role\": \"critic\", \"content\": \"x\"}]}".to_vec(),
        b"{\"conversation\": [{\"content\": \"x\"}]}".to_vec(),
        b"{\"conversation\": [{\"role\": \"user\", \"content\": \"\xff\"}]}".to_vec(),
        b"17".to_vec(),
        b"".to_vec(),
        row("first").to_string().into_bytes(),
        row("last").to_string().into_bytes(),
    ];
    let all = read_text("a.jsonl", lines.join(&b'\n'));
    assert_eq!(ids(&all), ["first", "last"]);
    let expected = ["broken_json", "wrong_type", "no_messages", "no_messages", "unknown_role", "unknown_role"];
    let after = ["invalid_utf8", "wrong_type", "repeated_conversation"];
    assert_eq!(reasons(&all), [&expected[..], &after].concat());
    assert!(all.irregular[0].place.ends_with("a.jsonl:2"), "{:?}", all.irregular[0]);
    assert!(all.irregular[4].problem.contains("critic"), "{:?}", all.irregular[4]);
    assert_eq!(all.irregular[3].id.as_deref(), Some("c"));
}

#[test]
fn a_file_without_one_conversation_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = file(&folder, "good.jsonl", row("a").to_string());
    let broken = file(&folder, "broken.jsonl", "{\n17\n\n{\"text\": \"t\"}\n");
    refused(&[good, broken], &["broken.jsonl: not one of its rows is a conversation; ", "broken.jsonl:1: EOF"]);
    // A folder of a data set has other files, too.
    let mut reader = Reader::open(&[folder.path().to_owned()]).unwrap();
    let window = reader.next().unwrap().unwrap();
    assert_eq!((window.conversations.len(), window.irregular.len()), (1, 3));
}

#[test]
fn reasoning_is_kept_under_its_name() {
    let message = json!({"role": "assistant", "content": "a", "reasoning": "why"});
    let logged = json!({"conversation": [{"role": "user", "content": "q"}, message]});
    let all = read_text("a.jsonl", logged.to_string());
    assert_eq!(Value::from(all.conversations[0].messages[1].to_json()), message);
    let named = json!({"conversation": [{"role": "user", "name": "n", "content": null}]});
    let all = read_text("a.jsonl", named.to_string());
    assert_eq!(all.conversations[0].messages[0].to_json()["content"], "");
}

#[test]
fn files_may_share_ids_and_roles_and_parts_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let line = |id: u32| {
        format!(
            "{}\n",
            json!({"id": id, "extra": 1, "system": "s", "conversation": [
        {"role": "User", "content": [{"type": "text", "text": "a"}, "b"]}, {"role": "assistant", "content": null}]})
        )
    };
    let a = file(&folder, "a.jsonl", line(1) + &line(1));
    let b = file(&folder, "b.jsonl", line(1) + &line(2));
    let mut reader = Reader::open(&[a, b.clone()]).unwrap();
    let window = reader.next().unwrap().unwrap();
    let ids: Vec<&str> = window.conversations.iter().map(|conversation| conversation.id.as_str()).collect();
    assert_eq!((ids, window.irregular.len()), (vec!["1", "b/1", "2"], 1));
    let said: Vec<&str> = window.conversations[0].messages.iter().map(|message| message.content.as_str()).collect();
    assert_eq!(said, ["s", "ab", ""]);
    assert_eq!((reader.report.joined_contents, reader.report.translated_roles["User"]), (4, 4));
    assert_eq!(reader.report.shared_ids, [(b.display().to_string(), 1)].into());
    assert!(reader.report.unused_columns.values().all(|names| names.iter().eq(["extra"])));
}

#[test]
fn compressed_logs_and_long_ids_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let text = row("x").to_string().replace("\"x\"", "123456789012345678901234567890");
    let mut packed = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let size = packed.len() as u64;
    file(&folder, "logs/a.jsonl.gz", packed);
    let all = read(&[folder.path().join("logs")]).unwrap();
    assert_eq!((ids(&all), all.bytes_read), (vec!["123456789012345678901234567890"], size));
}

#[test]
fn parquet_messages_keep_their_calls_and_parts() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [
        json!({"conversation": [{"role": "user", "content": [{"type": "text", "text": "q"}], "tool_calls": null},
            {"role": "assistant", "content": null, "tool_calls": [{"name": "f", "arguments": "{}"}]}]}),
        json!({"conversation": [{"role": "user", "content": [{"type": "image", "text": null}]}]}),
    ];
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let schema = arrow_json::reader::infer_json_schema_from_seekable(Cursor::new(&text), None).unwrap().0;
    let schema = Arc::new(schema);
    let batches = ReaderBuilder::new(schema.clone()).build(Cursor::new(&text)).unwrap();
    let path = folder.path().join("a.parquet");
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), schema, None).unwrap();
    batches.for_each(|batch| writer.write(&batch.unwrap()).unwrap());
    writer.close().unwrap();
    let all = read(&[path]).unwrap();
    let [user, assistant] = &all.conversations[0].messages[..] else { panic!("{all:?}") };
    assert_eq!((user.content.as_str(), user.extra_fields().count()), ("q", 0));
    assert_eq!(assistant.to_json()["tool_calls"], json!([{"name": "f", "arguments": "{}"}]));
    assert_eq!(
        (reasons(&all), all.irregular[0].problem.as_str()),
        (vec!["wrong_type"], "message 1 holds a part of type \"image\", which is not text")
    );
}

#[test]
fn odd_texts_stay_usable() {
    let half =
        r#"{"conversation": [{"role": "user", "content": "a \ud83d b"}, {"role": "assistant", "content": null}]}"#;
    let all = read_text("a.jsonl", half);
    let contents: Vec<&str> = all.conversations[0].messages.iter().map(|m| m.content.as_str()).collect();
    assert_eq!(contents, ["a \u{fffd} b", ""]);
}

#[test]
fn an_enormous_conversation_is_passed_over() {
    let mut long = row("long");
    long["conversation"][0]["content"] = "word ".repeat(2 << 20).into();
    let all = read_text("a.jsonl", format!("{long}\n{}", row("short")));
    assert_eq!((ids(&all), reasons(&all)), (vec!["short"], vec!["too_long"]));
    assert_eq!(all.irregular[0].id.as_deref(), Some("long"));
}

#[test]
fn a_list_that_is_cut_off_gives_what_came_before() {
    let whole = json!([row("a"), row("b"), row("c")]).to_string();
    let all = read_text("a.json", &whole[..whole.len() - 20]);
    assert_eq!((ids(&all), reasons(&all)), (vec!["a", "b"], vec!["broken_json"]));
}

#[test]
fn folders_are_searched_in_order_and_the_order_never_changes() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<Value> = (0..700).map(|index| row(&format!("{index:04}"))).collect();
    std::fs::create_dir_all(folder.path().join("data/more")).unwrap();
    write_parquet(&folder.path().join("data/a.parquet"), &rows[..300], 40);
    write_parquet(&folder.path().join("data/b.parquet"), &rows[300..500], 300);
    let lines: String = rows[500..].iter().map(|row| format!("{row}\n")).collect();
    file(&folder, "data/more/c.jsonl", lines);
    file(&folder, "README.md", "not read");
    file(&folder, "data/.hidden.jsonl", "not read");
    let expected: Vec<String> = (0..700).map(|index| format!("{index:04}")).collect();
    for _ in 0..5 {
        let all = read(&[folder.path().into()]).unwrap();
        assert_eq!(ids(&all), expected);
        let size = |name: &str| std::fs::metadata(folder.path().join("data").join(name)).unwrap().len();
        assert_eq!(all.bytes_read, size("a.parquet") + size("b.parquet") + size("more/c.jsonl"));
    }
}

#[test]
fn windows_stay_small_whatever_the_input() {
    let mut fat = row("0");
    fat["conversation"][0]["content"] = "x".repeat(1 << 20).into();
    let lines: String = (0..80)
        .map(|index| {
            fat["conversation_hash"] = index.to_string().into();
            format!("{fat}\n")
        })
        .collect();
    let all = read_text("fat.jsonl", lines);
    assert_eq!(all.conversations.len(), 80);
    // 32 MiB of text, and what the batch that passes that mark holds.
    assert!(all.largest_window <= 36, "{}", all.largest_window);
    let many: String = (0..9000).map(|index| format!("{}\n", row(&index.to_string()))).collect();
    assert_eq!(read_text("many.jsonl", many).largest_window, 4096);
}

fn refused(paths: &[PathBuf], expected: &[&str]) {
    let error = read(paths).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    for part in expected {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good.parquet");
    write_parquet(&good, &[row("a"), row("b")], 1);
    let bytes = std::fs::read(&good).unwrap();
    refused(&[folder.path().join("none")], &["none"]);
    refused(&[file(&folder, "cut.parquet", &bytes[..bytes.len() - 9])], &["cut.parquet", "damaged parquet"]);
    refused(&[file(&folder, "page.parquet", "<html>")], &["page.parquet", "is not a parquet file"]);
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    refused(&[folder.path().join("empty")], &["empty", "has no files of conversations"]);

    let other = folder.path().join("other.parquet");
    let schema = Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8, true)]));
    let batches = ReaderBuilder::new(schema.clone()).build(Cursor::new("{\"text\": \"x\"}")).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(&other).unwrap(), schema, None).unwrap();
    batches.for_each(|batch| writer.write(&batch.unwrap()).unwrap());
    writer.close().unwrap();
    refused(&[other], &["other.parquet", "has none of the columns `conversation`", "text"]);
}

#[test]
fn a_damaged_row_group_ends_the_run_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    write_parquet(&path, &[row("a"), row("b")], 1);
    let mut bytes = std::fs::read(&path).unwrap();
    // The pages come first, then the footer; the columns that are read lie among the others.
    bytes[4..600].fill(0xff);
    match read(&[file(&folder, "b.parquet", bytes)]) {
        Err(Error::Input { at, .. }) => assert!(at.contains("b.parquet: row group"), "{at}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn real_logs_are_read() {
    let Some(data) = fetched("WGR_DATA", "") else { return };
    let all = read(&[data.join("conversations")]).unwrap();
    assert_eq!((all.conversations.len(), all.irregular.len()), (700, 0));
    let sharegpt = read(&[data.join("preference/sharegpt_style_dpo_en.json")]).unwrap();
    assert_eq!((sharegpt.conversations.len(), sharegpt.irregular.len()), (300, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_files_never_panic(
        format in 0..3_usize, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let rows = [row("a"), row("b"), row("c")];
        let path = folder.path().join(["a.parquet", "a.jsonl", "a.json"][format]);
        match format {
            0 => write_parquet(&path, &rows, 2),
            1 => std::fs::write(&path, rows.map(|row| row.to_string()).join("\n")).unwrap(),
            _ => std::fs::write(&path, json!(rows).to_string()).unwrap(),
        }
        let mut bytes = std::fs::read(&path).unwrap();
        for (place, value) in &changes {
            let place = place.index(bytes.len());
            bytes[place] = *value;
        }
        bytes.truncate(cut.index(bytes.len() * 2).max(1));
        std::fs::write(&path, bytes).unwrap();
        if let Ok(all) = read(&[path]) {
            prop_assert!(all.conversations.len() + all.irregular.len() <= 50);
        }
    }
}
