//! The model's own chat template, stored beside its tokenizer.
//!
//! The Transformers documentation, "Writing a chat template", describes what such templates may use; they run, and
//! their values are printed, as in Python.

use std::borrow::Cow;
use std::sync::{LazyLock, OnceLock};

use chrono::format::{Item, StrftimeItems};
use chrono::{Local, NaiveDateTime};
use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Output, State, context};
use regex::Regex;
use serde_json::Map;

use super::content_forms::ContentForms;
use super::hidden::{sorted, unseen_fields};
use super::jinja::{add_filters, environment, normalized};
use super::message::{Message, TemplateInputs};
use super::python;
use super::template_error::{broken, fails};
use crate::{Error, Result};

/// The template that is used where nothing speaks for another.
const DEFAULT: &str = "default";
/// The template for rows with tools, if there is one of that name.
const TOOL_USE: &str = "tool_use";

/// The special tokens of a tokenizer by their names in its configuration (`bos_token`, `eos_token`, …), as templates see
/// them; those that it does not have are absent.
pub type SpecialTokens = Map<String, serde_json::Value>;

/// The source of one of a model's chat templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedTemplate {
    /// Its name among those of the model: `default` where there is only one.
    pub name: String,
    /// Its location, for errors and for people.
    pub at: String,
    /// The jinja source.
    pub source: String,
}

impl NamedTemplate {
    /// The only template of a model.
    pub fn only(at: impl Into<String>, source: impl Into<String>) -> Self {
        Self { name: DEFAULT.into(), at: at.into(), source: source.into() }
    }
}

/// Renders conversations into the text a chat model was trained on.
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    templates: Vec<NamedTemplate>,
    /// The content form of each template, tried out before it first renders.
    forms: Vec<OnceLock<ContentForms>>,
    tokens: SpecialTokens,
}

impl ChatTemplate {
    /// Compiles the templates of a model.
    ///
    /// # Errors
    /// A source is not valid Jinja; none is called `default` or `tool_use`.
    pub fn compile(templates: Vec<NamedTemplate>, tokens: &SpecialTokens) -> Result<Self> {
        let mut environment = environment();
        add_filters(&mut environment);
        environment.add_function("raise_exception", |message: String| Err::<(), _>(fails(message)));
        environment.add_function("strftime_now", |format: String| strftime(&format, Local::now().naive_local()));
        environment.set_formatter(print);
        for NamedTemplate { name, at, source } in &templates {
            let source = without_generation_tags(&normalized(source)).into_owned();
            environment.add_template_owned(name.clone(), source).map_err(|e| broken(at, &e))?;
        }
        if !templates.iter().any(|template| [DEFAULT, TOOL_USE].contains(&template.name.as_str())) {
            return Err(no_default(&templates));
        }
        let forms = templates.iter().map(|_| OnceLock::new()).collect();
        Ok(Self { environment, templates, forms, tokens: tokens.clone() })
    }

    fn probed(&self, template: &NamedTemplate) -> ContentForms {
        let inputs = TemplateInputs::default();
        let forms = ContentForms::of(|messages| {
            self.run(template, messages.iter().map(python::value).collect(), &inputs, false).ok()
        });
        if forms.wants_parts() {
            tracing::warn!(
                "{}: the template only reads content in parts; each text is given to it as one part",
                template.at
            );
        }
        forms
    }

    /// Its location, for people.
    pub fn place(&self) -> &str {
        &self.named(DEFAULT).at
    }

    /// The source of the default one.
    pub fn source(&self) -> &str {
        &self.named(DEFAULT).source
    }

    /// The sources of all its templates.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        self.templates.iter().map(|template| template.source.as_str())
    }

    /// The parts of a conversation that the template does not show: fields of messages without which the text is the
    /// same, inputs of the row that it does not read. Sorted and distinct.
    pub fn hidden<'a>(
        &self,
        messages: impl IntoIterator<Item = &'a Message>,
        inputs: &'a TemplateInputs,
    ) -> Vec<&'a str> {
        let messages: Vec<&Message> = messages.into_iter().collect();
        let unseen = unseen_fields(&messages, |messages| self.render(messages, inputs, false));
        if inputs.names().next().is_none() {
            return unseen;
        }
        // Whoever renders finds out why there is none.
        let template = self.chosen(inputs).ok().map(|index| self.environment.get_template(&self.templates[index].name));
        let read = template.and_then(|template| Some(template.ok()?.undeclared_variables(false))).unwrap_or_default();
        sorted(unseen.into_iter().chain(inputs.names().filter(|name| !read.contains(*name))))
    }

    /// The place of the template that renders a conversation with these inputs, chosen as in `transformers`.
    fn chosen(&self, inputs: &TemplateInputs) -> Result<usize> {
        let of_name = |name: &str| self.templates.iter().position(|template| template.name == name);
        let for_tools = inputs.tools.as_ref().and_then(|_| of_name(TOOL_USE));
        for_tools.or_else(|| of_name(DEFAULT)).ok_or_else(|| no_default(&self.templates))
    }

    fn named(&self, name: &str) -> &NamedTemplate {
        let found = self.templates.iter().find(|template| template.name == name);
        // `compile` has seen one that is chosen at times.
        found.unwrap_or(&self.templates[0])
    }

    /// The conversation as text, special tokens included: tokenize it without adding them again.
    /// `add_generation_prompt` opens the assistant's next message. Where there are tools and a template `tool_use`, that
    /// one renders, as in `transformers`.
    ///
    /// # Errors
    /// The template fails or refuses the conversation.
    pub fn render<'a>(
        &self,
        messages: impl IntoIterator<Item = &'a Message>,
        inputs: &TemplateInputs,
        add_generation_prompt: bool,
    ) -> Result<String> {
        let index = self.chosen(inputs)?;
        let messages: Vec<&Message> = messages.into_iter().collect();
        let forms = self.forms[index].get_or_init(|| self.probed(&self.templates[index]));
        let render = |keeps_developer: bool| {
            let given = |message: &&Message| {
                let mut fields = message.for_chat_template(keeps_developer);
                if let Some(text) = fields.get("content").and_then(serde_json::Value::as_str) {
                    let content = forms.content(message, text);
                    fields.insert("content".into(), content);
                }
                python::object(&fields)
            };
            self.run(&self.templates[index], messages.iter().map(given).collect(), inputs, add_generation_prompt)
        };
        // Templates that fail at the role `developer`, or pass it over, know the same by the name `system`.
        let developers: Vec<&str> =
            messages.iter().filter(|message| message.is_of_developer()).map(|message| message.content.trim()).collect();
        if !developers.is_empty()
            && let Ok(text) = render(true)
            && developers.iter().all(|said| text.contains(said))
        {
            return Ok(text);
        }
        render(false)
    }

    fn run(
        &self,
        template: &NamedTemplate,
        messages: Vec<Value>,
        inputs: &TemplateInputs,
        add_generation_prompt: bool,
    ) -> Result<String> {
        let list =
            |items: &Option<Vec<_>>| items.as_ref().map(|items| items.iter().map(python::value).collect::<Vec<_>>());
        let (tools, documents) = (list(&inputs.tools), list(&inputs.documents));
        let given = context! { messages, tools, documents, add_generation_prompt };
        // The row's own fields take precedence, then the arguments, then the tokens.
        let kwargs = python::object(&inputs.kwargs);
        let variables = context! { ..kwargs, ..context! { ..given, ..python::object(&self.tokens) } };
        let compiled = self.environment.get_template(&template.name);
        compiled.and_then(|compiled| compiled.render(variables)).map_err(|e| broken(&template.at, &e))
    }
}

fn no_default(templates: &[NamedTemplate]) -> Error {
    let names: Vec<&str> = templates.iter().map(|template| template.name.as_str()).collect();
    let at = templates.first().map_or("chat template", |template| template.at.as_str());
    let problem = format!("has the chat templates {}, of which none is called `default`", names.join(", "));
    Error::input(at, problem, "name the one to use `default`")
}

/// The tags `{% generation %}` and `{% endgeneration %}` mark what a trainer may learn from, and print nothing. A `with`
/// block has the same white space and, as in `transformers`, a scope of its own.
fn without_generation_tags(source: &str) -> Cow<'_, str> {
    static TAG: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}").expect("a valid expression"));
    TAG.replace_all(source, "{%$1 ${2}with $3%}")
}

/// Values as Python's jinja prints them: `None`, `True`, and the `repr` of lists and objects.
fn print(out: &mut Output, state: &mut State, value: &Value) -> Result<(), minijinja::Error> {
    match value.kind() {
        ValueKind::Number | ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => {
            out.write_str(&python::str(value)?).map_err(Into::into)
        }
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// A date as Python's `strftime` writes it, of a time without a zone, as `datetime.now()` is one.
fn strftime(format: &str, time: NaiveDateTime) -> Result<String, minijinja::Error> {
    // Python counts microseconds, and has no name for a zone that is not there.
    let format = format.split("%%").map(|part| part.replace("%f", "%6f").replace("%z", "").replace("%Z", ""));
    let format = format.collect::<Vec<_>>().join("%%");
    let items: Vec<Item> = StrftimeItems::new(&format).collect();
    if items.iter().any(|item| matches!(item, Item::Error)) {
        return Err(fails(format!("strftime_now does not support the format {format:?}")));
    }
    Ok(time.format_with_items(items.iter()).to_string())
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;
    use serde_json::json;

    use super::super::role::Role;
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

    fn compiled(source: &str, tokens: &[(&str, &str)]) -> ChatTemplate {
        let tokens = tokens.iter().map(|(name, token)| ((*name).to_owned(), (*token).into())).collect();
        ChatTemplate::compile(vec![NamedTemplate::only("t", source)], &tokens).unwrap()
    }

    fn rendered(template: &ChatTemplate, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        template.render(messages, &TemplateInputs::default(), add_generation_prompt)
    }

    fn message(value: serde_json::Value) -> Message {
        let mut report = super::super::ReadReport::default();
        super::super::message::parse_message("t", "message", value, &mut report).unwrap()
    }

    #[test]
    fn chatml() {
        let template = compiled(CHATML, &[("eos_token", "<|im_end|>")]);
        let text = rendered(&template, &conversation(), true).unwrap();
        assert_eq!(
            text,
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi <b><|im_end|>\n<|im_start|>assistant\n"
        );
        assert!(!rendered(&template, &conversation(), false).unwrap().contains("assistant"));
    }

    #[test]
    fn llama3() {
        let template = compiled(LLAMA3, &[("bos_token", "<|begin_of_text|>"), ("eos_token", "<|eot_id|>")]);
        assert_eq!(
            rendered(&template, &conversation(), true).unwrap(),
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>\
             <|start_header_id|>user<|end_header_id|>\n\nHi <b><|eot_id|>\
             <|start_header_id|>assistant<|end_header_id|>\n\n"
        );
        let refused = [conversation(), vec![Message::new(Role::Tool, "42")]].concat();
        let error = rendered(&template, &refused, true).unwrap_err().to_string();
        assert!(error.starts_with("t:8: ") && error.contains("no tool"), "{error}");
    }

    #[test]
    fn templates_see_everything_that_a_message_and_a_row_bring() {
        let source = "{% for m in messages %}{{ m.role }}:{% if m.content is defined %}{{ m.content }}{% else %}nothing{% endif %}\
            {% if m.reasoning_content %}({{ m.reasoning_content }}){% endif %}\
            {% for c in m.tool_calls or [] %}[{{ c.function.name }} {{ c.function.arguments | tojson }}]{% endfor %};{% endfor %}\
            {% if tools %}{{ tools[0] | tojson }}{% endif %}{% if documents is none %}-{% endif %}{{ enable_thinking }}{{ thinking_budget }}";
        let template = compiled(source, &[]);
        let call =
            json!({"type": "function", "function": {"name": "f", "arguments": {"z": 1, "a": [true, null, 0.5]}}});
        let messages = [
            message(json!({"role": "user", "content": "q"})),
            message(json!({"role": "assistant", "content": null, "tool_calls": [call]})),
            message(json!({"role": "tool", "content": "r", "tool_call_id": "1"})),
            message(json!({"role": "assistant", "content": "a", "reasoning_content": "why", "name": null})),
        ];
        let mut row =
            json!({"tools": "[{\"name\": \"f\", \"b\": {}}]", "chat_template_kwargs": {"enable_thinking": false}})
                .as_object()
                .cloned()
                .unwrap();
        let inputs = TemplateInputs::take("t", &mut row).unwrap();
        let text = template.render(&messages, &inputs, false).unwrap();
        assert_eq!(
            text,
            "user:q;assistant:nothing[f {\"z\": 1, \"a\": [true, null, 0.5]}];tool:r;assistant:a(why);\
             {\"name\": \"f\", \"b\": {}}-False"
        );
        assert_eq!(template.hidden(&messages, &inputs), ["tool_call_id"]);
    }

    #[test]
    fn a_plain_template_prints_nothing_for_a_call_without_text() {
        let template = compiled("{% for m in messages %}{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}", &[]);
        let messages = [
            message(json!({"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f"}}]})),
            message(json!({"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {}}"})),
        ];
        let text = rendered(&template, &messages, false).unwrap();
        assert_eq!(text, "assistant\n<|im_end|>\nassistant\n<|im_end|>\n");
    }

    #[test]
    fn reasoning_reaches_templates_under_the_name_they_read() {
        let (newer, older) = ("{{ messages[0].reasoning_content }}", "{{ messages[0].thinking }}");
        for name in ["reasoning_content", "thinking", "reasoning"] {
            let message = message(json!({"role": "assistant", "content": "a", name: "why"}));
            for source in [newer, older] {
                let template = compiled(source, &[]);
                assert_eq!(rendered(&template, std::slice::from_ref(&message), false).unwrap(), "why", "{name}");
                let hidden = template.hidden([&message], &TemplateInputs::default()).len();
                assert_eq!(hidden, 0, "{name}: {source}");
            }
        }
    }

    #[test]
    fn what_changes_nothing_of_the_text_is_hidden() {
        let hidden = |source: &str, fields: serde_json::Value, inputs: &TemplateInputs| -> Vec<String> {
            let message = message(fields);
            compiled(source, &[]).hidden([&message], inputs).into_iter().map(str::to_owned).collect()
        };
        let none = TemplateInputs::default();
        let named = json!({"role": "user", "content": "q", "name": "n", "thinking": "t", "refs": []});
        let other = "{% for t in tools or [] %}{{ t.name }}{% endfor %}{{ enable_thinking }}{{ messages[0].content }}";
        assert_eq!(hidden(other, named.clone(), &none), ["name", "thinking"]);
        assert_eq!(hidden("{{ messages[0].name }}", named.clone(), &none), ["thinking"]);
        assert_eq!(hidden("{{ messages | tojson }}", named.clone(), &none), [""; 0]);
        let mut inputs = TemplateInputs { tools: Some(vec![json!({})]), ..TemplateInputs::default() };
        inputs.kwargs.insert("thinking".into(), true.into());
        let message = json!({"role": "user", "content": "q"});
        assert_eq!(
            hidden("{{ messages[0].tools }}{{ enable_thinking }}", message.clone(), &inputs),
            ["thinking", "tools"]
        );
        assert_eq!(hidden("{% if thinking is defined %}{{ tools }}{% endif %}", message, &inputs), [""; 0]);
    }

    #[test]
    fn a_developer_speaks_as_such_unless_the_template_fails_or_is_silent() {
        let message = message(json!({"role": "developer", "content": "x"}));
        let any = "{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}";
        let strict = "{% for m in messages %}{% if m.role == 'system' %}{{ m.role }}: {{ m.content }}\
            {% else %}{{ raise_exception('no such role') }}{% endif %}{% endfor %}";
        let silent =
            "{% for m in messages %}{% if m.role == 'system' %}{{ m.role }}: {{ m.content }}{% endif %}{% endfor %}";
        for (source, expected) in [(any, "developer: x"), (strict, "system: x"), (silent, "system: x")] {
            assert_eq!(rendered(&compiled(source, &[]), std::slice::from_ref(&message), false).unwrap(), expected);
        }
    }

    #[test]
    fn rows_with_tools_take_the_template_for_tools() {
        let named =
            |name: &str, source: &str| NamedTemplate { name: name.into(), at: name.into(), source: source.into() };
        let both = vec![named("default", "d"), named("tool_use", "t")];
        let template = ChatTemplate::compile(both, &SpecialTokens::new()).unwrap();
        let inputs = TemplateInputs { tools: Some(vec![json!({})]), ..TemplateInputs::default() };
        assert_eq!(template.render(&[], &inputs, false).unwrap(), "t");
        assert_eq!(rendered(&template, &[], false).unwrap(), "d");
        let only = ChatTemplate::compile(vec![named("tool_use", "t")], &SpecialTokens::new()).unwrap();
        assert_eq!(only.render(&[], &inputs, false).unwrap(), "t");
        let error = rendered(&only, &[], false).unwrap_err().to_string();
        assert!(error.contains("none is called `default`"), "{error}");
        let error = ChatTemplate::compile(vec![named("rag", "")], &SpecialTokens::new()).unwrap_err().to_string();
        assert!(error.contains("rag") && error.contains("`default`"), "{error}");
    }

    #[test]
    fn generation_tags_print_nothing_and_keep_their_scope() {
        for (source, expected) in [
            ("a{% generation %}b{% endgeneration %}c", "abc"),
            ("a \n  {%- generation -%}  b  {%- endgeneration %}\nc", "abc"),
            ("{% generation %}\nb\n{% endgeneration %}\nc", "b\nc"),
            ("{% set x = 1 %}{%generation%}{% set x = 2 %}{{ x }}{%endgeneration%}{{ x }}", "21"),
        ] {
            assert_eq!(rendered(&compiled(source, &[]), &[], false).unwrap(), expected, "{source}");
        }
    }

    #[test]
    fn values_print_as_in_python() {
        let source = "{{ messages[0].x }}|{{ messages[0].y | string }}|{{ none }}{{ true }}|{{ bos_token is defined }}";
        let template = compiled(source, &[]);
        let message = message(json!({"role": "user", "content": "q", "x": [1.0, "a", false], "y": {"k": 1e-7}}));
        assert_eq!(rendered(&template, &[message], false).unwrap(), "[1.0, 'a', False]|{'k': 1e-07}|NoneTrue|False");
    }

    #[test]
    fn numbers_in_calls_tools_and_arguments_print_as_in_python() {
        let long = format!("1{}", "0".repeat(50));
        let row = format!(
            r#"{{"messages": [{{"role": "assistant", "tool_calls": [{{"function": {{"name": "f", "arguments":
                {{"a": 12345678901234567890123, "b": [NaN, Infinity, -1e999], "c": {long}, "d": -9223372036854775809}}}}}}]}}],
                "tools": "[{{\"n\": NaN, \"i\": 18446744073709551616}}]", "chat_template_kwargs": {{"k": NaN, "l": {long}}}}}"#
        );
        let mut row = super::super::json::parse_object(row.as_bytes()).unwrap().value;
        let messages = [message(row.remove("messages").unwrap()[0].take())];
        let inputs = TemplateInputs::take("t", &mut row).unwrap();
        let source = "{% set a = messages[0].tool_calls[0].function.arguments %}{{ a | tojson }}|{{ a }}|{{ tools }}|\
            {{ k }} {{ l }} {{ a.a + 1 }} {{ a.c is number }} {{ a.a is integer }} {{ [k, l] | tojson }}";
        // As jinja2 prints it.
        let expected = format!(
            "{{\"a\": 12345678901234567890123, \"b\": [NaN, Infinity, -Infinity], \"c\": {long}, \"d\": -9223372036854775809}}|\
             {{'a': 12345678901234567890123, 'b': [nan, inf, -inf], 'c': {long}, 'd': -9223372036854775809}}|\
             [{{'n': nan, 'i': 18446744073709551616}}]|nan {long} 12345678901234567890124 True True [NaN, {long}]"
        );
        assert_eq!(compiled(source, &[]).render(&messages, &inputs, false).unwrap(), expected);
    }

    #[test]
    fn dates_and_json_are_written_as_python_does() {
        let time = NaiveDate::from_ymd_opt(2024, 2, 9).unwrap().and_hms_micro_opt(15, 4, 5, 678).unwrap();
        // datetime(2024, 2, 9, 15, 4, 5, 678).strftime(format)
        for (format, expected) in [
            ("%d %b %Y, %B %H:%M:%S %%", "09 Feb 2024, February 15:04:05 %"),
            ("%A %a %j %y %I %p %U %w %e %-d %F %T", "Friday Fri 040 24 03 PM 05 5  9 9 2024-02-09 15:04:05"),
            ("%f|%z|%Z|%%z|%c|%x|%X", "000678|||%z|Fri Feb  9 15:04:05 2024|02/09/24|15:04:05"),
        ] {
            assert_eq!(strftime(format, time).unwrap(), expected);
        }
        assert!(strftime("%Q", time).is_err());
        let template = compiled("{{ messages[0].content | tojson }}", &[]);
        let quoted = rendered(&template, &[Message::new(Role::User, "<a> \"é\" & 'b'\n")], false).unwrap();
        assert_eq!(quoted, r#""<a> \"é\" & 'b'\n""#);
    }
}
