use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::data::{Purpose, read_rows};

const GOLDEN: &str = include_str!("../../../tests/golden/pair_tokens.json");

fn golden() -> Value {
    serde_json::from_str(GOLDEN).unwrap()
}

/// A model directory without weights, with the tokenizer of the golden file; `changes` are to its configuration.
fn model(changes: Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let golden = golden();
    let mut settings = golden["tokenizer_config"].clone();
    for (key, value) in changes.as_object().unwrap() {
        settings[key] = value.clone();
    }
    let config = json!({
        "model_type": "llama", "vocab_size": 330, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "max_position_embeddings": 4096,
    });
    for (name, content) in
        [("config.json", &config), ("tokenizer.json", &golden["tokenizer"]), ("tokenizer_config.json", &settings)]
    {
        std::fs::write(folder.path().join(name), content.to_string()).unwrap();
    }
    folder
}

fn encoder_of(model: &TempDir, max_length: usize) -> PairEncoder {
    PairEncoder::new(&Checkpoint::open(model.path().to_str().unwrap()).unwrap(), max_length).unwrap()
}

fn encode_with(encoder: &PairEncoder, rows: &[Value]) -> Result<(Vec<TokenPair>, PairReport)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.jsonl");
    std::fs::write(&path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    encoder.encode(&read_rows(&[path], Purpose::Preference)?.0)
}

fn encode(rows: &[Value], max_length: usize) -> Result<(Vec<TokenPair>, PairReport)> {
    encode_with(&encoder_of(&model(json!({})), max_length), rows)
}

fn parts(pair: &TokenPair) -> [Vec<u32>; 3] {
    let prompt = &pair.chosen.tokens[..pair.chosen.prompt];
    assert_eq!(&pair.rejected.tokens[..pair.rejected.prompt], prompt, "the prompt is the same on both sides");
    let completion = |side: &Completion| side.tokens[side.prompt..].to_vec();
    [prompt.to_vec(), completion(&pair.chosen), completion(&pair.rejected)]
}

#[test]
fn tokens_are_those_of_transformers() {
    let golden = golden();
    let rows = golden["rows"].as_array().unwrap();
    let given: Vec<Value> = rows.iter().map(|row| row["row"].clone()).collect();
    let (pairs, report) = encode(&given, 4096).unwrap();
    assert_eq!((pairs.len(), report.pairs), (rows.len(), rows.len()));
    assert_eq!(report.tokens, pairs.iter().map(|pair| pair.tokens() as u64).sum::<u64>());
    for (row, pair) in rows.iter().zip(&pairs) {
        let expected = ["prompt", "chosen", "rejected"]
            .map(|side| row[side].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect::<Vec<_>>());
        assert_eq!(parts(pair), expected, "{}", pair.id);
    }
    assert_eq!(report.warnings(), [""; 0]);
}

#[test]
fn every_format_of_a_pair_gives_the_same_tokens() {
    let message = |role: &str, text: &str| json!({"role": role, "content": text});
    let (user, good, bad) = (message("user", "Why?"), message("assistant", "So."), message("assistant", "No."));
    let chats = [
        json!({"prompt": [user], "chosen": [good], "rejected": [bad]}),
        json!({"chosen": [user, good], "rejected": [user, bad]}),
        json!({"conversations": [{"from": "human", "value": "Why?"}], "chosen": {"from": "gpt", "value": "So."},
               "rejected": {"from": "gpt", "value": "No."}}),
    ];
    let texts = [
        json!({"prompt": "Q: Why?\nA:", "chosen": " So it is.", "rejected": " So it was."}),
        json!({"chosen": "Q: Why?\nA: So it is.", "rejected": "Q: Why?\nA: So it was."}),
    ];
    let (pairs, _) = encode(&[&chats[..], &texts[..]].concat(), 64).unwrap();
    let all: Vec<_> = pairs.iter().map(parts).collect();
    assert!(all[0] == all[1] && all[0] == all[2]);
    // The common beginning of both texts is the prompt, up to the end of a word.
    let [prompt, ..] = &all[4];
    assert!(prompt.len() > all[3][0].len() && prompt.starts_with(&all[3][0]));
    assert_eq!(pairs[4].chosen.tokens, pairs[3].chosen.tokens);
}

#[test]
fn the_shared_beginning_ends_with_a_word() {
    for (a, b, shared) in [
        ("The cat sat", "The dog sat", "The"),
        ("The cat", "The car", "The"),
        ("ABC: yes", "ABC: no", "ABC:"),
        ("one", "one more", "one"),
        ("one,", "one more", ""),
        ("é\nb", "é\nc", "é"),
        ("x", "y", ""),
    ] {
        assert_eq!(&a[..shared_beginning(a, b)], shared, "{a:?} {b:?}");
    }
}

#[test]
fn a_prompt_loses_its_beginning_before_a_completion_its_end() {
    let rows = |prompt: usize, chosen: usize, rejected: usize| {
        [
            json!({"id": "r", "prompt": "?".repeat(prompt), "chosen": "!".repeat(chosen), "rejected": "#".repeat(rejected)}),
        ]
    };
    // bos and prompt, completion and eos: 1 + 9, 3 + 1.
    let lengths = |max: usize, [prompt, chosen, rejected]: [usize; 3]| {
        let (pairs, report) = encode(&rows(prompt, chosen, rejected), max).unwrap();
        let [prompt, chosen, rejected] = parts(&pairs[0]);
        assert_eq!(prompt[0], 0, "bos stays");
        assert!(pairs[0].longest() <= max);
        let cut = [report.prompts_cut.pairs, report.completions_cut.pairs];
        ([prompt.len(), chosen.len(), rejected.len()], cut)
    };
    assert_eq!(lengths(14, [9, 3, 2]), ([10, 4, 3], [0, 0]));
    assert_eq!(lengths(13, [9, 3, 2]), ([9, 4, 3], [1, 0]));
    assert_eq!(lengths(9, [9, 3, 2]), ([5, 4, 3], [1, 0]));
    // Half of the limit stays for the prompt, and then completions are cut.
    assert_eq!(lengths(8, [9, 4, 2]), ([4, 4, 3], [1, 1]));
    assert_eq!(lengths(8, [1, 20, 2]), ([2, 6, 3], [0, 1]));
    let (pairs, report) = encode(&rows(9, 4, 2), 8).unwrap();
    assert_eq!(parts(&pairs[0])[1].last(), parts(&pairs[0])[1].first(), "eos was cut off");
    let notes = report.notes(8).join("\n");
    assert!(notes.contains("1 pairs are over 8 tokens") && notes.contains("lost their end"), "{notes}");
}

#[test]
fn what_cannot_be_trained_on_is_dropped_counted_and_named() {
    let good = json!({"id": "good", "prompt": "q", "chosen": " a", "rejected": " b"});
    let long = |end: &str| format!(" {}{end}", "x".repeat(40));
    let rows = [
        good,
        json!({"id": "same", "prompt": "q", "chosen": " a", "rejected": " a"}),
        json!({"id": "same-chat", "prompt": "q", "chosen": [{"role": "assistant", "content": "a"}],
               "rejected": [{"role": "assistant", "content": "a"}]}),
        json!({"id": "same-cut", "prompt": "q", "chosen": long("a"), "rejected": long("b")}),
        json!({"id": "nothing", "prompt": "q", "chosen": "", "rejected": " b"}),
        json!({"id": "nothing-chat", "prompt": "q", "chosen": [{"role": "assistant", "content": "a"}],
               "rejected": [{"role": "assistant", "content": ""}]}),
        json!({"id": "double", "prompt": "<s>q", "chosen": " a", "rejected": " b"}),
    ];
    let (pairs, report) = encode(&rows, 20).unwrap();
    assert_eq!(pairs.iter().map(|pair| pair.id.as_str()).collect::<Vec<_>>(), ["good", "double"]);
    assert_eq!((report.pairs, report.equal.pairs, report.empty.pairs), (2, 3, 2));
    let warnings = report.warnings();
    for (warning, first) in warnings.iter().zip(["same", "nothing", "double"]) {
        assert!(warning.starts_with("warning: ") && warning.contains(&format!("row {first:?}")), "{warning}");
    }
    assert_eq!(warnings.len(), 3);
    let error = encode(&rows[1..6], 20).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("none of 5 pairs"), "{error}");
}

#[test]
fn rows_and_models_that_do_not_fit_are_named() {
    let said = |changes: Value, row: Value, max_length: usize| {
        let folder = model(changes);
        let error = match PairEncoder::new(&Checkpoint::open(folder.path().to_str().unwrap()).unwrap(), max_length) {
            Ok(encoder) => encode_with(&encoder, &[row]).unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(error.exit_code(), 2, "{error}");
        error.to_string()
    };
    let text = json!({"id": "t", "prompt": "q", "chosen": " a", "rejected": " b"});
    let chat = json!({"id": "c", "prompt": "q", "chosen": [{"role": "assistant", "content": "a"}],
                      "rejected": [{"role": "assistant", "content": "b"}]});
    assert!(said(json!({}), text.clone(), 1).contains("`.max_length`"));
    let error = said(json!({"chat_template": null}), chat.clone(), 64);
    assert!(error.contains("has no chat template") && error.contains("row \"c\""), "{error}");
    assert!(said(json!({"eos_token": null}), text.clone(), 64).contains("has no end-of-sequence token"));
    let turns = "{% for m in messages %}{{ loop.length }}{{ m.content }}{% endfor %}";
    let error = said(json!({"chat_template": turns}), chat, 64);
    assert!(error.contains("row \"c\"") && error.contains("renders the prompt differently"), "{error}");
    assert!(said(json!({}), json!({"id": "l", "text": "a"}), 64).contains("no `chosen`"));
    assert!(said(json!({}), json!({"id": "h", "prompt": "q", "chosen": "a"}), 64).contains("no `rejected`"));
}

#[test]
fn a_template_that_opens_with_thoughts_shortens_the_prompt() {
    let thoughts = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}\
                    {% if add_generation_prompt %}[assistant]<think>{% endif %}";
    let folder = model(json!({"chat_template": thoughts}));
    let row = json!({"prompt": "q", "chosen": [{"role": "assistant", "content": "a"}],
                     "rejected": [{"role": "assistant", "content": "<b>"}]});
    let encoder = encoder_of(&folder, 64);
    let (pairs, _) = encode_with(&encoder, &[row]).unwrap();
    let text = |tokens: &[u32]| encoder.tokenizer.decode(tokens, false).unwrap();
    let [prompt, chosen, rejected] = parts(&pairs[0]);
    assert_eq!([text(&prompt), text(&chosen), text(&rejected)], ["[user]q[assistant]", "a", "<b>"]);
}

#[test]
fn another_vocabulary_is_told_by_its_first_other_token() {
    let folder = model(json!({}));
    let encoder = encoder_of(&folder, 64);
    let mut other = golden()["tokenizer"].clone();
    let tokenizer = |json: &Value| Tokenizer::from_bytes(json.to_string()).unwrap();
    assert_eq!(encoder.difference(&tokenizer(&other)), None);
    let vocabulary = other["model"]["vocab"].as_object_mut().unwrap();
    let (five, six) = (vocabulary.iter().find(|(_, id)| **id == 5), vocabulary.iter().find(|(_, id)| **id == 6));
    let (five, six) = (five.unwrap().0.clone(), six.unwrap().0.clone());
    vocabulary.insert(five.clone(), json!(6));
    vocabulary.insert(six.clone(), json!(5));
    assert_eq!(encoder.difference(&tokenizer(&other)), Some(format!("5 is {six:?} there and {five:?} here")));
}
