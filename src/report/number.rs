//! Numbers formatted for people.

/// A count with its thousands set apart: `1,234,567`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A share in per cent, small ones with more digits: `76.4 %`, `0.04 %`; a dash if it is not a number.
pub(crate) fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent.abs() {
        size if !size.is_finite() => "–".into(),
        size if size == 0.0 || size >= 0.995 => format!("{percent:.1} %"),
        _ => format!("{percent:.2} %"),
    }
}

/// A short number: `0.25`, `1200`, `2.5M`, `1e-5`.
pub(crate) fn short(value: f64) -> String {
    let trimmed = |value: f64, decimals: usize| {
        let text = format!("{value:.decimals$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    match value.abs() {
        size if size < 1e-12 => "0".to_owned(),
        size if size < 1e-3 => format!("{value:.0e}"),
        size if size < 1e4 => trimmed(value, 4),
        size if size < 1e6 => trimmed(value / 1e3, 1) + "k",
        size if size < 1e12 => trimmed(value / 1e6, 1) + "M",
        _ => format!("{value:.1e}"),
    }
}

/// The share of a part in a whole; 0 if the whole is zero.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let shown = [0, 999, 1000, 123_456, u64::MAX].map(count);
        assert_eq!(shown, ["0", "999", "1,000", "123,456", "18,446,744,073,709,551,615"]);
    }

    #[test]
    fn shares_are_short_and_never_nan() {
        let shown = [0.0, 0.764, 1.0, 0.0004, 0.00999, share(1, 0), f64::NAN].map(percent);
        assert_eq!(shown, ["0.0 %", "76.4 %", "100.0 %", "0.04 %", "1.0 %", "0.0 %", "–"]);
        assert_eq!(share(u64::MAX, u64::MAX), 1.0);
    }

    #[test]
    fn short_numbers_are_short() {
        let shown = [0.0, 0.25, 1200.0, 20_000.0, 2.5e6, 1e-5, -0.5].map(short);
        assert_eq!(shown, ["0", "0.25", "1200", "20k", "2.5M", "1e-5", "-0.5"]);
    }
}
