//! The operations pages of the guide: runs each command and compares its output with the output on the page.

mod page;
mod production;
mod runbooks;
mod troubleshooting;

use std::path::PathBuf;
use std::process::{Command, Output};

use crate::rotate::sandbox;
use crate::sandbox::Sandbox;

/// Stands in for a cluster: a Secret that is asked for is the token of `orders`.
const KUBECTL: &str =
    r#"kubectl() { if [ "$1" = get ]; then base64 < tokens/orders.token; else echo "kubectl $*"; fi; }"#;

/// Runs a script as the operator's shell would.
fn run(sandbox: &Sandbox, script: &str, variables: &[(&str, &str)]) -> Output {
    let program: PathBuf = env!("CARGO_BIN_EXE_service-token").into();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", program.parent().unwrap().display());
    Command::new("sh")
        .args(["-euc", &format!("{KUBECTL}\n{script}")])
        .current_dir(sandbox.root())
        .env("PATH", path)
        .env("XDG_STATE_HOME", sandbox.path("state"))
        .env("NO_COLOR", "1")
        // The pages show what `df` and others print in English.
        .env("LC_ALL", "C")
        // curl sends nothing for this machine to a proxy of the environment.
        .env("no_proxy", "*")
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
fn other_commands_of_the_pages_are_of_this_program() {
    for name in page::ALL {
        let text = page::read(name);
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
