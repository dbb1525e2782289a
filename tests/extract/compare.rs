//! Two annotators compared.

use wgr::extract::compare::compare;

use crate::harness::*;

#[test]
fn two_annotators_are_compared_on_what_both_judged() {
    let mut log = few();
    log.run().unwrap();
    let rules = log.config.output.clone();
    let file = labels(&log, "labels.jsonl", &[label("a:b", 2, "UR5"), label("c3", 1, "UR5"), label("c9", 1, "UR1")]);
    let found = compare(&rules, &file, 10).unwrap();
    assert_eq!((found.common, found.only_a, found.only_b, found.conversations), (2, 1, 1, 2));
    assert_eq!((found.a.annotator.as_deref(), found.b.annotator.as_deref()), (Some("rules"), None));
    assert_eq!(found.confusion.0[1], [0, 0, 0, 0, 1]);
    assert_eq!(found.confusion.0[4], [0, 0, 0, 0, 1]);
    assert_eq!((found.agreement.value, found.kappa.value), (Some(0.5), Some(0.0)));
    let differing = &found.disagreements[0];
    assert_eq!((found.disagreements.len(), differing.id.as_str()), (1, "c3:1"));
    assert_eq!((differing.a_reason.starts_with("correction/"), differing.b_reason.as_str()), (true, "UR5"));
    assert_eq!(differing.feedback.as_deref(), Some(COMPLAINT));
    assert!(compare(&rules, &file, 0).unwrap().disagreements.is_empty());

    // A run with these labels calls what they do not name neutral, and so has all turns of the log.
    log.config.annotator_file = Some(file);
    log.config.output = log.path("labelled");
    log.run().unwrap();
    let found = compare(&rules, &log.config.output, 10).unwrap();
    assert_eq!((found.common, found.only_a, found.only_b), (3, 0, 0));
    let same = compare(&rules, &rules, 10).unwrap();
    assert_eq!((same.agreement.value, same.kappa.value, same.weighted_kappa.value), (Some(1.0), Some(1.0), Some(1.0)));
}

#[test]
fn a_comparison_needs_finished_runs_or_labels() {
    let log = few();
    let file = labels(&log, "labels.jsonl", &[label("c3", 1, "UR5")]);
    for (path, part) in [
        (log.path(""), "holds no finished run"),
        (log.path("nothing"), "nothing"),
        (log.path("log.jsonl"), "log.jsonl:1"),
    ] {
        for (a, b) in [(&path, &file), (&file, &path)] {
            let error = compare(a, b, 1).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(part), "{error}");
        }
    }
    let alone = compare(&file, &file, 1).unwrap();
    assert_eq!((alone.agreement.value, alone.kappa.value, alone.kappa.interval), (Some(1.0), None, None));
}
