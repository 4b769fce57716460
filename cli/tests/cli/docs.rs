//! The runbooks: each command that they show is run, in the order in which they show it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use serde_norway as yaml;

use crate::rotate::sandbox;
use crate::sandbox::{Sandbox, claims_of};

fn document(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).unwrap()
}

/// The text of all blocks marked `sh`, without the indentation of the list that they stand in.
fn scripts(text: &str) -> String {
    let mut script = String::new();
    let mut within = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        match (within, line.trim()) {
            (None, "```sh") => within = Some(indent),
            (Some(_), "```") => within = None,
            (Some(indent), _) => {
                script.push_str(line.get(indent..).unwrap_or_default());
                script.push('\n');
            }
            (None, _) => {}
        }
    }
    script
}

/// Runs a script as the operator's shell would, with `kubectl` stood in for.
fn run(sandbox: &Sandbox, script: &str, variables: &[(&str, &str)]) -> Output {
    let program: PathBuf = env!("CARGO_BIN_EXE_service-token").into();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", program.parent().unwrap().display());
    let script = format!("kubectl() {{ echo \"kubectl $*\"; }}\n{script}");
    Command::new("sh")
        .args(["-euc", &script])
        .current_dir(sandbox.root())
        .env("PATH", path)
        .env_remove("SERVICE_TOKEN_STORE")
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn insist(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// With two services that have their tokens.
fn at_work() -> Sandbox {
    let sandbox = sandbox("");
    sandbox.run(&["generate", "--all", "--out-dir", "tokens"]).done();
    sandbox
}

#[test]
fn runbook_of_the_rotation_runs_as_it_is_written() {
    let script = scripts(&document("rotation.md"));
    assert_eq!(script.matches("service-token ").count(), 5, "{script}");
    let said = insist(&run(&at_work(), &script, &[]));
    assert!(said.starts_with("adopted ") && said.contains("\"step\":\"prepare\""), "{said}");
}

#[test]
fn runbook_of_an_incident_runs_as_it_is_written_and_leaves_no_good_token_of_what_leaked() {
    let sandbox = at_work();
    let leaked = sandbox.read("tokens/orders.token");
    sandbox.write("leaked.token", &leaked);
    let jti = claims_of(&leaked)["jti"].as_str().unwrap().to_owned();
    let set = sandbox.run(&["jwks"]).done().json();
    let kid = set["keys"][0]["kid"].as_str().unwrap().to_owned();
    let script = scripts(&document("incident.md"));
    assert_eq!(script.matches("service-token ").count(), 9, "{script}");
    let said = insist(&run(&sandbox, &script, &[("JTI", &jti), ("KID", &kid)]));
    assert!(said.contains(&format!("revoked {kid}\n")), "{said}");
    let all = sandbox.run(&["list", "--format", "json"]).done().json();
    let good = all.as_array().unwrap().iter().filter(|token| token["state"] == "active");
    let good: Vec<_> = good.map(|token| (&token["service"], token["kid"] != kid.as_str())).collect();
    assert_eq!(good.len(), 2, "{all}");
    assert!(good.iter().all(|(_, is_of_the_new_key)| *is_of_the_new_key), "{all}");
    for service in ["orders", "inventory"] {
        let verify = ["verify", "--jwks", "jwks.json", "--issuer", "bakery-auth", "-"];
        sandbox.feed(&verify, sandbox.read(&format!("tokens/{service}.token")).trim_end()).done();
    }
}

#[test]
fn other_commands_of_the_runbooks_are_of_this_program() {
    for name in ["rotation.md", "incident.md"] {
        let text = document(name);
        let inline =
            text.split('`').filter(|part| part.starts_with("service-token ") && !part.contains('\n'));
        for command in inline {
            let known: Vec<_> = command.split(' ').skip(1).filter(|word| *word != "\"$KID\"").collect();
            let help = Sandbox::new().run(&[known[0], "--help"]).done().stdout;
            for option in known.iter().filter(|word| word.starts_with("--")) {
                assert!(help.contains(option), "{name}: {command}");
            }
        }
    }
}

fn manifests() -> Vec<Value> {
    use serde::Deserialize as _;
    let text = document("kubernetes/renew.yaml");
    yaml::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap()).collect()
}

#[test]
fn cron_job_is_valid_by_the_schemas_of_kubernetes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/kubernetes/renew.yaml");
    let Ok(output) = Command::new("kubernetes-validate").arg("--strict").arg(path).output() else {
        eprintln!("skipped: kubernetes-validate is not installed (pip install kubernetes-validate)");
        return;
    };
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches(" passed ").count(), manifests().len(), "{said}");
}

#[test]
fn cron_job_renews_what_it_mounts_and_may_replace_nothing_else() {
    let all = manifests();
    let of_kind = |kind: &str| all.iter().find(|document| document["kind"] == kind).unwrap();
    let pod = &of_kind("CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let tokens = pod["volumes"].as_array().unwrap().iter().find(|volume| volume["name"] == "tokens").unwrap();
    let mounted: Vec<_> = tokens["projected"]["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| &source["secret"]["name"])
        .collect();
    let allowed: Vec<_> = of_kind("Role")["rules"][0]["resourceNames"].as_array().unwrap().iter().collect();
    assert_eq!(mounted, allowed);

    let script = pod["containers"][0]["args"][0].as_str().unwrap();
    let local =
        script.replace("/etc/service-token/", "").replace("/run/tokens", "tokens").replace("/out/", "");
    let sandbox = at_work();
    assert_eq!(insist(&run(&sandbox, &local, &[])), "", "nothing ends soon");
    assert_eq!(sandbox.read("secrets.yaml"), "");
    fs::remove_file(sandbox.path("tokens/orders.token")).unwrap();
    assert_eq!(insist(&run(&sandbox, &local, &[])), "kubectl apply -f secrets.yaml\n");
    assert!(sandbox.read("secrets.yaml").contains("name: orders-service-token"));
}
