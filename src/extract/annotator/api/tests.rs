//! Against a real server on the loopback device that misbehaves on purpose.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::extract::turn::tests::conversation;
use crate::http::Kind;
use crate::test_server::{Reply, Request, Server};

/// Turns of different conversations; the number stands in what the user said.
fn turns(count: usize) -> Vec<Turn> {
    let turn = |index: usize| {
        let mut conversation = conversation(&["user", "assistant", "user"]);
        conversation.id = format!("c{index}");
        conversation.messages[2].content = format!("reply number {index}.");
        Turn::of(&Arc::new(conversation)).pop().unwrap()
    };
    (0..count).map(turn).collect()
}

/// Wants to stop after a given number of answers.
struct StopAfter(usize, usize);

impl Observer for StopAfter {
    fn on(&mut self, event: Event<'_>) {
        if let Event::Annotated { done, .. } = event {
            self.1 = done;
        }
    }

    fn stop_requested(&self) -> bool {
        self.1 >= self.0
    }
}

/// Wants to stop after a given number of answers, as soon as the server has heard a given number of requests.
struct StopOnceHeard<'a>(StopAfter, &'a Server, usize);

impl Observer for StopOnceHeard<'_> {
    fn on(&mut self, event: Event<'_>) {
        self.0.on(event);
    }

    fn stop_requested(&self) -> bool {
        self.0.stop_requested() && self.1.log().len() >= self.2
    }
}

fn config(server: &Server, output: &Path) -> ExtractConfig {
    ExtractConfig {
        api_base: Some(server.base() + "/"),
        api_model: Some("m".into()),
        // No answer takes so long, however busy the machine; tests in which one never comes take less.
        api_timeout: 30.0,
        api_concurrency: 4,
        output: output.into(),
        ..ExtractConfig::default()
    }
}

fn open(config: &ExtractConfig) -> Api {
    Api::with(config, Some("secret"), Duration::from_millis(5)).unwrap()
}

fn ask(api: &mut Api, turns: &[Turn]) -> Result<Vec<Verdict<Feedback>>> {
    pollster::block_on(api.feedback(&turns.iter().collect::<Vec<_>>(), &mut StopAfter(usize::MAX, 0)))
}

fn levels(verdicts: &[Verdict<Feedback>]) -> Vec<Option<Feedback>> {
    let level = |verdict: &Verdict<Feedback>| match verdict {
        Verdict::Given { value, .. } => Some(*value),
        Verdict::Unparsable { .. } => None,
    };
    verdicts.iter().map(level).collect()
}

/// The number in the message that a request asks about.
fn number(request: &Request) -> usize {
    let question = request.question();
    let at = question.rfind("reply number ").unwrap() + "reply number ".len();
    question[at..].split('.').next().unwrap().parse().unwrap()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn verdicts_come_in_the_order_of_the_turns() {
    let server = Server::start(|_, request| Reply::feedback(["rejection", "engagement"][number(request) % 2]));
    let folder = folder();
    let mut api = open(&ExtractConfig { api_prompt_price: Some(2e5), ..config(&server, folder.path()) });
    let verdicts = ask(&mut api, &turns(6)).unwrap();
    let (a, b) = (Some(Feedback::Rejection), Some(Feedback::Engagement));
    assert_eq!(levels(&verdicts), [a, b, a, b, a, b]);
    let Verdict::Given { reason, confidence, .. } = &verdicts[0] else { panic!() };
    assert_eq!((reason.as_str(), *confidence), ("because", None));
    let usage = api.usage();
    assert_eq!((usage.requests, usage.prompt_tokens, usage.completion_tokens), (6, 60, 18));
    assert_eq!(usage.cost, Some(12.0));
    for request in server.log() {
        assert_eq!(
            (request.path.as_str(), request.authorization.as_deref()),
            ("/v1/chat/completions", Some("Bearer secret"))
        );
        assert_eq!((&request.body["model"], &request.body["temperature"]), (&json!("m"), &json!(0)));
    }
}

#[test]
fn what_was_answered_is_never_asked_again() {
    let server = Server::start(|_, _| Reply::feedback("neutral"));
    let folder = folder();
    let config = config(&server, folder.path());
    ask(&mut open(&config), &turns(5)).unwrap();
    // Three turns more, one of them twice.
    let mut eight = turns(8);
    eight.push(eight[7].clone());
    let mut api = open(&config);
    assert_eq!(ask(&mut api, &eight).unwrap().len(), 9);
    assert_eq!((server.log().len(), api.usage().stored), (8, 5));
    let asked: HashSet<usize> = server.log().iter().map(number).collect();
    assert_eq!(asked.len(), 8);
    drop(api);
    // Another model has not said anything yet.
    let other = ExtractConfig { api_model: Some("other".into()), ..config };
    ask(&mut open(&other), &turns(1)).unwrap();
    assert_eq!(server.log().len(), 9);
}

#[test]
fn a_stopped_run_keeps_its_answers() {
    // The four requests that are under way when the user stops are not answered in time.
    let server = Server::start(|n, _| match n {
        10..14 => Reply::Silence,
        _ => Reply::feedback("neutral"),
    });
    let folder = folder();
    let config = ExtractConfig { api_timeout: 3.0, ..config(&server, folder.path()) };
    let turns = turns(40);
    let references: Vec<&Turn> = turns.iter().collect();
    let mut stop = StopOnceHeard(StopAfter(10, 0), &server, 14);
    let error = pollster::block_on(open(&config).feedback(&references, &mut stop)).unwrap_err();
    assert!(matches!(error, Error::Interrupted(_)), "{error}");
    assert_eq!(Store::<String>::open(&folder.path().join(ANSWERS)).unwrap().count(), 10);
    let first: Vec<Request> = server.log();
    assert_eq!(first.len(), 14);
    ask(&mut open(&config), &turns).unwrap();
    let resumed: HashSet<usize> = server.log()[14..].iter().map(number).collect();
    let answered: HashSet<usize> = first[..10].iter().map(number).collect();
    assert_eq!((resumed.len(), server.log().len()), (30, 44));
    assert!(resumed.is_disjoint(&answered), "only what is missing is asked for");
}

#[test]
fn faults_that_pass_are_waited_out() {
    let server = Server::start(|n, _| match n {
        0 => Reply::Answer(429, vec![("retry-after", "0".into())], vec![]),
        1 => Reply::Answer(429, vec![("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT".into())], vec![]),
        2 => Reply::status(500),
        3 => Reply::Cut,
        4 => Reply::HangUp,
        5 => Reply::Silence,
        6 => Reply::Answer(200, vec![], b"<html>gateway</html>".to_vec()),
        _ => Reply::feedback("engagement"),
    });
    let folder = folder();
    let mut api = open(&ExtractConfig { api_timeout: 1.0, ..config(&server, folder.path()) });
    assert_eq!(levels(&ask(&mut api, &turns(1)).unwrap()), [Some(Feedback::Engagement)]);
    let usage = api.usage();
    assert_eq!((usage.requests, usage.retries, usage.prompt_tokens), (8, 7, 10));
}

#[test]
fn a_server_that_never_answers_ends_the_run_and_loses_nothing() {
    let server = Server::start(|_, request| match number(request) {
        0..4 => Reply::feedback("neutral"),
        _ => Reply::Silence,
    });
    let folder = folder();
    let config = ExtractConfig { api_timeout: 0.2, ..config(&server, folder.path()) };
    let error = ask(&mut open(&config), &turns(8)).unwrap_err();
    let text = error.to_string();
    for part in ["`.api_base`", "did not answer in time", "8 times", "4 answers are kept", "`.resume`"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(error.exit_code(), 1);
}

#[test]
fn a_wrong_key_ends_the_run_at_once() {
    for (status, hint) in [(401, KEY_VARIABLE), (403, KEY_VARIABLE), (404, "`.api_model`"), (400, "`.api_model`")] {
        let server = Server::start(move |_, _| Reply::status(status));
        let folder = folder();
        let config = ExtractConfig { api_concurrency: 1, ..config(&server, folder.path()) };
        let text = ask(&mut open(&config), &turns(20)).unwrap_err().to_string();
        assert!(text.contains(hint) && text.contains(&status.to_string()), "{text}");
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(server.log().len(), 1);
    }
}

#[test]
fn a_question_that_the_server_cannot_take_costs_only_itself() {
    let server = Server::start(|_, request| match number(request) {
        3 => Reply::status(413),
        4 => Reply::Answer(200, vec![], vec![b'x'; 17 << 20]),
        _ => Reply::feedback("neutral"),
    });
    let folder = folder();
    let config = ExtractConfig { api_concurrency: 1, ..config(&server, folder.path()) };
    let verdicts = ask(&mut open(&config), &turns(6)).unwrap();
    let neutral = Some(Feedback::Neutral);
    assert_eq!(levels(&verdicts), [neutral, neutral, neutral, None, None, neutral]);
    let Verdict::Unparsable { answer } = &verdicts[3] else { panic!() };
    assert!(answer.contains("413"), "{answer}");
    ask(&mut open(&config), &turns(6)).unwrap();
    assert_eq!(server.log().len(), 6, "it would only be refused again");
}

#[test]
fn no_judgement_is_kept_aside_and_asked_for_again_on_request() {
    let server = Server::start(|n, _| match n {
        0 | 1 => Reply::completion("I would rather not say."),
        _ => Reply::feedback("correction"),
    });
    let folder = folder();
    let mut config = config(&server, folder.path());
    assert_eq!(levels(&ask(&mut open(&config), &turns(1)).unwrap()), [None]);
    assert_eq!(levels(&ask(&mut open(&config), &turns(1)).unwrap()), [None]);
    assert_eq!(server.log().len(), 1, "it is not asked again by itself");
    config.retry_unparsable = true;
    let mut api = open(&config);
    assert_eq!(levels(&ask(&mut api, &turns(1)).unwrap()), [None]);
    ask(&mut api, &turns(1)).unwrap();
    assert_eq!(server.log().len(), 2, "a run asks again once");
    drop(api);
    assert_eq!(levels(&ask(&mut open(&config), &turns(1)).unwrap()), [Some(Feedback::Correction)]);
    config.retry_unparsable = false;
    assert_eq!(levels(&ask(&mut open(&config), &turns(1)).unwrap()), [Some(Feedback::Correction)]);
    assert_eq!(server.log().len(), 3);
}

#[test]
fn refusals_are_another_question() {
    let server = Server::start(|_, _| Reply::completion(r#"{"reason": "a bomb", "request": "unsafe"}"#));
    let folder = folder();
    let mut api = open(&config(&server, folder.path()));
    let turns = turns(1);
    let verdicts = pollster::block_on(api.refusals(&[&turns[0]], &mut StopAfter(usize::MAX, 0))).unwrap();
    assert!(matches!(&verdicts[..], [Verdict::Given { value: Refusal::Justified, .. }]), "{verdicts:?}");
    assert_eq!(levels(&ask(&mut api, &turns).unwrap()), [None], "the answer to one question is none to the other");
    assert_eq!(server.log().len(), 2);
}

#[test]
fn an_address_must_be_one() {
    let server = Server::start(|_, _| Reply::HangUp);
    let folder = folder();
    for base in ["", "localhost:8000/v1", "ftp://host/v1", "http://"] {
        let config = ExtractConfig { api_base: Some(base.into()), ..config(&server, folder.path()) };
        let error = Api::with(&config, None, FIRST_WAIT).err().unwrap();
        assert!(error.to_string().starts_with("`.api_base`") && error.exit_code() == 2, "{error}");
    }
    let error = Api::with(&config(&server, folder.path()), Some("se\ncret"), FIRST_WAIT).err().unwrap();
    assert!(!error.to_string().contains("cret"), "{error}");
}

#[test]
fn failures_say_whether_they_may_pass() {
    let closed = {
        let server = Server::start(|_, _| Reply::HangUp);
        server.base()
    };
    let endpoint = Endpoint::new("`.api_base`", &closed, None, Duration::from_secs(5)).unwrap();
    // Nobody listens there once the server's thread has ended; until then it hangs up.
    assert_eq!(endpoint.post(b"{}").unwrap_err().kind, Kind::Passing { wait: None });
}
