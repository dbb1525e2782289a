//! Cuts a stream of JSON into the texts of its rows, one at a time, without reading any further.

use std::io::{BufRead, Result};

/// The rows of a file: lines, or the elements of the one list that it holds.
pub(super) struct Elements<R> {
    input: R,
    is_list: bool,
    /// Maximum bytes of a row that are kept; a longer one is skipped.
    longest: usize,
    /// Bytes consumed.
    pub consumed: u64,
    /// The line on which the row that was read last begins, from 1.
    pub line: usize,
    /// Line ends consumed.
    lines: usize,
    /// Whether the bracket that opens the list has been read.
    begun: bool,
    done: bool,
}

/// One row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// Its bytes; blank for a line without content.
    Text(Vec<u8>),
    /// It is longer than the limit.
    TooLong,
    /// The list ends without its closing bracket, or something follows that does not belong to it.
    Unclosed,
}

impl<R: BufRead> Elements<R> {
    /// The rows of `input`, which holds one list or lines.
    pub(super) fn new(input: R, is_list: bool, longest: usize) -> Self {
        Self { input, is_list, longest, consumed: 0, line: 1, lines: 0, begun: false, done: false }
    }

    /// The next row, if there is one.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn next(&mut self) -> Result<Option<Element>> {
        if self.done {
            return Ok(None);
        }
        if self.is_list { self.next_of_list() } else { self.next_line() }
    }

    fn next_line(&mut self) -> Result<Option<Element>> {
        let mut line = Vec::new();
        self.lines += 1;
        self.line = self.lines;
        let mut length = 0;
        loop {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                self.done = true;
                break;
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(available.len());
            if length + taken <= self.longest {
                line.extend_from_slice(&available[..taken]);
            }
            length += taken;
            let used = taken + usize::from(end.is_some());
            self.input.consume(used);
            self.consumed += used as u64;
            if end.is_some() {
                break;
            }
        }
        Ok(match length > self.longest {
            true => Some(Element::TooLong),
            false if self.done && line.is_empty() => None,
            false => Some(Element::Text(line)),
        })
    }

    /// Follows brackets and strings only; whether an element is JSON, its reader finds out.
    fn next_of_list(&mut self) -> Result<Option<Element>> {
        let mut text = Vec::new();
        let (mut length, mut depth) = (0, 0_usize);
        let (mut in_string, mut escaped, mut blank) = (false, false, true);
        loop {
            let available = self.input.fill_buf()?;
            if available.is_empty() {
                self.done = true;
                return Ok(Some(Element::Unclosed));
            }
            let mut used = 0;
            let mut ended = false;
            for byte in available {
                used += 1;
                if *byte == b'\n' {
                    self.lines += 1;
                } else if blank && !byte.is_ascii_whitespace() && self.begun {
                    (blank, self.line) = (false, self.lines + 1);
                }
                match byte {
                    // Before the list there may be a byte-order mark or white space.
                    _ if !self.begun => {
                        self.begun = *byte == b'[';
                        continue;
                    }
                    _ if escaped => escaped = false,
                    b'\\' if in_string => escaped = true,
                    b'"' => in_string = !in_string,
                    _ if in_string => {}
                    b'[' | b'{' => depth += 1,
                    // The list's own commas and its closing bracket are not part of its elements.
                    b',' | b']' | b'}' if depth == 0 => {
                        ended = true;
                        self.done = *byte != b',';
                    }
                    b']' | b'}' => depth -= 1,
                    _ => {}
                }
                if ended {
                    break;
                }
                if length < self.longest {
                    text.push(*byte);
                }
                length += 1;
            }
            self.input.consume(used);
            self.consumed += used as u64;
            if ended {
                return Ok(match length > self.longest {
                    true => Some(Element::TooLong),
                    false if self.done && text.trim_ascii().is_empty() => None,
                    false => Some(Element::Text(text)),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::io::BufReader;

    fn all(text: &[u8], is_list: bool, longest: usize) -> Vec<Element> {
        // A small buffer cuts rows, strings and escapes anywhere.
        let mut elements = Elements::new(BufReader::with_capacity(3, text), is_list, longest);
        std::iter::from_fn(|| elements.next().unwrap()).collect()
    }

    fn texts(text: &str, is_list: bool) -> Vec<String> {
        let texts = all(text.as_bytes(), is_list, 1000).into_iter().map(|element| match element {
            Element::Text(text) => String::from_utf8(text).unwrap().trim().to_owned(),
            other => format!("{other:?}"),
        });
        texts.collect()
    }

    #[test]
    fn lists_are_cut_at_their_own_commas() {
        let list = "\u{feff} [ {\"a\": [1, 2]}, \"x,]\\\"y\" ,3]\n";
        assert_eq!(texts(list, true), ["{\"a\": [1, 2]}", "\"x,]\\\"y\"", "3"]);
        assert_eq!(texts("[]", true), Vec::<String>::new());
        assert_eq!(texts("[{\"a\": 1}, {\"a\"", true), ["{\"a\": 1}", "Unclosed"]);
    }

    #[test]
    fn lines_need_no_last_line_end() {
        assert_eq!(texts("a\n\nb", false), ["a", "", "b"]);
        assert_eq!(texts("a\n", false), ["a"]);
        assert_eq!(texts("", false), Vec::<String>::new());
    }

    #[test]
    fn a_row_beyond_the_limit_is_passed_over() {
        let long = [Element::TooLong, Element::Text(b"b".to_vec())];
        assert_eq!(all(b"aaaaaa\nb", false, 5), long);
        assert_eq!(all(b"[aaaaaa,b]", true, 5), long);
    }

    #[test]
    fn rows_know_their_lines() {
        for (text, is_list) in [("a\n\nb", false), ("[\n\"a\",\n {\"b\": \n1}\n]", true)] {
            let mut elements = Elements::new(BufReader::with_capacity(3, text.as_bytes()), is_list, 100);
            let lines: Vec<usize> = std::iter::from_fn(|| elements.next().unwrap().map(|_| elements.line)).collect();
            assert_eq!(lines, if is_list { vec![2, 3] } else { vec![1, 2, 3] });
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(Value::from),
            "[\\PC\"\\\\\\[\\]{},\n]{0,8}".prop_map(Value::from),
            Just(Value::Null)
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z\"\\]]{0,3}", inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_list_is_what_serde_reads(list in prop::collection::vec(values(), 0..6), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&list) } else { serde_json::to_string(&list) }.unwrap();
            let read: Vec<Value> = all(text.as_bytes(), true, 10_000)
                .into_iter()
                .map(|element| match element {
                    Element::Text(text) => serde_json::from_slice(&text).unwrap(),
                    other => panic!("{other:?}"),
                })
                .collect();
            prop_assert_eq!(read, list);
        }
    }
}
