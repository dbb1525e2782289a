//! Scores of a local model.

use serde_json::json;
use twox_hash::XxHash3_128;

use super::answer::{Answer, Done, Scored};
use super::info::{ModelInfo, Origin};
use super::work::{Job, Work};
use crate::data::{Content, EncodingReport, Example, Message, Row, TemplateInputs, TruncationReport};
use crate::evaluate::config::EvalConfig;
use crate::evaluate::suites::Suite;
use crate::gpu::Gpu;
use crate::ranks::{Next, Ranks};
use crate::store::{Key, Store};
use crate::train::{RewardModel, RewardOptions};
use crate::{Error, Event, Observer, Result};

/// A reward model, opened.
pub(super) struct Model {
    source: String,
    model: RewardModel,
}

impl Model {
    pub(super) fn open(config: &EvalConfig, source: &str) -> Result<Self> {
        let options = RewardOptions {
            template: config.template.as_deref(),
            max_length: config.max_length,
            head: config.head,
            base_dtype: config.base_dtype,
            ..RewardOptions::default()
        };
        let model = RewardModel::open_with(source, options)?;
        Ok(Self { source: source.to_owned(), model })
    }

    pub(super) fn info(&self, name: String) -> ModelInfo {
        let head = self.model.head();
        ModelInfo {
            name,
            origin: Origin::Model,
            source: self.source.clone(),
            objective: Some(head.objective.to_string()),
            levels: head.objective.has_thresholds().then_some(head.levels),
            reading: Some(self.model.reading.clone()),
        }
    }

    /// `store` is what the first rank has scored so far.
    #[allow(clippy::too_many_arguments, reason = "what it works with, and the two that hear of it")]
    pub(super) async fn score(
        &self,
        gpu: Option<&Gpu>,
        ranks: &Ranks,
        config: &EvalConfig,
        suites: &[Suite],
        mut store: Option<&mut Store<Answer>>,
        observer: &mut dyn Observer,
        done: &mut Done<'_>,
    ) -> Result<()> {
        observer.note(&self.model.reading.to_string());
        let encoder = &self.model.encoder;
        let prefix = json!([self.model.fingerprint()?.to_string(), encoder.max_length(), encoder.template().source()]);
        let work = Work::new(suites, |content| Ok(key(&prefix.to_string(), content)))?;
        let (examples, truncation) = self.encode(&work, observer)?;

        let is_known = |job: &Job| store.as_ref().is_some_and(|store| store.contains(job.key));
        let known = ranks.gather(work.sets.iter().flatten().map(|job| u8::from(is_known(job))).collect()).await?;
        let mut known = known[0].iter();
        let missing: Vec<Vec<(&Job, &Example)>> = work
            .sets
            .iter()
            .zip(&examples)
            .map(|(jobs, examples)| jobs.iter().zip(examples).filter(|_| known.next() == Some(&0)).collect())
            .collect();
        let lengths: Vec<Vec<usize>> =
            missing.iter().map(|set| set.iter().map(|(_, example)| example.tokens()).collect()).collect();
        let rows: Vec<(&Job, &Example)> = missing.concat();
        let mut scorer = match (rows.is_empty(), gpu) {
            (true, _) => None,
            (false, Some(gpu)) => Some(self.model.load_for_sets(gpu, &lengths, config.batch_size, observer)?),
            (false, None) => return Err(Error::run(format!("{} needs an adapter", self.source), "see wgr devices")),
        };
        let batches = scorer.as_ref().map(|scorer| scorer.batches().to_vec()).unwrap_or_default();
        let mut batches = batches.into_iter().peekable();
        let (mut scored, mut tokens) = (0, 0);
        let mut end = 0;
        for (set, of_set) in missing.iter().enumerate() {
            end += of_set.len();
            let mut of_set: Vec<Vec<(&Job, &Example)>> = vec![];
            while let Some(batch) = batches.next_if(|batch| batch.iter().all(|&row| row < end)) {
                of_set.push(batch.iter().map(|&row| rows[row]).collect());
            }
            if let Some(scorer) = &mut scorer {
                let mut pieces = ranks.pieces(of_set.len());
                while let Some(next) = pieces.next(observer.stop_requested()).await? {
                    let (batch, scores) = match next {
                        Next::Work(piece) => {
                            let examples: Vec<&Example> = of_set[piece].iter().map(|(_, example)| *example).collect();
                            pieces.hand_in(piece, scorer.score_piece(&examples).await?);
                            continue;
                        }
                        Next::Keep(piece, scores) => {
                            (&of_set[piece], scorer.scores_of_piece(&scores, of_set[piece].len()))
                        }
                    };
                    let answers = batch.iter().zip(scores).map(|((job, _), score)| {
                        (job.key, job.id.clone(), Answer { score: score.score, probs: score.probs })
                    });
                    if let Some(store) = &mut store {
                        store.append(&answers.collect::<Vec<_>>())?;
                    }
                    scored += batch.len();
                    tokens += batch.iter().map(|(_, example)| example.tokens() as u64).sum::<u64>();
                    observer.on(Event::Scored { done: scored, total: rows.len(), tokens });
                }
                if pieces.were_left() {
                    return Err(Error::Interrupted("the scores so far are kept; continue with `.resume`".into()));
                }
            }
            if let Some(store) = &mut store {
                done(set, Scored { answers: work.answers(set, store), truncation: Some(truncation[set]) })?;
            }
        }
        Ok(())
    }

    /// Tokenizes all responses, those with a stored score too, so that a report always says what was cut.
    fn encode(&self, work: &Work, observer: &mut dyn Observer) -> Result<(Vec<Vec<Example>>, Vec<TruncationReport>)> {
        let mut all = (vec![], vec![]);
        let mut total = EncodingReport::default();
        for set in &work.sets {
            let row = |job: &Job| Row { id: job.id.clone(), content: job.content.clone(), label: None };
            let (examples, report) = self.model.encoder.encode(&set.iter().map(row).collect::<Vec<_>>())?;
            all.0.push(examples);
            all.1.push(report.cut);
            total += report;
        }
        let tokens = all.0.iter().flatten().map(|example| example.tokens() as u64).sum();
        observer.on(Event::Tokenized { rows: work.len(), tokens, truncation: &total.cut });
        total.notes().iter().for_each(|line| observer.note(line));
        Ok(all)
    }
}

/// The key of a score. Not the rendered text but its parts are hashed, as truncation depends on them.
fn key(prefix: &str, content: &Content) -> Key {
    let parts = match content {
        Content::Chat(exchange) => {
            let messages: Vec<_> = exchange.messages().map(Message::to_json).collect();
            let TemplateInputs { tools, documents, kwargs } = &exchange.inputs;
            json!([messages, tools, documents, kwargs])
        }
        Content::Text(text) => json!(text),
        // Items hold no pairs.
        Content::Pair(_) => json!(null),
    };
    XxHash3_128::oneshot(format!("{prefix}{parts}").as_bytes())
}
