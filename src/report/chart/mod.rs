//! Charts as SVG, readable on light and dark pages.
//!
//! [`line_chart`] draws named series over two axes of numbers: curves, points, and the bars of a [`histogram()`].
//! [`bar_chart`] sets named values side by side, [`interval_chart`] adds confidence intervals, [`dot_chart`] shows a
//! few numbers for each name with mean and spread, and [`ridge_chart`] compares histograms. Screen readers get the
//! caption of a chart; set a table beside it.

mod bars;
mod dots;
mod histogram;
mod intervals;
mod legend;
mod lines;
mod look;
mod ridges;
mod rows;
mod series;

pub use bars::{Bars, bar_chart};
pub use dots::{Dots, dot_chart};
pub use histogram::{histogram, outline};
pub use intervals::{Dot, interval_chart};
pub use lines::{Axis, line_chart, loss_chart, smooth};
pub use look::Paint;
pub use ridges::ridge_chart;
pub use series::{Series, Style};
