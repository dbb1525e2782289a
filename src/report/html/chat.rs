//! Conversations between people and models.

use std::fmt::Write as _;

use super::{Page, escape};

/// Characters of a message that are shown at once; the rest unfolds.
const SHOWN: usize = 400;

impl Page {
    /// A conversation, as (role, content) pairs, under a heading line such as its score and label. Line breaks and
    /// spaces are kept; long messages unfold.
    pub fn conversation(&mut self, heading: &str, messages: &[(&str, &str)]) -> &mut Self {
        let _ = writeln!(self.body, "<article>\n<h3>{}</h3>\n<dl>", escape(heading));
        for (role, content) in messages {
            let _ = writeln!(self.body, "<dt>{}</dt><dd dir=\"auto\">{}</dd>", escape(role), message(content));
        }
        self.body.push_str("</dl>\n</article>\n");
        self
    }
}

fn message(content: &str) -> String {
    let characters = content.chars().count();
    // A few characters more are sooner read than unfolded.
    if characters <= SHOWN + SHOWN / 4 {
        return escape(content);
    }
    let beginning: String = content.chars().take(SHOWN).collect();
    format!(
        "<details><summary><span class=\"beginning\">{} … </span><span class=\"more\">all {characters} characters</span>\
         </summary>{}</details>",
        escape(beginning.trim_end()),
        escape(content)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_unfold_to_their_full_text() {
        let long = "好<b> \n".repeat(200);
        let mut page = Page::new("page");
        page.conversation("score 1", &[("user", "short\n  text"), ("assistant", &long)]);
        let html = page.render();
        assert!(html.contains("<dd dir=\"auto\">short\n  text</dd>"));
        assert_eq!(html.matches("<details>").count(), 1);
        assert!(html.contains("all 1200 characters") && html.contains(&escape(&long)) && !html.contains("<b>"));
    }
}
