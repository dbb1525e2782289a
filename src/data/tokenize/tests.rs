use super::super::message::Message;
use super::super::role::Role;
use super::super::rows::{Purpose, read_rows};
use super::*;
use crate::test_files::fetched;

/// One token a byte, and a `<s>` (id 256) before every text.
fn byte_tokenizer() -> Tokenizer {
    let mut alphabet: Vec<char> = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let vocab: serde_json::Map<_, _> = alphabet.iter().zip(0..).map(|(c, id)| (c.to_string(), id.into())).collect();
    let json = serde_json::json!({
        "version": "1.0",
        "truncation": {"max_length": 3, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": {"strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": null,
                    "pad_id": 0, "pad_type_id": 0, "pad_token": "!"},
        "added_tokens": [{"id": 256, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
                          "normalized": false, "special": true}],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [256], "tokens": ["<s>"]}}},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": []},
    });
    Tokenizer::from_bytes(json.to_string()).unwrap()
}

fn compiled(source: &str) -> Template {
    let tokens = [("bos_token".to_owned(), "<s>".into())];
    Template::compile("t", source.into(), &tokens.into_iter().collect()).unwrap()
}

fn vocabulary(size: usize) -> Vocabulary {
    Vocabulary { size, bos: Some(256), pad: None }
}

fn encoder(max_length: usize) -> Encoder {
    let template = "{% for m in history %}{{ m.content }}|{% endfor %}{{ query }}>{{ response }}#";
    let template = compiled(template);
    Encoder::new(byte_tokenizer(), "bytes.json", template, max_length, vocabulary(257)).unwrap()
}

fn row(id: &str, content: Content) -> Row {
    Row { id: id.into(), content, label: Some(2.0) }
}

fn chat(history: &[&str], query: &str, response: &str) -> Content {
    let history = history.iter().map(|content| Message::new(Role::User, *content)).collect();
    Content::Chat(Exchange::new(history, query, response))
}

fn decode(encoder: &Encoder, tokens: &[u32]) -> String {
    encoder.tokenizer.decode(tokens, false).unwrap()
}

#[test]
fn texts_are_encoded_as_they_are() {
    let encoder = encoder(100);
    let (example, report) = encoder.encode_row(&row("a", Content::Text("{{x}} é".into()))).unwrap();
    assert_eq!(decode(&encoder, &example.sequences[0]), "<s>{{x}} é");
    // The padding and truncation that the tokenizer's file asks for are not applied.
    assert_eq!((example.tokens(), example.label, report), (9, Some(2.0), EncodingReport::default()));
}

#[test]
fn a_long_text_keeps_its_special_tokens_and_its_end() {
    let encoder = encoder(5);
    let (example, report) = encoder.encode_row(&row("a", Content::Text("0123456789".into()))).unwrap();
    assert_eq!(decode(&encoder, &example.sequences[0]), "<s>6789");
    assert_eq!(report.cut, TruncationReport { rows: 1, texts_cut: 1, ..Default::default() });
}

#[test]
fn a_long_chat_keeps_response_and_tail() {
    let encoder = encoder(16);
    let rows = [
        row("fits", chat(&["old", "new"], "why", "so")),
        row("history", chat(&["older", "new"], "why?", "so")),
        row("query", chat(&["old"], "a very long question", "answer")),
        row("response", chat(&[], "why", "a very long answer")),
    ];
    let (examples, report) = encoder.encode(&rows).unwrap();
    let texts: Vec<_> = examples.iter().map(|example| decode(&encoder, &example.sequences[0])).collect();
    assert_eq!(
        texts,
        ["<s>old|new|why>so#", "<s>new|why?>so#", "<s>a … n>answer#", "<s> … >a … er#"].map(String::from)
    );
    assert!(examples.iter().all(|example| example.tokens() <= 16));
    assert_eq!(
        report.cut,
        TruncationReport { rows: 3, history_messages_dropped: 2, queries_cut: 2, responses_cut: 1, texts_cut: 0 }
    );
}

#[test]
fn pairs_become_two_sequences() {
    let encoder = encoder(100);
    let pair = |prompt: Option<&str>| {
        let pair = Preference::Text { prompt: prompt.map(Into::into), chosen: "yes".into(), rejected: "no".into() };
        let (example, _) = encoder.encode_row(&row("p", Content::Pair(pair))).unwrap();
        example.sequences.iter().map(|tokens| decode(&encoder, tokens)).collect::<Vec<_>>()
    };
    assert_eq!(pair(Some("why")), ["<s>why>yes#", "<s>why>no#"]);
    assert_eq!(pair(None), ["<s>yes", "<s>no"]);
}

#[test]
fn a_template_gets_one_bos_and_so_does_a_text_that_brings_its_own() {
    let encode = |template: &str, content: Content| {
        let encoder = Encoder::new(byte_tokenizer(), "bytes.json", compiled(template), 100, vocabulary(257)).unwrap();
        let (example, _) = encoder.encode_row(&row("a", content)).unwrap();
        decode(&encoder, &example.sequences[0])
    };
    let prompt = "<s>{{ query }}>{{ response }}";
    assert_eq!(encode(prompt, chat(&[], "q", "r")), "<s>q>r");
    // A chat template contains its special tokens, or intends to have none.
    let source = "{% for m in messages %}{{ m.role[0] }}{{ m.content }}{% endfor %}";
    assert_eq!(encode(source, chat(&[], "q", "r")), "uqar");
    assert_eq!(encode(&format!("{{{{ bos_token }}}}{source}"), chat(&[], "q", "r")), "<s>uqar");
    assert_eq!(encode(prompt, Content::Text("q".into())), "<s>q");
    assert_eq!(encode(prompt, Content::Text("<s>q".into())), "<s>q");
}

#[test]
fn what_a_row_brings_in_vain_is_counted() {
    let vocabulary = Vocabulary { pad: Some(2), ..vocabulary(257) };
    let encoder = Encoder::new(byte_tokenizer(), "bytes.json", Template::builtin(), 2000, vocabulary).unwrap();
    let Content::Chat(mut exchange) = chat(&[], "q", "r") else { unreachable!() };
    exchange.inputs.tools = Some(vec![serde_json::json!({})]);
    let rows = [row("a", Content::Chat(exchange)), row("b", chat(&[], "q", "r")), row("c", Content::Text("x#".into()))];
    let (examples, report) = encoder.encode(&rows).unwrap();
    assert_eq!((examples[2].sequences[0].last(), report.pad_at_end), (Some(&2), 1));
    assert_eq!(report.hidden_fields, [("tools".to_owned(), 1)].into());
    assert_eq!(report.notes().len(), 2);
}

#[test]
fn rows_that_cannot_be_encoded_are_named() {
    let template = Template::builtin();
    let narrow = Encoder::new(byte_tokenizer(), "bytes.json", template.clone(), 64, vocabulary(200)).unwrap();
    let error = narrow.encode_row(&row("big", Content::Text("a".into()))).unwrap_err().to_string();
    assert!(error.contains("row \"big\": bytes.json gives token id 256, but the embedding has 200 rows"), "{error}");
    let error = narrow.encode_row(&row("c", chat(&[], "q", "r"))).unwrap_err().to_string();
    assert!(error.contains("row \"c\": the prompt template alone is longer than 64 tokens"), "{error}");

    let mut bare = byte_tokenizer();
    bare.with_post_processor(None::<tokenizers::PostProcessorWrapper>);
    let strip = tokenizers::normalizers::Strip::new(true, true);
    bare.with_normalizer(Some(strip)).unwrap();
    let bare = Encoder::new(bare, "bytes.json", template.clone(), 64, vocabulary(257)).unwrap();
    let rows = [row("ok", Content::Text("a".into())), row("blank", Content::Text("  ".into()))];
    let error = bare.encode(&rows).unwrap_err().to_string();
    assert!(error.contains("row \"blank\": has no tokens under bytes.json"), "{error}");

    assert!(Encoder::new(byte_tokenizer(), "bytes.json", template, 1, vocabulary(257)).is_err());
}

#[test]
fn real_tokenizers_hold_the_limit_on_real_rows() {
    let Some(rows) = fetched("WGR_DATA", "ifllm/dev.jsonl") else { return };
    let Some(tokenizers) = fetched("WGR_ASSETS", "tokenizers") else { return };
    let files = ["qwen3", "llama3_1"].map(|name| tokenizers.join(name).join("tokenizer.json"));
    let (rows, _) = read_rows(&[rows], Purpose::Levels(5)).unwrap();
    for file in files {
        let encode = |max_length| {
            let tokenizer = Tokenizer::from_file(&file).unwrap();
            Encoder::new(tokenizer, "tokenizer.json", Template::builtin(), max_length, vocabulary(152_000)).unwrap()
        };
        let (whole, none) = encode(1 << 20).encode(&rows).unwrap();
        assert_eq!(none, EncodingReport::default());
        let limited = encode(512);
        let (cut, report) = limited.encode(&rows).unwrap();
        let report = report.cut;
        assert!(report.rows > 0 && report.responses_cut > 0 && report.history_messages_dropped > 0, "{report}");
        for (whole, cut) in whole.iter().zip(&cut) {
            assert!(cut.tokens() <= 512 && (whole.tokens() > 512 || whole == cut));
            // First and last tokens are the template's: the instructions and the tail stay.
            let (whole, cut) = (&whole.sequences[0], &cut.sequences[0]);
            assert_eq!(whole[..20], cut[..20]);
            assert_eq!(whole[whole.len() - 10..], cut[cut.len() - 10..]);
        }
        assert_eq!(limited.encode(&rows).unwrap().0, cut, "truncation is deterministic");
    }
}
