use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

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
    if !can_run() {
        return;
    }
    let place = Place::new();
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
    if !can_run() {
        return;
    }
    let place = Place::new();
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
    if !can_run() {
        return;
    }
    let place = Place::new();
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
