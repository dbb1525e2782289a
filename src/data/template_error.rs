//! Errors of templates, as the template engine raises them and as users read them.

use minijinja::ErrorKind;

use crate::Error;

/// The return values of functions that templates call.
pub(super) type Result<T> = std::result::Result<T, minijinja::Error>;

/// An error of a template that says `problem`.
pub(super) fn fails(problem: impl Into<String>) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, problem.into())
}

/// Jinja's error about a template, with the line.
pub(super) fn broken(name: &str, error: &minijinja::Error) -> Error {
    let at = error.line().map_or_else(|| name.to_owned(), |line| format!("{name}:{line}"));
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    Error::input(at, format!("the template fails: {}{detail}", error.kind()), "")
}
