//! Scores of a reward model.

use std::rc::Rc;

use js_sys::Function;
use serde_json::{Map, Value};
use wasm_bindgen::prelude::*;
use wgr::data::{Example, Purpose, ReadReport, Record, Row, parse_row, scoring_batches};
use wgr::gpu::Gpu;
use wgr::model::batch::Capacity;
use wgr::train::{self, BatchScorer, RewardOptions};
use wgr::{Error, Event, Observer};

use crate::engine::Engine;
use crate::json::{from_js, thrown, to_js};
use crate::listener::Listener;

/// Rows of a batch.
const BATCH: usize = 16;

/// A reward model on the GPU.
#[wasm_bindgen]
pub struct RewardModel {
    gpu: Rc<Gpu>,
    model: train::RewardModel,
    scorer: BatchScorer,
}

#[wasm_bindgen]
impl RewardModel {
    /// Loads the model at `path`, a directory of the engine's files or a GGUF file. Of conversations with more than
    /// `maxLength` tokens, the beginning is cut off.
    pub fn load(
        engine: &Engine,
        path: &str,
        #[wasm_bindgen(js_name = maxLength)] max_length: usize,
        #[wasm_bindgen(js_name = onEvent, unchecked_optional_param_type = "Listener")] on_event: Option<Function>,
    ) -> Result<RewardModel, JsError> {
        let (gpu, mut listener) = (engine.scoring(), Listener::new(on_event));
        let options = RewardOptions { max_length, ..RewardOptions::default() };
        let model = train::RewardModel::open_with(path, options).map_err(thrown)?;
        listener.notes([model.reading.to_string()]);
        let longest = model.encoder.max_length();
        let capacity = Capacity { tokens: longest, sequences: BATCH, length: longest };
        let scorer = BatchScorer::load(&gpu, &model, capacity, &mut listener).map_err(thrown)?;
        Ok(Self { gpu, model, scorer })
    }

    /// Scores texts and conversations, in their order. A score does not depend on what is scored beside it. Where the
    /// listener returns `false`, it fails.
    #[wasm_bindgen(unchecked_return_type = "Score[]")]
    pub async fn score(
        &mut self,
        #[wasm_bindgen(unchecked_param_type = "Row[]")] rows: JsValue,
        #[wasm_bindgen(js_name = onEvent, unchecked_optional_param_type = "Listener")] on_event: Option<Function>,
    ) -> Result<JsValue, JsError> {
        let mut listener = Listener::new(on_event);
        let mut report = ReadReport::default();
        let rows: Vec<Value> = from_js("rows", &rows)?;
        let rows = rows.into_iter().enumerate().map(|(number, row)| parsed(number, row, &mut report));
        let rows = rows.collect::<Result<Vec<Row>, Error>>().map_err(thrown)?;
        listener.notes(report.notes());
        let (examples, report) = self.model.encoder.encode(&rows).map_err(thrown)?;
        listener.notes(report.notes());
        let lengths: Vec<usize> = examples.iter().map(Example::tokens).collect();
        let capacity = self.scorer.capacity();
        let (mut scores, mut done, mut tokens) = (vec![None; rows.len()], 0, 0);
        for batch in scoring_batches(&lengths, capacity.sequences, capacity.tokens) {
            if listener.stop_requested() {
                return Err(JsError::new("stopped"));
            }
            let of_batch: Vec<&Example> = batch.iter().map(|place| &examples[*place]).collect();
            let scored = self.scorer.score(&self.gpu, &of_batch).await.map_err(thrown)?;
            for (place, score) in batch.iter().zip(scored) {
                scores[*place] = Some(score.map_err(thrown)?);
            }
            done += batch.len();
            tokens += of_batch.iter().map(|example| example.tokens() as u64).sum::<u64>();
            listener.on(Event::Scored { done, total: rows.len(), tokens });
        }
        to_js(&scores)
    }
}

/// A row as the page gives it: a text, or an object as files of rows hold them.
fn parsed(number: usize, row: Value, report: &mut ReadReport) -> wgr::Result<Row> {
    let place = format!("row {number}");
    match row {
        Value::String(text) => parse(place, number, Map::from_iter([("text".to_owned(), text.into())]), report),
        Value::Object(fields) => parse(place, number, fields, report),
        other => Err(Error::input(place, format!("is {other}"), "give a text or an object")),
    }
}

fn parse(place: String, number: usize, fields: Map<String, Value>, report: &mut ReadReport) -> wgr::Result<Row> {
    let unnamed = number.to_string();
    let mut record = Record { place, number, fields, mended: false };
    let row = parse_row(&mut record, unnamed, Purpose::Score, report)?;
    report.unused("rows", &record.fields);
    Ok(row)
}
