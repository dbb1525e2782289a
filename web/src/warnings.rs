//! What the library warns of beside the events of a run, for the console.

use std::fmt::{Debug, Write};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use web_sys::console;

/// Sends warnings and panics to the console, once for all.
pub(crate) fn to_console() {
    // Panics are bugs of the engine. They end it, so there is nobody left to throw an error.
    std::panic::set_hook(Box::new(|panic| console::error_1(&panic.to_string().into())));
    // It has been set where the engine is opened once more.
    let _ = tracing::subscriber::set_global_default(Console);
}

/// Prints warnings and errors, and nothing else.
struct Console;

impl Subscriber for Console {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::WARN
    }

    fn event(&self, event: &Event<'_>) {
        let mut message = Message::default();
        event.record(&mut message);
        console::warn_1(&message.0.into());
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// The text of an event.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            // Strings grow without fail.
            let _ = write!(self.0, "{value:?}");
        }
    }
}
