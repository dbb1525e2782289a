//! The wait that a server asks its clients for.

use std::time::{Duration, SystemTime};

use ureq::http::HeaderMap;

/// The wait that the headers of an answer ask for: `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3),
/// `retry-after-ms`, or else the `x-ratelimit-reset-…` of the limits that have nothing left.
pub(super) fn asked_for(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let milliseconds = || text("retry-after-ms")?.parse().ok().and_then(seconds).map(|wait| wait / 1000);
    let retry_after = || {
        let value = text("retry-after")?;
        value.parse().ok().and_then(seconds).or_else(|| {
            let date = httpdate::parse_http_date(value).ok()?;
            // A date that is past asks for no wait.
            Some(date.duration_since(SystemTime::now()).unwrap_or_default())
        })
    };
    let limits = || {
        let reset = |limit: &str| {
            let is_spent = text(&format!("x-ratelimit-remaining-{limit}")).is_none_or(|left| left == "0");
            text(&format!("x-ratelimit-reset-{limit}")).filter(|_| is_spent).and_then(span)
        };
        ["requests", "tokens"].into_iter().filter_map(reset).max()
    };
    milliseconds().or_else(retry_after).or_else(limits)
}

fn seconds(value: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(value).ok()
}

/// A span such as `6m0s`, `1.5s` or `20ms`, or a bare number of seconds.
fn span(text: &str) -> Option<Duration> {
    if let Ok(value) = text.parse() {
        return seconds(value);
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let after = rest[unit_at..].find(|c: char| !c.is_ascii_alphabetic()).map_or(rest.len(), |end| unit_at + end);
        let scale = match &rest[unit_at..after] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            _ => return None,
        };
        total = total.checked_add(seconds(rest[..unit_at].parse::<f64>().ok()? * scale)?)?;
        rest = &rest[after..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(headers: &[(&'static str, &str)]) -> Option<Duration> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        asked_for(&headers.collect())
    }

    #[test]
    fn every_way_to_ask_is_understood() {
        let (s, ms) = (Duration::from_secs, Duration::from_millis);
        assert_eq!(wait(&[("retry-after", "7")]), Some(s(7)));
        assert_eq!(wait(&[("retry-after", "7"), ("retry-after-ms", "250")]), Some(ms(250)));
        assert_eq!(wait(&[("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")]), Some(s(0)));
        let date = httpdate::fmt_http_date(SystemTime::now() + s(100));
        assert!((s(98)..=s(100)).contains(&wait(&[("retry-after", &date)]).unwrap()));
        let tokens = [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6m0.5s")];
        let requests = [("x-ratelimit-remaining-requests", "9"), ("x-ratelimit-reset-requests", "1h")];
        assert_eq!(wait(&[tokens, requests].concat()), Some(ms(360_500)));
        assert_eq!(wait(&[("x-ratelimit-reset-requests", "20ms")]), Some(ms(20)));
    }

    #[test]
    fn nonsense_asks_for_nothing() {
        for value in ["", "soon", "-3", "nan", "1e400"] {
            assert_eq!(wait(&[("retry-after", value)]), None, "{value}");
            assert_eq!(wait(&[("x-ratelimit-reset-tokens", value)]).filter(|wait| !wait.is_zero()), None, "{value}");
        }
    }
}
