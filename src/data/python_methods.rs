//! Methods of Python's strings, lists and dicts that chat templates call on values.
//!
//! Methods that change a value in place (`append`, `update`, …) are absent: the sandbox of `transformers` forbids them
//! too.

use minijinja::value::{Kwargs, Tuple, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State};
use minijinja_contrib::pycompat;

use super::python::{is_decimal, is_printable, is_space};
use super::template_error::{Result, fails};

/// Calls a method that the engine does not know.
pub(super) fn call(state: &mut State, value: &Value, method: &str, args: &[Value]) -> Result<Value> {
    let answer = match value.kind() {
        ValueKind::String => text_method(value.as_str().unwrap_or_default(), method, args),
        ValueKind::Seq | ValueKind::Iterable => list_method(value, method, args),
        ValueKind::Map if method == "copy" => Ok(value.clone()),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    };
    match answer {
        Err(error) if error.kind() == ErrorKind::UnknownMethod => {
            pycompat::unknown_method_callback(state, value, method, args)
        }
        answer => answer,
    }
}

fn list_method(value: &Value, method: &str, args: &[Value]) -> Result<Value> {
    let items = || value.try_iter()?.checked().collect::<Result<Vec<Value>>>();
    match method {
        "index" => {
            let (wanted,): (&Value,) = from_args(args)?;
            let found = items()?.iter().position(|item| item == wanted);
            found.map(Value::from).ok_or_else(|| fails(format!("{wanted} is not in the list")))
        }
        "count" => {
            let (wanted,): (&Value,) = from_args(args)?;
            Ok(items()?.iter().filter(|item| *item == wanted).count().into())
        }
        "copy" => Ok(value.clone()),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn text_method(text: &str, method: &str, args: &[Value]) -> Result<Value> {
    let all = |is: fn(char) -> bool| {
        let () = from_args(args)?;
        Ok(Value::from(!text.is_empty() && text.chars().all(is)))
    };
    match method {
        "strip" | "lstrip" | "rstrip" => {
            let (chars,): (Option<&str>,) = from_args(args)?;
            Ok(trimmed(text, chars, method != "rstrip", method != "lstrip").into())
        }
        "split" => Ok(split(text, &Splitting::of(args)?)?.into()),
        "rsplit" => Ok(rsplit(text, &Splitting::of(args)?)?.into()),
        "splitlines" => {
            let (keepends, options): (Option<bool>, Kwargs) = from_args(args)?;
            let keepends = keepends.or(options.get("keepends")?).unwrap_or(false);
            options.assert_all_used()?;
            Ok(lines(text, keepends).into())
        }
        "partition" => {
            let separator = separator(args)?;
            let (before, after) = text.split_once(separator).unwrap_or((text, ""));
            let between = if text.contains(separator) { separator } else { "" };
            Ok(three(before, between, after))
        }
        "rpartition" => {
            let separator = separator(args)?;
            let (before, after) = text.rsplit_once(separator).unwrap_or(("", text));
            let between = if text.contains(separator) { separator } else { "" };
            Ok(three(before, between, after))
        }
        "find" | "rfind" | "index" | "rindex" => {
            let found = found(text, method.starts_with('r'), args)?;
            match found {
                Some(place) => Ok(place.into()),
                None if method.ends_with("find") => Ok((-1).into()),
                None => Err(fails("substring not found")),
            }
        }
        "startswith" | "endswith" => {
            let (wanted, start, end): (&Value, Option<i64>, Option<i64>) = from_args(args)?;
            let (start, end) = places(text, start, end);
            let within = within(text, start, end).map(|(_, within)| within);
            let is_there = |wanted: &str| match method {
                "startswith" => within.is_some_and(|within| within.starts_with(wanted)),
                _ => within.is_some_and(|within| within.ends_with(wanted)),
            };
            let no_text = || fails(format!("{method} takes a string or a tuple of strings"));
            match wanted.as_str() {
                Some(wanted) => Ok(is_there(wanted).into()),
                None if wanted.is_tuple() => {
                    let all = wanted.try_iter()?.checked().collect::<Result<Vec<Value>>>()?;
                    let all = all.iter().map(|one| one.as_str().ok_or_else(no_text)).collect::<Result<Vec<&str>>>()?;
                    Ok(all.into_iter().any(is_there).into())
                }
                None => Err(no_text()),
            }
        }
        "count" => {
            let (part, start, end) = part(text, args)?;
            let within = within(text, start, end).map_or("", |(_, within)| within);
            // An empty text is found before each character and at the end.
            Ok(within.matches(part).count().into())
        }
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Ok(text.strip_prefix(prefix).unwrap_or(text).into())
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Ok(text.strip_suffix(suffix).unwrap_or(text).into())
        }
        "ljust" | "rjust" | "center" => {
            let (width, fill): (usize, Option<&str>) = from_args(args)?;
            let fill = one_character(fill.unwrap_or(" "))?;
            let missing = width.saturating_sub(text.chars().count());
            let padding = fill.to_string().repeat(missing);
            Ok(match method {
                "ljust" => format!("{text}{padding}").into(),
                "rjust" => format!("{padding}{text}").into(),
                _ => centred(text, width, fill).into(),
            })
        }
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            let sign = text.len() - text.strip_prefix(['+', '-']).unwrap_or(text).len();
            let zeros = "0".repeat(width.saturating_sub(text.chars().count()));
            Ok(format!("{}{zeros}{}", &text[..sign], &text[sign..]).into())
        }
        "title" => {
            let () = from_args(args)?;
            Ok(title_cased(text, |before| !before.is_alphabetic()).into())
        }
        "capitalize" => {
            let () = from_args(args)?;
            Ok(capitalized(text).into())
        }
        "casefold" => {
            let () = from_args(args)?;
            Ok(text.to_lowercase().replace('ß', "ss").replace('ς', "σ").into())
        }
        "swapcase" => {
            let () = from_args(args)?;
            let swapped = |c: char| match c.is_uppercase() {
                true => c.to_lowercase().collect::<String>(),
                false => c.to_uppercase().collect(),
            };
            Ok(text.chars().map(swapped).collect::<String>().into())
        }
        "isspace" => all(is_space),
        "isdecimal" => all(is_decimal),
        "isdigit" => all(|c| is_decimal(c) || "⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉".contains(c)),
        "isprintable" => {
            let () = from_args(args)?;
            Ok(text.chars().all(is_printable).into())
        }
        "join" => {
            let (items,): (&Value,) = from_args(args)?;
            let mut texts = vec![];
            for (index, item) in items.try_iter()?.checked().enumerate() {
                let item = item?;
                let problem = || fails(format!("item {index} to join is not a text but {}", item.kind()));
                texts.push(item.as_str().ok_or_else(problem)?.to_owned());
            }
            Ok(texts.join(text).into())
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

/// Without the characters of `chars`, or white space, at its start and its end.
pub(super) fn trimmed<'a>(text: &'a str, chars: Option<&str>, start: bool, end: bool) -> &'a str {
    let is_cut = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    let text = if start { text.trim_start_matches(is_cut) } else { text };
    if end { text.trim_end_matches(is_cut) } else { text }
}

/// The first character in upper case, the others in lower case.
pub(super) fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars.as_str().to_lowercase().chars()).collect())
}

/// Each word capitalized, where `starts` says behind which characters words begin.
pub(super) fn title_cased(text: &str, starts: impl Fn(char) -> bool) -> String {
    let mut before = ' ';
    let mut out = String::new();
    for c in text.chars() {
        match starts(before) {
            true => out.extend(c.to_uppercase()),
            false => out.extend(c.to_lowercase()),
        }
        before = c;
    }
    out
}

/// In the middle of `width` characters, as Python chooses the middle.
pub(super) fn centred(text: &str, width: usize, fill: char) -> String {
    let missing = width.saturating_sub(text.chars().count());
    let left = missing / 2 + (missing & width & 1);
    let padding = |count: usize| fill.to_string().repeat(count);
    format!("{}{text}{}", padding(left), padding(missing - left))
}

fn one_character(text: &str) -> Result<char> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) => Ok(c),
        _ => Err(fails("the fill character must be exactly one character long")),
    }
}

fn three(before: &str, between: &str, after: &str) -> Value {
    Tuple::from([before, between, after].map(Value::from)).into()
}

fn separator(args: &[Value]) -> Result<&str> {
    match from_args(args)? {
        ("",) => Err(fails("empty separator")),
        (separator,) => Ok(separator),
    }
}

/// The arguments of `split` and `rsplit`.
struct Splitting {
    /// White space if there is none.
    separator: Option<String>,
    /// The most parts.
    parts: usize,
}

impl Splitting {
    fn of(args: &[Value]) -> Result<Self> {
        let (separator, most, options): (Option<String>, Option<i64>, Kwargs) = from_args(args)?;
        let separator = separator.or(options.get("sep")?);
        let most = most.or(options.get("maxsplit")?).unwrap_or(-1);
        options.assert_all_used()?;
        if separator.as_deref() == Some("") {
            return Err(fails("empty separator"));
        }
        Ok(Self { separator, parts: usize::try_from(most).map_or(usize::MAX, |most| most.saturating_add(1)) })
    }
}

fn split(text: &str, by: &Splitting) -> Result<Vec<Value>> {
    if let Some(separator) = &by.separator {
        return Ok(text.splitn(by.parts, separator.as_str()).map(Value::from).collect());
    }
    let (mut parts, mut rest) = (vec![], text.trim_start_matches(is_space));
    while !rest.is_empty() {
        let end = if parts.len() + 1 == by.parts { None } else { rest.find(is_space) };
        let (part, behind) = rest.split_at(end.unwrap_or(rest.len()));
        parts.push(Value::from(part));
        rest = behind.trim_start_matches(is_space);
    }
    Ok(parts)
}

fn rsplit(text: &str, by: &Splitting) -> Result<Vec<Value>> {
    let mut parts: Vec<Value> = match &by.separator {
        Some(separator) => text.rsplitn(by.parts, separator.as_str()).map(Value::from).collect(),
        None => {
            let (mut parts, mut rest) = (vec![], text.trim_end_matches(is_space));
            while !rest.is_empty() {
                let space =
                    if parts.len() + 1 == by.parts { None } else { rest.char_indices().rfind(|(_, c)| is_space(*c)) };
                let (before, part) = rest.split_at(space.map_or(0, |(at, c)| at + c.len_utf8()));
                parts.push(Value::from(part));
                rest = before.trim_end_matches(is_space);
            }
            parts
        }
    };
    parts.reverse();
    Ok(parts)
}

/// The lines, which end at every line boundary of Unicode.
fn lines(text: &str, keepends: bool) -> Vec<Value> {
    const ENDS: &[char] =
        &['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];
    let (mut lines, mut rest) = (vec![], text);
    while !rest.is_empty() {
        let length = rest.find(ENDS).unwrap_or(rest.len());
        let end = match &rest[length..] {
            behind if behind.starts_with("\r\n") => 2,
            behind => behind.chars().next().map_or(0, char::len_utf8),
        };
        lines.push(Value::from(&rest[..if keepends { length + end } else { length }]));
        rest = &rest[length + end..];
    }
    lines
}

/// The arguments of what looks for a text: it, and between which characters.
fn part<'a>(text: &str, args: &'a [Value]) -> Result<(&'a str, usize, usize)> {
    let (part, start, end): (&str, Option<i64>, Option<i64>) = from_args(args)?;
    let (start, end) = places(text, start, end);
    Ok((part, start, end))
}

/// The start and end of a search as in Python, in characters; negative positions count from the end.
fn places(text: &str, start: Option<i64>, end: Option<i64>) -> (usize, usize) {
    let length = text.chars().count();
    let place = |at: i64| usize::try_from(at).unwrap_or_else(|_| length.saturating_sub(at.unsigned_abs() as usize));
    (start.map_or(0, place), end.map_or(length, place).min(length))
}

/// The text between two characters, and the byte where it begins.
fn within(text: &str, start: usize, end: usize) -> Option<(usize, &str)> {
    let byte = |at: usize| text.char_indices().map(|(byte, _)| byte).chain([text.len()]).nth(at);
    let from = byte(start)?;
    Some((from, text.get(from..byte(end)?)?))
}

/// The place of a text, counted in characters.
fn found(text: &str, from_end: bool, args: &[Value]) -> Result<Option<usize>> {
    let (part, start, end) = part(text, args)?;
    let Some((from, within)) = within(text, start, end) else { return Ok(None) };
    let at = if from_end { within.rfind(part) } else { within.find(part) };
    Ok(at.map(|at| text[..from + at].chars().count()))
}
