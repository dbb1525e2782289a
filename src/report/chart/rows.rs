//! A common axis with one row per name. Names are on lines of their own, so that long ones fit on a narrow screen.

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::lines::Axis;
use super::look::{DrawError, FONT_SIZE, GRID, INK, WIDTH, finish, shortened, text, text_at, text_width};

/// Height of a row's name.
const NAME: f64 = FONT_SIZE as f64 * 1.2;
/// Room below a row.
const GAP: f64 = FONT_SIZE as f64 * 0.5;
/// Height of the axis below the rows.
const AXIS: u32 = FONT_SIZE * 5 / 2;

/// The rows as marks are drawn into them: x as the axis has it, y in pixels from the bottom.
pub(super) type Canvas<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Draws names, on the left, with their notes, on the right, and lets `mark` draw the marks below each: it gets the
/// number of the row and the y of the bottom of its marks, which are `height` pixels high.
pub(super) fn draw(
    x: Axis,
    (low, high): (f64, f64),
    height: u32,
    rows: &[(&str, String)],
    mut mark: impl FnMut(&mut Canvas, usize, f64) -> Result<(), DrawError>,
) -> Result<String, DrawError> {
    let row = NAME + f64::from(height) + GAP;
    let total = row * rows.len() as f64;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (WIDTH, total as u32 + AXIS)).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin_left(FONT_SIZE / 2)
            .margin_right(FONT_SIZE * 3 / 2)
            .x_label_area_size(AXIS)
            .build_cartesian_2d(low..high, 0.0..total)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .y_labels(0)
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(INK)
            .label_style(text())
            .axis_desc_style(text())
            .x_desc(x.label)
            .x_labels(5)
            .x_label_formatter(&|value| (x.number)(*value))
            .draw()?;
        for (place, (name, said)) in rows.iter().enumerate() {
            let top = total - row * place as f64;
            let middle = top - NAME / 2.0;
            let room = (WIDTH - FONT_SIZE * 5 / 2) as i32 - text_width(said);
            chart.draw_series([
                Text::new(shortened(name, room), (low, middle), text_at(HPos::Left)),
                Text::new(said.clone(), (high, middle), text_at(HPos::Right)),
            ])?;
            mark(&mut chart, place, top - NAME - f64::from(height))?;
        }
        root.present()?;
    }
    Ok(finish(&svg))
}
