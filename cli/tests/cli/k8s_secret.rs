//! Kubernetes Secrets, compared with kubectl's own.

use std::process::Command;

use serde_json::Value;
use serde_norway as yaml;

use crate::sandbox::Sandbox;

fn documents(text: &str) -> Vec<Value> {
    use serde::Deserialize as _;
    yaml::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap()).collect()
}

fn token_of(secret: &Value) -> String {
    use base64::Engine as _;
    let data = secret["data"]["token"].as_str().unwrap();
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(data).unwrap()).unwrap()
}

/// What the API server makes of a Secret: no type means Opaque, and an empty time means none.
fn effect(mut secret: Value) -> Value {
    let members = secret.as_object_mut().unwrap();
    members.entry("type").or_insert("Opaque".into());
    let metadata = members["metadata"].as_object_mut().unwrap();
    metadata.retain(|_, value| !value.is_null());
    secret
}

#[test]
fn every_service_gets_a_secret_with_a_token_that_verifies() {
    let sandbox = Sandbox::configured();
    let ran = sandbox.run(&["k8s-secret", "--all", "--namespace", "bakery"]).done();
    let secrets = documents(&ran.stdout);
    let names: Vec<_> = secrets.iter().map(|secret| secret["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["inventory-service-token", "orders-service-token"]);
    for secret in &secrets {
        assert_eq!((&secret["kind"], &secret["type"]), (&"Secret".into(), &"Opaque".into()));
        assert_eq!(secret["metadata"]["namespace"], "bakery");
        sandbox.feed(&["verify", "-"], token_of(secret)).done();
    }
}

#[test]
fn manifest_equals_the_secret_that_kubectl_creates() {
    let sandbox = Sandbox::configured();
    let ours =
        documents(&sandbox.run(&["k8s-secret", "orders", "--namespace", "bakery"]).done().stdout).remove(0);
    let literal = format!("--from-literal=token={}", token_of(&ours));
    let kubectl = Command::new("kubectl")
        .args(["create", "secret", "generic", "orders-service-token", &literal])
        .args(["--namespace=bakery", "--dry-run=client", "-o", "yaml"])
        .output();
    let Ok(output) = kubectl else {
        eprintln!("skipped: kubectl is not installed");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs = documents(std::str::from_utf8(&output.stdout).unwrap()).remove(0);
    assert_eq!(effect(ours), effect(theirs));
}

#[test]
fn out_dir_gets_one_private_manifest_for_each_service() {
    let sandbox = Sandbox::configured();
    let ran = sandbox.run(&["k8s-secret", "--all", "--out-dir", "secrets"]).done();
    assert_eq!(ran.stdout, "secrets/inventory-service-token.yaml\nsecrets/orders-service-token.yaml\n");
    #[cfg(unix)]
    assert_eq!(sandbox.mode("secrets/orders-service-token.yaml"), 0o600);
    assert!(sandbox.run(&["k8s-secret", "orders", "--out-dir", "secrets"]).refused().contains("--force"));
}

#[test]
fn name_that_kubernetes_would_refuse_is_refused_with_a_remedy() {
    let sandbox = Sandbox::configured();
    let message = sandbox.run(&["k8s-secret", "Big_Orders", "--allow-unlisted"]).refused();
    assert!(message.contains("`Big_Orders-service-token`") && message.contains("--name SECRET"), "{message}");
    sandbox.run(&["k8s-secret", "Big_Orders", "--allow-unlisted", "--name", "big-orders"]).done();
    sandbox.run(&["k8s-secret", "orders", "--namespace", "no.dots"]).refused();
}

/// Names of Kubernetes that YAML 1.1 or YAML 1.2 takes for a truth value, nothing, a number or a date.
const READ_AS_ANOTHER_TYPE: [&str; 30] = [
    "no",
    "on",
    "off",
    "y",
    "n",
    "yes",
    "true",
    "false",
    "null",
    "1e3",
    "12e03",
    "1",
    "0",
    "007",
    "08",
    "0o7",
    "0x1f",
    "0b1",
    "685e230",
    "1-0",
    "2026-11-29",
    "2001-1-1",
    "nan",
    "inf",
    "e1",
    "1e",
    "123456789012345678901",
    "00",
    "0-0",
    "a",
];

/// What a reader makes of a manifest; `None` where it is not installed.
fn read_by(program: &str, arguments: &[&str], manifest: &str) -> Option<Value> {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else { return None };
    child.stdin.take().unwrap().write_all(manifest.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("No module named") {
        return None;
    }
    assert!(output.status.success(), "{program}: {said}\n{manifest}");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn every_name_is_text_for_kubectl_for_pyyaml_and_for_readers_of_yaml_1_2() {
    let sandbox = Sandbox::configured();
    let python = std::env::var("SERVICE_ONLY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))[0]))";
    for name in READ_AS_ANOTHER_TYPE {
        let ran = sandbox.run(&["k8s-secret", "orders", "--namespace", name, "--name", name]).done();
        let rust = documents(&ran.stdout).remove(0);
        // What kubectl does without a server.
        let kubectl =
            read_by("kubectl", &["annotate", "--local", "-f", "-", "a=b", "-o", "json"], &ran.stdout);
        let pyyaml = read_by(&python, &["-c", script], &ran.stdout);
        for (reader, secret) in [("serde", Some(rust)), ("kubectl", kubectl), ("PyYAML", pyyaml)] {
            let Some(secret) = secret else {
                eprintln!("skipped: {reader} is not installed");
                continue;
            };
            let metadata = &secret["metadata"];
            assert_eq!((&metadata["name"], &metadata["namespace"]), (&name.into(), &name.into()), "{reader}");
            sandbox.feed(&["verify", "-"], token_of(&secret)).done();
        }
    }
}

#[test]
fn renewed_secrets_are_written_by_the_same_writer() {
    let sandbox = crate::store::with_store("sqlite:tokens.db");
    sandbox.run(&["generate", "orders", "--lifetime", "1h"]).done();
    let ran = sandbox.run(&["renew", "--k8s-secret", "--namespace", "no", "--within", "2h"]).done();
    assert!(ran.stdout.contains("namespace: \"no\"\n"), "{}", ran.stdout);
}
