//! The model card: `README.md` of a model directory, with Hugging Face front matter.

use std::fmt::Write as _;

use crate::model::Reading;

/// The purpose of a model, and how it was made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// It rates responses.
    RewardModel {
        /// The objective, as settings name it.
        objective: String,
        /// Number of levels K.
        levels: u32,
        /// Whether the directory holds an adapter of the base model and not a model.
        is_adapter: bool,
    },
    /// It responds.
    Policy {
        /// The loss, as settings name it.
        loss: String,
        /// Whether the directory holds an adapter of the base model and not a model.
        is_adapter: bool,
    },
}

/// The facts about a trained model.
#[derive(Clone, Debug)]
pub(crate) struct ModelCard {
    /// The name of the model, shown as the heading.
    pub name: String,
    /// Hub name (`owner/name`) of the model it was fine-tuned from; `None` when it came from a local directory.
    pub base_model: Option<String>,
    /// Its purpose.
    pub kind: Kind,
    /// Rows trained on.
    pub training_rows: u64,
    /// Optimizer steps done.
    pub steps: u64,
    /// Tokens trained on.
    pub tokens: u64,
    /// The resolved configuration, as TOML.
    pub settings: String,
    /// The template that rendered conversations into text; empty when the rows held text already.
    pub template: String,
    /// Metrics on held-out rows, by name; empty when there was no evaluation.
    pub metrics: Vec<(String, f64)>,
    /// How the model was read that training began with.
    pub reading: Option<Reading>,
}

impl ModelCard {
    /// A card of which only the kind is known.
    pub(crate) fn new(kind: Kind) -> Self {
        Self {
            name: String::new(),
            base_model: None,
            kind,
            training_rows: 0,
            steps: 0,
            tokens: 0,
            settings: String::new(),
            template: String::new(),
            metrics: vec![],
            reading: None,
        }
    }

    /// The card as Markdown.
    pub(crate) fn render(&self) -> String {
        let mut out = String::new();
        self.front_matter(&mut out);
        self.summary(&mut out);
        self.usage(&mut out);
        self.evaluation(&mut out);
        if !self.template.is_empty() {
            section(&mut out, "Prompt template", &fenced("jinja", &self.template));
        }
        if let Some(reading) = &self.reading {
            section(&mut out, "Settings at the start of training", &format!("{}.", one_line(&reading.to_string())));
        }
        if !self.settings.is_empty() {
            section(&mut out, "Settings", &fenced("toml", &self.settings));
        }
        out
    }

    fn front_matter(&self, out: &mut String) {
        let (library, task, tags): (_, _, &[&str]) = match &self.kind {
            Kind::RewardModel { is_adapter: true, .. } => ("peft", "text-classification", &["reward-model", "lora"]),
            Kind::RewardModel { .. } if self.is_ordinal() => {
                ("transformers", "text-classification", &["reward-model", "ordinal-regression"])
            }
            Kind::RewardModel { .. } => ("transformers", "text-classification", &["reward-model"]),
            Kind::Policy { is_adapter: false, .. } => ("transformers", "text-generation", &["dpo"]),
            Kind::Policy { is_adapter: true, .. } => ("peft", "text-generation", &["dpo", "lora"]),
        };
        let _ = write!(out, "---\nlibrary_name: {library}\npipeline_tag: {task}\n");
        if let Some(base) = &self.base_model {
            // A JSON string is a YAML string, whatever characters the name holds.
            let _ = writeln!(out, "base_model: {}", serde_json::Value::from(base.as_str()));
        }
        out.push_str("tags:\n");
        for tag in tags {
            let _ = writeln!(out, "- {tag}");
        }
        out.push_str("- wgr\n---\n\n");
    }

    fn summary(&self, out: &mut String) {
        let _ = writeln!(out, "# {}\n", one_line(&self.name));
        let origin = match &self.base_model {
            Some(base) => format!("fine-tuned from [{base}](https://huggingface.co/{base})"),
            None => "trained".to_owned(),
        };
        let (what, how, method, rows) = match &self.kind {
            Kind::RewardModel { objective, .. } => (
                "A reward model",
                "it reads a conversation and rates its last response",
                format!("Objective | {objective}"),
                "Training rows",
            ),
            Kind::Policy { loss, .. } => (
                "A language model",
                "it was trained by direct preference optimization to prefer the better response of a pair",
                format!("Loss function | {loss}"),
                "Preference pairs",
            ),
        };
        let _ = writeln!(
            out,
            "{what}, {origin} with `wgr`: {how}.\n\n\
             | | |\n|---|---|\n| {method} |\n| {rows} | {} |\n| Optimizer steps | {} |\n| Training tokens | {} |",
            self.training_rows, self.steps, self.tokens
        );
        match &self.kind {
            Kind::RewardModel { levels, .. } if self.is_ordinal() => {
                let _ = writeln!(
                    out,
                    "| Levels | {levels} |\n\nThe {} logits are thresholds: logit k is that of the level being above k. \
                     The score is the expected level, between 1 (worst) and {levels} (best).",
                    levels.saturating_sub(1)
                );
            }
            Kind::RewardModel { .. } => out.push_str("\nThe single logit is the score; greater is better.\n"),
            Kind::Policy { .. } => {}
        }
    }

    fn usage(&self, out: &mut String) {
        let code = match &self.kind {
            Kind::RewardModel { objective, is_adapter, levels } => {
                self.usage_of_reward_model(objective, is_adapter.then_some(*levels))
            }
            Kind::Policy { is_adapter, .. } => {
                let class = if *is_adapter { "AutoPeftModelForCausalLM" } else { "AutoModelForCausalLM" };
                let import = match is_adapter {
                    true => format!("from peft import {class}\nfrom transformers import AutoTokenizer"),
                    false => format!("from transformers import {class}, AutoTokenizer"),
                };
                format!(
                    "{import}\n\n\
                     path = \".\"  # this directory\n\
                     tokenizer = AutoTokenizer.from_pretrained(path)\n\
                     model = {class}.from_pretrained(path)\n\n\
                     messages = [{{\"role\": \"user\", \"content\": \"…\"}}]\n\
                     inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors=\"pt\", \
                     return_dict=True)\n\
                     print(tokenizer.decode(model.generate(**inputs, max_new_tokens=128)[0]))\n"
                )
            }
        };
        section(out, "Use", &fenced("python", &code));
    }

    /// `adapter` has the levels of an adapter, which does not state the outputs of its head as a model does.
    fn usage_of_reward_model(&self, objective: &str, adapter: Option<u32>) -> String {
        let outputs = if self.is_ordinal() { adapter.unwrap_or(2).saturating_sub(1) } else { 1 };
        let (import, class, labels) = match adapter {
            Some(_) => ("from peft", "AutoPeftModelForSequenceClassification", format!(", num_labels={outputs}")),
            None => ("from transformers", "AutoModelForSequenceClassification", String::new()),
        };
        let score = match objective {
            "ordinal" | "coral" => "1 + torch.sigmoid(logits).sum()",
            "corn" => "1 + torch.sigmoid(logits).cumprod(-1).sum()",
            _ => "logits[0]",
        };
        let rendered = if self.template.is_empty() { "" } else { "  # rendered by the template below" };
        format!(
            "import torch\n{import} import {class}\nfrom transformers import AutoTokenizer\n\n\
             path = \".\"  # this directory\n\
             tokenizer = AutoTokenizer.from_pretrained(path)\n\
             model = {class}.from_pretrained(path{labels})\n\n\
             text = \"…\"{rendered}\n\
             with torch.no_grad():\n    logits = model(**tokenizer(text, return_tensors=\"pt\")).logits[0].float()\n\
             score = {score}\n"
        )
    }

    fn evaluation(&self, out: &mut String) {
        if self.metrics.is_empty() {
            return;
        }
        let mut table = String::from("On held-out rows:\n\n| metric | value |\n|---|---:|\n");
        for (name, value) in &self.metrics {
            let _ = writeln!(table, "| {} | {value:.4} |", one_line(name).replace('|', "\\|"));
        }
        section(out, "Evaluation", table.trim_end());
    }

    fn is_ordinal(&self) -> bool {
        matches!(&self.kind, Kind::RewardModel { objective, .. } if ["ordinal", "coral", "corn"].contains(&&**objective))
    }
}

fn section(out: &mut String, title: &str, body: &str) {
    let _ = writeln!(out, "\n## {title}\n\n{body}");
}

/// A code block whose fence is longer than any run of backticks inside, so that the text cannot end it.
fn fenced(language: &str, text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(3.max(longest + 1));
    format!("{fence}{language}\n{}\n{fence}", text.trim_end())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(objective: &str) -> ModelCard {
        ModelCard {
            name: "demo".into(),
            base_model: Some("owner/base".into()),
            training_rows: 3000,
            steps: 375,
            tokens: 90_000,
            settings: "lr = 0.002\n".into(),
            metrics: vec![("roc_auc".into(), 0.91234)],
            ..ModelCard::new(Kind::RewardModel { objective: objective.into(), levels: 4, is_adapter: false })
        }
    }

    fn policy_card(is_adapter: bool) -> ModelCard {
        ModelCard { kind: Kind::Policy { loss: "sigmoid".into(), is_adapter }, ..card("ordinal") }
    }

    #[test]
    fn front_matter_comes_first_and_names_the_base() {
        let text = card("ordinal").render();
        let (front, body) = text.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap();
        for line in [
            "library_name: transformers",
            "pipeline_tag: text-classification",
            "base_model: \"owner/base\"",
            "- reward-model",
            "- wgr",
        ] {
            assert!(front.lines().any(|l| l == line), "{line}");
        }
        assert!(body.contains("# demo") && body.contains("| roc_auc | 0.9123 |") && body.contains("lr = 0.002"));
        assert!(!ModelCard { base_model: None, ..card("ordinal") }.render().contains("base_model"));
    }

    #[test]
    fn the_score_formula_follows_the_objective() {
        assert!(card("ordinal").render().contains("score = 1 + torch.sigmoid(logits).sum()"));
        assert!(card("coral").render().contains("score = 1 + torch.sigmoid(logits).sum()"));
        assert!(card("corn").render().contains("cumprod(-1)"));
        let pairwise = card("pairwise").render();
        assert!(pairwise.contains("score = logits[0]") && !pairwise.contains("ordinal-regression"));
        assert!(!pairwise.contains("| Levels |"));
    }

    #[test]
    fn a_policy_is_loaded_as_a_causal_model_or_as_an_adapter_of_one() {
        let whole = policy_card(false).render();
        assert!(
            whole.contains("pipeline_tag: text-generation") && whole.contains("| Loss function | sigmoid |"),
            "{whole}"
        );
        assert!(whole.contains("AutoModelForCausalLM.from_pretrained(path)") && !whole.contains("reward"), "{whole}");
        let adapter = policy_card(true).render();
        assert!(adapter.contains("library_name: peft") && adapter.contains("AutoPeftModelForCausalLM"), "{adapter}");
    }

    #[test]
    fn hostile_text_stays_in_its_place() {
        let text = ModelCard {
            name: "a\n---\nb".into(),
            base_model: Some("x\"\nlicense: mit".into()),
            template: "```\n# not a heading\n````".into(),
            ..card("ordinal")
        }
        .render();
        assert!(text.contains("base_model: \"x\\\"\\nlicense: mit\"\n"));
        assert!(text.contains("# a --- b\n"));
        assert!(text.contains("`````jinja\n"));
    }
}
