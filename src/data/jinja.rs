//! Jinja as in Python: the tests, filters and functions that `minijinja` lacks or that differ from `jinja2`.
//!
//! A few differences remain, because the engine offers no way to change them. These are errors: `'%s' % text`, and
//! adding to a text marked as `safe`, which Python escapes. A loop over `none` runs zero times where Python refuses it,
//! and `tojson` writes a generator as a list.

use std::fmt::Write;

use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja_contrib::globals;

use super::python::{self, JsonStyle, LongInteger, Markup};
use super::python_methods::{self, capitalized, centred, title_cased, trimmed};
use super::template_error::Result;

/// Jinja as prompts use it.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("the default delimiters are valid"));
    environment.set_unknown_method_callback(python_methods::call);
    add_tests(&mut environment);
    environment.add_function("cycler", |items: Rest<Value>| globals::cycler(items.0));
    environment.add_function("joiner", |separator: Option<Value>| globals::joiner(separator));
    environment
}

/// A source as jinja reads it: every line ends with `\n`.
pub(super) fn normalized(source: &str) -> String {
    source.replace("\r\n", "\n").replace('\r', "\n")
}

fn add_tests(environment: &mut Environment<'static>) {
    use ValueKind as K;
    // Python asks whether there is an `__iter__`; and what is undefined has one.
    environment.add_test("iterable", |value: &Value| {
        matches!(value.kind(), K::Undefined | K::String | K::Bytes | K::Seq | K::Map | K::Iterable)
    });
    // Python asks whether there are a length and `__getitem__`. Parts of lists are iterables to the engine.
    environment.add_test("sequence", |value: &Value| {
        matches!(value.kind(), K::Undefined | K::String | K::Bytes | K::Seq | K::Map | K::Iterable)
    });
    environment.add_test("number", |value: &Value| {
        matches!(value.kind(), K::Number | K::Bool) || LongInteger::of(value).is_some()
    });
    environment.add_test("integer", |value: &Value| value.is_integer() || LongInteger::of(value).is_some());
    environment.add_test("string", |value: &Value| value.kind() == K::String || Markup::of(value).is_some());
    for name in ["escaped", "safe"] {
        environment.add_test(name, |value: &Value| Markup::of(value).is_some());
    }
    environment.add_test("callable", |value: &Value| {
        value.kind() == K::Plain && LongInteger::of(value).is_none() && Markup::of(value).is_none()
    });
}

/// Filters as chat templates know them. They take what is undefined for an empty text, as Python does, so they are not for
/// templates that have to name every variable rightly.
pub(super) fn add_filters(environment: &mut Environment<'static>) {
    environment.add_filter("string", python::str);
    environment.add_filter("tojson", tojson);
    environment.add_filter("safe", |value: &Value| Ok(Markup::value(python::str(value)?)));
    for name in ["escape", "e"] {
        environment.add_filter(name, |value: &Value| {
            let text = python::str(value)?;
            Ok(Markup::value(if Markup::of(value).is_some() { text } else { escaped(&text) }))
        });
    }
    environment.add_filter("forceescape", |value: &Value| Ok(Markup::value(escaped(&python::str(value)?))));
    environment.add_filter("trim", |value: &Value, chars: Option<String>| {
        Ok(trimmed(&python::str(value)?, chars.as_deref(), true, true).to_owned())
    });
    environment.add_filter("title", |value: &Value| Ok(title_cased(&python::str(value)?, starts_word)));
    environment.add_filter("capitalize", |value: &Value| Ok(capitalized(&python::str(value)?)));
    environment.add_filter("center", |value: &Value, width: Option<usize>| {
        Ok(centred(&python::str(value)?, width.unwrap_or(80), ' '))
    });
    environment.add_filter("join", join);
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("wordcount", |value: &Value| {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        Ok(python::str(value)?.split(|c| !is_word(c)).filter(|word| !word.is_empty()).count())
    });
    environment.add_filter("urlencode", urlencode);
}

/// A text within HTML.
fn escaped(text: &str) -> String {
    let escapes = [("&", "&amp;"), (">", "&gt;"), ("<", "&lt;"), ("'", "&#39;"), ("\"", "&#34;")];
    escapes.iter().fold(text.to_owned(), |text, (plain, escape)| text.replace(plain, escape))
}

/// Whether the filter `title` begins a word behind a character, which is seldomer than the method does.
fn starts_word(before: char) -> bool {
    python::is_space(before) || "-({[<".contains(before)
}

/// JSON as `json.dumps` writes it in the filter that `transformers` puts in place of jinja's own, which escapes HTML.
fn tojson(value: &Value, ensure_ascii: Option<bool>, indent: Option<usize>, options: Kwargs) -> Result<String> {
    let separators: Option<Vec<String>> = options.get("separators")?;
    let style = JsonStyle {
        ensure_ascii: ensure_ascii.or(options.get("ensure_ascii")?).unwrap_or(false),
        indent: indent.or(options.get("indent")?),
        separators: separators.and_then(|pair| <[String; 2]>::try_from(pair).ok()).map(|[item, key]| (item, key)),
        sort_keys: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    options.assert_all_used()?;
    python::json(value, &style)
}

/// The items as texts, one behind the other.
fn join(value: &Value, separator: Option<Value>, options: Kwargs) -> Result<String> {
    let named = |name| options.get::<Option<Value>>(name);
    let separator = match separator.map_or_else(|| named("d"), |given| Ok(Some(given)))? {
        Some(separator) => python::str(&separator)?,
        None => String::new(),
    };
    let attribute = named("attribute")?;
    options.assert_all_used()?;
    let mut joined = String::new();
    for (index, item) in value.try_iter()?.checked().enumerate() {
        if index > 0 {
            joined.push_str(&separator);
        }
        let item = match &attribute {
            Some(path) => attribute_of(item?, &python::str(path)?)?,
            None => item?,
        };
        joined.push_str(&python::str(&item)?);
    }
    Ok(joined)
}

/// `a.b` of a value, step by step.
fn attribute_of(value: Value, path: &str) -> Result<Value> {
    path.split('.').try_fold(value, |value, name| match name.parse::<usize>() {
        Ok(index) => value.get_item_by_index(index),
        Err(_) => value.get_attr(name),
    })
}

/// A whole number out of a number or a text; `default` where it is none.
fn int(value: &Value, default: Option<Value>, base: Option<u32>, options: Kwargs) -> Result<Value> {
    let default = default.or(options.get("default")?).unwrap_or_else(|| Value::from(0));
    let base = base.or(options.get("base")?).unwrap_or(10);
    options.assert_all_used()?;
    if value.is_integer() || LongInteger::of(value).is_some() {
        return Ok(value.clone());
    }
    let whole = match value.as_str() {
        Some(text) => {
            let text = text.trim();
            let prefix = match base {
                16 => "0x",
                8 => "0o",
                2 => "0b",
                _ => "",
            };
            let digits = text.strip_prefix(prefix).unwrap_or(text);
            i128::from_str_radix(digits, base).ok().or_else(|| text.parse().ok().and_then(truncated))
        }
        None if value.kind() == ValueKind::Bool => Some(i128::from(value.is_true())),
        None => f64::try_from(value.clone()).ok().and_then(truncated),
    };
    Ok(whole.map_or(default, whole_value))
}

/// The whole number towards zero.
fn truncated(number: f64) -> Option<i128> {
    // Beyond 2^127 a float is no `i128`, and infinity is none at all.
    (number.abs() < 1.7e38).then_some(number as i128)
}

fn whole_value(number: i128) -> Value {
    i64::try_from(number).map_or_else(|_| Value::from(number), Value::from)
}

/// A number out of a number or a text; `default` where it is none.
fn float(value: &Value, default: Option<Value>) -> Result<Value> {
    let number = match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None if value.kind() == ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        None => f64::try_from(value.clone()).ok(),
    };
    Ok(number.map_or_else(|| default.unwrap_or_else(|| Value::from(0.0)), Value::from))
}

/// A text, or the pairs of an object, as part of an address.
fn urlencode(value: &Value) -> Result<String> {
    if value.kind() != ValueKind::Map {
        return Ok(quoted(&python::str(value)?, "/"));
    }
    let mut pairs = vec![];
    for key in value.try_iter()?.checked() {
        let key = key?;
        let field = value.get_item(&key)?;
        let plus = |value: &Value| Ok::<_, minijinja::Error>(quoted(&python::str(value)?, "").replace("%20", "+"));
        pairs.push(format!("{}={}", plus(&key)?, plus(&field)?));
    }
    Ok(pairs.join("&"))
}

fn quoted(text: &str, safe: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "_.-~".contains(c) || safe.contains(c) {
            out.push(c);
        } else {
            // Writing to a text cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::super::chat_template::{ChatTemplate, NamedTemplate, SpecialTokens};
    use super::super::message::TemplateInputs;

    fn rendered(source: &str) -> crate::Result<String> {
        let templates = vec![NamedTemplate::only("t", source)];
        ChatTemplate::compile(templates, &SpecialTokens::new())?.render(&[], &TemplateInputs::default(), false)
    }

    /// The output of the chat templates of `transformers` 5.24, which are those of `jinja2`, for these sources.
    #[test]
    fn sources_print_what_jinja2_prints() {
        for (source, expected) in [
            (
                "{{ none is iterable }}|{{ 'a' is iterable }}|{{ {} is iterable }}|{{ 3 is iterable }}|{{ nope is iterable }}|{{ [1] is iterable }}",
                "False|True|True|False|True|True",
            ),
            (
                "{{ none is sequence }}|{{ 'a' is sequence }}|{{ {} is sequence }}|{{ 3 is sequence }}|{{ nope is sequence }}|{{ [1] is sequence }}|{{ [1,2][1:] is sequence }}",
                "False|True|True|False|True|True|True",
            ),
            ("{{ {} is mapping }}|{{ [] is mapping }}|{{ none is mapping }}", "True|False|False"),
            (
                "{{ true is number }}|{{ true is integer }}|{{ 1 is integer }}|{{ 1.0 is integer }}|{{ 1.0 is float }}|{{ 'a' is string }}|{{ 1 is boolean }}|{{ true is boolean }}",
                "True|False|True|False|True|True|False|True",
            ),
            (
                "{{ true is sameas true }}|{{ 1 is sameas true }}|{{ 1 == true }}|{{ 1 is eq true }}|{{ none is sameas none }}|{{ 'a' is sameas 'a' }}",
                "True|False|True|True|True|True",
            ),
            (
                "{{ 'a' is in ['a'] }}|{{ 'a' is in 'abc' }}|{{ 1 is lt 2 }}|{{ 2 is ge 2 }}|{{ 'b' is gt 'a' }}",
                "True|True|True|True|True",
            ),
            (
                "{{ 'AB' is upper }}|{{ 'aB' is lower }}|{{ 4 is even }}|{{ 4 is divisibleby 2 }}|{{ 'tojson' is filter }}|{{ 'mapping' is test }}",
                "True|False|True|True|True|True",
            ),
            (
                "{{ 'x'|int }}|{{ '7'|int }}|{{ ' 7 '|int }}|{{ '7.9'|int }}|{{ 7.9|int }}|{{ -7.9|int }}|{{ none|int }}|{{ 'x'|int(5) }}|{{ '0xff'|int(0,16) }}|{{ true|int }}",
                "0|7|7|7|7|-7|0|5|255|1",
            ),
            (
                "{{ 'x'|float }}|{{ '1.5'|float }}|{{ 3|float }}|{{ 'x'|float(2.5) }}|{{ none|float }}",
                "0.0|1.5|3.0|2.5|0.0",
            ),
            (
                "{{ 'a b,c  d'|wordcount }}|{{ 'a b/c?é&'|urlencode }}|{{ {'a b': 1, 'c': 'd/e'}|urlencode }}",
                "4|a%20b/c%3F%C3%A9%26|a+b=1&c=d%2Fe",
            ),
            (
                "{{ (1, 2) }}|{{ (1,) }}|{{ () }}|{{ [(1, 'a')] }}|{{ {'a': (1,2)} }}",
                "(1, 2)|(1,)|()|[(1, 'a')]|{'a': (1, 2)}",
            ),
            ("{{ (1, 2)|tojson }}|{{ {'a': (1,), 2: none}|tojson }}", "[1, 2]|{\"a\": [1], \"2\": null}"),
            (
                "{{ {'a': 1}.items()|list }}|{{ {'a': 1}|items|list }}|{{ {'b':1,'a':2}|dictsort }}",
                "[('a', 1)]|[('a', 1)]|[('a', 2), ('b', 1)]",
            ),
            (
                "{{ 'a.b.c'.rsplit('.', 1) }}|{{ ' a b  c '.rsplit() }}|{{ ' a b  c '.rsplit(None, 1) }}|{{ ' a b  c '.split(None, 1) }}|{{ ' a b '.split() }}|{{ 'a,b,c'.split(',', 1) }}|{{ 'a,b,c'.split(',', maxsplit=1) }}|{{ ''.split(',') }}|{{ ''.split() }}",
                "['a.b', 'c']|['a', 'b', 'c']|[' a b', 'c']|['a', 'b  c ']|['a', 'b']|['a', 'b,c']|['a', 'b,c']|['']|[]",
            ),
            (
                "{{ 'abcabc'.index('c') }}|{{ 'abcabc'.rindex('c') }}|{{ 'abcabc'.find('c', 3) }}|{{ 'abcabc'.find('x') }}|{{ 'abcabc'.rfind('a', 0, 3) }}|{{ 'éabc'.find('b') }}|{{ 'abcabc'.find('a', -3) }}|{{ 'abc'.find('a', 10) }}",
                "2|5|5|-1|0|2|3|-1",
            ),
            (
                "{{ 'a=b=c'.partition('=') }}|{{ 'a=b=c'.rpartition('=') }}|{{ 'abc'.partition('=') }}|{{ 'abc'.rpartition('=') }}",
                "('a', '=', 'b=c')|('a=b', '=', 'c')|('abc', '', '')|('', '', 'abc')",
            ),
            ("{{ 'abc'.removeprefix('a') }}|{{ 'abc'.removesuffix('c') }}|{{ 'abc'.removeprefix('x') }}", "bc|ab|abc"),
            (
                "{{ 'ab'.ljust(5, '.') }}|{{ 'ab'.rjust(5) }}|{{ 'ab'.center(5, '*') }}|{{ 'abc'.center(6, '*') }}|{{ '-7'.zfill(4) }}|{{ 'ab'.zfill(4) }}",
                "ab...|   ab|**ab*|*abc**|-007|00ab",
            ),
            (
                r#"{{ "it's a-b c".title() }}|{{ "it's a-b c (d"|title }}|{{ 'hELLO wORLD'.capitalize() }}|{{ 'hELLO'|capitalize }}|{{ 'Straße'.casefold() }}|{{ 'aB'.swapcase() }}"#,
                "It'S A-B C|It's A-B C (D|Hello world|Hello|strasse|Ab",
            ),
            (
                "{{ '12'.isdigit() }}|{{ '²'.isdigit() }}|{{ '½'.isdigit() }}|{{ '½'.isnumeric() }}|{{ ''.isdigit() }}|{{ '٣'.isdigit() }}|{{ '²'.isdecimal() }}|{{ 'a1'.isalnum() }}|{{ ' '.isspace() }}",
                "True|True|False|True|False|True|False|True|True",
            ),
            (
                "{{ 'aXbXc'.count('X') }}|{{ 'aXbXc'.count('X', 2) }}|{{ [1,2,1].count(1) }}|{{ [1,2,1].index(2) }}|{{ 'abc'.count('') }}",
                "2|1|2|1|4",
            ),
            (
                r"{{ 'a\nb\r\nc\x0bd\x1ce\u2028f\n'.splitlines() }}|{{ 'a\n\nb'.splitlines(true) }}|{{ ''.splitlines() }}",
                "['a', 'b', 'c', 'd', 'e', 'f']|['a\\n', '\\n', 'b']|[]",
            ),
            (
                r"{{ '\x1c\x1f x \x85\u3000'.strip() }}|{{ '\x1c x\x1f'|trim }}|{{ 'xxaxx'.strip('x') }}|{{ 'xxaxx'|trim('x') }}|{{ 'xxaxx'.rstrip('x') }}|{{ 'xyaxy'.lstrip('xy') }}",
                "x|x|a|a|xxa|axy",
            ),
            (r#"{{ ['\u200b\xad', "it's", 'é'] }}"#, "['\\u200b\\xad', \"it's\", 'é']"),
            (
                "{{ [1, true, none, 'a', 1.0]|join('-') }}|{{ [{'a': {'b': 1}}]|join(',', attribute='a.b') }}|{{ 'abc'|join('-') }}",
                "1-True-None-a-1.0|1|a-b-c",
            ),
            (
                "{{ [1, 'b', true, none]|string }}|{{ 1e16|string }}|{{ none|string }}",
                "[1, 'b', True, None]|1e+16|None",
            ),
            ("{% set j = joiner(', ') %}{{ j() }}a{{ j() }}b", "a, b"),
            (
                "{{ 2.5|round }}|{{ 2.567|round(2) }}|{{ 3|round }}|{{ 7 // 2 }}|{{ 7 / 2 }}|{{ 4 / 2 }}|{{ -7 // 2 }}|{{ -7 % 3 }}|{{ 2 ** 3 }}|{{ 2 ** -1 }}",
                "2.0|2.57|3|3|3.5|2.0|-4|2|8|0.5",
            ),
            (
                "{{ 'ab' * 3 }}|{{ [1] + [2] }}|{{ [1] * 2 }}|{{ 'a' in 'abc' }}|{{ 'k' in {'k': 1} }}|{{ 1 in [1] }}",
                "ababab|[1, 2]|[1, 1]|True|True|True",
            ),
            (
                "{{ [3,1,2]|sort }}|{{ ['b','A','c']|sort }}|{{ ['b','A','c']|sort(case_sensitive=true) }}|{{ [3,1,2]|sort(reverse=true) }}|{{ [{'a':2},{'a':1}]|sort(attribute='a') }}",
                "[1, 2, 3]|['A', 'b', 'c']|['A', 'b', 'c']|[3, 2, 1]|[{'a': 1}, {'a': 2}]",
            ),
            (
                "{{ ['a','A','b']|unique|list }}|{{ [1,2,3]|sum }}|{{ [1,2,3]|min }}|{{ [1,2,3]|max }}|{{ [1,2,3]|first }}|{{ [1,2,3]|last }}|{{ 'abc'|first }}|{{ 'abc'|last }}|{{ []|first }}|",
                "['a', 'b']|6|1|3|1|3|a|c||",
            ),
            (
                "{{ 'abc'|length }}|{{ {'a':1}|length }}|{{ [1]|count }}|{{ 'abc'|reverse }}|{{ [1,2]|reverse|list }}|{{ 'abc'|list }}|{{ {'a':1}|list }}",
                "3|1|1|cba|[2, 1]|['a', 'b', 'c']|['a']",
            ),
            (
                "{{ [1,2,3,4,5]|batch(2)|list }}|{{ [1,2,3]|slice(2)|list }}|{{ [1,2,3]|batch(2, 'x')|list }}",
                "[[1, 2], [3, 4], [5]]|[[1, 2], [3]]|[[1, 2], [3, 'x']]",
            ),
            (
                "{{ [1,2,3]|select('odd')|list }}|{{ [1,2,3]|reject('odd')|list }}|{{ [{'a':1},{'b':2}]|selectattr('a')|list }}|{{ [{'a':1},{'a':2}]|map(attribute='a')|list }}|{{ ['a']|map('upper')|list }}|{{ [{'a':1},{'a':2}]|selectattr('a','equalto',2)|list }}|{{ [{'a':1}]|map(attribute='b', default=0)|list }}",
                "[1, 3]|[2]|[{'a': 1}]|[1, 2]|['A']|[{'a': 2}]|[0]",
            ),
            (
                "{% for k, g in [{'a':1,'b':2},{'a':1,'b':3}]|groupby('a') %}{{ k }}{{ g|list|length }}{% endfor %}",
                "12",
            ),
            (
                "{{ 'a'|default('b') }}|{{ nope|default('b') }}|{{ none|default('b') }}|{{ ''|default('b', true) }}|{{ none|d('b', true) }}",
                "a|b|None|b|b",
            ),
            (
                "{{ 'x'|replace('x', 'y') }}|{{ 'xxx'|replace('x', 'y', 2) }}|{{ -3|abs }}|{{ 'A'|lower }}|{{ 1|upper }}|{{ true|upper }}",
                "y|yyx|3|a|1|TRUE",
            ),
            ("{% set ns = namespace(a=1) %}{% set ns.a = ns.a + 1 %}{{ ns.a }}|{{ ns.b is defined }}", "2|False"),
            (
                "{{ none.x is defined }}|{{ nope }}|{{ {}.x }}|{{ {}['x'] is defined }}|{{ [1][5] is defined }}",
                "False|||False|False",
            ),
            (
                "{{ 1 if false }}|{{ [1,2,3][::-1] }}|{{ 'abc'[::-1] }}|{{ 'abc'[1] }}|{{ 'abc'[-1] }}|{{ [1,2,3][-2:] }}|{{ [1,2,3][1:][0] }}",
                "|[3, 2, 1]|cba|b|c|[2, 3]|2",
            ),
            ("{{ true and 'a' }}|{{ none or 'b' }}|{{ not 1 }}|{{ 1 < 2 < 3 }}|{{ 'a' < 'b' }}", "a|b|False|True|True"),
            ("{{ true + 1 }}", "2"),
            ("{{ true + true }}|{{ false * 3 }}", "2|0"),
            ("{% for x in nope %}{% endfor %}ok", "ok"),
            ("{% for x in {'a': 1} %}{{ x }}{% endfor %}{% for c in 'ab' %}{{ c }},{% endfor %}", "aa,b,"),
            (
                "{% for k, v in {'a': 1}.items() %}{{ loop.index0 }}{{ k }}{{ v }}{% if loop.last %}!{% endif %}{{ loop.previtem is defined }}{% endfor %}",
                "0a1!False",
            ),
            (
                "{{ 'a' 'b' }}|{{ 1_000 }}|{{ 1e3 }}|{{ 1.50 }}|{{ 0.1 + 0.2 }}|{{ 1e22 }}|{{ 123456789012345678901234567890 }}",
                "ab|1000|1000.0|1.5|0.30000000000000004|1e+22|123456789012345678901234567890",
            ),
            (
                "{{ 2 ** 100 }}|{{ 10 ** 30 }}|{{ -(2 ** 70) }}|{{ (2 ** 70)|tojson }}",
                "1267650600228229401496703205376|1000000000000000000000000000000|-1180591620717411303424|1180591620717411303424",
            ),
            (
                "{{ {'a': none, 'b': [true, 1.5]}|tojson(indent=2) }}|{{ 'é'|tojson(ensure_ascii=true) }}|{{ {'a':1}|tojson(separators=(',', ':')) }}|{{ {'b':1,'a':2}|tojson(sort_keys=true) }}|{{ [1]|tojson(false, 1) }}",
                "{\n  \"a\": null,\n  \"b\": [\n    true,\n    1.5\n  ]\n}|\"\\u00e9\"|{\"a\":1}|{\"a\": 2, \"b\": 1}|[\n 1\n]",
            ),
            (
                "{{ {'a': 1}.get('b') }}|{{ {'a': 1}.get('b', 2) }}|{{ {'a': 1}.keys()|list }}|{{ {'a':1}.values()|list }}|{{ {'a':1}.copy() }}",
                "None|2|['a']|[1]|{'a': 1}",
            ),
            ("{{ ', '.join(['a','b']) }}|{{ ','.join('ab') }}", "a, b|a,b"),
            (
                "{{ 'a'.startswith('a') }}|{{ 'ab'.startswith(('x', 'a')) }}|{{ 'ab'.endswith('b') }}|{{ 'ab'.startswith('b', 1) }}",
                "True|True|True|True",
            ),
            (
                "{{ 'a'.upper() }}|{{ 'ß'.upper() }}|{{ 'İ'.lower()|length }}|{{ 'aXa'.replace('a', 'b', 1) }}|{{ 'abc'.replace('', '-') }}",
                "A|SS|2|bXa|-a-b-c-",
            ),
            (
                "{% set x %}a<b{% endset %}{{ x + '<' }}|{% filter upper %}a{% endfilter %}|{% raw %}{{ x }}{% endraw %}",
                "a<b<|A|{{ x }}",
            ),
            ("{% if [] %}a{% elif {} %}b{% elif '' %}c{% elif 0 %}d{% elif 0.0 %}e{% else %}f{% endif %}", "f"),
            (
                "{{ [1, 2] == [1, 2] }}|{{ {'a':1} == {'a':1} }}|{{ (1,2) == [1,2] }}|{{ 1 == 1.0 }}|{{ '1' == 1 }}|{{ none == false }}",
                "True|True|False|True|False|False",
            ),
            (
                "{{ 'a' is none }}|{{ 'abc' is escaped }}|{{ 5 is odd }}|{{ 'x' is ne 'y' }}|{{ true is true }}|{{ 1 is true }}|{{ false is false }}",
                "False|False|True|True|True|False|True",
            ),
            ("{{ 3 is in [1,2] }}|{{ 'x' not in 'abc' }}|{{ 3 is not none }}", "False|True|True"),
            ("b' }}", "b' }}"),
            (
                "{{ '<a>'|e }}|{{ \"a'b\\\"&\"|escape }}|{{ '<a>'|safe }}|{{ '<a>'|e|e }}|{{ '<a>'|forceescape }}|{{ ('<a>'|safe) ~ '<' }}",
                "&lt;a&gt;|a&#39;b&#34;&amp;|<a>|&lt;a&gt;|&lt;a&gt;|<a><",
            ),
            (
                "{{ '<a>'|safe is string }}|{{ ''|safe or 'b' }}|{{ ('<'|safe)|tojson }}|{{ '<'|safe|trim }}|{{ [1, '<'|safe] }}",
                "True|b|\"<\"|<|[1, Markup('<')]",
            ),
            ("{{ range is callable }}|{{ 'a' is callable }}|{{ none is callable }}", "True|False|False"),
            ("{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}", "aba"),
            (
                "{{ 'a' ~ [1, 'b', true, none] }}|{{ 'x' ~ true ~ none }}|{{ 'a' ~ (1,) }}",
                "a[1, 'b', True, None]|xTrueNone|a(1,)",
            ),
        ] {
            assert_eq!(rendered(source).map_err(|error| error.to_string()).as_deref(), Ok(expected), "{source}");
        }
    }

    #[test]
    fn what_jinja2_refuses_fails() {
        for source in [
            "{{ ', '.join([1]) }}",
            "{{ [1,2].append(3) }}",
            r#"{{ '\u00e9\x41\101\n' }}|{{ 'a\qb' }}|{{ "\"" }}|{{ 'a\"#,
            "{{ 'abc'.index('x') }}",
            "{{ [1].index(2) }}",
            "{{ 'abc'.partition('') }}",
            "{{ nope | tojson }}",
            "{{ [1, 2, 3] | random }}",
        ] {
            assert!(rendered(source).is_err(), "{source}");
        }
    }

    #[test]
    fn what_would_come_out_otherwise_fails() {
        // jinja2 prints "<a>&lt;b&gt;", "&lt;b&gt;<a>" and "x".
        for source in ["{{ ('<a>'|safe) + '<b>' }}", "{{ '<b>' + ('<a>'|safe) }}", "{{ '%s' % 'x' }}"] {
            let error = rendered(source).unwrap_err().to_string();
            assert!(error.starts_with("t:1: the template fails") && error.contains("operator"), "{error}");
        }
    }

    #[test]
    fn line_ends_of_a_source_become_newlines() {
        // jinja2 prints "a\nb\nc\nd".
        assert_eq!(rendered("a\r\n{% if true %}\r\nb\r{% endif %}\rc\r\nd\r\n").unwrap(), "a\nb\nc\nd");
    }
}
