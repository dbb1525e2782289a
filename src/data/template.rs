//! The prompt a reward model reads: one template, used by training, scoring and evaluation alike.

use super::message::{Exchange, Message};
use crate::{Error, Result};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use std::path::Path;

/// What a template may use.
const VARIABLES: [&str; 3] = ["history", "query", "response"];

/// A jinja template of the variables `history` (a list of messages with `role` and `content`, oldest first, often
/// empty), `query` and `response`.
///
/// Blocks take their line end and their indentation with them (`trim_blocks`, `lstrip_blocks`), as chat templates
/// do. The line end that closes the file is not part of the prompt.
#[derive(Clone, Debug)]
pub struct Template {
    environment: Environment<'static>,
    name: String,
    source: String,
}

impl Template {
    /// The house template.
    pub fn builtin() -> Self {
        Self::compile("the built-in template", include_str!("default_template.jinja").into())
            .expect("the built-in template is compiled by a test")
    }

    /// A template of the user's.
    ///
    /// # Errors
    /// The file is unreadable, is no jinja, uses a variable there is not, or leaves out the response.
    pub fn from_file(path: &Path) -> Result<Self> {
        Self::from_bytes(&path.display().to_string(), std::fs::read(path).map_err(|e| Error::io(path, e))?)
    }

    /// The content of a template file; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`Template::from_file`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self> {
        let source = String::from_utf8(bytes).map_err(|_| Error::input(name, "is not UTF-8 text", ""))?;
        Self::compile(name, source)
    }

    /// A template given as text; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`Template::from_file`].
    pub fn compile(name: &str, source: String) -> Result<Self> {
        let mut environment = environment();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.add_template_owned(TEMPLATE, source.clone()).map_err(|e| broken(name, &e))?;
        let used = environment.get_template(TEMPLATE).map_err(|e| broken(name, &e))?.undeclared_variables(false);
        if !used.contains("response") {
            return Err(Error::input(name, "never uses `response`", "the model would judge a reply it cannot see"));
        }
        let known = |variable: &str| {
            VARIABLES.contains(&variable) || environment.globals().any(|(global, _)| global == variable)
        };
        // Sorted, as a set has no order and an error should read the same twice.
        if let Some(unknown) = used.iter().filter(|variable| !known(variable)).min() {
            return Err(Error::input(
                name,
                format!("uses the unknown variable `{unknown}`"),
                "a template has `history`, `query` and `response`",
            ));
        }
        Ok(Self { environment, name: name.into(), source })
    }

    /// The text of the template, to be saved beside a model trained with it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The prompt for an exchange.
    ///
    /// # Errors
    /// The template fails while it runs.
    pub fn render(&self, exchange: &Exchange) -> Result<String> {
        self.render_parts(&exchange.history, &exchange.query, &exchange.response)
    }

    /// The prompt for the parts of an exchange.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn render_parts(&self, history: &[Message], query: &str, response: &str) -> Result<String> {
        self.environment
            .get_template(TEMPLATE)
            .and_then(|template| template.render(context! { history => message_values(history), query, response }))
            .map_err(|e| broken(&self.name, &e))
    }
}

/// The name of the only template in an environment; without an extension, so that nothing is HTML-escaped.
pub(super) const TEMPLATE: &str = "prompt";

/// Jinja as prompts use it.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the default delimiters are valid"));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment
}

/// Messages as a template sees them.
pub(super) fn message_values(messages: &[Message]) -> Value {
    messages
        .iter()
        .map(|message| context! { role => message.role.as_str(), content => message.content.as_str() })
        .collect()
}

/// What jinja says of a template, with the line.
pub(super) fn broken(name: &str, error: &minijinja::Error) -> Error {
    let at = error.line().map_or_else(|| name.to_owned(), |line| format!("{name}:{line}"));
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    Error::input(at, format!("the template fails: {}{detail}", error.kind()), "")
}

#[cfg(test)]
mod tests {
    use super::super::message::Role;
    use super::*;

    fn exchange(history: &[(Role, &str)]) -> Exchange {
        let history = history.iter().map(|(role, content)| Message::new(*role, *content)).collect();
        Exchange { history, query: "the query".into(), response: "the response".into() }
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
        let template = Template::compile("t", "{{ query }}|{{ response }}".into()).unwrap();
        assert_eq!(template.render_parts(&[], odd, "r").unwrap(), format!("{odd}|r"));
    }

    #[test]
    fn a_template_file_is_plain_jinja() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("prompt.html");
        let source = "{% for m in history %}\n{{ m.role.upper() }}: {{ m['content'] }}\n{% endfor %}\n\
                      {{ query }}\n{{ response }}\n";
        std::fs::write(&path, source).unwrap();
        let template = Template::from_file(&path).unwrap();
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
            let error = Template::compile("t", source.into()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let template = Template::compile("t", "{{ response }}\n{{ response.nothing.more }}".into()).unwrap();
        let error = template.render(&exchange(&[])).unwrap_err().to_string();
        assert!(error.starts_with("t:2: the template fails"), "{error}");
        assert!(Template::from_file(Path::new("nowhere.jinja")).is_err());
    }
}
