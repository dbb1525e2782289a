use std::sync::Arc;

use super::*;
use crate::Silent;
use crate::extract::turn::tests::conversation;

fn labels(rows: &str) -> Labels {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), rows).unwrap();
    Labels::read(file.path()).unwrap()
}

fn called(id: &str, roles: &[&str]) -> Arc<Conversation> {
    Arc::new(Conversation { id: id.into(), ..conversation(roles) })
}

fn verdicts(labels: &mut Labels, turns: &[&Turn]) -> Vec<(String, Feedback, String)> {
    let verdicts = pollster::block_on(labels.feedback(turns, &mut Silent)).unwrap();
    let given = turns.iter().zip(verdicts).map(|(turn, verdict)| match verdict {
        Verdict::Given { value, reason, .. } => (turn.id(), value, reason),
        Verdict::Unparsable { answer } => panic!("{answer}"),
    });
    given.collect()
}

#[test]
fn a_label_judges_the_response_before_the_message_it_was_read_from() {
    let mut labels = labels("{\"conversation_id\": \"c\", \"feedback_turn\": 2, \"category\": \"UR5\"}\n");
    let conversation = called("c", &["user", "assistant", "user", "assistant", "user", "assistant", "user"]);
    let turns = Turn::of(&conversation);
    let turns: Vec<&Turn> = turns.iter().collect();
    labels.window(std::slice::from_ref(&conversation), &turns);
    let given = verdicts(&mut labels, &turns);
    let neutral = |id: &str| (id.to_owned(), Feedback::Neutral, NO_LABEL.to_owned());
    assert_eq!(given, [neutral("c:1"), ("c:2".into(), Feedback::Satisfaction, "UR5".into()), neutral("c:3")]);
    // The set's own loader takes messages 2t − 2 and 2t − 1, counted from 0, as query and response of its turn t, and the one after
    // them as feedback.
    assert_eq!((turns[1].query(), turns[1].response(), turns[1].feedback()), ("message 2", "message 3", "message 4"));
}

#[test]
fn what_became_of_each_label_is_counted() {
    let rows = "{\"id\": \"c:1\", \"level\": 1}\n{\"id\": \"c:2\", \"level\": 2}\n{\"id\": \"c:3\", \"level\": 4}\n\
                {\"id\": \"c:9\", \"level\": 4}\n{\"id\": \"d:1\", \"level\": 5}\n{\"id\": \"d:1\", \"level\": 4}\n\
                {\"id\": \"d:1\", \"level\": 4}\n{\"id\": \"nowhere:1\", \"level\": 5}\n";
    let mut labels = labels(rows);
    // The third response of the first conversation is not followed by a user message.
    let first = called("c", &["user", "assistant", "user", "assistant", "user", "assistant"]);
    let second = called("d", &["user", "assistant", "user", "assistant", "user"]);
    let (of_first, of_second) = (Turn::of(&first), Turn::of(&second));
    // A filter dropped the second turn of the first conversation.
    labels.window(std::slice::from_ref(&first), &[&of_first[0]]);
    labels.window(std::slice::from_ref(&second), &of_second.iter().collect::<Vec<_>>());
    let report = labels.labels().unwrap();
    assert_eq!((report.rows, report.turns, report.repeated), (8, 6, 2));
    assert_eq!(report.contradicted, Named { count: 1, examples: vec!["turn 1 of d (row 6)".into()] });
    assert_eq!(report.unknown, Named { count: 1, examples: vec!["turn 1 of nowhere (row 8)".into()] });
    let misplaced = ["turn 3 of c (row 3)", "turn 9 of c (row 4)"].map(String::from).to_vec();
    assert_eq!(report.misplaced, Named { count: 2, examples: misplaced });
    assert_eq!((report.filtered, report.judged, report.unlabelled), (1, 2, 1));
    assert_eq!(report.turns, report.unknown.count + report.misplaced.count + report.filtered + report.judged);
    assert_eq!(report.doubts().len(), 4);
}

#[test]
fn names_are_few_and_short() {
    let long = "x".repeat(10_000);
    let rows: String = (1..=20).map(|turn| format!("{{\"id\": \"{long}:{turn}\", \"level\": 1}}\n")).collect();
    let unknown = labels(&rows).labels().unwrap().unknown;
    assert_eq!((unknown.count, unknown.examples.len()), (20, Named::EXAMPLES));
    assert!(unknown.examples.iter().all(|name| name.len() < 200), "{unknown:?}");
}

#[test]
fn a_run_goes_on_with_the_labels_it_began_with() {
    let output = tempfile::tempdir().unwrap();
    let (some, others) = (labels("{\"id\": \"c:1\", \"level\": 1}"), labels("{\"id\": \"c:1\", \"level\": 2}"));
    // A run that has not begun with any.
    some.check(output.path()).unwrap();
    some.remember(output.path()).unwrap();
    some.check(output.path()).unwrap();
    let error = others.check(output.path()).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("other labels"), "{error}");
    std::fs::write(output.path().join(LABELS), "{").unwrap();
    assert!(some.check(output.path()).unwrap_err().to_string().contains("cannot be read"));
}
