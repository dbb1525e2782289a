//! The meaning of a score head's outputs, and the evidence for it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::Checkpoint;
use crate::model::reading::outputs as in_words;
use crate::objective::Objective;
use crate::{Error, Result};

/// A model directory's record of its head, under `wgr` in `config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Its training objective, which decides how logits become probabilities.
    pub objective: Objective,
    /// Labels run from 1 to this.
    pub levels: u32,
    /// CORAL's biases, which `score.weight` has no place for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub biases: Vec<f32>,
}

/// How the user says a head is to be read, where its configuration does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeadReading {
    /// One logit, which is the score: any number.
    Scalar,
    /// One logit per threshold: σ(logit k) = P(y > k).
    Ordinal,
}

impl fmt::Display for HeadReading {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Self::Scalar => "scalar",
            Self::Ordinal => "ordinal",
        })
    }
}

impl Head {
    /// A head of one logit that is the score, as published reward models have it.
    fn scalar() -> Self {
        Self { objective: Objective::Pairwise, levels: 2, biases: vec![] }
    }

    fn ordinal(outputs: usize) -> Self {
        Self { objective: Objective::Ordinal, levels: outputs as u32 + 1, biases: vec![] }
    }

    /// The head that `wgr` wrote into a checkpoint; `None` where that is from elsewhere.
    ///
    /// # Errors
    /// It is damaged.
    pub fn written(checkpoint: &Checkpoint) -> Result<Option<Self>> {
        let Some(value) = checkpoint.config().extra("wgr") else { return Ok(None) };
        let read = serde_json::from_value(value.clone());
        read.map(Some).map_err(|e| Error::input(at(checkpoint), e.to_string(), "train the model again"))
    }

    /// The head of a checkpoint with `outputs` outputs, and the evidence for its meaning. A head of one logit is a
    /// scalar reward; several are thresholds where the configuration, or `chosen`, says so, and where nothing says
    /// otherwise.
    ///
    /// # Errors
    /// The meaning is unclear, or `chosen` contradicts what is known of it.
    pub fn of(checkpoint: &Checkpoint, outputs: usize, chosen: Option<HeadReading>) -> Result<(Self, String)> {
        if let Some(head) = Self::written(checkpoint)? {
            let expected = head.objective.logits(head.levels as usize);
            if expected != outputs {
                let problem = format!("says {}, but score.weight has {}", in_words(expected), in_words(outputs));
                return Err(Error::input(at(checkpoint), problem, "configuration and weights do not match"));
            }
            let is_scalar = !head.objective.has_thresholds();
            if chosen.is_some_and(|chosen| (chosen == HeadReading::Scalar) != is_scalar) {
                let problem = format!("contradicts the configuration: the head was trained with {}", head.objective);
                return Err(Error::input(setting(chosen), problem, "leave it out"));
            }
            return Ok((head, "as `wgr` wrote it".into()));
        }
        let evidence = Evidence::of(checkpoint);
        match (chosen, outputs) {
            (Some(HeadReading::Scalar), 2..) => {
                let problem = format!("is for heads of one logit; score.weight has {}", in_words(outputs));
                Err(Error::input(setting(chosen), problem, "use `.head` ordinal if they are thresholds"))
            }
            (Some(HeadReading::Scalar), _) => Ok((Self::scalar(), "as `.head` says".into())),
            (Some(HeadReading::Ordinal), _) => Ok((Self::ordinal(outputs), "as `.head` says".into())),
            (None, _) if evidence.names_thresholds(outputs) => {
                Ok((Self::ordinal(outputs), "as id2label of config.json names thresholds".into()))
            }
            (None, 0..=1) => Ok((Self::scalar(), "as it is one logit".into())),
            (None, _) if evidence.is_silent() => {
                let why = "assumed, as there are several outputs and config.json does not define them; `.head` ordinal \
                    confirms it";
                Ok((Self::ordinal(outputs), why.into()))
            }
            (None, _) => {
                let problem =
                    format!("has {outputs} outputs, and config.json does not say that they are thresholds: {evidence}");
                let hint = "`.head` ordinal reads them as P(y > k); other classifiers are not reward models";
                Err(Error::input(format!("{}: score.weight", checkpoint.path().display()), problem, hint))
            }
        }
    }

    /// Whether a model with this head was trained as published reward models are: to one logit, on conversations as its
    /// chat template shows them. Heads of thresholds are trained on a prompt that asks for a judgement, here and in
    /// WildReward (arXiv 2602.08829).
    ///
    /// # Errors
    /// What `wgr` wrote of the head is damaged.
    pub fn is_of_another_method(&self, checkpoint: &Checkpoint) -> Result<bool> {
        Ok(!self.objective.has_thresholds() && Self::written(checkpoint)?.is_none())
    }

    /// The names of its outputs: `y>1`, `y>2`, … for thresholds that have a logit each; one name if there is one logit.
    pub fn labels(&self) -> Vec<String> {
        match self.objective {
            Objective::Ordinal | Objective::Corn => (1..self.levels).map(|k| format!("y>{k}")).collect(),
            Objective::Coral | Objective::Pairwise | Objective::Regression => vec!["reward".into()],
        }
    }

    /// The meaning of its outputs, for people.
    pub fn meaning(&self) -> String {
        match self.objective {
            objective if objective.has_thresholds() => format!("{objective}, levels 1 to {}", self.levels),
            _ => "a scalar reward: the score is the logit".into(),
        }
    }
}

fn at(checkpoint: &Checkpoint) -> String {
    format!("{}: config.json: wgr", checkpoint.path().display())
}

fn setting(chosen: Option<HeadReading>) -> String {
    chosen.map_or_else(String::new, |chosen| format!("`.head` {chosen}"))
}

/// A configuration's evidence about a head, besides its number of outputs.
struct Evidence {
    problem_type: Option<String>,
    labels: Vec<String>,
}

impl Evidence {
    fn of(checkpoint: &Checkpoint) -> Self {
        let config = checkpoint.config();
        let labels = config.extra("id2label").and_then(Value::as_object);
        let mut labels: Vec<(u64, String)> = labels
            .into_iter()
            .flatten()
            .filter_map(|(id, label)| Some((id.parse().ok()?, label.as_str()?.to_owned())))
            .collect();
        labels.sort();
        Self {
            problem_type: config.extra("problem_type").and_then(Value::as_str).map(str::to_owned),
            labels: labels.into_iter().map(|(_, label)| label).collect(),
        }
    }

    /// Whether it says nothing of what the outputs mean: the labels are those that `transformers` gives by default, and
    /// nothing says that the outputs exclude each other or are regressions.
    fn is_silent(&self) -> bool {
        let is_default = self.labels.iter().enumerate().all(|(id, label)| *label == format!("LABEL_{id}"));
        is_default && self.problem_type.as_deref().is_none_or(|kind| kind == "multi_label_classification")
    }

    /// Whether the labels are `y>1`, `y>2`, … , as `wgr` writes them.
    fn names_thresholds(&self, outputs: usize) -> bool {
        let squeezed = self.labels.iter().map(|label| label.replace(' ', ""));
        self.labels.len() == outputs && squeezed.zip(1..).all(|(label, k)| label == format!("y>{k}"))
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "problem_type is {}, ", self.problem_type.as_deref().unwrap_or("absent"))?;
        match self.labels.is_empty() {
            true => write!(f, "id2label is absent"),
            false => write!(f, "id2label names {}", self.labels.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tiny::Tiny;
    use crate::model::{Dtype, Family};
    use serde_json::json;

    fn checkpoint(changes: Value) -> Checkpoint {
        let mut all = json!({"architectures": ["LlamaForSequenceClassification"], "num_labels": 1});
        for (name, value) in changes.as_object().unwrap() {
            all[name] = value.clone();
        }
        Tiny::new(Family::Llama, all, Dtype::F32).open()
    }

    fn read(changes: Value, outputs: usize, chosen: Option<HeadReading>) -> Result<Head> {
        Head::of(&checkpoint(changes), outputs, chosen).map(|(head, _)| head)
    }

    #[test]
    fn a_published_head_of_one_logit_is_a_scalar_reward() {
        for changes in [
            json!({}),
            json!({"id2label": {"0": "LABEL_0"}}),
            json!({"problem_type": "regression"}),
            json!({"problem_type": "single_label_classification", "id2label": {"0": "good"}}),
        ] {
            assert_eq!(read(changes.clone(), 1, None).unwrap(), Head::scalar(), "{changes}");
            assert_eq!(read(changes, 1, Some(HeadReading::Ordinal)).unwrap(), Head::ordinal(1));
        }
        assert_eq!(read(json!({"id2label": {"0": "y>1"}}), 1, None).unwrap(), Head::ordinal(1));
    }

    #[test]
    fn several_outputs_are_thresholds_only_where_something_says_so() {
        let named = json!({"num_labels": 3, "id2label": {"2": "y > 3", "0": "y > 1", "1": "y > 2"}});
        assert_eq!(read(named, 3, None).unwrap(), Head::ordinal(3));
        let classes = json!({"num_labels": 3, "problem_type": "single_label_classification",
                             "id2label": {"0": "bad", "1": "neutral", "2": "good"}});
        let error = read(classes.clone(), 3, None).unwrap_err().to_string();
        assert!(
            error.contains("3 outputs") && error.contains("bad, neutral, good") && error.contains("`.head` ordinal"),
            "{error}"
        );
        assert_eq!(read(classes.clone(), 3, Some(HeadReading::Ordinal)).unwrap(), Head::ordinal(3));
        let error = read(classes, 3, Some(HeadReading::Scalar)).unwrap_err().to_string();
        assert!(error.starts_with("`.head` scalar: is for heads of one logit"), "{error}");
        let silent = json!({"num_labels": 2, "id2label": {"0": "LABEL_0", "1": "LABEL_1"}});
        let (head, evidence) = Head::of(&checkpoint(silent), 2, None).unwrap();
        assert!(head == Head::ordinal(2) && evidence.starts_with("assumed"), "{evidence}");
        let regressions = json!({"num_labels": 2, "problem_type": "regression"});
        assert!(read(regressions, 2, None).is_err());
    }

    #[test]
    fn what_wgr_wrote_stands_above_all() {
        let head = json!({"objective": "corn", "levels": 4});
        let changes = json!({"num_labels": 3, "wgr": head});
        assert_eq!(read(changes.clone(), 3, None).unwrap().objective, Objective::Corn);
        assert!(read(changes.clone(), 3, Some(HeadReading::Scalar)).unwrap_err().to_string().contains("contradicts"));
        assert!(
            read(changes, 1, None).unwrap_err().to_string().contains("says 3 outputs, but score.weight has 1 output")
        );
        let pairwise = json!({"wgr": {"objective": "pairwise", "levels": 4}});
        assert!(read(pairwise.clone(), 1, Some(HeadReading::Ordinal)).is_err());
        assert_eq!(read(pairwise, 1, Some(HeadReading::Scalar)).unwrap().objective, Objective::Pairwise);
    }
}
