//! Bar charts: named values side by side, one row per bar, so that long names fit and a narrow screen shows everything.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::legend::{self, Entry};
use super::look::{DrawError, FONT_SIZE, GRID, PALETTE, WIDTH, failed, finish, shortened, text_at, text_width};
use super::series::Style;
use crate::{Error, Result};

/// Height of a bar.
const BAR: i32 = FONT_SIZE as i32;
/// Room between two bars, and twice between two groups.
const GAP: i32 = 6;

/// One bar a category.
#[derive(Clone, Debug)]
pub struct Bars {
    /// Its name in the legend.
    pub name: String,
    /// One value a category; what is negative or not finite has no bar and no number.
    pub values: Vec<f64>,
}

impl Bars {
    /// Bars to draw.
    pub fn new(name: impl Into<String>, values: impl Into<Vec<f64>>) -> Self {
        Self { name: name.into(), values: values.into() }
    }
}

/// Draws the bars of each category below one another, all to one scale from 0, each with its value as `number` says it.
///
/// # Errors
/// When there is nothing to draw, or a series has more or fewer values than there are categories.
pub fn bar_chart(categories: &[&str], series: &[Bars], number: fn(f64) -> String) -> Result<String> {
    if categories.is_empty() || series.is_empty() || series.iter().any(|one| one.values.len() != categories.len()) {
        return Err(Error::run("a bar chart needs one value for each of its categories", ""));
    }
    let legend = legend::height_of(series.iter().map(|one| one.name.as_str()));
    let height = legend + GAP + group_height(series) * categories.len() as i32;
    let mut svg = String::new();
    draw(&mut svg, height as u32, categories, series, number).map_err(failed)?;
    Ok(finish(&svg))
}

fn group_height(series: &[Bars]) -> i32 {
    (BAR + GAP) * series.len() as i32 + GAP * 2
}

fn draw(
    svg: &mut String,
    height: u32,
    categories: &[&str],
    series: &[Bars],
    number: fn(f64) -> String,
) -> Result<(), DrawError> {
    let root = SVGBackend::with_string(svg, (WIDTH, height)).into_drawing_area();
    let colors = || PALETTE.iter().cycle();
    let entries: Vec<Entry> =
        series.iter().zip(colors()).map(|(one, &color)| Entry { name: &one.name, style: Style::Bars, color }).collect();
    let plot = legend::draw(&root, &entries)?;
    let frame = Frame::of(categories, series, number);
    for (index, category) in categories.iter().enumerate() {
        let top = GAP + group_height(series) * index as i32;
        let bottom = top + group_height(series) - GAP * 2;
        let middle = (top + bottom - GAP) / 2;
        plot.draw(&Text::new(shortened(category, frame.left - GAP), (frame.left - GAP, middle), text_at(HPos::Right)))?;
        for (row, (one, color)) in series.iter().zip(colors()).enumerate() {
            bar(&plot, &frame, top + (BAR + GAP) * row as i32, one.values[index], *color, number)?;
        }
        plot.draw(&PathElement::new(vec![(frame.left, top - GAP), (frame.left, bottom)], GRID))?;
    }
    root.present()
}

fn bar(
    plot: &DrawingArea<SVGBackend, Shift>,
    frame: &Frame,
    top: i32,
    value: f64,
    color: RGBColor,
    number: fn(f64) -> String,
) -> Result<(), DrawError> {
    if !is_drawn(value) {
        return Ok(());
    }
    let end = frame.left + frame.length(value);
    plot.draw(&Rectangle::new([(frame.left, top), (end, top + BAR)], color.filled()))?;
    plot.draw(&Text::new(number(value), (end + GAP, top + BAR / 2), text_at(HPos::Left)))
}

fn is_drawn(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

/// The start of bars and their maximum length.
struct Frame {
    left: i32,
    longest: i32,
    largest: f64,
}

impl Frame {
    fn of(categories: &[&str], series: &[Bars], number: fn(f64) -> String) -> Self {
        let widest = |texts: &mut dyn Iterator<Item = i32>| texts.max().unwrap_or(0) + GAP * 2;
        let values = || series.iter().flat_map(|one| &one.values).copied().filter(|value| is_drawn(*value));
        let names = widest(&mut categories.iter().map(|name| text_width(name)));
        let left = names.min(WIDTH as i32 * 2 / 5);
        let numbers = widest(&mut values().map(|value| text_width(&number(value))));
        Self { left, longest: (WIDTH as i32 - left - numbers).max(1), largest: values().fold(0.0, f64::max) }
    }

    /// Pixels of a value; what is not nothing is at least one.
    fn length(&self, value: f64) -> i32 {
        match value > 0.0 {
            true => ((value / self.largest * f64::from(self.longest)).round() as i32).max(1),
            false => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(value: f64) -> String {
        format!("{:.0} %", 100.0 * value)
    }

    #[test]
    fn every_value_has_a_bar_and_a_number() {
        let series = [Bars::new("before", [0.25, 0.0]), Bars::new("after", [0.5, 1.0])];
        let svg = bar_chart(&["bad", "good"], &series, percent).unwrap();
        for text in ["before", "after", "bad", "good", "25 %", "0 %", "50 %", "100 %"] {
            assert!(svg.contains(text), "{text}");
        }
        // Four bars, and one more a series in the legend.
        assert_eq!(svg.matches("<rect").count(), 6);
        let frame = Frame::of(&["bad", "good"], &series, percent);
        assert_eq!([frame.length(0.0), frame.length(1e-9), frame.length(1.0)], [0, 1, frame.longest]);
        assert_eq!(frame.length(0.5), (f64::from(frame.longest) / 2.0).round() as i32);
    }

    #[test]
    fn hostile_values_and_names_stay_in_their_place() {
        let series = [Bars::new("", [f64::NAN, f64::INFINITY, -1.0, f64::MAX])];
        let svg = bar_chart(&["<a>", "b", "c", &"long ".repeat(50)], &series, |value| format!("{value:.0e}")).unwrap();
        assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains("<a>"));
        assert_eq!(svg.matches("<rect").count(), 1);
        assert!(svg.contains('…'));
        assert!(bar_chart(&[], &[], percent).is_err());
        assert!(bar_chart(&["a"], &[Bars::new("", [])], percent).is_err());
        assert!(bar_chart(&["a"], &[Bars::new("", [0.0])], percent).is_ok());
    }
}
