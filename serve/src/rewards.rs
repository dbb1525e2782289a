//! From the rows of a request to their scores.

use std::sync::{Arc, Weak};
use std::time::Instant;

use serde_json::{Map, Value};
use tokio::sync::{Semaphore, oneshot};
use wgr::Error;
use wgr::data::{Encoder, Example, Purpose, ReadReport, Record, Row, parse_row};
use wgr::train::Score;

use crate::core::{Current, Device, Entry, Missed, Served};
use crate::failure::Failure;

/// Rows of a request.
const MAX_ROWS: usize = 4096;

/// What is scored, with the field of the request that holds it.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub(crate) field: String,
    pub(crate) content: Content,
    /// Whether the client refuses to have anything cut.
    pub(crate) whole: bool,
}

/// A row, or a list of tokens.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// A text or a conversation, read as `wgr score` reads them.
    Row(Box<Row>),
    /// A text without the tokenizer's special tokens, or of which only a part is kept.
    Text { text: String, special: bool, keep: Option<Keep> },
    /// Token ids.
    Tokens(Vec<u32>, Option<Keep>),
}

/// The part of a row that a client wants scored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    /// Its tokens at most.
    pub(crate) tokens: usize,
    /// Whether they are the first ones and not the last ones.
    pub(crate) start: bool,
}

/// The score of a row.
#[derive(Clone, Debug)]
pub(crate) struct Scored {
    pub(crate) score: Score,
    /// Tokens that were scored.
    pub(crate) tokens: usize,
    /// Whether something was cut to fit the maximum length.
    pub(crate) truncated: bool,
}

/// What became of the rows of a request, and the model that read them.
pub(crate) struct Scores<R = Scored> {
    pub(crate) model: String,
    pub(crate) rows: Vec<R>,
}

/// The reward model as routes see it.
pub(crate) struct Rewards {
    /// The thread that owns the device.
    device: Device,
    current: Arc<Current>,
    /// Places in the queue, one a row.
    places: Semaphore,
    max_queue: usize,
}

impl Input {
    pub(crate) fn new(field: String, content: Content) -> Self {
        Self { field, content, whole: false }
    }

    /// A text, read as `wgr score` reads it.
    pub(crate) fn text(field: String, text: String) -> Self {
        let row = Row::new(field.clone(), text);
        Self::new(field, Content::Row(row.into()))
    }

    /// A row as `wgr score` reads it, and what was repaired, translated or ignored in it.
    ///
    /// # Errors
    /// It is not such a row.
    pub(crate) fn object(field: String, fields: Map<String, Value>) -> Result<(Self, ReadReport), Failure> {
        let mut report = ReadReport::default();
        let mut record = Record { place: field.clone(), number: 0, fields, mended: false };
        let row = parse_row(&mut record, field.clone(), Purpose::Score, &mut report);
        let row = row.map_err(|error| Failure::of_row(&field, &error))?;
        report.unused("rows", &record.fields);
        Ok((Self::new(field, Content::Row(row.into())), report))
    }

    /// Texts of a list that is called `name` in the request.
    pub(crate) fn texts(name: &str, texts: Vec<String>) -> Vec<Self> {
        texts.into_iter().enumerate().map(|(place, text)| Self::text(format!("{name}[{place}]"), text)).collect()
    }

    /// Has only a part of a text scored.
    pub(crate) fn keep(&mut self, keep: Keep) {
        if let Some(text) = self.plain_text() {
            self.content = Content::Text { text: text.to_owned(), special: true, keep: Some(keep) };
        }
    }

    fn plain_text(&self) -> Option<&str> {
        match &self.content {
            Content::Text { text, .. } => Some(text),
            Content::Row(row) => match &row.content {
                wgr::data::Content::Text(text) => Some(text),
                _ => None,
            },
            Content::Tokens(..) => None,
        }
    }

    /// The id of a row; the field of anything else.
    pub(crate) fn id(&self) -> String {
        match &self.content {
            Content::Row(row) => row.id.clone(),
            _ => self.field.clone(),
        }
    }

    /// Its tokens, and whether anything was cut.
    fn encode(&self, encoder: &Encoder) -> Result<(Example, bool), Failure> {
        if self.plain_text().is_some_and(str::is_empty) {
            return Err(Failure::input(&self.field, "is empty"));
        }
        let part = |tokens, keep| {
            let (tokens, is_cut) = part_of(tokens, keep);
            Ok((encoder.encode_tokens(&self.field, tokens)?, is_cut))
        };
        let encoded = match &self.content {
            Content::Row(row) => encoder.encode_row(row).map(|encoded| (encoded, false)),
            Content::Text { text, special, keep } => {
                encoder.tokens_of(&self.field, text, *special).and_then(|tokens| part(tokens, *keep))
            }
            Content::Tokens(tokens, keep) => part(tokens.clone(), *keep),
        };
        let ((example, report), is_cut) = encoded.map_err(|error: Error| Failure::of_row(&self.field, &error))?;
        let is_cut = is_cut || report.cut.rows > 0;
        if is_cut && self.whole {
            let problem = format!("has more than {} tokens, which is the maximum", encoder.max_length());
            return Err(Failure::input(&self.field, problem));
        }
        Ok((example, is_cut))
    }
}

/// The part of a row that is to be kept, and whether anything was cut.
fn part_of(mut tokens: Vec<u32>, keep: Option<Keep>) -> (Vec<u32>, bool) {
    match keep {
        Some(keep) if keep.tokens < tokens.len() => {
            if !keep.start {
                tokens.drain(..tokens.len() - keep.tokens);
            }
            tokens.truncate(keep.tokens);
            (tokens, true)
        }
        _ => (tokens, false),
    }
}

impl Rewards {
    pub(crate) fn new(device: Device, current: Arc<Current>, max_queue: usize) -> Self {
        Self { device, current, places: Semaphore::new(max_queue), max_queue }
    }

    /// The model that is served now.
    pub(crate) fn served(&self) -> Arc<Served> {
        self.current.get()
    }

    /// Rows that wait or are being scored.
    pub(crate) fn queue(&self) -> usize {
        self.max_queue - self.places.available_permits()
    }

    /// Serves another reward model from now on; the one before stays if it cannot be loaded.
    ///
    /// # Errors
    /// As [`Device::switch`].
    pub(crate) async fn switch(&self, served: Served) -> wgr::Result<()> {
        self.device.switch(served.into()).await
    }

    /// Whether the device computes: after a failed batch it is tried.
    ///
    /// # Errors
    /// It does not.
    pub(crate) async fn check(&self) -> wgr::Result<()> {
        self.device.check().await
    }

    /// Scores rows, in their order, all of them with the same model.
    ///
    /// # Errors
    /// As [`Rewards::score_each`]; or a row has no score.
    pub(crate) async fn score(&self, inputs: Vec<Input>) -> Result<Scores, Failure> {
        let Scores { model, rows } = self.score_each(inputs).await?;
        let rows = rows.into_iter().collect::<Result<_, _>>().map_err(Failure::Device)?;
        Ok(Scores { model, rows })
    }

    /// Scores rows, in their order, all of them with the same model, or says of a row why it has no score: its batch
    /// failed, or its logits are not finite.
    ///
    /// # Errors
    /// There are too many rows, or the queue has no place for them; a row cannot be read.
    pub(crate) async fn score_each(&self, inputs: Vec<Input>) -> Result<Scores<Result<Scored, String>>, Failure> {
        let limit = MAX_ROWS.min(self.max_queue);
        if inputs.len() > limit {
            return Err(Failure::input("", format!("{} rows in a request, {limit} is the maximum", inputs.len())));
        }
        let _places = self.places.try_acquire_many(inputs.len() as u32).map_err(|_| Failure::Full)?;
        let inputs: Arc<[Input]> = inputs.into();
        loop {
            let served = self.served();
            let encoded = encode(inputs.clone(), served.clone()).await?;
            // If another model is served by now, it reads all rows anew, so that none is compared with one of another.
            if let Some(rows) = answers(&self.device, &served, encoded).await {
                return Ok(Scores { model: served.name.clone(), rows });
            }
        }
    }
}

/// Tokenizes the rows of a request, unless its client goes meanwhile.
async fn encode(inputs: Arc<[Input]>, served: Arc<Served>) -> Result<Vec<(Example, bool)>, Failure> {
    // Dropped with this future, which happens when the client goes.
    let client = Arc::new(());
    let is_there = Arc::downgrade(&client);
    let encoding = tokio::task::spawn_blocking(move || {
        let present = |_: &&Input| Weak::strong_count(&is_there) > 0;
        let encode = |input: &Input| input.encode(&served.model.encoder);
        inputs.iter().take_while(present).map(encode).collect::<Result<Vec<_>, Failure>>()
    });
    let encoded = encoding.await.map_err(|_| Failure::Bug)?;
    drop(client);
    encoded
}

/// The scores of tokenized rows, or why a row has none; `None` if another model is served by now.
async fn answers(
    device: &Device,
    served: &Arc<Served>,
    encoded: Vec<(Example, bool)>,
) -> Option<Vec<Result<Scored, String>>> {
    let since = Instant::now();
    let (mut entries, mut waiting) = (vec![], vec![]);
    for (example, truncated) in encoded {
        let (answer, answered) = oneshot::channel();
        waiting.push((answered, example.tokens(), truncated));
        entries.push(Entry { example, served: served.clone(), since, answer });
    }
    device.score(entries);
    let mut rows = Vec::with_capacity(waiting.len());
    for (answered, tokens, truncated) in waiting {
        let ended = |_| Err(Missed::Failed("the thread of the device has ended".into()));
        rows.push(match answered.await.unwrap_or_else(ended) {
            Ok(score) => Ok(Scored { score, tokens, truncated }),
            Err(Missed::Outdated) => return None,
            Err(Missed::Failed(problem)) => Err(problem),
        });
    }
    Some(rows)
}
