//! The prompt of a reward model: one template, shared by training, scoring and evaluation.

use super::chat_template::{ChatTemplate, NamedTemplate, SpecialTokens};
use super::hidden::{sorted, unseen_fields};
use super::jinja::{environment, normalized};
use super::message::{Exchange, Message};
use super::role::Role;
use super::template_error::broken;
use crate::files::fs;
use crate::{Error, Result};
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use std::path::Path;

/// The variables of a prompt template.
const VARIABLES: [&str; 3] = ["history", "query", "response"];
/// The variable that makes a template a chat template.
const MESSAGES: &str = "messages";

/// How a reward model is shown an exchange: a prompt template, which puts it as a question, or a chat template, which
/// shows the conversation as it was.
///
/// A prompt template is a jinja template of the variables `history` (a list of messages with `role` and `content`, oldest
/// first, often empty), `query` and `response`. A template that uses `messages` is a chat template, and has everything
/// that those of language models have.
///
/// Blocks take their line end and their indentation with them (`trim_blocks`, `lstrip_blocks`), as chat templates
/// do. The line end that closes the file is not part of the prompt.
#[derive(Clone, Debug)]
pub struct Template {
    name: String,
    source: String,
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    Prompt(Environment<'static>),
    Chat(ChatTemplate),
}

impl Template {
    /// The house template.
    pub fn builtin() -> Self {
        Self::compile("the built-in template", include_str!("default_template.jinja").into(), &SpecialTokens::new())
            .expect("the built-in template is compiled by a test")
    }

    /// A template of the user's; `tokens` are what a chat template may name.
    ///
    /// # Errors
    /// The file is unreadable, is not valid Jinja, uses an unknown variable, or leaves out the response.
    pub fn from_file(path: &Path, tokens: &SpecialTokens) -> Result<Self> {
        Self::from_bytes(&path.display().to_string(), fs::read(path).map_err(|e| Error::io(path, e))?, tokens)
    }

    /// The content of a template file; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`Template::from_file`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>, tokens: &SpecialTokens) -> Result<Self> {
        let source = String::from_utf8(bytes).map_err(|_| Error::input(name, "is not UTF-8 text", ""))?;
        Self::compile(name, source, tokens)
    }

    /// A template given as text; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`Template::from_file`].
    pub fn compile(name: &str, source: String, tokens: &SpecialTokens) -> Result<Self> {
        let chat = |source| Ok(Self::of_chat(ChatTemplate::compile(vec![NamedTemplate::only(name, source)], tokens)?));
        let mut environment = environment();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let Err(error) = environment.add_template_owned(TEMPLATE, normalized(&source)) else {
            let used = environment.get_template(TEMPLATE).map_err(|e| broken(name, &e))?.undeclared_variables(false);
            if used.contains(MESSAGES) {
                return chat(source);
            }
            if !used.contains("response") {
                let hint = "the model would judge a reply it cannot see; a template has `history`, `query` and `response`, \
                            or as a chat template `messages`";
                return Err(Error::input(name, "never uses `response`", hint));
            }
            let known = |variable: &str| {
                VARIABLES.contains(&variable) || environment.globals().any(|(global, _)| global == variable)
            };
            // Sorted, as a set has no order and an error should read the same twice.
            if let Some(unknown) = used.iter().filter(|variable| !known(variable)).min() {
                return Err(Error::input(
                    name,
                    format!("uses the unknown variable `{unknown}`"),
                    "a template has `history`, `query` and `response`, or as a chat template `messages`",
                ));
            }
            return Ok(Self { name: name.into(), source, form: Form::Prompt(environment) });
        };
        // Chat templates may hold tags that only they know.
        match source.contains(MESSAGES) {
            true => chat(source),
            false => Err(broken(name, &error)),
        }
    }

    /// A model's own chat template.
    pub fn of_chat(template: ChatTemplate) -> Self {
        let (name, source) = (template.place().to_owned(), template.source().to_owned());
        Self { name, source, form: Form::Chat(template) }
    }

    /// Its location, for errors and for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text of the template, to be saved beside a model trained with it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether its output contains the special tokens, so that the tokenizer adds none.
    pub fn is_chat(&self) -> bool {
        matches!(self.form, Form::Chat(_))
    }

    /// The parts of an exchange that the template does not show, because the prompt would be the same without them:
    /// fields of messages, inputs of the row.
    pub fn hidden<'a>(&self, exchange: &'a Exchange) -> Vec<&'a str> {
        if let Form::Chat(template) = &self.form {
            return template.hidden(exchange.messages(), &exchange.inputs);
        }
        let (query, response) = (&exchange.query, &exchange.response);
        let history: Vec<&Message> = exchange.history.iter().collect();
        let render = |history: &[Message]| self.render_parts(history, &query.content, &response.content);
        // Of query and response, a prompt template has the texts alone, and of the row nothing else.
        let lost = [query, response].into_iter().flat_map(Message::extra_fields).chain(exchange.inputs.names());
        sorted(lost.chain(unseen_fields(&history, render)))
    }

    /// The prompt for an exchange.
    ///
    /// # Errors
    /// The template fails while it runs, or has no place for what the response answers.
    pub fn render(&self, exchange: &Exchange) -> Result<String> {
        match &self.form {
            Form::Chat(template) => template.render(exchange.messages(), &exchange.inputs, false),
            Form::Prompt(_) if exchange.query.role != Role::User => {
                let problem = "the response follows the result of a tool, which a prompt template cannot show";
                Err(Error::input(&self.name, problem, "use a chat template, which uses `messages`"))
            }
            Form::Prompt(_) => {
                self.render_parts(&exchange.history, &exchange.query.content, &exchange.response.content)
            }
        }
    }

    /// The prompt for the texts of an exchange.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn render_parts(&self, history: &[Message], query: &str, response: &str) -> Result<String> {
        let environment = match &self.form {
            Form::Chat(_) => return self.render(&Exchange::new(history.to_vec(), query, response)),
            Form::Prompt(environment) => environment,
        };
        let history = Value::from(Serde(history.iter().map(Message::for_prompt_template).collect::<Vec<_>>()));
        environment
            .get_template(TEMPLATE)
            .and_then(|template| template.render(context! { history, query, response }))
            .map_err(|e| broken(&self.name, &e))
    }
}

/// The name of the only template in an environment; without an extension, so that nothing is HTML-escaped.
const TEMPLATE: &str = "prompt";

#[cfg(test)]
mod tests {
    use super::super::role::Role;
    use super::*;

    fn compiled(source: &str) -> Result<Template> {
        Template::compile("t", source.into(), &SpecialTokens::new())
    }

    fn exchange(history: &[(Role, &str)]) -> Exchange {
        let history = history.iter().map(|(role, content)| Message::new(*role, *content)).collect();
        Exchange::new(history, "the query", "the response")
    }

    #[test]
    fn the_builtin_template_shows_everything_in_order() {
        let template = Template::builtin();
        let prompt = template.render(&exchange(&[(Role::User, "first"), (Role::Assistant, "second")])).unwrap();
        assert!(prompt.contains("## Conversation so far\n[user]\nfirst\n\n[assistant]\nsecond\n\n## User query\n"));
        assert!(prompt.ends_with(
            "## User query\nthe query\n\n## Reply to judge\nthe response\n\n## Judgement\n\
             How satisfied is the user with this reply?"
        ));
        let without = template.render(&exchange(&[])).unwrap();
        assert!(without.contains("## Conversation so far\n(none)\n\n## User query\nthe query"));
    }

    #[test]
    fn content_is_verbatim_and_never_code() {
        let odd = "{{ response }} {% raw %} <b>&'\"\u{0}\u{fffd}\u{200d}🏳️‍🌈\r\n";
        let template = compiled("{{ query }}|{{ response }}").unwrap();
        assert_eq!(template.render_parts(&[], odd, "r").unwrap(), format!("{odd}|r"));
    }

    #[test]
    fn a_template_file_is_plain_jinja() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("prompt.html");
        let source = "{% for m in history %}\n{{ m.role.upper() }}: {{ m['content'] }}\n{% endfor %}\n\
                      {{ query }}\n{{ response }}\n";
        std::fs::write(&path, source).unwrap();
        let template = Template::from_file(&path, &SpecialTokens::new()).unwrap();
        assert_eq!(template.source(), source);
        let prompt = template.render(&exchange(&[(Role::User, "<hi>")])).unwrap();
        assert_eq!(prompt, "USER: <hi>\nthe query\nthe response");
    }

    #[test]
    fn templates_that_cannot_work_are_refused() {
        for (source, expected) in [
            ("{{ query", "t:1: the template fails: syntax error"),
            ("{{ query }}", "never uses `response`"),
            ("{{ response }}{{ instruction }}", "unknown variable `instruction`"),
        ] {
            let error = compiled(source).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        for nothing in ["response.nothing.more", "response.nothing", "response.nothing | trim"] {
            let template = compiled(&format!("{{{{ response }}}}\n{{{{ {nothing} }}}}")).unwrap();
            let error = template.render(&exchange(&[])).unwrap_err().to_string();
            assert!(error.starts_with("t:2: the template fails"), "{error}");
        }
        assert!(Template::from_file(Path::new("nowhere.jinja"), &SpecialTokens::new()).is_err());
    }

    #[test]
    fn a_template_of_messages_is_a_chat_template() {
        let source = "{{ bos_token }}{% for m in messages %}{% generation %}{{ m.role }}: {{ m.content }}\n{% endgeneration %}{% endfor %}";
        let tokens = SpecialTokens::from_iter([("bos_token".to_owned(), "<s>".into())]);
        let template = Template::compile("t", source.into(), &tokens).unwrap();
        assert!(template.is_chat() && !Template::builtin().is_chat());
        let exchange = exchange(&[(Role::System, "Be brief.")]);
        assert_eq!(
            template.render(&exchange).unwrap(),
            "<s>system: Be brief.\nuser: the query\nassistant: the response\n"
        );
    }

    #[test]
    fn what_a_template_cannot_show_is_named_or_refused() {
        let called = [("role", "assistant"), ("content", "a"), ("tool_calls", "x"), ("name", "n")];
        let fields = called.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let mut exchange = exchange(&[]);
        exchange.history.push(Message::with_fields(Role::Assistant, "a".into(), fields));
        exchange.inputs.tools = Some(vec![]);
        assert_eq!(Template::builtin().hidden(&exchange), ["name", "tool_calls", "tools"]);
        let shows = compiled("{% for m in messages %}{{ m.tool_calls }}{{ tools }}{% endfor %}").unwrap();
        assert_eq!(shows.hidden(&exchange), ["name"]);
        exchange.query.role = Role::Tool;
        let error = Template::builtin().render(&exchange).unwrap_err().to_string();
        assert!(error.contains("follows the result of a tool"), "{error}");
    }
}
