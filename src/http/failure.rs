//! Why a request failed, and whether a retry may succeed.

use std::time::Duration;

/// A request that was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The failure, in words.
    pub problem: String,
    /// Its consequence for other requests.
    pub kind: Kind,
}

/// The consequence of a failure for other requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It may pass; the server may have said how long to wait.
    Passing {
        /// The wait that the server asks for.
        wait: Option<Duration>,
    },
    /// The server wants another key.
    Unauthorized,
    /// The server cannot do with this request; it may do with others.
    BadRequest,
    /// No request to this address will be answered.
    Permanent,
}

impl Failure {
    /// A failure that may pass.
    pub(crate) fn passing(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), kind: Kind::Passing { wait: None } }
    }

    /// A failure below HTTP: no connection, a broken one, or nothing in time.
    pub(super) fn of(error: &ureq::Error) -> Self {
        use ureq::Error as E;
        let kind = match error {
            E::Timeout(_) | E::Io(_) | E::Protocol(_) | E::ConnectionFailed | E::HostNotFound | E::BodyStalled => {
                Kind::Passing { wait: None }
            }
            E::BodyExceedsLimit(_) => Kind::BadRequest,
            _ => Kind::Permanent,
        };
        let problem = match error {
            E::Timeout(_) => "the server did not answer in time".to_owned(),
            E::BodyExceedsLimit(limit) => format!("the answer is longer than {} MiB", limit >> 20),
            other => other.to_string(),
        };
        Self { problem, kind }
    }
}
