//! Series over two numeric axes: the loss of a run, curves, histograms.

use plotters::prelude::*;

use super::legend::{self, Entry};
use super::look::{DrawError, FONT_SIZE, GRID, INK, Paint, WIDTH, failed, finish, text};
use super::series::{Series, Style, stroke};
use crate::report::number::short;
use crate::{Error, Result};

const HEIGHT: u32 = 320;

/// A drawn line holds at most about this many points; longer series keep each bucket's lowest and highest.
const MAX_POINTS: usize = 2000;

/// The loss of a run: every step faint, the smoothed line bold, and the evaluation losses as dots.
///
/// # Errors
/// When no point is finite.
pub fn loss_chart(train: &[(f64, f64)], evaluation: &[(f64, f64)]) -> Result<String> {
    let mut series = vec![
        Series::new("each step", train.to_vec(), Style::Faint),
        Series::new("smoothed", smooth(train, 0.95), Style::Line),
    ];
    if !evaluation.is_empty() {
        series.push(Series::new("held out", evaluation.to_vec(), Style::Points));
    }
    line_chart("step", "loss", &series)
}

/// Exponential moving average of the y values without the pull towards zero at the start (the bias correction of
/// Adam, Kingma and Ba 2015); `weight` in 0..1 is that of the past. Points that are not finite are left out.
pub fn smooth(points: &[(f64, f64)], weight: f64) -> Vec<(f64, f64)> {
    let (mut sum, mut mass) = (0.0, 0.0);
    finite(points)
        .map(|(x, y)| {
            sum = weight * sum + (1.0 - weight) * y;
            mass = weight * mass + (1.0 - weight);
            (x, sum / mass)
        })
        .collect()
}

/// An axis: what it counts, and how its numbers are written. A label alone stands for ordinary numbers over the range
/// of what is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Axis<'a> {
    /// Its label.
    pub label: &'a str,
    /// The text of a number on it; empty where nothing is to be written.
    pub number: fn(f64) -> String,
    /// Its fixed range; points beyond are left out.
    pub range: Option<(f64, f64)>,
}

impl<'a> Axis<'a> {
    /// An axis over the range of what is drawn.
    pub const fn new(label: &'a str, number: fn(f64) -> String) -> Self {
        Self { label, number, range: None }
    }

    /// The same from `low` to `high`, whatever is drawn.
    pub const fn within(self, low: f64, high: f64) -> Self {
        Self { range: Some((low, high)), ..self }
    }
}

impl<'a> From<&'a str> for Axis<'a> {
    fn from(label: &'a str) -> Self {
        Self::new(label, short)
    }
}

/// Draws the series over shared axes, with a legend, on a transparent background.
///
/// # Errors
/// When no point of any series is finite.
pub fn line_chart<'a>(x: impl Into<Axis<'a>>, y: impl Into<Axis<'a>>, series: &[Series]) -> Result<String> {
    let (x, y) = (x.into(), y.into());
    let series: Vec<Series> = series.iter().map(|one| Series { points: visible(one, x, y), ..one.clone() }).collect();
    let points = || series.iter().flat_map(|one| one.points.iter().copied());
    let floor = series.iter().any(|one| one.style == Style::Bars).then_some(0.0);
    let heights = points().map(|p| p.1).chain(floor);
    let (Some(x_range), Some((low, high))) = (range(points().map(|p| p.0), 0.0), range(heights, 0.05)) else {
        return Err(Error::run("a chart needs at least one finite point", ""));
    };
    // Bars stand on the axis, without room below it.
    let y_range = (if floor.is_some() { low.max(0.0) } else { low }, high);
    let mut svg = String::new();
    let ranges = (x.range.unwrap_or(x_range), y.range.unwrap_or(y_range));
    draw(&mut svg, (x, y), ranges, &series).map_err(failed)?;
    Ok(finish(&svg))
}

fn draw(
    svg: &mut String,
    (x, y): (Axis, Axis),
    ((x_low, x_high), (y_low, y_high)): ((f64, f64), (f64, f64)),
    series: &[Series],
) -> Result<(), DrawError> {
    // A legend of several rows makes the picture higher, not the plot lower.
    let more = legend::height_of(series.iter().map(|one| one.name.as_str())) - legend::height_of(["one"].into_iter());
    let root = SVGBackend::with_string(svg, (WIDTH, HEIGHT + more.max(0) as u32)).into_drawing_area();
    let entries: Vec<Entry> = series
        .iter()
        .zip(colors(series))
        .map(|(one, color)| Entry { name: &one.name, style: one.style, color })
        .collect();
    let plot_area = legend::draw(&root, &entries)?;
    let mut chart = ChartBuilder::on(&plot_area)
        .margin_left(FONT_SIZE / 2)
        .margin_right(FONT_SIZE * 3 / 2)
        .margin_top(FONT_SIZE / 2)
        .x_label_area_size(FONT_SIZE * 5 / 2)
        .y_label_area_size(FONT_SIZE * 7 / 2)
        .build_cartesian_2d(x_low..x_high, y_low..y_high)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(text())
        .axis_desc_style(text())
        .x_desc(x.label)
        .y_desc(y.label)
        .x_labels(if x.range.is_some() { 6 } else { 5 })
        .y_labels(if y.range.is_some() { 6 } else { 5 })
        .x_label_formatter(&|value| (x.number)(*value))
        .y_label_formatter(&|value| (y.number)(*value))
        .draw()?;

    for (one, color) in series.iter().zip(colors(series)) {
        if one.style == Style::Bars {
            chart.draw_series(one.points.chunks_exact(2).map(|bar| {
                let mut bar = Rectangle::new([(bar[0].0, 0.0), bar[1]], color.filled());
                bar.set_margin(0, 0, 1, 1);
                bar
            }))?;
            continue;
        }
        if one.style == Style::Band {
            chart.draw_series([Polygon::new(one.points.clone(), color.mix(0.15).filled())])?;
            continue;
        }
        let line = thin_out(&one.points);
        if one.style == Style::Points {
            chart.draw_series(line.iter().map(|&point| Circle::new(point, 5, color.filled())))?;
        }
        if one.style == Style::Rings {
            chart.draw_series(line.iter().map(|&point| Circle::new(point, 5, color.stroke_width(2))))?;
        }
        chart.draw_series(LineSeries::new(line, stroke(one.style, color)))?;
    }
    root.present()
}

/// One colour a series, unless it has its own; faint ones share that of their successor.
fn colors(series: &[Series]) -> impl Iterator<Item = RGBColor> {
    series.iter().scan(0, |next, one| {
        let color = one.paint.unwrap_or(Paint::Palette(*next)).rgb();
        *next += usize::from(!matches!(one.style, Style::Faint | Style::Band) && one.paint.is_none());
        Some(color)
    })
}

/// The points that are drawn: those that are finite and on both axes; for a bar both corners or none.
fn visible(one: &Series, x: Axis, y: Axis) -> Vec<(f64, f64)> {
    let on = |value: f64, axis: Axis| axis.range.is_none_or(|(low, high)| (low..=high).contains(&value));
    let inside = |point: &(f64, f64)| finite(&[*point]).count() == 1 && on(point.0, x) && on(point.1, y);
    let corners = if one.style == Style::Bars { 2 } else { 1 };
    one.points.chunks_exact(corners).filter(|points| points.iter().all(inside)).flatten().copied().collect()
}

fn finite(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> {
    points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite())
}

/// Lowest and highest value with a margin; a single value gets some room so that the axis has a length.
fn range(values: impl Iterator<Item = f64>, margin: f64) -> Option<(f64, f64)> {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high {
        return None;
    }
    let room = if high > low { margin * (high - low) } else { low.abs().max(1.0) * 0.5 };
    Some((low - room, high + room))
}

/// The lowest and the highest point of each bucket, in their order, so that spikes survive.
fn thin_out(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= MAX_POINTS {
        return points.to_vec();
    }
    let by_y = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
    points
        .chunks(points.len().div_ceil(MAX_POINTS / 2))
        .flat_map(|bucket| {
            let (low, high) = (bucket.iter().min_by(by_y), bucket.iter().max_by(by_y));
            let mut pair: Vec<_> = low.into_iter().chain(high).copied().collect();
            pair.sort_by(|a, b| a.0.total_cmp(&b.0));
            pair
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_chart_draws_every_series_and_names_it() {
        let train: Vec<_> = (1..=50).map(|step| (f64::from(step), 1.0 / f64::from(step))).collect();
        let svg = loss_chart(&train, &[(25.0, 0.3), (50.0, 0.2)]).unwrap();
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
        assert!(svg.contains("viewBox=") && svg.contains("prefers-color-scheme: dark"));
        for name in ["each step", "smoothed", "held out", "step", "loss"] {
            assert!(svg.contains(name), "{name}");
        }
        // Two dots, and one more in the legend.
        assert_eq!(svg.matches("<circle").count(), 3);
        // The dark rules only work while their selectors match what was drawn.
        assert!(svg.matches("fill=\"#333840\"").count() > 5 && svg.matches("stroke=\"#D6DAE0\"").count() > 2);
    }

    #[test]
    fn hostile_values_are_left_out() {
        let svg = loss_chart(&[(1.0, f64::NAN), (2.0, 0.5), (3.0, f64::INFINITY)], &[]).unwrap();
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
        assert!(loss_chart(&[(1.0, f64::NAN)], &[]).is_err());
        assert!(loss_chart(&[], &[]).is_err());
    }

    #[test]
    fn names_are_escaped() {
        let svg = line_chart("x", "y", &[Series::new("a<b&c", vec![(0.0, 0.0)], Style::Line)]).unwrap();
        assert!(svg.contains("a&lt;b&amp;c") && !svg.contains("a<b"));
    }

    #[test]
    fn smoothing_starts_at_the_first_value_and_follows() {
        let smoothed = smooth(&[(0.0, 4.0), (1.0, f64::NAN), (2.0, 0.0)], 0.5);
        assert_eq!(smoothed[0], (0.0, 4.0));
        // (0.5·(0.5·4) + 0.5·0) / (0.5·0.5 + 0.5)
        assert!((smoothed[1].1 - 4.0 / 3.0).abs() < 1e-12);
        assert_eq!(smoothed.len(), 2);
    }

    #[test]
    fn thinning_keeps_the_spike() {
        let mut points: Vec<_> = (0..100_000).map(|i| (f64::from(i), 1.0)).collect();
        points[54_321].1 = 9.0;
        let thin = thin_out(&points);
        assert!(thin.len() <= MAX_POINTS);
        assert!(thin.contains(&(54_321.0, 9.0)));
        assert!(thin.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    }

    #[test]
    fn a_fixed_axis_stays_where_it_is() {
        let share = |label| Axis::new(label, |value| format!("<{value:.1}>")).within(0.0, 1.0);
        let points = vec![(0.4, 0.5), (0.5, 0.6), (0.6, 1.5), (-0.1, 0.2)];
        let svg =
            line_chart(share("confidence"), share("accuracy"), &[Series::new("", points, Style::Points)]).unwrap();
        for end in ["&lt;0.0&gt;", "&lt;1.0&gt;"] {
            assert_eq!(svg.matches(end).count(), 2, "{end} on both axes");
        }
        assert_eq!(svg.matches("<circle").count(), 2, "what is beyond is left out");
        assert!(line_chart(share("x"), share("y"), &[Series::new("", vec![(2.0, 2.0)], Style::Line)]).is_err());
    }

    #[test]
    fn a_given_colour_takes_none_from_the_others() {
        let points = || vec![(0.0, 0.0), (1.0, 1.0)];
        let all = [
            Series::new("chance", points(), Style::Faint).paint(Paint::Ink),
            Series::new("second", points(), Style::Line).paint(Paint::Palette(1)),
            Series::new("band", points(), Style::Band),
            Series::new("first", points(), Style::Line),
        ];
        let expected = [Paint::Ink, Paint::Palette(1), Paint::Palette(0), Paint::Palette(0)].map(Paint::rgb);
        assert!(colors(&all).eq(expected));
        assert!(line_chart("x", "y", &all).unwrap().contains("<polygon"));
    }

    #[test]
    fn bars_stand_on_the_axis() {
        let outline = crate::report::chart::outline(-1.0, 1.0, &[5, 0, 15]);
        let bars = Series::new("", outline, Style::Bars);
        let limit = Series::new("limit", vec![(0.5, 0.0), (0.5, 0.75)], Style::Line);
        let svg = line_chart("cosine", Axis::new("share", |y| format!("{y:.2}!")), &[bars, limit]).unwrap();
        assert_eq!(svg.matches("<rect").count(), 3);
        let below_zero = svg.lines().any(|line| line.starts_with('-') && line.contains('!'));
        assert!(svg.contains("0.00!") && !below_zero && svg.contains("limit"));
    }
}
