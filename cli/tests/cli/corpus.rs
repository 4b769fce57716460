//! The public token corpus, where it lies beside the project: every case through `verify --batch`.

use std::path::Path;

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// Whether the verdict is the exact one; the rule of the corpus's `scoring.py`.
fn is_exact(case: &Value, verdict: &str) -> bool {
    match (case["expect"].as_str().unwrap(), verdict) {
        ("either", "accept" | "reject_401" | "reject_403" | "config_error") => true,
        ("config_error", "config_error" | "reject_401") => true,
        ("reject_401" | "reject_403" | "reject", "config_error") => case["config_error_ok"] == true,
        ("reject", "reject_401" | "reject_403") => true,
        (expected, verdict) => expected == verdict,
    }
}

#[test]
fn every_public_case_gets_its_exact_verdict() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus/public.jsonl");
    let Ok(text) = std::fs::read_to_string(&file) else {
        eprintln!("skipped: there is no `../shared/corpus/public.jsonl` beside the project");
        return;
    };
    let cases: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let input: String = cases
        .iter()
        .enumerate()
        .map(|(id, case)| {
            json!({ "id": id, "config": case["config"], "token": case["token"] }).to_string() + "\n"
        })
        .collect();

    let ran = Sandbox::new().feed(&["verify", "--batch", "-"], input).done();
    let answers: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), cases.len());

    let mut wrong = Vec::new();
    for (index, (case, answer)) in cases.iter().zip(&answers).enumerate() {
        assert_eq!(answer["id"], index);
        let verdict = answer["verdict"].as_str().unwrap();
        if !is_exact(case, verdict) {
            wrong.push(format!(
                "{}: expected {}, got {verdict} ({}): {}",
                case["id"], case["expect"], answer["code"], case["why"]
            ));
        }
        for forbidden in case["forbid_in_output"].as_array().into_iter().flatten() {
            assert!(!ran.stdout.contains(forbidden.as_str().unwrap()), "{}", case["id"]);
        }
    }
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
