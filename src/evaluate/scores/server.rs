//! Scores of a reward server ([`RewardServer`]). Texts are conversations rendered through the template.

use serde_json::json;
use twox_hash::XxHash3_128;

use super::answer::{Answer, Done, Scored};
use super::info::{ModelInfo, Origin};
use super::work::{Job, Work};
use crate::data::{Content, EncodingReport, SpecialTokens, Template};
use crate::evaluate::config::EvalConfig;
use crate::evaluate::suites::Suite;
use crate::http::RewardServer;
use crate::store::{Key, Store};
use crate::{Error, Event, Observer, Result};

/// A reward server.
pub(super) struct Server {
    server: RewardServer,
    template: Template,
}

impl Server {
    pub(super) fn open(config: &EvalConfig, url: &str) -> Result<Self> {
        let from_file = |path| Template::from_file(path, &SpecialTokens::new());
        let template = config.template.as_deref().map_or_else(|| Ok(Template::builtin()), from_file)?;
        Ok(Self { server: RewardServer::open("`.model`", url)?, template })
    }

    pub(super) fn info(&self, name: String) -> ModelInfo {
        let source = self.server.url().to_owned();
        ModelInfo { name, origin: Origin::Server, source, objective: None, levels: None, reading: None }
    }

    pub(super) fn score(
        &self,
        config: &EvalConfig,
        suites: &[Suite],
        store: &mut Store<Answer>,
        observer: &mut dyn Observer,
        done: &mut Done<'_>,
    ) -> Result<()> {
        let url = self.server.url();
        let key = |content: &Content| Ok(self.key(url, &self.text(content)?));
        let work = Work::new(suites, key)?;
        let mut report = EncodingReport::default();
        for job in work.sets.iter().flatten() {
            if let Content::Chat(exchange) = job.content {
                report.count_hidden(self.template.hidden(exchange));
            }
        }
        report.notes().iter().for_each(|line| observer.note(line));
        let total = work.sets.iter().flatten().filter(|job| !store.contains(job.key)).count();
        let mut scored = 0;
        for (set, jobs) in work.sets.iter().enumerate() {
            let missing: Vec<&Job> = jobs.iter().filter(|job| !store.contains(job.key)).collect();
            for batch in missing.chunks(config.batch_size) {
                let texts = batch.iter().map(|job| self.text(job.content)).collect::<Result<Vec<_>>>()?;
                let rewards = self.server.rewards(&texts, &|| stop(observer))?;
                let answer = |(job, score): (&&Job, f64)| (job.key, job.id.clone(), Answer { score, probs: vec![] });
                store.append(&batch.iter().zip(rewards).map(answer).collect::<Vec<_>>())?;
                scored += batch.len();
                observer.on(Event::Scored { done: scored, total, tokens: 0 });
            }
            done(set, Scored { answers: work.answers(set, store), truncation: None })?;
        }
        Ok(())
    }

    /// The texts that the server scores.
    fn text(&self, content: &Content) -> Result<String> {
        match content {
            Content::Chat(exchange) => self.template.render(exchange),
            Content::Text(text) => Ok(text.clone()),
            // Items hold no pairs.
            Content::Pair(_) => Ok(String::new()),
        }
    }

    fn key(&self, url: &str, text: &str) -> Key {
        XxHash3_128::oneshot(json!([url, text]).to_string().as_bytes())
    }
}

fn stop(observer: &dyn Observer) -> Result<()> {
    match observer.stop_requested() {
        true => Err(Error::Interrupted("the scores so far are kept; continue with `.resume`".into())),
        false => Ok(()),
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
