//! Why a request is not answered, and how each family of clients is told.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, body::Body};
use serde_json::{Value, json};
use utoipa::IntoResponses;
use wgr::Error;

/// Seconds after which a client may ask again.
const RETRY_AFTER: &str = "1";

/// A request that is not answered.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// Something in the request is wrong.
    Input {
        /// The field, such as `query[3]`; empty for the body as a whole.
        field: String,
        /// The problem.
        problem: String,
    },
    /// The key is missing or wrong.
    Unauthorized,
    /// What is asked for is not allowed to anybody.
    Forbidden(String),
    /// There is no such route.
    NoRoute,
    /// The route answers another method.
    WrongMethod,
    /// The server has no model for the route.
    NoModel(&'static str),
    /// The body took too long to arrive.
    Slow,
    /// The body is larger than this many bytes.
    TooLarge(usize),
    /// The queue has no place for the rows of the request.
    Full,
    /// The server is about to end.
    Draining,
    /// The device failed, or a score is not a number.
    Device(String),
    /// The device does not compute.
    Unhealthy(String),
    /// A fault of the server itself.
    Bug,
}

impl Failure {
    /// Something wrong in a field of the request.
    pub(crate) fn input(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Input { field: field.into(), problem: problem.into() }
    }

    /// An error of the library about the row in `field`.
    pub(crate) fn of_row(field: &str, error: &Error) -> Self {
        match error {
            // The hint is about flags and files, which clients have not.
            Error::Input { problem, .. } => Self::input(field, problem),
            other => Self::Device(other.to_string()),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Input { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NoRoute | Self::NoModel(_) => StatusCode::NOT_FOUND,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Full | Self::Draining | Self::Unhealthy(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Device(_) | Self::Bug => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Its name in metrics and in answers.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Input { .. } => "invalid_request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden(_) => "forbidden",
            Self::NoRoute => "no_route",
            Self::WrongMethod => "wrong_method",
            Self::NoModel(_) => "no_model",
            Self::Slow => "slow_body",
            Self::TooLarge(_) => "too_large",
            Self::Full => "queue_full",
            Self::Draining => "draining",
            Self::Device(_) => "device",
            Self::Unhealthy(_) => "unhealthy",
            Self::Bug => "bug",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Input { field, problem } if field.is_empty() => problem.clone(),
            Self::Input { field, problem } => format!("{field}: {problem}"),
            Self::Unauthorized => "the key is missing or wrong; send it as `Authorization: Bearer KEY`".into(),
            Self::Forbidden(problem) | Self::Device(problem) | Self::Unhealthy(problem) => problem.clone(),
            Self::NoRoute => "there is no such route; /openapi.json lists all".into(),
            Self::WrongMethod => "the route answers another method; see /openapi.json".into(),
            Self::NoModel(flag) => format!("this server has no such model; start it with {flag}"),
            Self::Slow => "the body did not arrive in time".into(),
            Self::TooLarge(limit) => format!("the body is larger than {limit} bytes; send fewer rows per request"),
            Self::Full => "the queue is full; try again later".into(),
            Self::Draining => "the server is about to end".into(),
            Self::Bug => "this is a bug in wgr, please report it; the server's log has the details".into(),
        }
    }

    /// The answer in the form of a family.
    pub(crate) fn answer(&self, family: Family) -> Response {
        let mut response = (self.status(), Json(family.body(self))).into_response();
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        if matches!(self, Self::Unauthorized) {
            for scheme in ["Bearer", "Basic realm=\"wgr\", charset=\"UTF-8\""] {
                response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
            }
        }
        response
    }
}

/// The failures that any route may answer with, for its description.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only its description is used")]
pub(crate) enum Failures {
    /// The key is missing or wrong.
    #[response(status = 401)]
    Unauthorized,
    /// What is asked for is not allowed.
    #[response(status = 403)]
    Forbidden,
    /// The server has no model for the route.
    #[response(status = 404)]
    NoModel,
    /// The body did not arrive in time.
    #[response(status = 408)]
    Slow,
    /// The body is too large.
    #[response(status = 413)]
    TooLarge,
    /// Something in the request is wrong; the answer names the field.
    #[response(status = 422)]
    Input,
    /// The device failed, or a score is not a number.
    #[response(status = 500)]
    Device,
    /// The queue is full or the server is about to end; `Retry-After` says when to ask again.
    #[response(status = 503)]
    Full,
}

/// Leaves the failure in the response for the layer that knows the family.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status();
        response.extensions_mut().insert(self);
        response
    }
}

/// Clients that expect the same form of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// Reward servers as OpenRLHF and WildReward call them: `{"error": message}`.
    RewardServer,
    /// OpenAI's API, vLLM and SGLang, and the routes of wgr's own: `{"error": {"message", "type", "param", "code"}}`.
    OpenAi,
    /// text-embeddings-inference: `{"error": message, "error_type"}`.
    Tei,
    /// LlamaFactory, whose server is made with FastAPI: `{"detail": message}`.
    LlamaFactory,
}

impl Family {
    /// The family whose clients call a path.
    pub(crate) fn of(path: &str) -> Self {
        match path {
            "/get_reward" => Self::RewardServer,
            "/predict" => Self::Tei,
            "/v1/score/evaluation" => Self::LlamaFactory,
            _ => Self::OpenAi,
        }
    }

    /// The body of the answer.
    pub(crate) fn body(self, failure: &Failure) -> Value {
        let message = failure.message();
        match self {
            Self::RewardServer => json!({"error": message}),
            Self::OpenAi => {
                let param = match failure {
                    Failure::Input { field, .. } if !field.is_empty() => json!(field),
                    _ => Value::Null,
                };
                let code = failure.status().as_u16();
                json!({"error": {"message": message, "type": failure.kind(), "param": param, "code": code}})
            }
            Self::Tei => {
                let kind = match failure {
                    Failure::Full | Failure::Draining => "Overloaded",
                    Failure::Device(_) | Failure::Bug => "Backend",
                    _ => "Validation",
                };
                json!({"error": message, "error_type": kind})
            }
            Self::LlamaFactory => json!({"detail": message}),
        }
    }
}
