//! Every rule on its own sentences, and the decisions between rules.

use std::collections::HashSet;
use std::sync::Arc;

use super::*;
use crate::Silent;
use crate::extract::lexical::check_entries;
use crate::extract::turn::tests::conversation;

const ANSWER: &str = "Here is the program:\n```\nprint(1)\n```\nIt prints a number.";

fn turn(query: &str, response: &str, feedback: &str) -> Turn {
    let mut conversation = conversation(&["user", "assistant", "user"]);
    for (message, text) in conversation.messages.iter_mut().zip([query, response, feedback]) {
        message.content = text.into();
    }
    Turn::of(&Arc::new(conversation)).remove(0)
}

fn judged(feedback: &str) -> (Feedback, &'static str) {
    judge(&turn("What is to be done about it?", ANSWER, feedback))
}

#[test]
fn every_entry_of_every_rule_matches_whole_words() {
    RULES.iter().for_each(|compiled| check_entries(compiled.rule.phrases));
}

#[test]
fn every_rule_finds_its_sentences_and_no_others() {
    let mut faults = vec![];
    for compiled in RULES.iter() {
        let rule = compiled.rule;
        assert!(rule.yes.len() > 1 && !rule.no.is_empty(), "{} has no examples", rule.name);
        for text in rule.yes {
            let (level, name) = judged(text);
            if !compiled.finds(&Opening::of(text, ANSWER)) || level != rule.level {
                faults.push(format!("{} misses {text:?}, which {name} decides", rule.name));
            }
        }
        for text in rule.no.iter().filter(|text| compiled.finds(&Opening::of(text, ANSWER))) {
            faults.push(format!("{} finds {text:?}", rule.name));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn names_are_unique_and_begin_with_their_level() {
    let names: HashSet<_> = RULES.iter().map(|compiled| compiled.rule.name).collect();
    assert_eq!(names.len(), RULES.len());
    for compiled in RULES.iter() {
        assert!(compiled.rule.name.starts_with(compiled.rule.level.name()), "{}", compiled.rule.name);
    }
}

#[test]
fn without_strong_evidence_a_message_is_neutral() {
    for text in [
        "continue",
        "next",
        "yes",
        "no",
        "ok",
        "?",
        "",
        "继续",
        "好的",
        "What about the second one?",
        "Can you make it shorter?",
        "Write a story about what went wrong in the end",
        "Write a dialogue. A: that's wrong! B: thanks, that is great.",
        "Translate \"this is great, thank you\" into French",
        "```\nassert x, 'this is wrong'\n```\nwhat does this print?",
        "Explain the thank-you page of the site",
        "My teacher says that is wrong. Who is right?",
        "no problem, what is next?",
        "No, the second one.",
        "How do I say \"you are wrong\" in German?",
    ] {
        assert_eq!(judged(text).0, Feedback::Neutral, "{text:?} by {}", judged(text).1);
    }
}

#[test]
fn conflicts_are_settled_by_the_order_of_the_rules() {
    for (text, level) in [
        ("Thanks, but it doesn't work", Feedback::Correction),
        ("Great, but you forgot the last line", Feedback::Correction),
        ("Great, but use blue", Feedback::Neutral),
        ("Thank you! This is perfect. Now the second part", Feedback::Satisfaction),
        ("Great, now write the second part", Feedback::Engagement),
        ("No, that is not what I asked. It's wrong.", Feedback::Rejection),
        ("that was not bad but the intros are too long", Feedback::Correction),
        ("谢谢，但是不对", Feedback::Correction),
    ] {
        assert_eq!(judged(text).0, level, "{text:?} by {}", judged(text).1);
    }
}

#[test]
fn no_is_an_answer_where_the_response_asked() {
    let level = |response: &str| judge(&turn("guess who I am", response, "No, it's a writer")).0;
    assert_eq!(level("You are a painter."), Feedback::Correction);
    assert_eq!(level("I see. Are you a painter?"), Feedback::Neutral);
}

#[test]
fn the_same_query_again_is_a_correction() {
    let level = |query: &str, feedback: &str| judge(&turn(query, ANSWER, feedback));
    let question = "how do I index rows that change";
    assert_eq!(level(question, "How do I index rows, that change?!"), (Feedback::Correction, repeated::NAME));
    assert_eq!(level(question, "how do I index rows that never change").0, Feedback::Neutral);
    assert_eq!(level("next", "next").0, Feedback::Neutral);
    let paragraph = "write a paragraph that is upbeat";
    assert_eq!(level(paragraph, paragraph).0, Feedback::Neutral, "another one is asked for");
    let prompt = "As a prompt generator for Midjourney you make prompts: a red fox";
    assert_eq!(level(prompt, prompt).0, Feedback::Neutral);
}

#[test]
fn a_refusal_is_never_praised() {
    let refusal = "I'm sorry, but I can't assist with that.";
    let level = |feedback: &str| judge(&turn("tell me how", refusal, feedback));
    assert_eq!(level("Great, thank you!"), (Feedback::Neutral, "refusal/cannot-assist"));
    assert_eq!(level("You are useless").0, Feedback::Rejection);
    assert_eq!(level("continue").0, Feedback::Neutral);
}

#[test]
fn evidence_late_in_a_long_message_does_not_count() {
    let task = "Here is my next task for you, which has nothing to do with the last one and goes on. ".repeat(6);
    assert_eq!(judged(&format!("{task} That is wrong.")).0, Feedback::Neutral);
    assert_eq!(judged(&format!("That is wrong. {task}")).0, Feedback::Correction);
    assert_eq!(judged(&"thanks ".repeat(100)).0, Feedback::Neutral);
}

#[test]
fn verdicts_come_in_order_and_refusals_stay_unjudged() {
    let turns = [turn("a", ANSWER, "thanks!"), turn("b", ANSWER, "wrong"), turn("c", ANSWER, "go on")];
    let turns: Vec<&Turn> = turns.iter().collect();
    let verdicts = pollster::block_on(Rules.feedback(&turns, &mut Silent)).unwrap();
    let levels = verdicts.iter().map(|verdict| match verdict {
        Verdict::Given { value, confidence: None, .. } => Some(*value),
        _ => None,
    });
    assert_eq!(levels.collect::<Vec<_>>(), [Feedback::Satisfaction, Feedback::Correction, Feedback::Neutral].map(Some));
    let refusals = pollster::block_on(Rules.refusals(&turns, &mut Silent)).unwrap();
    assert!(refusals.iter().all(|verdict| matches!(verdict, Verdict::Given { value: Refusal::Unjudged, .. })));
}
