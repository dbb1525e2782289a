//! The JSON body of a request: limited in size and time, and with the field at fault in errors.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// The largest body in bytes.
pub(crate) const MAX_BYTES: usize = 32 << 20;

/// Within this time a body must have arrived.
const PATIENCE: Duration = Duration::from_secs(60);

/// A body, read whatever its content type says: some clients do not say.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let announced =
            request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: u64| length > MAX_BYTES as u64) {
            return Err(Failure::TooLarge(MAX_BYTES));
        }
        let arriving = tokio::time::timeout(PATIENCE, Bytes::from_request(request, state));
        let bytes = match arriving.await {
            Err(_) => return Err(Failure::Slow),
            Ok(Err(BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)))) => {
                return Err(Failure::TooLarge(MAX_BYTES));
            }
            // The client broke off; nobody reads the answer.
            Ok(Err(_)) => return Err(Failure::input("", "the body is incomplete")),
            Ok(Ok(bytes)) => bytes,
        };
        parse(&bytes).map(Self)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    if let Err(error) = std::str::from_utf8(bytes) {
        return Err(Failure::input("", format!("the body is not UTF-8 from byte {} on", error.valid_up_to() + 1)));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        let field = if field == "." { String::new() } else { field };
        Failure::input(field, error.inner().to_string())
    })?;
    json.end().map_err(|error| Failure::input("", error.to_string()))?;
    Ok(value)
}
