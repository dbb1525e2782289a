//! Reads a model's answer strictly: one verdict, or none.

use serde_json::{Map, Value};

use super::Verdict;
use super::prompt::Question;

/// The verdict of an answer to a question: the one JSON object in it that holds the question's field. An answer without
/// one, or with several that differ, or with a value that is not a choice, is not a verdict. Thoughts and words around
/// the object are ignored.
pub(super) fn verdict<T>(answer: &str, question: Question, named: impl Fn(&str) -> Option<T>) -> Verdict<T> {
    let objects = objects(without_thoughts(answer));
    let mut given = objects.iter().filter_map(|object| Some((object, object.get(question.field())?)));
    let unparsable = || Verdict::Unparsable { answer: answer.to_owned() };
    let Some((object, name)) = given.next() else { return unparsable() };
    if given.any(|(_, other)| other != name) {
        return unparsable();
    }
    let value = name.as_str().and_then(|name| named(name.trim().to_lowercase().as_str()));
    let Some(value) = value else { return unparsable() };
    let reason = object.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned();
    Verdict::Given { value, reason, confidence: None }
}

/// The text after the model's thoughts; an answer that ends within them has none.
fn without_thoughts(answer: &str) -> &str {
    match (answer.rfind("</think>"), answer.find("<think>")) {
        (Some(end), _) => &answer[end + "</think>".len()..],
        (None, Some(start)) => &answer[..start],
        (None, None) => answer,
    }
}

/// The JSON objects of a text that are not part of others.
fn objects(text: &str) -> Vec<Map<String, Value>> {
    let mut objects = vec![];
    let mut at = 0;
    while let Some(open) = text[at..].find('{') {
        at += open;
        let mut stream = serde_json::Deserializer::from_str(&text[at..]).into_iter::<Value>();
        match stream.next() {
            Some(Ok(Value::Object(object))) => {
                objects.push(object);
                at += stream.byte_offset();
            }
            _ => at += 1,
        }
    }
    objects
}

#[cfg(test)]
mod tests {
    use super::super::prompt::feedback_named;
    use super::*;
    use crate::data::Feedback;

    fn read(answer: &str) -> Option<(Feedback, String)> {
        match verdict(answer, Question::Feedback, feedback_named) {
            Verdict::Given { value, reason, .. } => Some((value, reason)),
            Verdict::Unparsable { answer: kept } => {
                assert_eq!(kept, answer);
                None
            }
        }
    }

    #[test]
    fn one_verdict_is_read() {
        let satisfied = Some((Feedback::Satisfaction, "thanks".to_owned()));
        for answer in [
            r#"{"reason": "thanks", "feedback": "satisfaction"}"#,
            "Sure!\n```json\n{\"reason\": \"thanks\", \"feedback\": \" Satisfaction \"}\n```",
            r#"<think>{"feedback": "rejection"}? No.</think>{"reason": "thanks", "feedback": "satisfaction"}"#,
            r#"no thought opens</think> {"reason": "thanks", "feedback": "satisfaction"}"#,
            r#"{"reason": "thanks", "feedback": "satisfaction"} {"feedback": "satisfaction"}"#,
            r#"{an aside} {"reason": "thanks", "feedback": "satisfaction"}"#,
        ] {
            assert_eq!(read(answer), satisfied, "{answer}");
        }
        assert_eq!(read(r#"{"feedback": "neutral"}"#), Some((Feedback::Neutral, String::new())));
    }

    #[test]
    fn anything_else_is_no_judgement() {
        for answer in [
            "",
            "satisfaction",
            r#"{"feedback": "great"}"#,
            r#"{"feedback": 5}"#,
            r#"{"feedback": "neutral"} or rather {"feedback": "engagement"}"#,
            r#"{"feedback": "satisf"#,
            r#"<think>{"feedback": "neutral"}"#,
            r#"{"inner": {"feedback": "neutral"}}"#,
            r#"{"feedback": "rejection|correction|neutral|engagement|satisfaction"}"#,
        ] {
            assert_eq!(read(answer), None, "{answer}");
        }
    }
}
