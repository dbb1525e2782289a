//! What requests for text may say, whatever their route: how completions are drawn and what is told of them.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use wgr::generate::{Sampling, Settings};

use super::served::Served;
use crate::failure::Failure;

/// The most likely tokens that can be asked for.
const MAX_LOG_PROBS: usize = 20;

/// One stop string or a list of them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected a string or a list of strings")]
pub(crate) enum Stop {
    /// The string alone.
    One(String),
    /// The list.
    Many(Vec<String>),
}

/// What the end of a stream tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StreamOptions {
    /// Whether an event with the numbers of tokens comes before `[DONE]`.
    pub(crate) include_usage: bool,
}

/// How completions are drawn. A field that is null counts as absent.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = SamplingFields)]
pub(crate) struct Fields {
    /// Any name: the server has one model, whose name is in the answer.
    pub(crate) model: Option<String>,
    /// Completions of each prompt; 1 unless given.
    n: Option<usize>,
    /// Maximum tokens of a completion, including the one that ends it: 16 unless given, for conversations as many as there
    /// is room for.
    pub(crate) max_tokens: Option<usize>,
    /// Logits are divided by it; 0 takes the most likely token. 1 unless given.
    temperature: Option<f64>,
    /// Tokens are kept, most likely first, until their probabilities reach this sum.
    top_p: Option<f64>,
    /// Tokens kept at most; 0 and -1 keep all.
    top_k: Option<i64>,
    /// Tokens are kept whose probability is at least this share of the most likely one's.
    min_p: Option<f64>,
    /// Logits of tokens that were there before, prompt included, are divided by it if positive, and multiplied if negative.
    repetition_penalty: Option<f64>,
    /// With the same prompt and settings it gives the same completions, those of `wgr generate`.
    seed: Option<i64>,
    /// Texts before which a completion ends.
    stop: Option<Stop>,
    /// Whether completions come piece by piece, as server-sent events.
    pub(crate) stream: Option<bool>,
    /// What the end of a stream tells.
    pub(crate) stream_options: Option<StreamOptions>,
    /// Whether to tell the tokens of prompts and completions.
    pub(crate) return_token_ids: Option<bool>,
}

/// How the completions of a request are drawn.
#[derive(Clone, Debug)]
pub(crate) struct Draw {
    pub(crate) n: usize,
    pub(crate) seed: u64,
    sampling: Sampling,
    stop: Vec<String>,
}

impl Fields {
    /// The settings they stand for.
    ///
    /// # Errors
    /// One of them means nothing, or contradicts another.
    pub(crate) fn draw(&self) -> Result<Draw, Failure> {
        let plain = Sampling::default();
        let sampling = Sampling {
            temperature: self.temperature.unwrap_or(plain.temperature),
            top_p: self.top_p.unwrap_or(plain.top_p),
            top_k: match self.top_k {
                None | Some(-1) => 0,
                Some(k) => usize::try_from(k).map_err(|_| Failure::input("top_k", format!("cannot be {k}")))?,
            },
            min_p: self.min_p.unwrap_or(plain.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(plain.repetition_penalty),
        };
        sampling.validate().map_err(|error| match error {
            // The library names the setting as `.setting`.
            wgr::Error::Input { at, problem, hint } => {
                Failure::input(at.trim_matches(['`', '.']), format!("{problem}; {hint}"))
            }
            other => Failure::Device(other.to_string()),
        })?;
        let stop = match self.stop.clone() {
            None => vec![],
            Some(Stop::One(stop)) => vec![stop],
            Some(Stop::Many(stops)) => stops,
        };
        if stop.iter().any(String::is_empty) {
            return Err(Failure::input("stop", "cannot be empty"));
        }
        if self.stream_options.is_some() && self.stream != Some(true) {
            return Err(Failure::input("stream_options", "needs `stream`"));
        }
        let n = self.n.unwrap_or(1);
        for (field, value) in [("n", Some(n)), ("max_tokens", self.max_tokens)] {
            if value == Some(0) {
                return Err(Failure::input(field, "cannot be 0"));
            }
        }
        let seed = self.seed.map_or_else(random, |seed| Ok(seed.cast_unsigned()))?;
        Ok(Draw { n, seed, sampling, stop })
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.stream == Some(true)
    }

    pub(crate) fn include_usage(&self) -> bool {
        self.stream_options.is_some_and(|options| options.include_usage)
    }

    pub(crate) fn tells_ids(&self) -> bool {
        self.return_token_ids == Some(true)
    }
}

impl Draw {
    /// The settings of a prompt that was checked; without `max_tokens` its completions get as many as there is room for.
    ///
    /// # Errors
    /// As [`Served::check`].
    pub(crate) fn settings(
        &self,
        served: &Served,
        field: &str,
        prompt: &[u32],
        max_tokens: Option<usize>,
    ) -> Result<Arc<Settings>, Failure> {
        served.check(field, prompt, max_tokens.unwrap_or(1))?;
        let max_new_tokens = max_tokens.unwrap_or(served.max_model_len - prompt.len());
        Ok(Arc::new(Settings { sampling: self.sampling, max_new_tokens, stop: self.stop.clone() }))
    }
}

/// The number of likely tokens to tell of.
pub(crate) fn check_log_probs(field: &str, count: usize) -> Result<usize, Failure> {
    match count <= MAX_LOG_PROBS {
        true => Ok(count),
        false => Err(Failure::input(field, format!("is {count}, but the maximum is {MAX_LOG_PROBS}"))),
    }
}

/// A number that nobody can guess.
pub(crate) fn random() -> Result<u64, Failure> {
    use rand::TryRng as _;
    rand::rngs::SysRng.try_next_u64().map_err(|error| {
        tracing::error!("the system has no random numbers: {error}");
        Failure::Bug
    })
}

/// Reads those fields of a body that `T` has.
///
/// # Errors
/// A field has another type; it is named.
pub(crate) fn parse<T: DeserializeOwned>(body: &Map<String, Value>) -> Result<T, Failure> {
    let fields: Map<String, Value> =
        body.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), value.clone())).collect();
    serde_path_to_error::deserialize(Value::Object(fields))
        .map_err(|error| Failure::input(error.path().to_string(), error.inner().to_string()))
}

/// Fields that do not change what is drawn.
const WITHOUT_INFLUENCE: [&str; 11] = [
    "user",
    "metadata",
    "store",
    "service_tier",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "request_id",
    "session_id",
    "cache_salt",
    "parallel_tool_calls",
];

/// The values with which fields that are not supported change nothing.
fn neutral(field: &str) -> Option<Value> {
    Some(match field {
        "frequency_penalty" | "presence_penalty" | "min_tokens" | "priority" => json!(0),
        "best_of" | "length_penalty" => json!(1),
        "logit_bias" => json!({}),
        "stop_token_ids" | "bad_words" => json!([]),
        "suffix" => json!(""),
        "ignore_eos"
        | "include_stop_str_in_output"
        | "use_beam_search"
        | "continue_final_message"
        | "echo"
        | "return_tokens_as_token_ids" => json!(false),
        "skip_special_tokens" | "spaces_between_special_tokens" | "add_generation_prompt" | "include_reasoning" => {
            json!(true)
        }
        "response_format" => json!({"type": "text"}),
        "modalities" => json!(["text"]),
        _ => return None,
    })
}

/// Refuses fields of a body that neither `T` nor `U` has, unless they change nothing.
///
/// # Errors
/// The first such field.
pub(crate) fn check_others<T, U>(body: &Map<String, Value>) -> Result<(), Failure>
where
    T: Serialize + Default,
    U: Serialize + Default,
{
    let known = [json!(T::default()), json!(U::default())];
    for (field, value) in body.iter().filter(|(_, value)| !value.is_null()) {
        let is_known = known.iter().any(|fields| fields.get(field).is_some());
        if is_known || WITHOUT_INFLUENCE.contains(&field.as_str()) {
            continue;
        }
        match neutral(field) {
            Some(neutral) if same(&neutral, value) => {}
            Some(neutral) => {
                return Err(Failure::input(field, format!("is not supported with other values than {neutral}")));
            }
            None => return Err(Failure::input(field, "is not supported")),
        }
    }
    Ok(())
}

/// Whether two values are the same, 0 and 0.0 included.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}
