//! Tables, and tables with a bar in each row.

use std::fmt::Write as _;

use super::{Page, escape};

/// A row of a table with bars: the bar stands under the name.
#[derive(Clone, Debug)]
pub struct Count {
    /// The counted quantity.
    pub name: String,
    /// The length of the bar, as a share of the longest possible; clamped to 0..1.
    pub share: f64,
    /// The cells after the name.
    pub cells: Vec<String>,
}

impl Page {
    /// A table; cells that read as numbers are set to the right. On narrow screens it scrolls by itself, also from the
    /// keyboard.
    pub fn table(&mut self, caption: &str, headers: &[&str], rows: &[Vec<String>]) -> &mut Self {
        self.head("", caption, headers, |column| {
            !rows.is_empty() && rows.iter().all(|row| row.get(column).is_some_and(|cell| is_number(cell)))
        });
        for row in rows {
            self.body.push_str("<tr>");
            self.cells(row);
            self.body.push_str("</tr>\n");
        }
        self.foot()
    }

    /// A table of named counts, each with a bar; `headers` are those of the name and of the cells after it.
    pub fn counts(&mut self, caption: &str, headers: &[&str], rows: &[Count]) -> &mut Self {
        self.head(" class=\"counts\"", caption, headers, |column| column > 0);
        for Count { name, share, cells } in rows {
            let _ = write!(self.body, "<tr><th scope=\"row\">{}", escape(name));
            // A value that is not a number has no bar.
            let percent = if share.is_finite() { 100.0 * share.clamp(0.0, 1.0) } else { 0.0 };
            if percent > 0.0 {
                let _ = write!(self.body, "<span class=\"bar\" style=\"width:{percent:.2}%\"></span>");
            }
            self.body.push_str("</th>");
            self.cells(cells);
            self.body.push_str("</tr>\n");
        }
        self.foot()
    }

    fn head(&mut self, class: &str, caption: &str, headers: &[&str], is_numeric: impl Fn(usize) -> bool) {
        self.open_table(class, caption);
        for (column, header) in headers.iter().enumerate() {
            let class = number_class(is_numeric(column));
            let _ = write!(self.body, "<th scope=\"col\"{class}>{}</th>", escape(header));
        }
        self.body.push_str("</tr></thead>\n<tbody>\n");
    }

    /// A table up to the first cell of its head.
    pub(super) fn open_table(&mut self, class: &str, caption: &str) {
        let caption = escape(caption);
        let _ = write!(
            self.body,
            "<div class=\"scroll\" role=\"region\" aria-label=\"{caption}\" tabindex=\"0\">\n\
             <table{class}>\n<caption>{caption}</caption>\n<thead><tr>"
        );
    }

    fn cells(&mut self, cells: &[String]) {
        for cell in cells {
            let _ = write!(self.body, "<td{}>{}</td>", number_class(is_number(cell)), escape(cell));
        }
    }

    pub(super) fn foot(&mut self) -> &mut Self {
        self.body.push_str("</tbody>\n</table>\n</div>\n");
        self
    }
}

/// Whether a cell reads as a number, perhaps with a unit sign or a spread: `0.91`, `1,200`, `35 %`, `0.9 ± 0.1`; a dash
/// stands for none.
pub(super) fn is_number(cell: &str) -> bool {
    let is_one = |part: &str| {
        let digits: String = part.chars().filter(|c| !matches!(c, ',' | '%' | ' ' | '\u{2212}')).collect();
        digits.parse::<f64>().is_ok_and(f64::is_finite)
    };
    cell == "–" || cell.split(" ± ").all(is_one)
}

pub(super) fn number_class(numeric: bool) -> &'static str {
    if numeric { " class=\"number\"" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_set_to_the_right() {
        assert!(["0.91", "1,200", "35 %", "-3", "1e-5", "–", "0.9 ± 0.1"].into_iter().all(is_number));
        assert!(["roc_auc", "", "nan", "inf", "3 of 4", "a ± b", "±"].into_iter().all(|cell| !is_number(cell)));
        let mut page = Page::new("page");
        page.table("Metrics", &["name", "value"], &[vec!["roc_auc".into(), "0.91".into()]]);
        let html = page.render();
        assert!(html.contains("<th scope=\"col\">name</th><th scope=\"col\" class=\"number\">value</th>"));
        assert!(html.contains("<td>roc_auc</td><td class=\"number\">0.91</td>"));
    }

    #[test]
    fn bars_have_the_length_of_their_share() {
        let row = |name: &str, share| Count { name: name.into(), share, cells: vec!["1".into()] };
        let rows = [row("a", 0.5), row("<b>", 0.0), row("c", f64::NAN), row("d", 7.0)];
        let mut page = Page::new("page");
        page.counts("Rows", &["name", "rows"], &rows);
        let html = page.render();
        assert_eq!(html.matches("class=\"bar\"").count(), 2);
        assert!(html.contains("width:50.00%") && html.contains("width:100.00%"));
        assert!(html.contains("<th scope=\"row\">&lt;b&gt;</th>") && !html.contains("NaN"));
    }
}
