//! Chat templates of a GGUF file: a default one, and others by name.

use crate::model::weights::gguf::Metadata;
use crate::model::weights::gguf_field::{Field, NewMetadata};
use crate::{Error, Result};

/// The template by default; those with a name have it behind a dot.
const TEMPLATE: &str = "tokenizer.chat_template";
/// The names.
const NAMES: &str = "tokenizer.chat_templates";
/// The name of the template by default, where templates are listed.
const DEFAULT: &str = "default";

/// All chat templates with their names, sorted, that by default first.
pub(in crate::model) fn chat_templates(metadata: &Metadata) -> Result<Vec<(String, String)>> {
    let mut templates = Vec::new();
    if let Some(text) = metadata.text(TEMPLATE)? {
        templates.push((DEFAULT.to_owned(), text.to_owned()));
    }
    let name = |key: &str| Some(key.strip_prefix(TEMPLATE)?.strip_prefix('.')?.to_owned());
    let mut names: Vec<String> = metadata.keys().filter_map(name).collect();
    names.sort_unstable();
    for name in names {
        let text = metadata.text(&format!("{TEMPLATE}.{name}"))?.unwrap_or_default().to_owned();
        templates.push((name, text));
    }
    Ok(templates)
}

/// Chat templates as metadata: that by default, and others with their names, in which only letters, digits and
/// underscores stay, as `gguf-py` has it.
pub(super) fn metadata(default: Option<&str>, named: &[(String, String)], at: &str) -> Result<NewMetadata> {
    let mut fields: NewMetadata = Vec::new();
    fields.extend(default.map(|text| (TEMPLATE.to_owned(), Field::Text(text.into()))));
    let mut names: Vec<String> = Vec::new();
    for (name, text) in named.iter().filter(|(name, _)| name != DEFAULT) {
        let written: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        if written.is_empty() || names.contains(&written) {
            let problem = format!("cannot be written as {written:?}");
            return Err(Error::input(format!("{at}: chat template {name:?}"), problem, "give it another name"));
        }
        if written != *name {
            tracing::warn!("{at}: the chat template {name:?} is called {written:?} in a GGUF file");
        }
        fields.push((format!("{TEMPLATE}.{written}"), Field::Text(text.clone())));
        names.push(written);
    }
    if !names.is_empty() {
        fields.push((NAMES.to_owned(), Field::Texts(names)));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::super::tests::written_and_read;
    use super::*;

    fn named(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn templates_go_there_and_back() {
        let there = |default, others| metadata(default, &named(others), "m").unwrap();
        let back = |fields: &NewMetadata| chat_templates(&written_and_read(fields)).unwrap();
        assert_eq!(back(&there(None, &[])), []);
        assert_eq!(back(&there(Some("d"), &[("default", "d")])), named(&[("default", "d")]));
        let fields = there(Some("d"), &[("tool-use", "t"), ("default", "d"), ("rag", "r")]);
        assert_eq!(back(&fields), named(&[("default", "d"), ("rag", "r"), ("tool_use", "t")]));
        let names = written_and_read(&fields).texts(NAMES).unwrap().map(<[String]>::to_vec);
        assert_eq!(names, Some(vec!["tool_use".to_owned(), "rag".to_owned()]));
        assert_eq!(back(&there(None, &[("rag", "r")])), named(&[("rag", "r")]));
        let twice = metadata(None, &named(&[("a-b", "x"), ("a_b", "y")]), "m").unwrap_err().to_string();
        assert!(twice.starts_with("m: chat template \"a_b\": cannot be written as \"a_b\""), "{twice}");
    }
}
