//! A report page in one HTML file: no network, no script, light and dark, phone and desktop.

mod chat;
mod comparison;
mod matrix;
mod table;

use std::fmt::Write as _;
use std::path::Path;

pub use comparison::{Cell, Name, Row};
pub use matrix::Matrix;
pub use table::Count;

use crate::Result;

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

    /// A paragraph of text that ends with a link, such as where something was published.
    pub fn linked(&mut self, text: &str, link: &str, address: &str) -> &mut Self {
        let _ = writeln!(
            self.body,
            "<p>{} <a href=\"{}\" rel=\"noreferrer\">{}</a></p>",
            escape(text),
            escape(address),
            escape(link)
        );
        self
    }

    /// A paragraph that must not be missed, such as what limits everything that follows.
    pub fn note(&mut self, text: &str) -> &mut Self {
        let _ = writeln!(self.body, "<p class=\"note\" role=\"note\">{}</p>", escape(text));
        self
    }

    /// A heading within a section.
    pub fn heading(&mut self, title: &str) -> &mut Self {
        let _ = writeln!(self.body, "<h3>{}</h3>", escape(title));
        self
    }

    /// The content added by `fill`, folded until the reader opens it.
    pub fn folded(&mut self, summary: &str, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let _ = writeln!(self.body, "<details class=\"folded\">\n<summary>{}</summary>", escape(summary));
        fill(self);
        self.body.push_str("</details>\n");
        self
    }

    /// The content added by `fill`, in two columns if the screen is wide enough.
    pub fn columns(&mut self, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.body.push_str("<div class=\"columns\">\n");
        fill(self);
        self.body.push_str("</div>\n");
        self
    }

    /// A picture with a caption, which screen readers get in its place. The SVG goes in as it is: pass only markup of
    /// our own making, such as the functions of [`chart`](super::chart) return.
    pub fn svg(&mut self, caption: &str, svg: &str) -> &mut Self {
        let caption = escape(caption);
        let labelled = svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{caption}\" "), 1);
        let _ = writeln!(self.body, "<figure>\n{labelled}\n<figcaption>{caption}</figcaption>\n</figure>");
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
             </head>\n<body>\n<a class=\"skip\" href=\"#content\">Skip to the content</a>\n\
             <header>\n<h1>{title}</h1>\n{navigation}</header>\n\
             <main id=\"content\" tabindex=\"-1\">\n{}</main>\n</body>\n</html>\n",
            self.body
        )
    }

    /// Writes the page under a temporary name and moves it into place.
    ///
    /// # Errors
    /// The file cannot be written.
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
    fn the_first_link_skips_to_the_content() {
        let html = page().render();
        let body = html.split("<body>").nth(1).unwrap().trim_start();
        assert!(body.starts_with("<a class=\"skip\" href=\"#content\">") && html.contains("<main id=\"content\""));
    }

    #[test]
    fn links_lead_where_they_say() {
        let mut page = Page::new("page");
        page.linked("From <b>", "a & b", "https://example.org/?a=\"1\"");
        let html = page.render();
        assert!(html.contains(
            "<p>From &lt;b&gt; <a href=\"https://example.org/?a=&quot;1&quot;\" rel=\"noreferrer\">a &amp; b</a>"
        ));
    }

    #[test]
    fn the_page_needs_no_network() {
        let html = page().render();
        for outside in ["http:", "https:", "src=", "@import", "url("] {
            assert!(!html.contains(outside), "{outside}");
        }
    }

    #[test]
    fn folds_and_columns_hold_what_was_added() {
        let mut page = Page::new("page");
        page.folded("more <b>", |page| {
            page.paragraph("inside");
        });
        page.columns(|page| {
            page.note("beside");
        });
        let html = page.render();
        let folded = html.split("<details").nth(1).unwrap().split("</details>").next().unwrap();
        assert!(folded.contains("<summary>more &lt;b&gt;</summary>") && folded.contains("<p>inside</p>"));
        assert!(html.contains("<div class=\"columns\">\n<p class=\"note\" role=\"note\">beside</p>\n</div>"));
    }

    #[test]
    fn a_page_is_written_into_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.html");
        page().write(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), page().render());
    }
}
