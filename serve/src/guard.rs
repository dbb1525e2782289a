//! What happens to every request, whatever its route: it is counted, refused where the server drains or the key is wrong,
//! and a failure is put into the form of the family.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::app::App;
use crate::failure::{Failure, Family};

/// The only route that needs no key.
const HEALTH: &str = "/health";

/// Counts a request, and puts its failure into the form of the family.
pub(crate) async fn answer(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let family = Family::of(request.uri().path());
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let mut response = next.run(request).await;
    let failure = response.extensions_mut().remove::<Failure>();
    app.metrics.answered(route.as_deref().unwrap_or("other"), response.status().as_u16(), failure.as_ref());
    match failure {
        Some(failure) => failure.answer(family),
        None => response,
    }
}

/// Refuses what is not to be answered.
pub(crate) async fn admit(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if request.method() == Method::POST && is_from_elsewhere(request.headers()) {
        return Failure::Forbidden("pages of other sites may not ask".into()).into_response();
    }
    let is_health = request.uri().path() == HEALTH;
    if let Some(key) = app.key.as_ref().filter(|_| !is_health)
        && !sent_key(request.headers()).is_some_and(|sent| key.is(&sent))
    {
        return Failure::Unauthorized.into_response();
    }
    // Counted first: whoever drains either sees this request or is seen by it.
    let underway = app.metrics.request();
    if app.draining.load(Ordering::SeqCst) {
        return Failure::Draining.into_response();
    }
    let response = next.run(request).await;
    drop(underway);
    response
}

/// Whether a page of another site sent the request, in which a browser lets it use what its user may: the network, and a
/// key that was typed in before. Only browsers send this header (<https://www.w3.org/TR/fetch-metadata/>).
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none")
}

/// The key in `Authorization: Bearer KEY`, or the password of `Authorization: Basic`, for which browsers ask people.
fn sent_key(headers: &HeaderMap) -> Option<Vec<u8>> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let end = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, sent) = (&value[..end], value[end..].trim_ascii());
    if scheme.eq_ignore_ascii_case(b"basic") {
        let pair = BASE64_STANDARD.decode(sent).ok()?;
        let colon = pair.iter().position(|byte| *byte == b':')?;
        return Some(pair[colon + 1..].to_vec());
    }
    scheme.eq_ignore_ascii_case(b"bearer").then(|| sent.to_vec())
}
