//! The forms of message content that a chat template handles: texts, lists of parts, or both.
//!
//! Templates of models that see images loop over parts (`[{"type": "text", "text": …}]`), those of other models print
//! the content. No metadata tells them apart, so each template is tried out on a known text.

use serde_json::{Value, json};

use super::message::Message;
use super::role::Role;

/// The text that templates are tried out with: nothing that they would cut, trim or look for.
const PROBE: &str = "wgrprobe";
/// The roles, in the order in which their forms are kept.
const ROLES: [Role; 4] = [Role::User, Role::Assistant, Role::System, Role::Tool];

/// A form of contents that a template works on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    /// Texts alone.
    #[default]
    Text,
    /// Lists of parts alone.
    Parts,
    /// Both.
    Either,
}

/// The content form that a template handles, for each role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ContentForms([Form; ROLES.len()]);

impl ContentForms {
    /// Tries a template out; `render` renders a conversation, if the template does not refuse it.
    pub(super) fn of(render: impl Fn(&[Value]) -> Option<String>) -> Self {
        let shows = |messages: &[Value]| render(messages).is_some_and(|text| shows_probe(&text));
        let form = |messages: &dyn Fn(Value) -> Vec<Value>| {
            let shows_text = shows(&messages(PROBE.into()));
            match shows(&messages(in_one_part(PROBE))) {
                true if shows_text => Form::Either,
                true => Form::Parts,
                false => Form::Text,
            }
        };
        let user = form(&|probe| vec![json!({"role": "user", "content": probe})]);
        let said = |role: &str, text: &str| json!({"role": role, "content": user.of_text(text)});
        let assistant = form(&|probe| vec![said("user", "q"), json!({"role": "assistant", "content": probe})]);
        let system = form(&|probe| vec![json!({"role": "system", "content": probe}), said("user", "q")]);
        let tool = form(&|probe| {
            // Mistral's templates want ids of nine characters.
            let call = json!({"id": "abcdef012", "type": "function", "function": {"name": "f", "arguments": {}}});
            let calls = json!({"role": "assistant", "content": assistant.of_text(""), "tool_calls": [call]});
            let result = json!({"role": "tool", "name": "f", "tool_call_id": "abcdef012", "content": probe});
            vec![said("user", "q"), calls, result]
        });
        Self([user, assistant, system, tool])
    }

    /// Whether texts of the user have to be given as parts.
    pub(super) fn wants_parts(self) -> bool {
        self.form(Role::User) == Form::Parts
    }

    /// The content to give the template for a message with `text`: as the row gave it, if the template works on that.
    pub(super) fn content(self, message: &Message, text: &str) -> Value {
        match (self.form(message.role), message.parts()) {
            (Form::Parts | Form::Either, Some(parts)) => parts.into(),
            (form, _) => form.of_text(text),
        }
    }

    fn form(self, role: Role) -> Form {
        ROLES.iter().zip(self.0).find(|(each, _)| **each == role).map_or(Form::Text, |(_, form)| form)
    }
}

impl Form {
    fn of_text(self, text: &str) -> Value {
        match self {
            Self::Text | Self::Either => text.into(),
            Self::Parts => in_one_part(text),
        }
    }
}

fn in_one_part(text: &str) -> Value {
    json!([{"type": "text", "text": text}])
}

/// Whether the probe is there by itself, and not within a printed part.
fn shows_probe(text: &str) -> bool {
    let within_part = ["'text': '", r#""text": ""#, r#""text":""#].map(|before| format!("{before}{PROBE}"));
    text.contains(PROBE) && !within_part.iter().any(|part| text.contains(part))
}

#[cfg(test)]
mod tests {
    use super::super::chat_template::{ChatTemplate, NamedTemplate, SpecialTokens};
    use super::super::message::{TemplateInputs, parse_messages};
    use super::super::read_report::ReadReport;
    use super::*;

    fn rendered(source: &str, messages: Value) -> String {
        let template = ChatTemplate::compile(vec![NamedTemplate::only("t", source)], &SpecialTokens::new()).unwrap();
        let messages = parse_messages("t", "messages", messages, &mut ReadReport::default()).unwrap();
        template.render(&messages, &TemplateInputs::default(), false).unwrap()
    }

    /// `idefics3`, `llava_next`.
    const ONLY_PARTS: &str = "{% for m in messages %}{{ m.role }}:{% for part in m.content %}\
        {% if part['type'] == 'text' %}{{ part['text'] | trim }}{% endif %}{% endfor %};{% endfor %}";
    /// Gemma 3, Qwen2-VL.
    const EITHER: &str = "{% for m in messages %}{{ m.role }}:{% if m.content is string %}{{ m.content }}{% else %}\
        {% for part in m.content %}<{{ part.text | trim }}>{% endfor %}{% endif %};{% endfor %}";
    const ONLY_TEXTS: &str = "{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}";

    #[test]
    fn templates_are_given_the_contents_that_they_work_on() {
        let parts = json!([{"role": "user", "content": [{"type": "text", "text": " a "}, {"text": "b"}, "c"]},
                           {"role": "assistant", "content": "d e"}]);
        // The output of jinja2 for these, given parts that all have a type and, with the first, one part for "d e".
        assert_eq!(rendered(ONLY_PARTS, parts.clone()), "user:abc;assistant:d e;");
        assert_eq!(rendered(EITHER, parts.clone()), "user:<a><b><c>;assistant:d e;");
        assert_eq!(rendered(ONLY_TEXTS, parts.clone()), "user: a bc;assistant:d e;");
        assert_eq!(rendered("{% for m in messages %}{{ m.content + '.' }}{% endfor %}", parts), " a bc.d e.");
    }

    #[test]
    fn a_role_may_take_another_form_than_the_others() {
        let source = "{% if messages[0].role == 'system' %}{{ messages[0].content.strip() }}|{% endif %}{% for m in messages \
            if m.role != 'system' %}{% for part in m.content %}{{ part.text }},{% endfor %}{% endfor %}";
        let in_parts = |role: &str| json!({"role": role, "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]});
        assert_eq!(rendered(source, json!([in_parts("system"), in_parts("user")])), "ab|a,b,");
        assert_eq!(rendered(source, json!([in_parts("system"), {"role": "user", "content": "c"}])), "ab|c,");
    }

    #[test]
    fn a_message_without_content_gets_none() {
        let call = json!({"function": {"name": "f", "arguments": {}}});
        let silent = json!([{"role": "assistant", "content": null, "tool_calls": [call]}]);
        let source = "{% for m in messages %}{% for part in m.content or [] %}{{ part.text }}{% endfor %}{% for c in m.tool_calls or [] %}\
            {{ c.function.name }}{% endfor %}{% endfor %}";
        assert_eq!(rendered(source, silent), "f");
    }
}
