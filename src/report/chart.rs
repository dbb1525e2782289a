//! Line charts as SVG, readable on light and dark pages: the loss of a run, or any named series.

use crate::{Error, Result};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Few pixels and large text, so that the text stays readable when a phone shrinks the picture to its width.
const SIZE: (u32, u32) = (560, 350);
const FONT_SIZE: u32 = 22;
const FONT: &str = "sans-serif";

/// The colours of text and grid; [`finish`] gives them a dark twin by these very values.
const INK: RGBColor = RGBColor(0x33, 0x38, 0x40);
const GRID: RGBColor = RGBColor(0xd6, 0xda, 0xe0);
const INK_DARK: &str = "#D5DAE1";
const GRID_DARK: &str = "#3A4048";

/// Mid-tones that stand out on white and on near-black, and differ for colour-blind eyes (after Okabe and Ito).
const PALETTE: [RGBColor; 6] = [
    RGBColor(0x2b, 0x83, 0xc6),
    RGBColor(0xdd, 0x6b, 0x20),
    RGBColor(0x1a, 0x9c, 0x76),
    RGBColor(0xc2, 0x6a, 0xa5),
    RGBColor(0xc0, 0x8c, 0x1a),
    RGBColor(0x8a, 0x7f, 0xd6),
];

/// A drawn line holds at most about this many points; longer series keep each bucket's lowest and highest.
const MAX_POINTS: usize = 2000;

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A thick line.
    Line,
    /// A thin faint line that takes the colour of the series after it: raw values behind their smoothed line.
    Faint,
    /// A dot a point, joined by a thin line.
    Points,
}

/// A named series of (x, y); points that are not finite are left out.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// The points, x rising.
    pub points: Vec<(f64, f64)>,
    /// How it is drawn.
    pub style: Style,
}

impl Series {
    /// A series to draw.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>, style: Style) -> Self {
        Self { name: name.into(), points, style }
    }
}

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

/// The outline of a histogram over `low..high`: two points a bin, y the share of the values. Values outside are
/// counted in the end bins, NaN nowhere. Empty when there is nothing to count.
pub fn histogram(values: &[f64], low: f64, high: f64, bins: usize) -> Vec<(f64, f64)> {
    let mut counts = vec![0u64; bins];
    for value in values.iter().filter(|v| !v.is_nan()) {
        // `as` saturates, so far-off values land in the end bins.
        let bin = ((value - low) / (high - low) * bins as f64) as usize;
        if let Some(last) = bins.checked_sub(1) {
            counts[bin.min(last)] += 1;
        }
    }
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return Vec::new();
    }
    let edge = |bin: usize| low + (high - low) * bin as f64 / bins as f64;
    counts
        .iter()
        .enumerate()
        .flat_map(|(bin, &count)| {
            let share = count as f64 / total as f64;
            [(edge(bin), share), (edge(bin + 1), share)]
        })
        .collect()
}

/// Draws the series over shared axes, with a legend, on a transparent background.
///
/// # Errors
/// When no point of any series is finite.
pub fn line_chart(x_label: &str, y_label: &str, series: &[Series]) -> Result<String> {
    let points = || series.iter().flat_map(|s| finite(&s.points));
    let (Some(x_range), Some(y_range)) = (range(points().map(|p| p.0), 0.0), range(points().map(|p| p.1), 0.05)) else {
        return Err(Error::run("a chart needs at least one finite point", ""));
    };
    let mut svg = String::new();
    draw(&mut svg, (x_label, y_label), x_range, y_range, series)
        .map_err(|error| Error::run(format!("the chart could not be drawn: {error}"), ""))?;
    Ok(finish(&svg))
}

type DrawError = DrawingAreaErrorKind<std::io::Error>;

fn draw(
    svg: &mut String,
    (x_label, y_label): (&str, &str),
    (x_low, x_high): (f64, f64),
    (y_low, y_high): (f64, f64),
    series: &[Series],
) -> Result<(), DrawError> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let text = (FONT, FONT_SIZE).into_font().color(&INK);
    let legend = legend_layout(series);
    let (legend_area, plot_area) = root.split_vertically(legend.last().map_or(0, |last| last.1) + LEGEND_ROW / 2);
    draw_legend(&legend_area, series, &legend)?;

    let mut chart = ChartBuilder::on(&plot_area)
        .margin_left(FONT_SIZE / 2)
        .margin_right(FONT_SIZE)
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
        .label_style(text.clone())
        .axis_desc_style(text)
        .x_desc(x_label)
        .y_desc(y_label)
        .x_labels(5)
        .y_labels(5)
        .x_label_formatter(&|value| tick(*value))
        .y_label_formatter(&|value| tick(*value))
        .draw()?;

    for (one, color) in series.iter().zip(colors(series)) {
        let line = thin_out(&finite(&one.points).collect::<Vec<_>>());
        if one.style == Style::Points {
            chart.draw_series(line.iter().map(|&point| Circle::new(point, 5, color.filled())))?;
        }
        chart.draw_series(LineSeries::new(line, stroke(one.style, color)))?;
    }
    root.present()
}

/// Height of a row of the legend.
const LEGEND_ROW: i32 = FONT_SIZE as i32 * 5 / 4;

/// Where each series' legend entry starts (x, and the middle of its row): left to right, on as many rows as it takes.
fn legend_layout(series: &[Series]) -> Vec<(i32, i32)> {
    let left = FONT_SIZE as i32 * 2;
    let (mut x, mut y) = (left, LEGEND_ROW * 2 / 3);
    series
        .iter()
        .map(|one| {
            // Without font files widths are a guess, on the wide side of sans-serif text.
            let width = LEGEND_TEXT + (one.name.chars().count() as i32 + 2) * FONT_SIZE as i32 * 9 / 20;
            if x > left && x + width > SIZE.0 as i32 {
                (x, y) = (left, y + LEGEND_ROW);
            }
            let place = (x, y);
            x += width;
            place
        })
        .collect()
}

/// Offset of a name from its sample line.
const LEGEND_TEXT: i32 = 30;

/// Names in their colours above the plot, where they cannot hide a line.
fn draw_legend(
    area: &DrawingArea<SVGBackend, plotters::coord::Shift>,
    series: &[Series],
    layout: &[(i32, i32)],
) -> Result<(), DrawError> {
    let text = (FONT, FONT_SIZE).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
    for ((one, color), &(x, y)) in series.iter().zip(colors(series)).zip(layout) {
        area.draw(&PathElement::new(vec![(x, y), (x + 24, y)], stroke(one.style, color)))?;
        if one.style == Style::Points {
            area.draw(&Circle::new((x + 12, y), 5, color.filled()))?;
        }
        area.draw(&Text::new(one.name.clone(), (x + LEGEND_TEXT, y), text.clone()))?;
    }
    Ok(())
}

/// The line of a series, in the plot and in the legend.
fn stroke(style: Style, color: RGBColor) -> ShapeStyle {
    match style {
        Style::Line => color.stroke_width(3),
        Style::Faint => color.mix(0.45).stroke_width(1),
        Style::Points => color.stroke_width(1),
    }
}

/// One colour a series; a faint one shares that of its successor.
fn colors(series: &[Series]) -> impl Iterator<Item = RGBColor> {
    series.iter().scan(0, |next, one| {
        let color = PALETTE[*next % PALETTE.len()];
        *next += usize::from(one.style != Style::Faint);
        Some(color)
    })
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

/// A short number: `0.25`, `1200`, `2.5M`, `1e-5`.
fn tick(value: f64) -> String {
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

/// Lets the picture follow the reader's colour scheme: the fixed text and grid colours get a dark twin.
fn finish(svg: &str) -> String {
    let hex = |color: RGBColor| format!("#{:02X}{:02X}{:02X}", color.0, color.1, color.2);
    let (ink, grid) = (hex(INK), hex(GRID));
    let style = format!(
        "<style>@media (prefers-color-scheme: dark) {{\n\
         svg [fill=\"{ink}\"] {{ fill: {INK_DARK} }}\n\
         svg [stroke=\"{ink}\"] {{ stroke: {INK_DARK} }}\n\
         svg [stroke=\"{grid}\"] {{ stroke: {GRID_DARK} }}\n}}</style>\n"
    );
    match svg.find(">\n") {
        Some(end_of_tag) => format!("{}{style}{}", &svg[..end_of_tag + 2], &svg[end_of_tag + 2..]),
        None => svg.to_owned(),
    }
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
    fn a_long_legend_takes_more_rows() {
        let series: Vec<_> = (0..8).map(|i| Series::new(format!("series number {i}"), vec![], Style::Line)).collect();
        let layout = legend_layout(&series);
        assert!(layout.last().unwrap().1 > layout[0].1);
        assert!(layout.iter().all(|&(x, _)| x < SIZE.0 as i32 - 100));
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
    fn histogram_counts_every_value_once() {
        let outline = histogram(&[1.0, 1.4, 2.6, 4.0, 9.0, f64::NAN], 1.0, 4.0, 3);
        assert_eq!(outline, [(1.0, 0.4), (2.0, 0.4), (2.0, 0.2), (3.0, 0.2), (3.0, 0.4), (4.0, 0.4)]);
        assert!(histogram(&[], 1.0, 4.0, 3).is_empty());
        assert!(histogram(&[1.0], 1.0, 4.0, 0).is_empty());
    }

    #[test]
    fn ticks_are_short() {
        let ticks = [0.0, 0.25, 1200.0, 20_000.0, 2.5e6, 1e-5, -0.5].map(tick);
        assert_eq!(ticks, ["0", "0.25", "1200", "20k", "2.5M", "1e-5", "-0.5"]);
    }
}
