//! A small HTTP client for JSON services: annotators and reward servers.
//!
//! [`Endpoint::post`] sends one request; a `failure` says whether a retry may succeed and how long the server asks to
//! wait (`waits`); `backoff` gives the wait if the server does not. [`RewardServer`] rates texts, for evaluation and
//! online DPO.

pub(crate) mod backoff;
mod failure;
mod reward_server;
mod waits;

use std::time::Duration;

use ureq::Agent;
use ureq::http::Response;

pub(crate) use failure::{Failure, Kind};
pub(crate) use reward_server::{RewardServer, is_address};

use crate::{Error, Result};

/// Bytes of an answer that are read; no judgement or reward is longer.
const LONGEST_ANSWER: u64 = 16 << 20;
/// Bytes of an answer that an error quotes.
const QUOTED: usize = 300;

/// A service that takes JSON.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    agent: Agent,
    url: String,
    /// The value of the `Authorization` header; never part of a message.
    authorization: Option<String>,
}

impl Endpoint {
    /// A service at `url`. A request fails after `timeout`; `key` is sent as a bearer token. `setting` is where the URL comes
    /// from, for errors.
    ///
    /// # Errors
    /// The URL is none of `http` or `https`, or the key cannot stand in a header.
    pub(crate) fn new(setting: &str, url: &str, key: Option<&str>, timeout: Duration) -> Result<Self> {
        let hint = "such as http://localhost:8000/v1";
        let parsed = url
            .parse::<ureq::http::Uri>()
            .map_err(|e| Error::input(format!("{setting} {url}"), e.to_string(), hint))?;
        if !matches!(parsed.scheme_str(), Some("http" | "https")) || parsed.host().is_none_or(str::is_empty) {
            return Err(Error::input(format!("{setting} {url}"), "is not an http or https address", hint));
        }
        if key.is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(Error::input(
                "the API key",
                "contains characters that cannot be in a key",
                "does it contain a line break?",
            ));
        }
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .http_status_as_error(false)
            .user_agent(concat!("wgr/", env!("CARGO_PKG_VERSION")))
            .build();
        let authorization = key.map(|key| format!("Bearer {key}"));
        Ok(Self { agent: config.into(), url: url.to_owned(), authorization })
    }

    /// The address of requests.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Sends a body once and gives the body of the answer.
    ///
    /// # Errors
    /// Anything but an answer with a status of success, in words and with what may help.
    pub(crate) fn post(&self, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut request = self.agent.post(&self.url).content_type("application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let mut response = request.send(body).map_err(|e| Failure::of(&e))?;
        let status = response.status();
        let answer = response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec();
        if status.is_success() {
            return answer.map_err(|e| Failure::of(&e));
        }
        // A server's message about an error helps, and a truncated body does not hide the status.
        Err(refused(&response, &answer.unwrap_or_default()))
    }
}

/// The failure that a status without success stands for.
fn refused<T>(response: &Response<T>, answer: &[u8]) -> Failure {
    let status = response.status();
    let said = String::from_utf8_lossy(answer);
    let said: String = said.trim().chars().take(QUOTED).collect();
    let problem = match said.is_empty() {
        true => format!("the server answered {status}"),
        false => format!("the server answered {status}: {said}"),
    };
    let kind = match status.as_u16() {
        401 | 403 => Kind::Unauthorized,
        // A conflict and "too early" pass, as time-outs, rate limits and faults of the server do.
        408 | 409 | 425 | 429 | 500..=599 => Kind::Passing { wait: waits::asked_for(response.headers()) },
        400 | 413 | 422 => Kind::BadRequest,
        _ => Kind::Permanent,
    };
    Failure { problem, kind }
}
