//! Rust cut into words and signs, without comments, texts and lifetimes.

/// A word, `::`, or any other sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// As it is written, but for the `r#` of raw names.
    pub text: &'a str,
    /// Its line, from 1.
    pub line: usize,
}

/// Cuts a file.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(first) = rest.chars().next() {
        let (length, is_token) = match skipped(rest) {
            Some(length) => (length, false),
            None if is_word(first) => (rest.find(|c| !is_word(c)).unwrap_or(rest.len()), true),
            None if rest.starts_with("::") => (2, true),
            None => (first.len_utf8(), !first.is_whitespace()),
        };
        let (one, after) = rest.split_at(length);
        if is_token {
            tokens.push(Token { text: one, line });
        }
        line += one.matches('\n').count();
        rest = after;
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of a comment, a literal text or a lifetime, or of the sign of a raw name, where one begins.
fn skipped(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    if rest.starts_with('\'') {
        return Some(quote(rest));
    }
    // b"", c"", r"", r#""#, br"", cr"".
    let plain = rest.strip_prefix(['b', 'c']).unwrap_or(rest);
    let prefix = rest.len() - plain.len();
    if plain.starts_with('"') {
        return Some(prefix + text(plain));
    }
    if prefix == 1 && rest.starts_with("b'") {
        return Some(1 + quote(plain));
    }
    let raw = plain.strip_prefix('r')?;
    let hashes = raw.len() - raw.trim_start_matches('#').len();
    if raw[hashes..].starts_with('"') {
        let end = format!("\"{}", "#".repeat(hashes));
        let content = prefix + 1 + hashes + 1;
        return Some(rest[content..].find(&end).map_or(rest.len(), |found| content + found + end.len()));
    }
    (prefix == 0 && hashes == 1).then_some(2)
}

/// The length of a comment, which may hold others.
fn block_comment(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    while at < rest.len() {
        match rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of a text in double quotes.
fn text(rest: &str) -> usize {
    let mut escaped = true;
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of a character in single quotes, or of a lifetime.
fn quote(rest: &str) -> usize {
    let mut inner = rest.chars().skip(1);
    match (inner.next(), inner.next()) {
        // Behind the backslash and what it escapes, which may be a quote.
        (Some('\\'), Some(escaped)) => {
            let from = 2 + escaped.len_utf8();
            rest[from..].find('\'').map_or(rest.len(), |found| from + found + 1)
        }
        (Some(c), Some('\'')) => 2 + c.len_utf8(),
        _ => 1 + rest[1..].find(|c| !is_word(c)).unwrap_or(rest.len() - 1),
    }
}
