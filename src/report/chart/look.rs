//! Shared by all charts: text, colours, short numbers, and the switch to dark pages.

use plotters::prelude::*;
use plotters::style::TextStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::Error;

/// Few pixels and large text, so that the text stays readable when a phone shrinks the picture to its width.
pub(super) const WIDTH: u32 = 560;
/// See [`WIDTH`].
pub(super) const FONT_SIZE: u32 = 22;
const FONT: &str = "sans-serif";

/// The colours of text and grid; [`finish`] gives them a dark twin by these very values.
pub(super) const INK: RGBColor = RGBColor(0x33, 0x38, 0x40);
/// See [`INK`].
pub(super) const GRID: RGBColor = RGBColor(0xd6, 0xda, 0xe0);
const INK_DARK: &str = "#D5DAE1";
const GRID_DARK: &str = "#3A4048";

/// Mid-tones that stand out on white and on near-black, and differ for colour-blind eyes (after Okabe and Ito).
pub(super) const PALETTE: [RGBColor; 6] = [
    RGBColor(0x2b, 0x83, 0xc6),
    RGBColor(0xdd, 0x6b, 0x20),
    RGBColor(0x1a, 0x9c, 0x76),
    RGBColor(0xc2, 0x6a, 0xa5),
    RGBColor(0xc0, 0x8c, 0x1a),
    RGBColor(0x8a, 0x7f, 0xd6),
];

/// The colour of something drawn. The same thing keeps its colour from chart to chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// One of the palette, which starts over after its last.
    Palette(usize),
    /// The colour of text: what others are compared with.
    Ink,
    /// The colour of the grid: what stays in the background.
    Grid,
}

impl Paint {
    /// The colour on light pages; ink and grid change with the scheme, the palette does not.
    pub(super) fn rgb(self) -> RGBColor {
        match self {
            Self::Palette(place) => PALETTE[place % PALETTE.len()],
            Self::Ink => INK,
            Self::Grid => GRID,
        }
    }

    /// The colour as style sheets write it, for keys outside of charts.
    pub fn css(self) -> String {
        hex(self.rgb())
    }
}

fn hex(color: RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", color.0, color.1, color.2)
}

pub(super) type DrawError = DrawingAreaErrorKind<std::io::Error>;

/// The error of a chart that the drawing library refuses.
pub(super) fn failed(error: DrawError) -> Error {
    Error::run(format!("the chart could not be drawn: {error}"), "")
}

/// Text of a chart.
pub(super) fn text<'a>() -> TextStyle<'a> {
    (FONT, FONT_SIZE).into_font().color(&INK)
}

/// Text that begins or ends at its place, with its middle on the line.
pub(super) fn text_at<'a>(side: HPos) -> TextStyle<'a> {
    text().pos(Pos::new(side, VPos::Center))
}

/// Pixels that a text takes. Without font files this is a guess, on the wide side of sans-serif text; the backend sets
/// a font of this size in letters of 0.8 times its height.
pub(super) fn text_width(text: &str) -> i32 {
    let em = FONT_SIZE as i32;
    text.chars().map(|c| if c >= '\u{2e80}' { em * 17 / 20 } else { em * 9 / 20 }).sum()
}

/// The beginning of a name that would take more than `width` pixels.
pub(super) fn shortened(name: &str, width: i32) -> String {
    let mut shown = name.to_owned();
    while text_width(&shown) > width && !shown.is_empty() {
        shown.pop();
    }
    if shown.len() < name.len() {
        shown.pop();
        shown.push('…');
    }
    shown
}

/// Lets the picture follow the reader's colour scheme: the fixed text and grid colours get a dark twin.
pub(super) fn finish(svg: &str) -> String {
    let (ink, grid) = (hex(INK), hex(GRID));
    let style = format!(
        "<style>@media (prefers-color-scheme: dark) {{\n\
         svg [fill=\"{ink}\"] {{ fill: {INK_DARK} }}\n\
         svg [stroke=\"{ink}\"] {{ stroke: {INK_DARK} }}\n\
         svg [fill=\"{grid}\"] {{ fill: {GRID_DARK} }}\n\
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
    fn colours_have_names_that_style_sheets_know() {
        assert_eq!((Paint::Palette(1).css(), Paint::Ink.css()), ("#DD6B20".into(), "#333840".into()));
        assert_eq!(Paint::Palette(PALETTE.len()).css(), Paint::Palette(0).css());
    }

    #[test]
    fn long_names_lose_their_end() {
        assert_eq!(shortened("short", 100), "short");
        let name = "满意".repeat(50);
        let shown = shortened(&name, 200);
        assert!(shown.ends_with('…') && text_width(&shown) <= 210 && name.starts_with(shown.trim_end_matches('…')));
    }

    #[test]
    fn ideographs_are_wide() {
        assert!(text_width("满意") > text_width("abc"));
    }
}
