//! Matrices of counts, each cell as dark as its share of its row.

use std::fmt::Write as _;

use super::{Page, escape};
use crate::report::number::{count, share};

/// Counts by two things, such as what is true and what was said.
#[derive(Clone, Debug)]
pub struct Matrix<'a> {
    /// The meaning of rows, such as `rated`.
    pub rows: &'a str,
    /// The meaning of columns, such as `scored`.
    pub columns: &'a str,
    /// Names of the rows and of the columns, which are the same.
    pub names: Vec<String>,
    /// Counts by row, then column.
    pub counts: &'a [Vec<u64>],
}

impl Page {
    /// A table of counts with the share of each in its row, which also colours the cell.
    pub fn matrix(&mut self, caption: &str, matrix: &Matrix) -> &mut Self {
        let Matrix { rows, columns, names, counts } = matrix;
        self.open_table(" class=\"matrix\"", caption);
        let _ = write!(self.body, "<td></td>");
        for name in names {
            let _ = write!(self.body, "<th scope=\"col\">{} {}</th>", escape(columns), escape(name));
        }
        self.body.push_str("</tr></thead>\n<tbody>\n");
        for (name, row) in names.iter().zip(*counts) {
            let total = row.iter().fold(0, |sum: u64, &number| sum.saturating_add(number));
            let _ = write!(self.body, "<tr><th scope=\"row\">{} {}</th>", escape(rows), escape(name));
            for &number in row {
                let share = share(number, total);
                let _ = write!(
                    self.body,
                    "<td style=\"--share:{share:.3}\">{} <small>{:.0} %</small></td>",
                    count(number),
                    100.0 * share
                );
            }
            self.body.push_str("</tr>\n");
        }
        self.foot()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_their_share_of_the_row() {
        let counts = [vec![1_500, 500], vec![0, 0]];
        let names = vec!["<1>".to_owned(), "2".to_owned()];
        let mut page = Page::new("page");
        page.matrix("Confusion", &Matrix { rows: "rated", columns: "scored", names, counts: &counts });
        let html = page.render();
        assert!(
            html.contains(
                "<th scope=\"row\">rated &lt;1&gt;</th><td style=\"--share:0.750\">1,500 <small>75 %</small>"
            )
        );
        assert!(html.contains("<th scope=\"col\">scored 2</th>") && !html.contains("NaN") && !html.contains("<1>"));
        assert_eq!(html.matches("--share:0.000").count(), 2, "a row without counts has no share");
    }
}
