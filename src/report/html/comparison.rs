//! Tables that set named things side by side, with a line of detail below a number, such as its interval.

use std::fmt::Write as _;

use super::table::{is_number, number_class};
use super::{Page, escape};
use crate::report::chart::Paint;

/// The name of a row or a column.
#[derive(Clone, Debug, Default)]
pub struct Name {
    /// The name.
    pub text: String,
    /// A smaller line below it; may be empty.
    pub detail: String,
    /// The colour that it has in charts.
    pub paint: Option<Paint>,
    /// How far it is indented: a part of the row above it.
    pub depth: usize,
}

impl Name {
    /// A plain name.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    fn html(&self) -> String {
        let key = self.paint.map_or_else(String::new, key);
        // Names of models are long and have no spaces.
        let text = escape(&self.text).replace('_', "_<wbr>").replace('/', "/<wbr>");
        format!("{key}{text}{}", detail(&self.detail))
    }
}

/// A cell.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// Its text; aligned right if it is a number.
    pub text: String,
    /// A smaller line below it; may be empty.
    pub detail: String,
}

impl Cell {
    /// A cell without detail.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), detail: String::new() }
    }
}

/// A row of a comparison.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: Name,
    /// One cell for each column.
    pub cells: Vec<Cell>,
}

impl Page {
    /// A table with a name before each row and above each column; `corner` says what the rows are. On narrow screens it
    /// scrolls by itself, also from the keyboard, and the names of rows stay in sight.
    pub fn comparison(&mut self, caption: &str, corner: &str, columns: &[Name], rows: &[Row]) -> &mut Self {
        self.open_table(" class=\"comparison\"", caption);
        let _ = write!(self.body, "<th scope=\"col\">{}</th>", escape(corner));
        for (place, column) in columns.iter().enumerate() {
            let numeric = !rows.is_empty()
                && rows.iter().all(|row| row.cells.get(place).is_some_and(|cell| is_number(&cell.text)));
            let _ = write!(self.body, "<th scope=\"col\"{}>{}</th>", number_class(numeric), column.html());
        }
        self.body.push_str("</tr></thead>\n<tbody>\n");
        for Row { name, cells } in rows {
            let indent = match name.depth {
                0 => String::new(),
                depth => format!(" style=\"padding-left:{}rem\"", depth.min(4)),
            };
            let _ = write!(self.body, "<tr><th scope=\"row\"{indent}>{}</th>", name.html());
            for cell in cells {
                let class = number_class(is_number(&cell.text));
                let _ = write!(self.body, "<td{class}>{}{}</td>", escape(&cell.text), detail(&cell.detail));
            }
            self.body.push_str("</tr>\n");
        }
        self.foot()
    }
}

fn detail(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" <small>{}</small>", escape(text)) }
}

/// A spot in the colour of something, which its name follows.
fn key(paint: Paint) -> String {
    let color = if paint == Paint::Ink { "var(--ink)".to_owned() } else { paint.css() };
    // A letter, so that no line breaks between it and the name.
    format!("<span class=\"key\" aria-hidden=\"true\" style=\"color:{color}\">●</span>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_details_are_in_their_place() {
        let columns = [Name { paint: Some(Paint::Palette(0)), ..Name::new("<m>") }, Name::new("baseline")];
        let cell = Cell { detail: "57.1 to <67.4>".into(), ..Cell::new("62.3 %") };
        let name = Name { depth: 1, detail: "350 pairs".into(), ..Name::new("part_a & parcel") };
        let mut page = Page::new("page");
        page.comparison("Results", "part", &columns, &[Row { name, cells: vec![cell, Cell::new("–")] }]);
        let html = page.render();
        assert!(html.contains("<caption>Results</caption>") && html.contains("<th scope=\"col\">part</th>"));
        assert!(html.contains("style=\"color:#2B83C6\">●</span>&lt;m&gt;</th>"));
        assert!(html.contains("style=\"padding-left:1rem\">part_<wbr>a &amp; parcel <small>350 pairs</small></th>"));
        assert!(html.contains("<td class=\"number\">62.3 % <small>57.1 to &lt;67.4&gt;</small></td>"));
    }
}
