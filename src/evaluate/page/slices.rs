//! The same measure for each source, language, user and length.

use super::figures::{Form, Line, View};
use super::{Page, count};
use crate::evaluate::report::{ModelResult, SlicesBy};
use crate::report::html::Name;
use crate::statistics::Estimate;
use crate::statistics::slices::{SMALL, Slices};

/// Slices that are shown at once; more of them unfold.
const SHOWN: usize = 8;

/// One table for each key that tells rows apart; all models have the same slices.
pub(super) fn slices<'a, T: 'a>(
    page: &mut Page,
    view: &View<'a>,
    measure: &str,
    of: impl Fn(&'a ModelResult) -> Option<&'a SlicesBy<T>>,
    form: Form,
    estimate: impl Fn(&T) -> Option<Estimate>,
) {
    let all = view.each(of);
    let Some(first) = all.iter().flatten().next() else { return };
    let any = |slices: &Slices<T>| slices.slices.iter().any(|slice| estimate(&slice.measure).is_some());
    let mut keys = first.iter().filter(|(_, slices)| slices.slices.len() > 1 && any(slices)).peekable();
    if keys.peek().is_none() {
        return;
    }
    page.heading(&format!("{measure} by slices"));
    for (key, listed) in keys {
        let line = |(place, slice): (usize, &crate::statistics::slices::Slice<T>)| {
            let of_model =
                |slices: &Option<&SlicesBy<T>>| estimate(&slices.as_ref()?.get(key)?.slices.get(place)?.measure);
            let few = if slice.small { ", too few to say much" } else { "" };
            let detail = format!("{}{few}", count(slice.n as u64));
            Line { name: Name { detail, ..Name::new(&slice.name) }, form, values: all.iter().map(of_model).collect() }
        };
        let lines: Vec<Line> = listed.slices.iter().enumerate().map(line).collect();
        let caption = format!("{measure} by {key}; fewer than {SMALL} rows are too few to say much");
        match lines.len() <= SHOWN {
            true => view.table(page, &caption, key, &lines),
            false => {
                page.folded(&format!("{measure} by {key}: {} slices", lines.len()), |page| {
                    view.table(page, &caption, key, &lines);
                });
            }
        }
        if listed.unlisted > 0 {
            page.paragraph(&format!(
                "{} more, with {} rows, are not listed.",
                count(listed.unlisted as u64),
                count(listed.unlisted_rows as u64)
            ));
        }
    }
}
