//! Series of points, and their styles.

use plotters::prelude::*;

use super::look::Paint;

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A thick line.
    Line,
    /// A thin faint line that takes the colour of the series after it: raw values behind their smoothed line.
    Faint,
    /// A dot a point, joined by a thin line.
    Points,
    /// A ring a point, joined by a faint line: what [`Style::Points`] were before.
    Rings,
    /// A bar from 0 for every two points, the upper corners of it: a [`histogram`](super::histogram()).
    Bars,
    /// A faint area that takes the colour of the series after it: out along its lower edge, back along the upper one.
    Band,
}

/// A named series of (x, y); points that are not finite are left out.
#[derive(Clone, Debug)]
pub struct Series {
    /// Its name in the legend; empty for no entry.
    pub name: String,
    /// The points, x rising.
    pub points: Vec<(f64, f64)>,
    /// How it is drawn.
    pub style: Style,
    /// Its colour; the next of the palette unless it is given.
    pub paint: Option<Paint>,
}

impl Series {
    /// A series to draw.
    pub fn new(name: impl Into<String>, points: Vec<(f64, f64)>, style: Style) -> Self {
        Self { name: name.into(), points, style, paint: None }
    }

    /// The same in a colour of its own.
    pub fn paint(self, paint: Paint) -> Self {
        Self { paint: Some(paint), ..self }
    }
}

/// The line of a series, in the plot and in the legend.
pub(super) fn stroke(style: Style, color: RGBColor) -> ShapeStyle {
    match style {
        Style::Line => color.stroke_width(3),
        Style::Faint | Style::Rings => color.mix(0.45).stroke_width(1),
        Style::Points | Style::Bars | Style::Band => color.stroke_width(1),
    }
}
