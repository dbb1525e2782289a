//! What the comments of a WGSL file say: the shapes of its bindings, its parameters and what it requires of them.
//!
//! ```wgsl
//! struct Params {
//!     /// Rows of every tensor.
//!     rows: u32,
//!     /// requires: rows <= 4096
//! }
//! /// [rows, columns4]: what is normalized.
//! @group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
//! /// @if(q8) [rows, stride(columns4)]: the weights, with their scales.
//! /// @if(!q8) [rows, columns4]: the weights.
//! @group(0) @binding(2) var<storage, read> w: array<Packed>;
//! ```

/// The comments of one file.
#[derive(Debug, Default)]
pub struct Document {
    /// The members of `struct Params`, in order.
    pub members: Vec<Described>,
    /// Comparisons from comments anywhere in the file.
    pub requirements: Vec<Conditional>,
    /// Storage bindings, in the order of the file; a name may stand more than once, under different conditions.
    pub bindings: Vec<Documented>,
    /// Entry points.
    pub entries: Vec<Entry>,
    /// The comment at the head of the file.
    pub head: String,
    /// The shared files from which it imports, in order.
    pub imports: Vec<String>,
}

/// A name and its comment.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Described {
    /// The name.
    pub name: String,
    /// Its type, where it has one.
    pub kind: String,
    /// The comment, in one line.
    pub words: String,
}

/// An entry point.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// The function.
    pub name: String,
    /// The comment, in one line.
    pub words: String,
    /// Its lists of features, as `permutations:` gives them.
    pub axes: Vec<String>,
    /// The features of each of its permutations, sorted.
    pub permutations: Vec<Vec<String>>,
}

/// A text that counts where a condition over features holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Conditional {
    /// The condition; empty where the text always counts.
    pub condition: String,
    /// The text.
    pub text: String,
    /// The words behind it; requirements have none.
    pub words: String,
}

/// A storage binding with its shapes.
#[derive(Debug)]
pub struct Documented {
    /// The variable.
    pub name: String,
    /// The condition of the declaration; empty where it always stands.
    pub condition: String,
    /// Its shapes; the first whose condition holds counts.
    pub shapes: Vec<Conditional>,
}

impl Document {
    /// Reads a WGSL file.
    ///
    /// # Errors
    /// If a condition is not closed.
    pub fn read(source: &str) -> Result<Self, String> {
        let mut document = Self::default();
        let mut comments: Vec<&str> = vec![];
        let mut in_params = false;
        let mut at_head = true;
        let mut entry = false;
        for line in source.lines().map(str::trim) {
            if let Some(comment) = line.strip_prefix("///") {
                comments.push(comment.trim());
                at_head = false;
                continue;
            }
            match line.strip_prefix("//") {
                Some(comment) if at_head => {
                    document.head.push_str(comment.strip_prefix(' ').unwrap_or(comment));
                    document.head.push('\n');
                    continue;
                }
                _ => at_head = false,
            }
            let (condition, rest) = condition_of(line)?;
            entry |= rest.starts_with("@compute");
            if let Some(path) = rest.strip_prefix("import package::shared::") {
                document.imports.push(path.split("::").next().unwrap_or(path).to_owned());
            } else if rest.starts_with("struct Params") {
                in_params = !rest.contains('}');
            } else if in_params && rest.starts_with('}') {
                in_params = false;
            } else if let (true, Some((name, kind))) = (in_params, rest.split_once(':')) {
                let words = comments.iter().filter(|line| !line.contains("requires:")).copied().collect::<Vec<_>>();
                let kind = kind.trim().trim_end_matches(',').to_owned();
                document.members.push(Described { name: name.trim().to_owned(), kind, words: words.join(" ") });
            } else if let Some((_, declared)) = rest.split_once("var<storage") {
                let name = declared.split_once('>').and_then(|(_, rest)| rest.split_once(':'));
                let name = name.map_or("", |(name, _)| name.trim()).to_owned();
                let shapes = shapes(&comments)?;
                document.bindings.push(Documented { name, condition: condition.to_owned(), shapes });
            } else if entry && let Some((_, rest)) = rest.split_once("fn ") {
                entry = false;
                let name = rest.split(['(', ' ']).next().unwrap_or("").to_owned();
                document.entries.push(entry_of(name, &comments));
            } else if rest.starts_with('@') && !rest.contains("var<") {
                // Attributes stand between a comment and what it describes.
                continue;
            }
            document.require(&comments)?;
            comments.clear();
        }
        Ok(document)
    }

    /// Takes the requirements out of the comments above a line.
    fn require(&mut self, comments: &[&str]) -> Result<(), String> {
        for comment in comments {
            let (condition, text) = condition_of(comment)?;
            if let Some(text) = text.strip_prefix("requires:") {
                let [condition, text] = [condition, text.trim()].map(str::to_owned);
                self.requirements.push(Conditional { condition, text, words: String::new() });
            }
        }
        Ok(())
    }

    /// The shape of a binding in a permutation, if the file gives one.
    ///
    /// # Errors
    /// If a condition is no condition.
    pub fn shape(&self, name: &str, features: &[&str]) -> Result<Option<&Conditional>, String> {
        for binding in self.bindings.iter().filter(|binding| binding.name == name) {
            if holds(&binding.condition, features)? {
                for shape in &binding.shapes {
                    if holds(&shape.condition, features)? {
                        return Ok(Some(shape));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The requirements of a permutation.
    ///
    /// # Errors
    /// If a condition is no condition.
    pub fn requirements(&self, features: &[&str]) -> Result<Vec<&str>, String> {
        let mut texts = vec![];
        for requirement in &self.requirements {
            if holds(&requirement.condition, features)? {
                texts.push(requirement.text.as_str());
            }
        }
        Ok(texts)
    }
}

/// `permutations: nt nn; - wide` is a list of axes, from each of which a permutation takes one feature; `-` stands for none.
/// An entry point may have several such lines, and without any it has one permutation.
fn entry_of(name: String, comments: &[&str]) -> Entry {
    let axes = comments.iter().filter_map(|line| line.strip_prefix("permutations:"));
    let axes: Vec<String> = axes.map(|axes| axes.trim().to_owned()).collect();
    let mut permutations: Vec<Vec<String>> = axes.iter().flat_map(|axes| picked(axes)).collect();
    if permutations.is_empty() {
        permutations.push(vec![]);
    }
    let words: Vec<&str> = comments.iter().filter(|line| !line.starts_with("permutations:")).copied().collect();
    Entry { name, words: words.join(" "), axes, permutations }
}

/// Every way to pick one feature from each axis.
fn picked(axes: &str) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = vec![vec![]];
    for axis in axes.split(';') {
        let with = |features: &Vec<String>, pick: &str| {
            features.iter().cloned().chain((pick != "-").then(|| pick.to_owned())).collect()
        };
        all = all.iter().flat_map(|features| axis.split_whitespace().map(move |pick| with(features, pick))).collect();
    }
    all.iter_mut().for_each(|features| features.sort_unstable());
    all
}

/// The lines `[…]: words` of a comment, each of which may begin with a condition; other lines go on with the words.
fn shapes(comments: &[&str]) -> Result<Vec<Conditional>, String> {
    let mut shapes: Vec<Conditional> = vec![];
    for comment in comments {
        let (condition, text) = condition_of(comment)?;
        match text.starts_with('[').then(|| text.find(']')).flatten() {
            Some(end) => {
                let words = text[end + 1..].trim_start_matches(':').trim().to_owned();
                let (condition, text) = (condition.to_owned(), text[..=end].to_owned());
                shapes.push(Conditional { condition, text, words });
            }
            None => {
                if let Some(last) = shapes.last_mut() {
                    last.words = format!("{} {text}", last.words);
                }
            }
        }
    }
    Ok(shapes)
}

/// Splits `@if(condition) rest`; the condition is empty where there is none.
fn condition_of(line: &str) -> Result<(&str, &str), String> {
    let Some(inner) = line.strip_prefix("@if(") else { return Ok(("", line)) };
    let mut depth = 1;
    for (at, c) in inner.char_indices() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if depth == 0 {
            return Ok((&inner[..at], inner[at + 1..].trim_start()));
        }
    }
    Err(format!("{line:?}: the condition is not closed"))
}

/// Whether a condition over features, in WESL's syntax, holds; an empty one does.
///
/// # Errors
/// If it is no condition.
pub(crate) fn holds(condition: &str, features: &[&str]) -> Result<bool, String> {
    if condition.trim().is_empty() {
        return Ok(true);
    }
    let mut rest = condition;
    let value = any(&mut rest, features)?;
    if rest.trim().is_empty() { Ok(value) } else { Err(format!("{condition:?} is no condition")) }
}

fn take(rest: &mut &str, sign: &str) -> bool {
    let after = rest.trim_start().strip_prefix(sign);
    *rest = after.unwrap_or(rest);
    after.is_some()
}

fn any(rest: &mut &str, features: &[&str]) -> Result<bool, String> {
    let mut value = all(rest, features)?;
    while take(rest, "||") {
        value |= all(rest, features)?;
    }
    Ok(value)
}

fn all(rest: &mut &str, features: &[&str]) -> Result<bool, String> {
    let mut value = one(rest, features)?;
    while take(rest, "&&") {
        value &= one(rest, features)?;
    }
    Ok(value)
}

fn one(rest: &mut &str, features: &[&str]) -> Result<bool, String> {
    if take(rest, "!") {
        return one(rest, features).map(|value| !value);
    }
    if take(rest, "(") {
        let value = any(rest, features)?;
        return if take(rest, ")") { Ok(value) } else { Err(format!("{rest:?}: expected \")\"")) };
    }
    let text = rest.trim_start();
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    *rest = &text[end..];
    if end == 0 { Err(format!("{text:?}: expected a feature")) } else { Ok(features.contains(&&text[..end])) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
// A head
// of two lines.

import package::shared::grid::linear;

/// requires: columns4 < 64
struct Params {
    /// Rows of
    /// every tensor.
    rows: u32,
    columns4: u32,
    /// @if(q8) requires: rows <= 9
    eps: f32,
}

/// [1]: not a binding's.
/// requires: WORKGROUP % 2 == 0
const WORKGROUP: u32 = 64u;

@group(0) @binding(0) var<uniform> params: Params;
/// [rows, columns4]: what is read,
/// row by row.
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
/// @if(q8) [rows, stride(columns4)]: in 8 bits.
/// @if(!q8 && (bias || wide)) [rows]: otherwise.
@if(q8 || bias) @group(0) @binding(2) var<storage, read_write> y: array<Packed>;
@group(0) @binding(3) var<storage, read_write> z: array<f32>;

/// One lane per row.
/// permutations: q8; - wide
/// permutations: bias
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>) {
}
";

    #[test]
    fn a_file_gives_parameters_shapes_requirements_and_entries() {
        let document = Document::read(SOURCE).unwrap();
        assert_eq!(document.head, "A head\nof two lines.\n");
        assert_eq!(document.imports, ["grid"]);
        let members: Vec<_> = document.members.iter().map(|m| (&*m.name, &*m.kind, &*m.words)).collect();
        assert_eq!(members, [("rows", "u32", "Rows of every tensor."), ("columns4", "u32", ""), ("eps", "f32", "")]);
        assert_eq!(document.requirements(&["q8"]), Ok(vec!["columns4 < 64", "rows <= 9", "WORKGROUP % 2 == 0"]));
        assert_eq!(document.requirements(&[]), Ok(vec!["columns4 < 64", "WORKGROUP % 2 == 0"]));
        let x = document.shape("x", &[]).unwrap().unwrap();
        assert_eq!((&*x.text, &*x.words), ("[rows, columns4]", "what is read, row by row."));
        let y = |features: &[&str]| document.shape("y", features).unwrap().map(|shape| shape.text.clone());
        assert_eq!(y(&["q8"]).as_deref(), Some("[rows, stride(columns4)]"));
        assert_eq!(y(&["bias"]).as_deref(), Some("[rows]"));
        assert_eq!(y(&[]), None);
        assert!(document.shape("z", &[]).unwrap().is_none());
        let entry = &document.entries[0];
        assert_eq!((&*entry.name, &*entry.words), ("main", "One lane per row."));
        assert_eq!(entry.axes, ["q8; - wide", "bias"]);
        assert_eq!(entry.permutations, [&["q8"][..], &["q8", "wide"], &["bias"]]);
    }

    #[test]
    fn conditions_are_those_of_wesl() {
        for (condition, expected) in
            [("", true), ("a", true), ("!a", false), ("b || a && !b", true), ("!(a || b)", false), ("a&&b", false)]
        {
            assert_eq!(holds(condition, &["a"]), Ok(expected), "{condition}");
        }
        assert!(["a ||", "(a", "a b", "&& a"].iter().all(|condition| holds(condition, &["a"]).is_err()));
        assert!(Document::read("@if(a var<storage, read> x: array<f32>;").is_err());
    }
}
