//! What the library tells of a run, for a function of the page.

use js_sys::Function;
use serde_json::{Value, json};
use wasm_bindgen::JsValue;
use wgr::{Event, Observer};

use crate::json::to_js;
use crate::plan::with_total;

/// Calls a function of the page with every event, until it returns `false`: then the run is to stop.
pub(crate) struct Listener {
    function: Option<Function>,
    stopped: bool,
}

impl Listener {
    /// A listener that may be nobody.
    pub(crate) fn new(function: Option<Function>) -> Self {
        Self { function, stopped: false }
    }

    /// Tells lines worth reading.
    pub(crate) fn notes(&mut self, lines: impl IntoIterator<Item = String>) {
        lines.into_iter().for_each(|line| self.on(Event::Note(&line)));
    }
}

impl Observer for Listener {
    fn on(&mut self, event: Event<'_>) {
        let (Some(function), Some(told)) = (&self.function, told(event)) else { return };
        // A page that throws in its listener has said so in the console.
        let answer = to_js(&told).ok().and_then(|told| function.call1(&JsValue::UNDEFINED, &told).ok());
        self.stopped |= answer.is_some_and(|answer| answer == JsValue::FALSE);
    }

    fn stop_requested(&self) -> bool {
        self.stopped
    }
}

/// An event as the page gets it; those of runs that a page cannot start are nothing.
fn told(event: Event<'_>) -> Option<Value> {
    Some(match event {
        Event::Note(line) => json!({"kind": "note", "line": line}),
        Event::Tokenized { rows, tokens, truncation } => {
            json!({"kind": "tokenized", "rows": rows, "tokens": tokens, "truncation": truncation.to_string()})
        }
        Event::Planned(plan) => json!({"kind": "planned", "plan": with_total(plan)}),
        Event::Training { done, total } => json!({"kind": "training", "done": done, "total": total}),
        Event::Step { metrics, .. } => json!({"kind": "step", "metrics": metrics.to_row()}),
        Event::Evaluated { step, metrics } => json!({"kind": "evaluated", "step": step, "metrics": metrics}),
        Event::Scored { done, total, tokens } => {
            json!({"kind": "scored", "done": done, "total": total, "tokens": tokens})
        }
        Event::Grew { request, piece } => json!({"kind": "grew", "request": request, "piece": piece}),
        Event::Sampled { done, total, tokens } => {
            json!({"kind": "sampled", "done": done, "total": total, "tokens": tokens})
        }
        Event::Extracted { .. } | Event::Annotated { .. } => return None,
    })
}
