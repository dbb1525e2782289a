//! Histograms stacked over one axis, to see how groups differ.

use plotters::prelude::*;

use super::lines::Axis;
use super::look::{FONT_SIZE, GRID, Paint, failed};
use super::rows::{self, Canvas};
use crate::report::number::count;
use crate::{Error, Result};

/// Height of the highest bar.
const HEIGHT: u32 = FONT_SIZE * 5 / 2;

/// Draws a histogram for each group: its name, and how many it has in each bin between the `edges`, of which there is
/// one more. Each group is scaled to its own highest bar: its count is beside its name, and its shape is visible even
/// if it is small.
///
/// # Errors
/// When there is no group, nothing was counted, or a group has another number of bins.
pub fn ridge_chart<'a>(
    x: impl Into<Axis<'a>>,
    edges: &[f64],
    groups: &[(String, Vec<u64>)],
    paint: Paint,
) -> Result<String> {
    let x = x.into();
    let totals: Vec<f64> = groups.iter().map(|(_, counts)| counts.iter().map(|&n| n as f64).sum()).collect();
    let bins_fit = groups.iter().all(|(_, counts)| counts.len() + 1 == edges.len());
    let shares = |place: usize| groups[place].1.iter().map(move |&n| n as f64).zip(std::iter::repeat(totals[place]));
    let share = |(number, total): (f64, f64)| if total > 0.0 { number / total } else { 0.0 };
    let highest = |place: usize| shares(place).map(share).fold(0.0, f64::max);
    let any = (0..groups.len()).any(|place| highest(place) > 0.0);
    let (Some(&low), Some(&high), true, true) = (edges.first(), edges.last(), bins_fit, any) else {
        return Err(Error::run("histograms need at least one count in their bins", ""));
    };
    let rows = |counts: &[u64]| count(counts.iter().fold(0, |sum: u64, &n| sum.saturating_add(n)));
    let names: Vec<(&str, String)> = groups.iter().map(|group| (group.0.as_str(), rows(&group.1))).collect();
    let mark = |canvas: &mut Canvas, place: usize, bottom: f64| {
        let highest = highest(place);
        let bars = shares(place).map(share).zip(edges.windows(2)).filter(|(share, _)| *share > 0.0);
        canvas.draw_series(bars.map(|(share, edges)| {
            let top = bottom + (share / highest * f64::from(HEIGHT)).max(1.0);
            let mut bar = Rectangle::new([(edges[0], bottom), (edges[1], top)], paint.rgb().filled());
            bar.set_margin(0, 0, 1, 1);
            bar
        }))?;
        canvas.draw_series(LineSeries::new([(low, bottom), (high, bottom)], GRID.stroke_width(1)))?;
        Ok(())
    };
    rows::draw(x, (low, high), HEIGHT, &names, mark).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_fills_its_row() {
        let groups = [("level 1".to_owned(), vec![1, 0, 3]), ("<b>".to_owned(), vec![0, 0, 400])];
        let svg = ridge_chart("score", &[1.0, 2.0, 3.0, 4.0], &groups, Paint::Palette(0)).unwrap();
        let heights: Vec<&str> = svg.split("<rect").skip(1).filter_map(|bar| bar.split('"').nth(7)).collect();
        assert_eq!(heights.len(), 3, "empty bins have no bar");
        let heights: Vec<f64> = heights.iter().map(|height| height.parse().unwrap()).collect();
        assert!((heights[0] * 3.0 - heights[1]).abs() < 4.0 && (heights[1] - heights[2]).abs() < 2.0, "{heights:?}");
        assert!(svg.contains("&lt;b&gt;") && !svg.contains("<b>") && svg.contains("400") && svg.contains("score"));
    }

    #[test]
    fn nothing_counted_is_an_error() {
        let group = |counts: &[u64]| ("a".to_owned(), counts.to_vec());
        for (edges, groups) in [
            (&[0.0, 1.0][..], vec![]),
            (&[0.0, 1.0], vec![group(&[0])]),
            (&[0.0, 1.0], vec![group(&[1, 2])]),
            (&[], vec![group(&[])]),
        ] {
            assert!(ridge_chart("x", edges, &groups, Paint::Ink).is_err());
        }
        assert!(ridge_chart("x", &[0.0, 1.0], &[group(&[u64::MAX])], Paint::Ink).is_ok());
    }
}
