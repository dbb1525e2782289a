//! A report page in one HTML file: no network, no script, light and dark, phone and desktop.

use crate::Result;
use std::fmt::Write as _;
use std::path::Path;

/// Styles of every page. Colours reach a contrast of at least 4.5 : 1 on their background in both schemes.
const STYLE: &str = include_str!("page.css");

/// A page under construction. Text that is passed in is escaped; only [`Page::svg`] takes markup.
#[derive(Clone, Debug)]
pub struct Page {
    title: String,
    sections: Vec<String>,
    body: String,
}

impl Page {
    /// An empty page with this title, which is also its heading.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), sections: Vec::new(), body: String::new() }
    }

    /// Starts a section; it is listed in the navigation on top of the page.
    pub fn section(&mut self, title: &str) -> &mut Self {
        self.sections.push(title.to_owned());
        let _ = writeln!(self.body, "<h2 id=\"section-{}\">{}</h2>", self.sections.len(), escape(title));
        self
    }

    /// A paragraph of text.
    pub fn paragraph(&mut self, text: &str) -> &mut Self {
        let _ = writeln!(self.body, "<p>{}</p>", escape(text));
        self
    }

    /// A table; cells that read as numbers are set to the right. On narrow screens it scrolls by itself, also from the
    /// keyboard.
    pub fn table(&mut self, caption: &str, headers: &[&str], rows: &[Vec<String>]) -> &mut Self {
        let caption = escape(caption);
        let _ = write!(
            self.body,
            "<div class=\"scroll\" role=\"region\" aria-label=\"{caption}\" tabindex=\"0\">\n\
             <table>\n<caption>{caption}</caption>\n<thead><tr>"
        );
        for (column, header) in headers.iter().enumerate() {
            let numeric = !rows.is_empty() && rows.iter().all(|row| row.get(column).is_some_and(|c| is_number(c)));
            let _ = write!(self.body, "<th scope=\"col\"{}>{}</th>", number_class(numeric), escape(header));
        }
        self.body.push_str("</tr></thead>\n<tbody>\n");
        for row in rows {
            self.body.push_str("<tr>");
            for cell in row {
                let _ = write!(self.body, "<td{}>{}</td>", number_class(is_number(cell)), escape(cell));
            }
            self.body.push_str("</tr>\n");
        }
        self.body.push_str("</tbody>\n</table>\n</div>\n");
        self
    }

    /// A picture with a caption, which screen readers get in its place. The SVG goes in as it is: pass only markup of
    /// our own making, such as [`chart::line_chart`](super::chart::line_chart) returns.
    pub fn svg(&mut self, caption: &str, svg: &str) -> &mut Self {
        let caption = escape(caption);
        let labelled = svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{caption}\" "), 1);
        let _ = writeln!(self.body, "<figure>\n{labelled}\n<figcaption>{caption}</figcaption>\n</figure>");
        self
    }

    /// A conversation, as (role, content) pairs, under a heading line such as its score and label.
    pub fn conversation(&mut self, heading: &str, messages: &[(&str, &str)]) -> &mut Self {
        let _ = writeln!(self.body, "<article>\n<h3>{}</h3>\n<dl>", escape(heading));
        for (role, content) in messages {
            let _ = writeln!(self.body, "<dt>{}</dt><dd>{}</dd>", escape(role), escape(content));
        }
        self.body.push_str("</dl>\n</article>\n");
        self
    }

    /// The whole page.
    pub fn render(&self) -> String {
        let title = escape(&self.title);
        let mut navigation = String::new();
        for (index, section) in self.sections.iter().enumerate() {
            let _ = write!(navigation, "<li><a href=\"#section-{}\">{}</a></li>", index + 1, escape(section));
        }
        if !navigation.is_empty() {
            navigation = format!("<nav aria-label=\"Sections\"><ul>{navigation}</ul></nav>\n");
        }
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n\
             </head>\n<body>\n<header>\n<h1>{title}</h1>\n{navigation}</header>\n<main>\n{}</main>\n</body>\n</html>\n",
            self.body
        )
    }

    /// Writes the page under a temporary name and moves it into place.
    pub fn write(&self, path: &Path) -> Result<()> {
        crate::files::replace_file(path, self.render().as_bytes())
    }
}

/// Text made safe for element content and quoted attributes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Whether a cell reads as a number, perhaps with a unit sign: `0.91`, `1,200`, `35 %`.
fn is_number(cell: &str) -> bool {
    let digits: String = cell.chars().filter(|c| !matches!(c, ',' | '%' | ' ' | '\u{2212}')).collect();
    digits.parse::<f64>().is_ok_and(f64::is_finite)
}

fn number_class(numeric: bool) -> &'static str {
    if numeric { " class=\"number\"" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let mut page = Page::new("Loss & <scores>");
        page.section("Numbers")
            .table("Metrics", &["name", "value"], &[vec!["roc_auc".into(), "0.91".into()]])
            .section("Chats")
            .conversation("score 3.2", &[("user", "<script>alert('x')</script>"), ("assistant", "a \"quote\"")]);
        page
    }

    #[test]
    fn text_is_escaped_everywhere() {
        let mut page = page();
        page.svg("a \"caption\"><b>", "<svg width=\"1\"></svg>").paragraph("1 < 2 & 3");
        let html = page.render();
        assert!(!html.contains("<script") && !html.contains("<b>"));
        assert!(html.contains("<title>Loss &amp; &lt;scores&gt;</title>"));
        assert!(html.contains("aria-label=\"a &quot;caption&quot;&gt;&lt;b&gt;\""));
        assert!(html.contains("1 &lt; 2 &amp; 3"));
    }

    #[test]
    fn navigation_leads_to_every_section() {
        let html = page().render();
        for section in 1..=2 {
            assert!(html.contains(&format!("href=\"#section-{section}\"")));
            assert!(html.contains(&format!("id=\"section-{section}\"")));
        }
        assert!(!Page::new("empty").render().contains("<nav"));
    }

    #[test]
    fn the_page_needs_no_network() {
        let html = page().render();
        for outside in ["http:", "https:", "src=", "@import", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
    }

    #[test]
    fn numbers_are_set_to_the_right() {
        assert!(["0.91", "1,200", "35 %", "-3", "1e-5"].into_iter().all(is_number));
        assert!(["roc_auc", "", "nan", "inf", "3 of 4"].into_iter().all(|cell| !is_number(cell)));
        assert!(page().render().contains("<th scope=\"col\" class=\"number\">value</th>"));
    }

    #[test]
    fn a_page_is_written_into_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.html");
        page().write(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), page().render());
    }
}
