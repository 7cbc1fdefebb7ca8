//! Prometheus' own test scripts, over samples in memory: values, order, errors, and notes word for word with their places.
#![allow(clippy::unwrap_used)]

mod script;

use std::path::PathBuf;

use script::{Case, Mode, run};

/// The scripts are written for names that go late and start timestamps that are heeded.
fn agree(mode: Mode, least: usize) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "test"));
    files.sort();
    assert_eq!(files.len(), 16);
    let (mut agreed, mut differing) = (0, Vec::new());
    for file in &files {
        let name = file.file_name().unwrap().to_str().unwrap();
        for case in run(&std::fs::read_to_string(file).unwrap(), name, mode) {
            match case {
                Case { problem: None, .. } => agreed += 1,
                Case { line, question, problem: Some(problem) } => {
                    differing.push(format!("{name}:{line}: {question}\n    {problem}"));
                }
            }
        }
    }
    assert!(differing.is_empty(), "{agreed} agree, {} do not:\n{}", differing.len(), differing.join("\n"));
    assert!(agreed > least, "{agreed}");
}

#[test]
fn the_scripts_of_prometheus_agree() {
    agree(Mode::Memory, 2000);
}

/// What is asked at one time is what is asked at many, at that step.
#[test]
fn they_agree_at_many_times() {
    agree(Mode::Ranges, 2000);
}

#[test]
fn they_agree_over_rows_of_a_store() {
    agree(Mode::Kept, 1900);
}

#[test]
fn they_agree_over_segments() {
    agree(Mode::Sealed, 1900);
}
