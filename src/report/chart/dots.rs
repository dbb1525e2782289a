//! Dot charts: a few numbers for each name, with their mean and spread, one row per name.

use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::look::{DrawError, FONT_SIZE, GRID, INK, PALETTE, WIDTH, failed, finish, shortened, text_at, text_width};
use crate::{Error, Result};

/// Height of a row.
const ROW: i32 = FONT_SIZE as i32 * 2;
/// Room around what is drawn.
const GAP: i32 = 8;
/// Numbers below the rows.
const TICKS: usize = 4;

/// A row.
#[derive(Clone, Debug)]
pub struct Dots {
    /// Its name.
    pub name: String,
    /// Its numbers; those that are not finite are left out.
    pub values: Vec<f64>,
}

/// Draws a dot for each number, an upright line at the mean of a row and a bar of one standard deviation (with n − 1) to
/// either side. All rows have one scale, which spans what is drawn and need not begin at 0; `number` writes its numbers.
///
/// # Errors
/// When there is no finite number.
pub fn dot_chart(rows: &[Dots], number: fn(f64) -> String) -> Result<String> {
    let rows: Vec<(&str, Vec<f64>)> = rows
        .iter()
        .map(|row| (row.name.as_str(), row.values.iter().copied().filter(|value| value.is_finite()).collect()))
        .collect();
    let drawn = rows.iter().flat_map(|(_, values)| {
        let (mean, sd) = moments(values);
        values.iter().copied().chain([mean - sd, mean + sd].into_iter().filter(|end| end.is_finite()))
    });
    let (low, high) = drawn.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        return Err(Error::run("a dot chart needs at least one finite number", ""));
    }
    let mut svg = String::new();
    draw(&mut svg, &rows, &Scale::of(low, high, &rows), number).map_err(failed)?;
    Ok(finish(&svg))
}

/// Mean and standard deviation; NaN for no mean, 0 for no deviation.
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, if n > 1.0 { (squares / (n - 1.0)).sqrt() } else { 0.0 })
}

fn draw(
    svg: &mut String,
    rows: &[(&str, Vec<f64>)],
    scale: &Scale,
    number: fn(f64) -> String,
) -> Result<(), DrawError> {
    let bottom = GAP + ROW * rows.len() as i32;
    let root = SVGBackend::with_string(svg, (WIDTH, (bottom + ROW) as u32)).into_drawing_area();
    for tick in scale.ticks() {
        let x = scale.pixel(tick);
        root.draw(&PathElement::new(vec![(x, GAP), (x, bottom)], GRID))?;
        root.draw(&Text::new(number(tick), (x, bottom + ROW / 2), text_at(HPos::Center)))?;
    }
    for (place, (name, values)) in rows.iter().enumerate() {
        let y = GAP + ROW * place as i32 + ROW / 2;
        root.draw(&Text::new(shortened(name, scale.left - GAP * 2), (scale.left - GAP, y), text_at(HPos::Right)))?;
        if values.is_empty() {
            continue;
        }
        let color = PALETTE[0];
        let (mean, sd) = moments(values);
        let (from, to, middle) = (scale.pixel(mean - sd), scale.pixel(mean + sd), scale.pixel(mean));
        if to > from {
            root.draw(&Rectangle::new([(from, y - 5), (to, y + 5)], color.mix(0.3).filled()))?;
        }
        for &value in values {
            root.draw(&Circle::new((scale.pixel(value), y), 5, color.filled()))?;
        }
        root.draw(&PathElement::new(vec![(middle, y - 14), (middle, y + 14)], INK.stroke_width(3)))?;
    }
    root.present()
}

/// From numbers to pixels.
struct Scale {
    left: i32,
    low: f64,
    high: f64,
}

impl Scale {
    fn of(low: f64, high: f64, rows: &[(&str, Vec<f64>)]) -> Self {
        let names = rows.iter().map(|(name, _)| text_width(name)).max().unwrap_or(0) + GAP * 2;
        // A single number gets some room, so that the scale has a length.
        let room = if high > low { 0.08 * (high - low) } else { low.abs().max(1e-3) * 0.1 };
        Self { left: names.min(WIDTH as i32 * 2 / 5), low: low - room, high: high + room }
    }

    fn pixel(&self, value: f64) -> i32 {
        // Room at the right for half of the last number.
        let width = f64::from(WIDTH as i32 - self.left - 2 * FONT_SIZE as i32);
        self.left + GAP + ((value - self.low) / (self.high - self.low) * width).round() as i32
    }

    /// Round numbers on the scale.
    fn ticks(&self) -> Vec<f64> {
        let wanted = (self.high - self.low) / TICKS as f64;
        let power = 10f64.powf(wanted.log10().floor());
        let step = [1.0, 2.0, 5.0].map(|step| step * power).into_iter().find(|&step| step >= wanted);
        let step = step.unwrap_or(10.0 * power);
        let (first, last) = ((self.low / step).ceil() as i64, (self.high / step).floor() as i64);
        (first..=last).map(|number| number as f64 * step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::number::short;

    fn rows(values: [&[f64]; 2]) -> [Dots; 2] {
        [("few <users>", values[0]), ("many", values[1])].map(|(name, v)| Dots { name: name.into(), values: v.into() })
    }

    #[test]
    fn every_number_is_a_dot_and_every_row_has_its_mean_and_spread() {
        let svg = dot_chart(&rows([&[0.5, 0.6, 0.7], &[0.8, f64::NAN]]), short).unwrap();
        assert_eq!(svg.matches("<circle").count(), 4);
        assert_eq!(svg.matches("<rect").count(), 1, "one number has no spread");
        assert_eq!(svg.matches("stroke-width=\"3\"").count(), 2);
        assert!(svg.contains("few &lt;users&gt;") && svg.contains("many") && svg.contains("0.6"));
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn the_scale_holds_everything_with_round_numbers() {
        let dots = [("a", vec![])];
        let scale = Scale::of(0.412, 0.588, &dots);
        assert_eq!(scale.ticks().iter().map(|tick| short(*tick)).collect::<Vec<_>>(), ["0.4", "0.5", "0.6"]);
        assert!(scale.pixel(0.412) > scale.left && scale.pixel(0.588) < WIDTH as i32);
        for (low, high) in [(0.0, 0.0), (0.5, 0.5), (-3.0, 4e5), (1.0, 1.0 + 1e-12)] {
            let ticks = Scale::of(low, high, &dots).ticks();
            assert!(ticks.len() <= 12 && ticks.iter().all(|tick| tick.is_finite()), "{low} to {high}: {ticks:?}");
        }
    }

    #[test]
    fn nothing_is_no_chart() {
        assert!(dot_chart(&rows([&[], &[f64::INFINITY]]), short).is_err());
        assert!(dot_chart(&rows([&[], &[0.25]]), short).is_ok());
    }
}
