//! A reward server: `POST {"query": [text, …]}`, answered by `{"rewards": [number, …]}`.
//!
//! A wrong number of rewards, a reward that is not a finite number, and an error with a success status are errors:
//! rewards are never replaced.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::backoff::Backoff;
use super::{Endpoint, Failure, Kind};
use crate::{Error, Result};

/// The environment variable of the server's key.
const KEY_VARIABLE: &str = "WGR_API_KEY";
/// Until a request counts as failed.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Requests for one batch until the run ends.
const ATTEMPTS: u32 = 6;
/// The first wait after a failure; they double.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// How often it is looked whether the user wants to stop.
const GLANCE: Duration = Duration::from_millis(50);
/// Characters of an answer that an error quotes.
const QUOTED: usize = 200;

/// Whether a model is an address and not a name.
pub(crate) fn is_address(model: &str) -> bool {
    model.starts_with("http://") || model.starts_with("https://")
}

/// A server that rates texts.
#[derive(Clone, Debug)]
pub(crate) struct RewardServer {
    endpoint: Endpoint,
    attempts: u32,
    first_wait: Duration,
}

impl RewardServer {
    /// The server at `url`, with the key from the environment if there is one; `setting` is where the URL comes from.
    ///
    /// # Errors
    /// As [`Endpoint::new`].
    pub(crate) fn open(setting: &str, url: &str) -> Result<Self> {
        let key = std::env::var(KEY_VARIABLE).ok().filter(|key| !key.is_empty());
        let endpoint = Endpoint::new(setting, url, key.as_deref(), TIMEOUT)?;
        Ok(Self { endpoint, attempts: ATTEMPTS, first_wait: FIRST_WAIT })
    }

    /// The same server, asked again after shorter waits; for tests.
    #[cfg(test)]
    pub(crate) fn impatient(mut self) -> Self {
        self.first_wait = Duration::from_millis(1);
        self
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &str {
        self.endpoint.url()
    }

    /// One reward a text, in their order. Failures that may pass are waited for; `go_on` is asked before each request and
    /// while waiting, and its error ends the call.
    ///
    /// # Errors
    /// The server cannot be reached or refuses, several times in a row where that may pass; an answer that is not one
    /// finite number a text; what `go_on` says.
    pub(crate) fn rewards(&self, texts: &[String], go_on: &dyn Fn() -> Result<()>) -> Result<Vec<f64>> {
        let body = json!({ "query": texts }).to_string();
        let mut backoff = Backoff::new(self.attempts, self.first_wait, 0);
        loop {
            go_on()?;
            let failure = match self.endpoint.post(body.as_bytes()) {
                Ok(answer) => return self.parse(&answer, texts.len()),
                Err(failure) => failure,
            };
            let Kind::Passing { wait } = failure.kind else { return Err(self.fatal(&failure)) };
            let Some(wait) = backoff.next(wait) else { return Err(self.fatal(&failure)) };
            let until = Instant::now() + wait;
            while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                go_on()?;
                std::thread::sleep(left.min(GLANCE));
            }
        }
    }

    /// The rewards in an answer.
    fn parse(&self, answer: &[u8], expected: usize) -> Result<Vec<f64>> {
        let text = String::from_utf8_lossy(answer);
        let quoted: String = text.trim().chars().take(QUOTED).collect();
        let wrong = |problem: String| {
            let hint = r#"a reward server answers {"query": [text, …]} with {"rewards": [number, …]}"#;
            Err(Error::run(format!("{}: {problem}", self.endpoint.url()), hint))
        };
        let Ok(json) = serde_json::from_slice::<Value>(answer) else {
            return wrong(format!("the answer is not JSON: {quoted}"));
        };
        let Some(rewards) = json["rewards"].as_array() else {
            return wrong(format!("the answer holds no list of `rewards`: {quoted}"));
        };
        if rewards.len() != expected {
            return wrong(format!("the answer holds {} rewards for {expected} texts", rewards.len()));
        }
        let numbers: Option<Vec<f64>> = rewards.iter().map(|r| r.as_f64().filter(|r| r.is_finite())).collect();
        numbers.map_or_else(|| wrong(format!("a reward is not a finite number: {quoted}")), Ok)
    }

    /// The error with which a failure ends the run.
    fn fatal(&self, failure: &Failure) -> Error {
        let at = format!("{}: {}", self.endpoint.url(), failure.problem);
        match failure.kind {
            Kind::Unauthorized => Error::run(at, format!("set {KEY_VARIABLE} to a key of this server")),
            Kind::Passing { .. } => {
                Error::run(format!("{at} ({} times in a row)", self.attempts), "is the server running?")
            }
            Kind::BadRequest | Kind::Permanent => {
                Error::run(at, "give the full address, such as http://host/get_reward")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_server::{Reply, Request, Server as TestServer};

    fn texts(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("text {number}")).collect()
    }

    fn ask(server: &TestServer, count: usize) -> Result<Vec<f64>> {
        let url = server.base().replace("/v1", "/get_reward");
        RewardServer::open("`.reward`", &url)?.impatient().rewards(&texts(count), &|| Ok(()))
    }

    /// The number in each text, as its reward.
    fn numbers(request: &Request) -> Reply {
        let texts = request.body["query"].as_array().unwrap();
        let number = |text: &Value| text.as_str().unwrap().rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        Reply::json(&json!({"rewards": texts.iter().map(number).collect::<Vec<_>>()}))
    }

    #[test]
    fn what_passes_is_waited_for() {
        let server = TestServer::start(|n, request| match n {
            0 => Reply::status(503),
            1 => Reply::Cut,
            2 => Reply::HangUp,
            3 => Reply::Answer(429, vec![("retry-after", "0".into())], vec![]),
            _ => numbers(request),
        });
        assert_eq!(ask(&server, 3).unwrap(), [0.0, 1.0, 2.0]);
        assert_eq!(server.log().len(), 5);
        assert!(server.log().iter().all(|request| request.path == "/get_reward"));
    }

    #[test]
    fn nothing_is_put_in_the_place_of_a_reward() {
        let replies: [(&str, &str); 7] = [
            (r#"{"rewards": [1.0]}"#, "1 rewards for 2 texts"),
            (r#"{"rewards": [1.0, 2.0, 3.0]}"#, "3 rewards for 2 texts"),
            (r#"{"rewards": [1.0, null]}"#, "not a finite number"),
            (r#"{"rewards": [[1.0], [2.0]]}"#, "not a finite number"),
            (r#"{"error": "out of memory"}"#, "out of memory"),
            ("[1.0, 2.0]", "no list of `rewards`"),
            (r#"{"rewards": [NaN, 1]}"#, "not JSON"),
        ];
        for (body, problem) in replies {
            let server = TestServer::start(move |_, _| Reply::Answer(200, vec![], body.into()));
            let error = ask(&server, 2).unwrap_err();
            assert!(error.to_string().contains(problem) && error.exit_code() == 1, "{body}: {error}");
            assert_eq!(server.log().len(), 1, "{body}: asking again would not help");
        }
    }

    #[test]
    fn what_does_not_pass_is_told() {
        for (status, requests, problem) in
            [(401, 1, KEY_VARIABLE), (404, 1, "get_reward"), (500, ATTEMPTS, "6 times in a row")]
        {
            let server = TestServer::start(move |_, _| Reply::status(status));
            let error = ask(&server, 1).unwrap_err();
            assert!(error.to_string().contains(problem), "{error}");
            assert_eq!(server.log().len() as u32, requests);
        }
        let gone = TestServer::start(|_, _| Reply::HangUp);
        let url = gone.base().replace("/v1", "/get_reward");
        drop(gone);
        let error = RewardServer::open("`.reward`", &url).unwrap().impatient().rewards(&texts(1), &|| Ok(()));
        assert!(error.unwrap_err().to_string().contains("is the server running?"));
    }

    #[test]
    fn a_wait_ends_when_the_user_wants_to_stop() {
        let server = TestServer::start(|_, _| Reply::Answer(503, vec![("retry-after", "1000".into())], vec![]));
        let url = server.base().replace("/v1", "/get_reward");
        let asked = std::cell::Cell::new(0);
        let go_on = || {
            asked.set(asked.get() + 1);
            if asked.get() > 2 { Err(Error::Interrupted("now".into())) } else { Ok(()) }
        };
        let error = RewardServer::open("`.reward`", &url).unwrap().rewards(&texts(1), &go_on).unwrap_err();
        assert!(matches!(error, Error::Interrupted(_)), "{error}");
    }
}
