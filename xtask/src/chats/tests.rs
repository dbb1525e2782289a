use std::collections::{BTreeMap, HashSet};

use wgr::data::Conversation;
use wgr::data::conversations::Reader;

use super::*;
use crate::demo::tokenizer::tokenizer;

fn contents(logged: &Logged) -> Vec<&str> {
    logged.conversation.iter().map(|message| message.content.as_str()).collect()
}

#[test]
fn a_conversation_depends_on_seed_and_index_alone() {
    let logs = Logs { seed: 3, style: Style::Long };
    assert_eq!(logs.conversation(7), logs.conversation(7));
    assert_ne!(logs.conversation(7), logs.conversation(8));
    assert_ne!(logs.conversation(7), Logs { seed: 4, ..logs }.conversation(7));
}

#[test]
fn long_logs_have_the_size_of_real_ones() {
    let logs = Logs { seed: 1, style: Style::Long };
    let sample: Vec<Logged> = (0..2000).map(|index| logs.regular(index)).collect();
    let words = |text: &str| text.split_whitespace().count() + text.chars().filter(|c| *c >= '\u{4e00}').count();
    let total: usize = sample.iter().flat_map(contents).map(words).sum();
    assert!((300..1000).contains(&(total / sample.len())), "{}", total / sample.len());
    let turns: Vec<usize> = sample.iter().map(|logged| logged.turn).collect();
    assert!(turns.contains(&1) && turns.iter().any(|turn| *turn > 21));
    let users: HashSet<&str> = sample.iter().map(|logged| logged.hashed_ip.as_str()).collect();
    assert!(users.len() > 300 && users.len() < sample.len() * 3 / 4, "{}", users.len());
}

#[test]
fn exchanges_hardly_ever_agree() {
    for (style, least) in [(Style::Long, 0.999), (Style::Brief, 0.9)] {
        let logs = Logs { seed: 2, style };
        let sample: Vec<Logged> = (0..3000).map(|index| logs.regular(index)).collect();
        let exchanges: Vec<(&str, &str)> = sample
            .iter()
            .flat_map(|logged| {
                contents(logged).windows(2).step_by(2).map(|pair| (pair[0], pair[1])).collect::<Vec<_>>()
            })
            .collect();
        let different = exchanges.iter().collect::<HashSet<_>>().len();
        assert!(different as f64 >= least * exchanges.len() as f64, "{different} of {}", exchanges.len());
    }
}

#[test]
fn brief_logs_take_few_words() {
    let logs = Logs { seed: 1, style: Style::Brief };
    let sample: Vec<Logged> = (0..1500).map(|index| logs.regular(index)).collect();
    let texts: Vec<&str> = sample.iter().flat_map(contents).collect();
    let vocabulary = tokenizer(texts.into_iter()).unwrap().get_vocab_size(true);
    assert!(vocabulary < 700, "{vocabulary}");
}

/// The conversations read from a log in a format.
fn read(
    name: &str,
    write: fn(&std::path::Path, &Logs, std::ops::Range<u64>) -> anyhow::Result<()>,
    count: u64,
) -> (Vec<Conversation>, BTreeMap<&'static str, usize>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    write(&path, &Logs { seed: 5, style: Style::Brief }, 0..count).unwrap();
    let (mut conversations, mut irregular) = (vec![], BTreeMap::new());
    for window in Reader::open(&[path]).unwrap() {
        let window = window.unwrap();
        conversations.extend(window.conversations.iter().map(|conversation| (**conversation).clone()));
        for row in window.irregular {
            *irregular.entry(row.reason.name()).or_default() += 1;
        }
    }
    (conversations, irregular)
}

#[test]
fn both_formats_hold_the_same_conversations_and_their_own_faults() {
    let (lines, line_faults) = read("log.jsonl", write_jsonl, 5000);
    let (rows, row_faults) = read("log.parquet", write_parquet, 5000);
    let faults = |faults: &BTreeMap<&'static str, usize>| faults.keys().copied().collect::<Vec<_>>();
    assert_eq!(faults(&row_faults), ["no_messages", "repeated_conversation", "unknown_role"]);
    assert_eq!(
        faults(&line_faults),
        ["broken_json", "no_messages", "repeated_conversation", "unknown_role", "wrong_type"]
    );
    assert_eq!(lines.len() + line_faults.values().sum::<usize>(), 5000);
    assert_eq!(rows.len() + row_faults.values().sum::<usize>(), 5000);
    let first = &rows[0];
    assert!(
        first.user.is_some() && first.model.is_some() && first.timestamp.as_ref().unwrap().starts_with("2023-04-09")
    );
    // The same conversations are read from both.
    let by_id: std::collections::HashMap<&str, &Conversation> = rows.iter().map(|row| (row.id.as_str(), row)).collect();
    assert!(lines.iter().all(|line| by_id.get(line.id.as_str()).is_some_and(|row| row.messages == line.messages)));
    let languages: HashSet<&str> = rows.iter().filter_map(|row| row.language.as_deref()).collect();
    assert_eq!(languages, HashSet::from(["Chinese", "English"]));
}

#[test]
fn what_users_say_follows_from_the_response() {
    let logs = Logs { seed: 9, style: Style::Brief };
    let things = |text: &str| {
        let topic = |topic: &language::Topic| topic.things.iter().filter(|thing| text.contains(**thing)).count();
        let counts: Vec<usize> = ENGLISH.topics.iter().map(topic).collect();
        (0..counts.len()).max_by_key(|topic| counts[*topic]).unwrap()
    };
    let starts =
        |text: &str, phrases: &[&str]| phrases.iter().any(|phrase| text.starts_with(phrase.split('{').next().unwrap()));
    let (mut matching, mut all) = ([0; 2], [0; 2]);
    for index in 0..2000 {
        let logged = logs.regular(index);
        if logged.language != "English" {
            continue;
        }
        for exchange in contents(&logged).windows(3).step_by(2) {
            let [query, response, next] = [exchange[0], exchange[1], exchange[2]];
            let side = match () {
                () if starts(next, ENGLISH.reactions[0]) || starts(next, ENGLISH.reactions[1]) => 0,
                () if starts(next, ENGLISH.reactions[2]) || starts(next, ENGLISH.reactions[3]) => 1,
                () => continue,
            };
            all[side] += 1;
            matching[side] += usize::from(things(query) == things(response));
        }
    }
    let share = |side: usize| matching[side] as f64 / all[side] as f64;
    assert!(all[0] > 200 && all[1] > 200 && share(0) < 0.3 && share(1) > 0.8, "{} {}", share(0), share(1));
}
