//! The model's own chat template, as `tokenizer_config.json` carries it.
//!
//! What such templates may use is described in the Transformers documentation, "Writing a chat template".

use super::message::Message;
use super::template::{TEMPLATE, broken, environment, message_values};
use crate::{Error, Result};
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, ErrorKind, context};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Renders conversations into the text a chat model was trained on.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    name: String,
    bos_token: String,
    eos_token: String,
}

impl ChatTemplate {
    /// Compiles a template; `name` stands for it in errors, absent tokens are empty.
    ///
    /// # Errors
    /// The source is no jinja.
    pub fn compile(name: &str, source: String, bos_token: &str, eos_token: &str) -> Result<Self> {
        let mut environment = environment();
        environment.add_function("raise_exception", |message: String| -> Result<(), minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_function("strftime_now", |format: String| strftime(&format, seconds_now()));
        environment.add_filter("tojson", tojson);
        environment.add_template_owned(TEMPLATE, source).map_err(|e| broken(name, &e))?;
        Ok(Self { environment, name: name.into(), bos_token: bos_token.into(), eos_token: eos_token.into() })
    }

    /// Reads the template and its tokens out of a model directory: `chat_template.jinja` where there is one, else
    /// `chat_template` of `tokenizer_config.json` (of several named templates, `default`).
    ///
    /// # Errors
    /// There is no template, or it or the configuration is broken.
    pub fn from_directory(directory: &Path) -> Result<Self> {
        let path = directory.join("tokenizer_config.json");
        let name = path.display().to_string();
        let text = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
        let config: serde_json::Value =
            serde_json::from_slice(&text).map_err(|e| Error::input(&name, format!("broken JSON: {e}"), ""))?;
        // A special token is a string, or an object that describes it.
        let token = |key: &str| config[key].as_str().or(config[key]["content"].as_str()).unwrap_or_default();
        let (bos, eos) = (token("bos_token"), token("eos_token"));

        let file = directory.join("chat_template.jinja");
        match std::fs::read_to_string(&file) {
            Ok(source) => return Self::compile(&file.display().to_string(), source, bos, eos),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io(&file, e)),
        }
        let source = match &config["chat_template"] {
            serde_json::Value::Array(named) => {
                named.iter().find(|entry| entry["name"] == "default").and_then(|entry| entry["template"].as_str())
            }
            single => single.as_str(),
        };
        let source = source.ok_or_else(|| {
            Error::input(&name, "has no chat template", "use an instruction-tuned model, or --raw prompts")
        })?;
        Self::compile(&name, source.into(), bos, eos)
    }

    /// The conversation as text, special tokens included: tokenize it without adding them again.
    /// `add_generation_prompt` opens the assistant's next message.
    ///
    /// # Errors
    /// The template fails or refuses the conversation.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        let variables = context! {
            messages => message_values(messages), add_generation_prompt,
            bos_token => self.bos_token.as_str(), eos_token => self.eos_token.as_str(),
        };
        let template = self.environment.get_template(TEMPLATE);
        template.and_then(|template| template.render(variables)).map_err(|e| broken(&self.name, &e))
    }
}

/// JSON as Python writes it: jinja's own filter escapes HTML, which would change what the model reads.
/// Conversations hold nothing but strings; anything else is the template's own and keeps the usual filter.
fn tojson(value: &Value, options: Kwargs) -> Result<Value, minijinja::Error> {
    match value.as_str() {
        Some(text) => Ok(Value::from(serde_json::Value::from(text).to_string())),
        None => minijinja::filters::tojson(value, None, options),
    }
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The parts of C's `strftime` that chat templates write dates with, in UTC.
fn strftime(format: &str, seconds: u64) -> Result<String, minijinja::Error> {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let (year, month, day) = civil_date(seconds / 86_400);
    let name = MONTHS[month - 1];
    let mut out = String::new();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('Y') => out += &year.to_string(),
            Some('m') => out += &format!("{month:02}"),
            Some('d') => out += &format!("{day:02}"),
            Some('B') => out += name,
            Some('b') => out += &name[..3],
            Some('H') => out += &format!("{:02}", seconds / 3600 % 24),
            Some('M') => out += &format!("{:02}", seconds / 60 % 60),
            Some('S') => out += &format!("{:02}", seconds % 60),
            Some('%') => out.push('%'),
            other => {
                let message = format!("strftime_now knows %Y %m %d %B %b %H %M %S, not %{}", other.unwrap_or(' '));
                return Err(minijinja::Error::new(ErrorKind::InvalidOperation, message));
            }
        }
    }
    Ok(out)
}

/// Year, month and day (from 1) of a day since 1970-01-01 in the Gregorian calendar.
fn civil_date(mut days: u64) -> (u64, usize, u64) {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::super::message::Role;
    use super::*;

    const CHATML: &str = "{% for message in messages %}\n\
        {{ '<|im_start|>' + message['role'] + '\\n' + message['content'].strip() + '<|im_end|>' + '\\n' }}\n\
        {%- endfor %}\n\
        {% if add_generation_prompt %}\n{{ '<|im_start|>assistant\\n' }}\n{%- endif %}";

    const LLAMA3: &str = "{{- bos_token }}\n\
        {%- if messages[0]['role'] == 'system' %}\n\
        {%- set system_message = messages[0]['content']|trim %}{%- set messages = messages[1:] %}\n\
        {%- else %}{%- set system_message = '' %}\n{%- endif %}\n\
        {{- '<|start_header_id|>system<|end_header_id|>\\n\\n' + system_message + '<|eot_id|>' }}\n\
        {%- for message in messages %}\n\
        {%- if message.role not in ['user', 'assistant'] %}{{ raise_exception('no ' + message.role) }}{% endif %}\n\
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim \
            + '<|eot_id|>' }}\n\
        {%- endfor %}\n\
        {%- if add_generation_prompt %}\n{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}\n{%- endif %}";

    fn conversation() -> Vec<Message> {
        vec![Message::new(Role::System, "Be brief."), Message::new(Role::User, " Hi <b> ")]
    }

    #[test]
    fn chatml() {
        let template = ChatTemplate::compile("t", CHATML.into(), "", "<|im_end|>").unwrap();
        let text = template.render(&conversation(), true).unwrap();
        assert_eq!(
            text,
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi <b><|im_end|>\n<|im_start|>assistant\n"
        );
        assert!(!template.render(&conversation(), false).unwrap().contains("assistant"));
    }

    #[test]
    fn llama3() {
        let template = ChatTemplate::compile("t", LLAMA3.into(), "<|begin_of_text|>", "<|eot_id|>").unwrap();
        assert_eq!(
            template.render(&conversation(), true).unwrap(),
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\nHi <b><|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\n"
        );
        let refused = [conversation(), vec![Message::new(Role::Tool, "42")]].concat();
        let error = template.render(&refused, true).unwrap_err().to_string();
        assert!(error.contains("no tool"), "{error}");
    }

    #[test]
    fn dates_and_json_are_written_as_python_does() {
        assert_eq!(
            strftime("%d %b %Y, %B %H:%M:%S %%", 1_709_164_800 + 3_661).unwrap(),
            "29 Feb 2024, February 01:01:01 %"
        );
        assert_eq!(strftime("%Y-%m-%d", 0).unwrap(), "1970-01-01");
        assert_eq!(strftime("%Y-%m-%d", 4_102_444_799).unwrap(), "2099-12-31");
        assert!(strftime("%Q", 0).is_err());
        let template = ChatTemplate::compile("t", "{{ messages[0].content | tojson }}".into(), "", "").unwrap();
        let quoted = template.render(&[Message::new(Role::User, "<a> \"é\" & 'b'\n")], false).unwrap();
        assert_eq!(quoted, r#""<a> \"é\" & 'b'\n""#);
    }

    #[test]
    fn a_directory_carries_template_and_tokens() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("tokenizer_config.json");
        let named =
            r#"[{"name": "tool_use", "template": "no"}, {"name": "default", "template": "{{ bos_token }}yes"}]"#;
        std::fs::write(&config, format!(r#"{{"bos_token": {{"content": "<s>"}}, "chat_template": {named}}}"#)).unwrap();
        assert_eq!(ChatTemplate::from_directory(dir.path()).unwrap().render(&[], false).unwrap(), "<s>yes");
        std::fs::write(dir.path().join("chat_template.jinja"), "{{ bos_token }}file").unwrap();
        assert_eq!(ChatTemplate::from_directory(dir.path()).unwrap().render(&[], false).unwrap(), "<s>file");
        std::fs::remove_file(dir.path().join("chat_template.jinja")).unwrap();
        std::fs::write(&config, "{}").unwrap();
        let error = ChatTemplate::from_directory(dir.path()).unwrap_err().to_string();
        assert!(error.contains("has no chat template"), "{error}");
    }

    #[test]
    fn real_templates_render_as_transformers_renders_them() {
        let Some(tokenizers) = super::super::test_assets("tokenizers") else { return };
        let messages = [
            Message::new(Role::System, "Be brief."),
            Message::new(Role::User, "Hi <b>"),
            Message::new(Role::Assistant, "Hello"),
            Message::new(Role::User, "Why?"),
        ];
        for (name, expected) in [
            (
                "qwen3",
                "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi <b><|im_end|>\n\
                 <|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n",
            ),
            (
                "llama3_1",
                "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>\
                 <|start_header_id|>user<|end_header_id|>\n\nHi <b><|eot_id|>\
                 <|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|>\
                 <|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|>\
                 <|start_header_id|>assistant<|end_header_id|>\n\n",
            ),
        ] {
            let template = ChatTemplate::from_directory(&tokenizers.join(name)).unwrap();
            assert_eq!(template.render(&messages, true).unwrap(), expected, "{name}");
        }
    }
}
