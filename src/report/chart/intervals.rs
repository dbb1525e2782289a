//! Values side by side with their confidence intervals.

use plotters::prelude::*;

use super::lines::Axis;
use super::look::{FONT_SIZE, INK, Paint, failed};
use super::rows::{self, Canvas};
use crate::{Error, Result};

/// Height of a mark.
const MARK: u32 = FONT_SIZE * 3 / 4;
/// Room on both sides of what is drawn, as a share of it.
const ROOM: f64 = 0.08;

/// A value with its name.
#[derive(Clone, Debug)]
pub struct Dot {
    /// Its name.
    pub name: String,
    /// The value; one that is not finite has a row without a mark.
    pub value: f64,
    /// Its confidence interval, low and high.
    pub interval: Option<(f64, f64)>,
    /// Its colour.
    pub paint: Paint,
}

/// Draws a row for each value, with its interval as a line, over an axis that begins near the lowest and need not hold 0;
/// `reference` is a value that all are to be compared with, a tick in every row.
///
/// # Errors
/// When no value is finite.
pub fn interval_chart<'a>(x: impl Into<Axis<'a>>, reference: Option<f64>, dots: &[Dot]) -> Result<String> {
    let x = x.into();
    let of_dot = |dot: &Dot| [Some(dot.value), dot.interval.map(|i| i.0), dot.interval.map(|i| i.1)];
    let values = || dots.iter().filter(|dot| dot.value.is_finite()).flat_map(of_dot).flatten();
    if values().next().is_none() {
        return Err(Error::run("a chart of intervals needs at least one finite value", ""));
    }
    let all = || values().chain(reference).filter(|value| value.is_finite());
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let room = if high > low { ROOM * (high - low) } else { 0.05 * low.abs().max(1.0) };
    let (low, high) = x.range.unwrap_or((low - room, high + room));
    let said = |dot: &Dot| if dot.value.is_finite() { (x.number)(dot.value) } else { "–".to_owned() };
    let names: Vec<(&str, String)> = dots.iter().map(|dot| (dot.name.as_str(), said(dot))).collect();
    let mark = |canvas: &mut Canvas, place: usize, bottom: f64| {
        let dot = &dots[place];
        let middle = bottom + f64::from(MARK) / 2.0;
        if let Some(reference) = reference.filter(|reference| reference.is_finite()) {
            let line = [(reference, bottom), (reference, bottom + f64::from(MARK))];
            canvas.draw_series(LineSeries::new(line, INK.mix(0.6).stroke_width(2)))?;
        }
        let color = dot.paint.rgb();
        if let Some((low, high)) = dot.interval {
            canvas.draw_series(LineSeries::new([(low, middle), (high, middle)], color.stroke_width(3)))?;
        }
        if dot.value.is_finite() {
            canvas.draw_series([Circle::new((dot.value, middle), 7, color.filled())])?;
        }
        Ok(())
    };
    rows::draw(x, (low, high), MARK, &names, mark).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::number::percent;

    fn dot(name: &str, value: f64, interval: Option<(f64, f64)>) -> Dot {
        Dot { name: name.into(), value, interval, paint: Paint::Palette(2) }
    }

    #[test]
    fn every_value_has_a_row_and_a_mark() {
        let dots = [dot("ours", 0.62, Some((0.57, 0.67))), dot("<theirs>", 0.66, None), dot("none", f64::NAN, None)];
        let svg = interval_chart(Axis::new("accuracy", percent), Some(0.5), &dots).unwrap();
        for text in ["ours", "&lt;theirs&gt;", "none", "62.0 %", "66.0 %", "accuracy", "–"] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("<theirs>") && svg.contains("prefers-color-scheme: dark"));
        assert_eq!(svg.matches("<circle").count(), 2);
        assert_eq!(svg.matches("stroke=\"#1A9C76\"").count(), 1, "one interval");
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        assert!(interval_chart("x", None, &[]).is_err());
        assert!(interval_chart("x", Some(0.5), &[dot("a", f64::NAN, None)]).is_err());
        assert!(interval_chart("x", None, &[dot("a", 1.0, None)]).is_ok());
    }
}
