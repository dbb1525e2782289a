//! PPE human preference: `question_id`, `prompt`, `response_1`, `response_2`, `winner` (`model_a`, `model_b` or a tie),
//! `language` (`lmarena-ai/PPE-Human-Preference-V1`).
//!
//! Scores are listed 1, 2. Ties are left out.

use super::{Fields, Item, LeftOut, Row};
use crate::Result;
use crate::evaluate::benchmarks::PpeHuman;
use crate::evaluate::benchmarks::ppe::PpeHumanPair;

pub fn item(mut fields: Fields) -> Result<Row> {
    let id = fields.id("question_id")?;
    let better = match fields.text("winner")?.as_str() {
        "model_a" => 0,
        "model_b" => 1,
        "tie" | "tie (bothbad)" => return Ok(Err(LeftOut("ties"))),
        other => return Err(fields.wrong(format!("`winner` is {other:?}"), "it is model_a, model_b or tie")),
    };
    let prompt = fields.text("prompt")?;
    let responses = vec![fields.text("response_1")?, fields.text("response_2")?];
    let language = fields.optional("language")?;
    let item = Item::of_prompt(id, &fields, &prompt, responses, "human".into()).decided_for(better);
    Ok(Ok(Item { language, ..item }))
}

pub fn benchmark(items: &[Item], scores: &[Vec<f64>]) -> PpeHuman {
    let pair = |(item, scores): (&Item, &Vec<f64>)| PpeHumanPair {
        scores: [scores[0], scores[1]],
        winner: Some(item.pairs[0][0]),
    };
    PpeHuman::new(&items.iter().zip(scores).map(pair).collect::<Vec<_>>())
}
