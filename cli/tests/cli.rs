//! The binary as users meet it: exit codes, messages, output. None of this needs a GPU.

use std::process::{Command, Output, Stdio};

fn wgr(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wgr")).args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// The one line of an error, after its exit code was checked.
#[track_caller]
fn bad_input(arguments: &[&str]) -> String {
    let output = wgr(arguments);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
    let text = stderr(&output).trim_end();
    assert!(text.starts_with("error: ") && text.lines().count() == 1, "{text}");
    text.to_owned()
}

#[test]
fn help_lists_the_commands() {
    let output = wgr(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    for command in ["devices", "train", "score", "eval", "generate", "serve", "convert"] {
        assert!(text.contains(&format!("\n  {command} ")), "{text}");
    }
}

#[test]
fn help_shows_the_defaults_of_the_library() {
    let text = String::from_utf8(wgr(&["train", "--help"]).stdout).unwrap();
    for (flag, default) in [("--lr <X>", "1e-5"), ("--levels <N>", "4"), ("--objective <OBJECTIVE>", "ordinal")] {
        let at = text.find(flag).unwrap();
        assert!(text[at..].lines().take(2).any(|line| line.contains(&format!("[default: {default}]"))), "{text}");
    }
}

#[test]
fn wrong_usage_ends_with_two() {
    for arguments in [&["frobnicate"][..], &["train", "--no-such-flag"], &["train", "--levels", "four"], &["convert"]] {
        assert_eq!(wgr(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_missing_setting_is_named() {
    assert!(bad_input(&["train"]).contains("--model"));
    assert!(bad_input(&["train", "--model", "m"]).contains("--data"));
    assert!(bad_input(&["score", "--model", "m"]).contains("--input"));
    assert!(bad_input(&["generate", "--model", "m"]).contains("--prompt"));
    assert!(bad_input(&["serve"]).contains("--model"));
    assert!(bad_input(&["generate", "--model", "m", "--input", "i"]).contains("--output"));
}

#[test]
fn an_impossible_value_is_named() {
    let whole = ["train", "--model", "m", "--data", "d", "--output", "o"];
    for (flag, value) in [("--levels", "1"), ("--lr", "-1"), ("--lr", "nan"), ("--batch-size", "0")] {
        assert!(bad_input(&[&whole[..], &[flag, value]].concat()).contains(flag));
    }
    for (flag, value) in [("--temperature", "-1"), ("--top-p", "0"), ("--min-p", "2"), ("--n", "0")] {
        assert!(bad_input(&["generate", "--model", "m", "--prompt", "p", flag, value]).contains(flag));
    }
    for (flag, value) in [("--max-length", "0"), ("--max-queue", "0"), ("--reload-root", "no-such-folder")] {
        assert!(bad_input(&["serve", "--model", "m", flag, value]).contains(flag));
    }
}

#[test]
fn an_unknown_key_is_named_with_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("run.toml");
    std::fs::write(&file, "model = 'm'\nlearning-rate = 1e-4\n").unwrap();
    let text = bad_input(&["train", "--config", file.to_str().unwrap()]);
    assert!(text.contains("run.toml") && text.contains("learning-rate"), "{text}");
}

#[test]
fn a_missing_config_file_is_named() {
    assert!(bad_input(&["score", "--config", "no-such.toml"]).contains("no-such.toml"));
}

#[test]
fn convert_leaves_an_existing_output_alone() {
    let output = tempfile::NamedTempFile::new().unwrap();
    let path = output.path().to_str().unwrap();
    assert!(bad_input(&["convert", "--model", "m", "--output", path]).contains("--force"));
}

#[test]
fn devices_prints_json_and_fails_only_where_no_adapter_is_usable() {
    let output = wgr(&["devices", "--json"]);
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let usable = list.as_array().unwrap().iter().any(|adapter| adapter["unusable"].is_null());
    assert_eq!(output.status.code(), Some(if usable { 0 } else { 1 }));
    // Drivers may add lines of their own.
    assert_eq!(stderr(&output).contains("error: no usable GPU adapter"), !usable);
}

#[test]
fn devices_measures_the_ceilings_of_usable_adapters_when_asked() {
    let adapters = |arguments: &[&str]| -> Vec<serde_json::Value> {
        serde_json::from_slice(&wgr(&[&["devices", "--json"], arguments].concat()).stdout).unwrap()
    };
    assert!(adapters(&[]).iter().all(|adapter| adapter.get("ceilings").is_none()));
    for adapter in adapters(&["--measure"]) {
        assert_eq!(adapter.get("ceilings").is_some(), adapter["unusable"].is_null(), "{adapter}");
        let rate = &adapter["ceilings"]["f32_flops_per_second"];
        assert!(!adapter["unusable"].is_null() || rate.as_f64().unwrap() > 0.0, "{adapter}");
    }
}

#[test]
fn bench_compares_with_its_own_reports_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.json");
    std::fs::write(&file, "[]").unwrap();
    let text = bad_input(&["bench", "--compare", file.to_str().unwrap()]);
    assert!(text.contains("old.json") && text.contains("wgr bench --json"), "{text}");
    assert!(bad_input(&["bench", "--compare", "no-such.json"]).contains("no-such.json"));
}

#[test]
fn without_an_adapter_the_reason_and_a_remedy_are_told() {
    // No system has both of these, so at least one list is empty.
    let outputs = ["metal", "dx12"].map(|backend| wgr(&["devices", "--backend", backend]));
    let failed = outputs.iter().find(|output| output.status.code() == Some(1)).expect("one backend is absent");
    assert!(stderr(failed).contains("install a Vulkan driver"), "{}", stderr(failed));
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wgr"))
        .args(["devices", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!stderr(&output).contains("panic") && !stderr(&output).contains("stdout"), "{}", stderr(&output));
}
