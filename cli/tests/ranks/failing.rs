use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::*;

/// The lines of errors of ours in what `mpirun` passed on.
fn errors(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("error: ")).collect()
}

#[test]
fn without_mpi_several_ranks_do_not_overwrite_each_other() {
    let place = Place::new();
    let mut commands = vec![vec!["convert".to_owned(), "--model".into(), "m".into(), "--output".into(), "o".into()]];
    if !wgr::ranks::WITH_MPI {
        commands.push(place.training("out"));
    }
    for command in commands {
        let ended = Command::new(wgr()).args(&command).env("OMPI_COMM_WORLD_SIZE", "2").output().unwrap();
        let text = stderr(&ended);
        assert!(ended.status.code() == Some(2) && text.contains("OMPI_COMM_WORLD_SIZE: started on 2 ranks"), "{text}");
    }
    assert!(!place.path("out").exists());
}

#[test]
fn other_rows_on_one_rank_end_all_before_anything_is_written() {
    let Some(place) = Place::of_ranks() else { return };
    std::fs::create_dir(place.path("elsewhere")).unwrap();
    place.write("elsewhere/rows.jsonl", (1..49).map(labelled));
    // Each rank in a folder of its own, as on two hosts: the same command finds other rows.
    let flags: Vec<String> = place
        .training("out")
        .into_iter()
        .map(|flag| flag.replace(&place.path("rows.jsonl").display().to_string(), "rows.jsonl"))
        .collect();
    let mut command = mpirun();
    command.args(["-n", "2", "sh", "-c", "[ $OMPI_COMM_WORLD_RANK = 0 ] || cd elsewhere; exec \"$@\"", "sh", wgr()]);
    let ended = command.args(flags).current_dir(place.path("")).output().unwrap();
    let text = stderr(&ended);
    assert_eq!(ended.status.code(), Some(1), "{text}");
    let errors = errors(&text);
    assert!(
        errors.len() == 1 && errors[0].contains("rank 1 on ") && errors[0].contains("has rows that rank 0"),
        "{text}"
    );
    assert!(!place.path("out").exists());
}

#[test]
fn an_error_of_one_rank_ends_all_with_one_message() {
    let Some(place) = Place::of_ranks() else { return };
    let mut command = mpirun();
    // As on a host that lacks the file.
    command.args([
        "-n",
        "3",
        "sh",
        "-c",
        "[ $OMPI_COMM_WORLD_RANK != 2 ] || set -- \"$@\" --template none; exec \"$@\"",
        "sh",
    ]);
    let ended = command.arg(wgr()).args(place.training("out")).output().unwrap();
    let text = stderr(&ended);
    assert_eq!(ended.status.code(), Some(1), "{text}");
    let errors = errors(&text);
    assert!(errors.len() == 1 && errors[0].contains("rank 2 on ") && errors[0].contains("none: "), "{text}");
}

#[test]
fn a_killed_rank_is_named_and_what_was_learned_is_kept() {
    let Some(place) = Place::of_ranks() else { return };
    let pid = place.path("pid");
    let mut command = mpirun();
    // Without recovery mpirun itself ends all ranks and names the one that was killed.
    command.args(["--enable-recovery", "-x", "WGR_RANK_TIMEOUT", "-n", "2", "sh", "-c"]);
    let first = "\"$@\"; echo \"the first rank ended with $?\" >&2";
    command.arg(format!(
        "if [ $OMPI_COMM_WORLD_RANK = 0 ]; then {first}; else echo $$ > {}; exec \"$@\"; fi",
        pid.display()
    ));
    command.arg("sh").arg(wgr()).args(place.training("out")).args(["--epochs", "1000"]);
    let mut running = command.env("WGR_RANK_TIMEOUT", "3").stderr(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    for line in BufReader::new(running.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        if line.starts_with("60/") {
            let pid = std::fs::read_to_string(&pid).unwrap();
            assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
        }
        text.push_str(&line);
        text.push('\n');
    }
    running.wait().unwrap();
    assert!(text.contains("the first rank ended with 1\n"), "{text}");
    let errors = errors(&text);
    assert!(errors.len() == 1 && errors[0].contains("rank 1 on ") && errors[0].contains("has not answered"), "{text}");
    let kept = std::fs::read_dir(place.path("out").join("checkpoints")).unwrap().count();
    assert!(kept == 1 && errors[0].contains("the state after step "), "{text}");
}

#[test]
fn a_gradient_of_one_rank_that_is_not_finite_ends_all_with_its_name_and_the_last_good_state() {
    let Some(place) = Place::of_ranks() else { return };
    // Each of two ranks is dealt one row a step, and in the fourth step a label of the second one overflows.
    let label = |n: usize| if n == 7 { 3.4e38 } else { 2.0 };
    place.write("rows.jsonl", (0..12).map(|n| json!({"id": format!("r{n}"), "text": text(0), "label": label(n)})));
    let usual = "--objective regression --no-shuffle --batch-size 2 --grad-accum 1";
    // What a run of another kind adds, and the steps whose state is left.
    for (output, more, kept) in [
        ("usual", "", &["step-2", "step-3"][..]),
        ("sharded", "--shard-optimizer", &["step-2", "step-3"]),
        ("apart", "--sync-every 2", &["step-2"]),
    ] {
        let more: Vec<&str> = usual.split(' ').chain(more.split_whitespace()).chain(["--save-every", "2"]).collect();
        let ended = place.ended(2, &place.training(output), &more);
        let text = stderr(&ended);
        assert_eq!(ended.status.code(), Some(1), "{text}");
        let errors = errors(&text);
        assert!(errors.len() == 1 && errors[0].starts_with("error: rank 1 on "), "{text}");
        assert!(errors[0].contains("is not finite at step 4"), "{text}");
        let folder = place.path(output).join("checkpoints");
        let mut steps: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|step| step.unwrap())
            .filter(|step| step.path().join("trainer_state.json").is_file())
            .map(|step| step.file_name().into_string().unwrap())
            .collect();
        steps.sort();
        assert_eq!(steps, kept, "{output}");
        assert_eq!(errors[0].contains("the state after step 3 is in "), kept.len() == 2, "{text}");
    }
}

#[test]
fn a_full_disk_of_the_first_rank_ends_all_and_the_last_checkpoint_stands() {
    let Some(place) = Place::of_ranks() else { return };
    let output = place.path("out");
    std::fs::create_dir(&output).unwrap();
    // A file system of its own, on which there is room for one checkpoint but not for two.
    let size =
        5 * std::fs::metadata(place.path("").join(place.model("llama")).join("model.safetensors")).unwrap().len();
    let mount = format!("mount -t tmpfs -o size={size} tmpfs {}", output.display());
    let can_mount = Command::new("unshare").args(["-m", "sh", "-c", &mount]).output();
    if !can_mount.is_ok_and(|ended| ended.status.success()) {
        println!("skipped: no file system can be mounted here to be filled");
        return;
    }
    let look = format!("ls {}/checkpoints/*/trainer_state.json >&2", output.display());
    let first = format!("exec unshare -m sh -c '{mount} && \"$@\"; ended=$?; {look}; exit $ended' sh \"$@\"");
    let script = format!("if [ $OMPI_COMM_WORLD_RANK = 0 ]; then {first}; else exec \"$@\"; fi");
    let mut command = mpirun();
    command.args(["-n", "2", "sh", "-c", &script, "sh", wgr()]).args(place.training("out"));
    let ended = command.args(["--save-every", "2"]).output().unwrap();
    let text = stderr(&ended);
    assert_eq!(ended.status.code(), Some(1), "{text}");
    let errors = errors(&text);
    assert!(errors.len() == 1 && errors[0].starts_with("error: rank 0 on "), "{text}");
    assert!(errors[0].contains("No space left on device"), "{text}");
    assert!(text.contains("step-2/trainer_state.json") && !text.contains("step-4/trainer_state.json"), "{text}");
}
