//! `wgr extract inspect`.

use std::path::PathBuf;

use serde_json::{Map, Value, json};
use wgr::Result;
use wgr::extract::inspect::{Found, Query, find};

use crate::print;

/// Flags of `wgr extract inspect`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Output directory of a run of `wgr extract`
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
    /// The turn with this id
    #[arg(long)]
    id: Option<String>,
    /// Rows with this label
    #[arg(long, value_name = "N")]
    label: Option<u32>,
    /// Turns that this filter dropped or this rule judged, or conversations that are irregular for this reason
    #[arg(long, value_name = "NAME")]
    reason: Option<String>,
    /// Print at most N turns
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Print one JSON object per turn, with everything known about it
    #[arg(long)]
    json: bool,
}

/// Prints the turns that match.
pub(crate) fn run(args: &Args) -> Result<()> {
    let query = Query { id: args.id.clone(), label: args.label, reason: args.reason.clone(), limit: args.limit };
    let found = find(&args.output, &query)?;
    if found.is_empty() {
        print::note("nothing matches; report.json counts the reasons");
    }
    for turn in &found {
        if args.json {
            let rows: Map<String, Value> =
                turn.rows.iter().map(|(name, row)| ((*name).to_owned(), row.clone().into())).collect();
            print::line(&json!({"id": turn.id, "rows": rows}).to_string())?;
        } else {
            text(turn).iter().try_for_each(|line| print::line(line))?;
        }
    }
    Ok(())
}

/// A turn for reading: its messages, then the result of each stage.
fn text(turn: &Found) -> Vec<String> {
    let mut lines = vec![format!("── {}", turn.id)];
    if let Some((_, row)) = turn.rows.iter().find(|(name, _)| *name == "turns") {
        for (part, who) in [("query", "user"), ("response", "assistant"), ("feedback", "user, next")] {
            let content = row.get(part).and_then(Value::as_str).unwrap_or_default();
            lines.push(format!("[{who}]\n{content}\n"));
        }
    }
    for (name, row) in &turn.rows {
        let facts: Vec<String> = row
            .iter()
            .filter(|(key, value)| !value.is_null() && !SAID.contains(&key.as_str()))
            .map(|(key, value)| match value {
                Value::String(text) => format!("{key} {text}"),
                other => format!("{key} {other}"),
            })
            .collect();
        lines.push(format!("{name}: {}", facts.join(", ")));
    }
    lines.push(String::new());
    lines
}

/// Fields that hold what was said, or the id, which are printed once.
const SAID: [&str; 8] = ["id", "history", "text", "messages", "user_feedback", "query", "response", "feedback"];
