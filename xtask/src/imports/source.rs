//! A plain reader of Rust: the modules that a file declares, and the paths by which it names what is elsewhere.
//!
//! Tests are left out, since they may look anywhere. A parser of the whole language would know no more of paths.

use super::token::{Token, tokens};

/// What a file says of other files.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// Modules that lie in files of their own.
    pub modules: Vec<String>,
    /// Paths of `use`, with the names they are known by here.
    pub imports: Vec<Import>,
    /// All other paths of at least two names.
    pub mentions: Vec<Path>,
}

/// A path where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// Its names; what ends in `*` or `self` names the module before.
    pub names: Vec<String>,
    /// The line, from 1.
    pub line: usize,
}

/// One path of a `use`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Import {
    /// What is imported.
    pub path: Path,
    /// The name it goes by in this file.
    pub name: String,
    /// Whether others may import it from here.
    pub is_public: bool,
}

impl Source {
    /// Reads a file.
    pub(super) fn read(text: &str) -> Self {
        let tokens = tokens(text);
        let mut source = Self::default();
        let mut at = 0;
        while at < tokens.len() {
            at = source.step(&tokens, at);
        }
        source
    }

    /// Reads what begins at a token, and returns where the next thing begins.
    fn step(&mut self, tokens: &[Token], at: usize) -> usize {
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
        match text(at) {
            "#" if text(at + 1) == "[" => {
                let end = closing(tokens, at + 1);
                if is_test(&tokens[at + 2..end]) { end_of_item(tokens, end + 1) } else { end + 1 }
            }
            // `impl Trait + use<'a>` imports nothing.
            "use" if text(at + 1) != "<" => {
                let is_public = at > 0 && (text(at - 1) == "pub" || text(at - 1) == ")");
                let mut tree = Tree { tokens, at: at + 1, is_public, imports: &mut self.imports };
                tree.read(&[]);
                tree.at + 1
            }
            // `pub(in crate::model)` says who may look, and looks at nothing.
            "pub" if text(at + 1) == "(" => closing(tokens, at + 1) + 1,
            "mod" if text(at + 2) == ";" => {
                self.modules.push(text(at + 1).to_owned());
                at + 3
            }
            first if is_name(first) && text(at + 1) == "::" && (at == 0 || text(at - 1) != "::") => {
                let mut names = vec![first.to_owned()];
                let mut end = at + 1;
                while text(end) == "::" && is_name(text(end + 1)) {
                    names.push(text(end + 1).to_owned());
                    end += 2;
                }
                if names.len() > 1 {
                    self.mentions.push(Path { names, line: tokens[at].line });
                }
                end
            }
            _ => at + 1,
        }
    }
}

/// The tree of a `use`, read from left to right.
struct Tree<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    is_public: bool,
    imports: &'a mut Vec<Import>,
}

impl<'a> Tree<'a> {
    fn peek(&self) -> &'a str {
        self.tokens.get(self.at).map_or(";", |token| token.text)
    }

    fn next(&mut self) -> &'a str {
        let text = self.peek();
        self.at += 1;
        text
    }

    /// Reads a branch behind `before`, up to the `,`, `}` or `;` that ends it.
    fn read(&mut self, before: &[String]) {
        let mut names = before.to_vec();
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        let mut alias = None;
        loop {
            match self.peek() {
                "," | "}" | ";" => break,
                "{" => {
                    while !matches!(self.next(), "}" | ";") {
                        self.read(&names);
                    }
                    return;
                }
                "as" => {
                    self.next();
                    alias = Some(self.next().to_owned());
                }
                // What begins with `::` is the name of a crate, even of one that is called as a module.
                "::" if names.is_empty() => {
                    names.push(String::new());
                    self.next();
                }
                "::" => drop(self.next()),
                _ => {
                    names.push(self.next().to_owned());
                }
            }
        }
        if names.len() == before.len() {
            // Behind the last comma of a group.
            return;
        }
        if names.last().is_some_and(|last| last == "self") && !before.is_empty() {
            names.pop();
        }
        let name = alias.unwrap_or_else(|| names.last().cloned().unwrap_or_default());
        self.imports.push(Import { path: Path { names, line }, name, is_public: self.is_public });
    }
}

/// Whether an attribute leaves its item to tests: `cfg(test)`, or `cfg(all(test, …))`.
fn is_test(attribute: &[Token]) -> bool {
    let texts: Vec<&str> = attribute.iter().take(5).map(|token| token.text).collect();
    texts.starts_with(&["cfg", "(", "test"]) || texts == ["cfg", "(", "all", "(", "test"]
}

/// Where the item ends that begins at a token: behind its `;`, `,` or last brace.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    while let Some(token) = tokens.get(at) {
        match token.text {
            ";" | "," => return at + 1,
            "{" => return closing(tokens, at) + 1,
            "(" | "[" => at = closing(tokens, at) + 1,
            // The last of a list ends with the list.
            ")" | "]" | "}" => return at,
            _ => at += 1,
        }
    }
    at
}

/// Where the bracket at a token is closed.
fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len()
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}
