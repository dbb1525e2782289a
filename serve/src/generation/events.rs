//! Completions piece by piece, as server-sent events: `data: {…}` lines, and `data: [DONE]` at the end.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::Value;

use super::completion::Completion;
use super::queue::Answers;
use crate::failure::{Failure, Family};

/// Writes the events of a stream.
pub(crate) trait Writer: Send + 'static {
    /// The events before anything has been drawn.
    fn begin(&mut self) -> Result<Vec<Value>, Failure>;

    /// The events of what a completion gained.
    fn piece(&mut self, number: usize, gained: Completion) -> Result<Vec<Value>, Failure>;

    /// The events after all completions have ended; it knows how many tokens these have.
    fn end(&mut self, tokens: usize) -> Vec<Value>;
}

/// A stream that is being sent.
struct Stream<W> {
    writer: W,
    answers: Answers,
    /// What completions gained that no event has told, because it is not yet text.
    held: Vec<Completion>,
    /// Tokens drawn, and completions that have ended.
    tokens: usize,
    ended: usize,
    /// Lines to be sent.
    ready: VecDeque<String>,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Begins,
    Goes,
    Ended,
}

/// Streams the completions of a request. They leave the device when the client goes.
pub(crate) fn events(count: usize, answers: Answers, writer: impl Writer) -> Response {
    let held = vec![Completion::default(); count];
    let stream = Stream { writer, answers, held, tokens: 0, ended: 0, ready: VecDeque::new(), state: State::Begins };
    let lines = stream::unfold(stream, async |mut stream| {
        let line = stream.next().await?;
        Some((Ok::<_, Infallible>(line), stream))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    (headers, Body::from_stream(lines)).into_response()
}

impl<W: Writer> Stream<W> {
    /// The next lines.
    async fn next(&mut self) -> Option<String> {
        while self.ready.is_empty() {
            let events = match self.state {
                State::Begins => {
                    self.state = State::Goes;
                    self.writer.begin()
                }
                State::Goes => self.grow().await,
                State::Ended => return None,
            };
            match events {
                Ok(events) => self.ready.extend(events.iter().map(line)),
                Err(failure) => {
                    // What comes after a failure is of no use to anybody.
                    self.answers.close();
                    self.ready.push_back(line(&Family::OpenAi.body(&failure)));
                    self.finish();
                }
            }
        }
        self.ready.pop_front()
    }

    /// Waits for the next piece of text, or for the end.
    async fn grow(&mut self) -> Result<Vec<Value>, Failure> {
        while let Some((number, grown)) = self.answers.recv().await {
            let held = &mut self.held[number];
            held.add(grown?);
            self.tokens += 1;
            self.ended += usize::from(held.finish.is_some());
            if !held.text.is_empty() || held.finish.is_some() {
                let gained = std::mem::take(held);
                return self.writer.piece(number, gained);
            }
        }
        if self.ended < self.held.len() {
            return Err(Failure::Device("the thread of the device has ended".into()));
        }
        let events = self.writer.end(self.tokens);
        self.ready.extend(events.iter().map(line));
        self.finish();
        Ok(vec![])
    }

    fn finish(&mut self) {
        self.ready.push_back("data: [DONE]\n\n".into());
        self.state = State::Ended;
    }
}

fn line(event: &Value) -> String {
    format!("data: {event}\n\n")
}
