//! `wgr plan` as users meet it: which flags it says make a run fit. None of this needs a GPU.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn plan(command: &str, model: &str, flags: &[&str]) -> Value {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(model);
    let mut wgr = Command::new(env!("CARGO_BIN_EXE_wgr"));
    wgr.args(["plan", "--json", "--for", command, "--max-length", "1024", "--model"]).arg(model).args(flags);
    let output = wgr.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The flags that make a run fit into a share of what it needs without them.
fn flags(command: &str, model: &str, share: f64) -> Option<String> {
    let memory = plan(command, model, &[])["total"].as_f64().unwrap() * share;
    let fit = plan(command, model, &["--memory", &(memory as u64).to_string()]);
    assert_eq!(fit["fits"], share >= 1.0);
    let flags = fit["flags"].as_str()?;
    assert!(fit["total_with_flags"].as_f64().unwrap() <= memory, "{flags}");
    if !flags.contains("--max-length") {
        let with_flags = plan(command, model, &flags.split(' ').collect::<Vec<_>>());
        assert_eq!(with_flags["total"], fit["total_with_flags"], "{flags}");
    }
    Some(flags.to_owned())
}

#[test]
fn batches_shrink_first_then_matrices_then_the_length() {
    for (share, expected) in [
        (1.0, None),
        (0.9, Some("--batch-size 8")),
        (0.26, Some("--batch-size 4 --base-dtype bf16")),
        (0.15, Some("--batch-size 2 --max-length 512")),
        (0.066, Some("--batch-size 1 --base-dtype q4 --max-length 256")),
        (0.06, None),
    ] {
        assert_eq!(flags("score", "llama", share).as_deref(), expected, "{share}");
    }
    assert_eq!(flags("generate", "dpo/llama", 0.9).as_deref(), Some("--batch-size 8"));
}

#[test]
fn blocks_of_a_file_are_kept_before_a_batch_shrinks() {
    for (command, model) in [("score", "blocks"), ("generate", "blocks/base.gguf")] {
        assert_eq!(flags(command, model, 0.999).as_deref(), Some("--base-dtype keep"), "{command}");
    }
    assert_eq!(flags("score", "blocks", 0.5).as_deref(), Some("--batch-size 8 --base-dtype keep"));
}
