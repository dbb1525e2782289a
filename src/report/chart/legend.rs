//! Names in their colours above the plot, where they cannot hide anything.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::look::{DrawError, FONT_SIZE, WIDTH, text_at, text_width};
use super::series::{Style, stroke};

/// Height of a row.
const ROW: i32 = FONT_SIZE as i32 * 5 / 4;
/// Width of the sample before a name.
const SAMPLE: i32 = 24;

/// A name with the sample that stands before it; without a name there is no entry.
pub(super) struct Entry<'a> {
    pub name: &'a str,
    pub style: Style,
    pub color: RGBColor,
}

/// Draws the legend at the top of `area` and returns what is left below.
pub(super) fn draw<'a>(
    area: &DrawingArea<SVGBackend<'a>, Shift>,
    entries: &[Entry],
) -> Result<DrawingArea<SVGBackend<'a>, Shift>, DrawError> {
    let places = layout(entries.iter().map(|entry| entry.name));
    let (legend, rest) = area.split_vertically(height(&places));
    for (entry, place) in entries.iter().zip(places) {
        let Some((x, y)) = place else { continue };
        match entry.style {
            Style::Bars => legend.draw(&Rectangle::new([(x + 6, y - 8), (x + 22, y + 8)], entry.color.filled()))?,
            style => legend.draw(&PathElement::new(vec![(x, y), (x + SAMPLE, y)], stroke(style, entry.color)))?,
        }
        if entry.style == Style::Rings {
            legend.draw(&Circle::new((x + SAMPLE / 2, y), 5, entry.color.stroke_width(2)))?;
        }
        if entry.style == Style::Points {
            legend.draw(&Circle::new((x + SAMPLE / 2, y), 5, entry.color.filled()))?;
        }
        legend.draw(&Text::new(entry.name.to_owned(), (x + SAMPLE + 6, y), text_at(HPos::Left)))?;
    }
    Ok(rest)
}

/// Height of the legend of these names.
pub(super) fn height_of<'a>(names: impl Iterator<Item = &'a str>) -> i32 {
    height(&layout(names))
}

fn height(places: &[Option<(i32, i32)>]) -> i32 {
    places.iter().flatten().next_back().map_or(0, |last| last.1 + ROW * 3 / 4)
}

/// The position of each entry (x, and the middle of its row): left to right, on as many rows as needed.
fn layout<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Option<(i32, i32)>> {
    let left = FONT_SIZE as i32;
    let (mut x, mut y) = (left, ROW * 2 / 3);
    names
        .map(|name| {
            if name.is_empty() {
                return None;
            }
            let width = SAMPLE + 6 + text_width(name);
            if x > left && x + width > WIDTH as i32 {
                (x, y) = (left, y + ROW);
            }
            let place = (x, y);
            x += width + FONT_SIZE as i32;
            Some(place)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_legend_takes_more_rows() {
        let names: Vec<_> = (0..8).map(|i| format!("series number {i}")).collect();
        let places: Vec<_> = layout(names.iter().map(String::as_str)).into_iter().flatten().collect();
        assert!(places.last().unwrap().1 > places[0].1);
        assert!(places.iter().all(|&(x, _)| x < WIDTH as i32 - 100));
    }

    #[test]
    fn what_has_no_name_takes_no_room() {
        assert_eq!(layout(["", "named"].into_iter())[0], None);
        assert_eq!(layout(["", "named"].into_iter())[1], layout(["named"].into_iter())[0]);
        assert_eq!(height_of([""].into_iter()), 0);
    }
}
