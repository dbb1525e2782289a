//! Text for people and programs. A closed pipe is not an error.

use std::io::{ErrorKind, Write};
use std::panic::PanicHookInfo;

use serde::Serialize;
use wgr::gpu::Ceilings;
use wgr::{Error, Result};

/// One line on stdout.
pub(crate) fn line(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::io("stdout", error)),
        _ => Ok(()),
    }
}

/// A piece of text on stdout, flushed at once.
pub(crate) fn piece(text: &str) {
    let mut out = std::io::stdout();
    // If the reader has gone, there is nobody to tell.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// One JSON document on stdout.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::io("stdout", error.into()))?;
    line(&text)
}

/// Rows in columns as wide as their contents.
pub(crate) fn columns(rows: &[Vec<String>]) -> Result<()> {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    rows.iter().try_for_each(|row| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        line(cells.join("  ").trim_end())
    })
}

/// One line on stderr. If that is closed, there is nobody to tell.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// An error on stderr.
pub(crate) fn error(text: &str) {
    note(&format!("error: {text}"));
}

/// A panic, on one line of stderr.
pub(crate) fn bug(panic: &PanicHookInfo<'_>) {
    error(&format!("this is a bug in wgr, please report it: {panic}").replace('\n', " "));
}

/// A rate of tokens, with a decimal place where that tells more.
pub(crate) fn token_rate(per_second: f64) -> String {
    let places = if per_second < 9.95 { 1 } else { 0 };
    format!("{per_second:.places$} tokens/s")
}

/// A number of bytes in a suitable unit.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// What an adapter can do at most.
pub(crate) fn ceilings(ceilings: &Ceilings) -> String {
    let f16 = match ceilings.f16_flops_per_second {
        Some(rate) => format!("f16 {:.1} GFLOP/s", rate / 1e9),
        None => "no f16".into(),
    };
    let cooperative = match ceilings.cooperative_flops_per_second {
        Some(rate) => format!(", cooperative matrices {:.1} GFLOP/s", rate / 1e9),
        None => String::new(),
    };
    let bandwidth =
        |of: &wgr::gpu::Bandwidth| format!("{:.2} GB/s within {}", of.bytes_per_second / 1e9, bytes(of.working_set));
    let bandwidths: Vec<String> = ceilings.bandwidths.iter().map(bandwidth).collect();
    format!("f32 {:.1} GFLOP/s, {f16}{cooperative}; {}", ceilings.f32_flops_per_second / 1e9, bandwidths.join(", "))
}

#[cfg(test)]
mod tests {
    use wgr::gpu::{Bandwidth, Ceilings};

    use super::{bytes, ceilings, token_rate};

    #[test]
    fn ceilings_have_units_and_say_where_there_is_no_f16() {
        let bandwidths = vec![Bandwidth { working_set: 2 << 20, bytes_per_second: 1.5e9 }];
        let mut measured = Ceilings {
            f32_flops_per_second: 8e10,
            f16_flops_per_second: None,
            cooperative_flops_per_second: None,
            bandwidths,
        };
        assert_eq!(ceilings(&measured), "f32 80.0 GFLOP/s, no f16; 1.50 GB/s within 2.0 MiB");
        measured.f16_flops_per_second = Some(7.7e9);
        assert_eq!(ceilings(&measured), "f32 80.0 GFLOP/s, f16 7.7 GFLOP/s; 1.50 GB/s within 2.0 MiB");
        measured.cooperative_flops_per_second = Some(3e11);
        let expected =
            "f32 80.0 GFLOP/s, f16 7.7 GFLOP/s, cooperative matrices 300.0 GFLOP/s; 1.50 GB/s within 2.0 MiB";
        assert_eq!(ceilings(&measured), expected);
    }

    #[test]
    fn slow_rates_are_not_zero() {
        let shown = [0.46, 9.94, 9.96, 1234.5].map(token_rate);
        assert_eq!(shown, ["0.5 tokens/s", "9.9 tokens/s", "10 tokens/s", "1234 tokens/s"]);
    }

    #[test]
    fn bytes_take_the_unit_that_suits_them() {
        let shown = [0, 1023, 1024, (1 << 20) - 1, 128 << 20, u64::MAX].map(bytes);
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "128.0 MiB", "16777216.0 TiB"]);
    }
}
