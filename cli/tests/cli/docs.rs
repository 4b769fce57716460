//! The operations pages of the guide: runs each command and compares its output with the output on the page.

mod encrypting;
mod first_fleet;
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
        .env_remove("COLUMNS")
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

/// The page with the script of grants.
pub(crate) fn store_page() -> String {
    page::read("store.md")
}

/// With two services that have their tokens.
fn at_work() -> Sandbox {
    let sandbox = sandbox("");
    sandbox.run(&["generate", "--all", "--out-dir", "tokens"]).done();
    sandbox
}

/// Those that are run, and those that are only shown.
#[test]
fn commands_of_the_guide_and_their_options_exist() {
    let mut count = 0;
    for (path, text) in page::all() {
        let inline = text.split('`').filter(|part| !part.contains('\n'));
        let lines = text.lines().map(str::trim_start);
        for command in inline.chain(lines).filter(|part| part.starts_with("service-token ")) {
            let command = command.split(" #").next().unwrap();
            let mut words = command.split(' ').skip(1);
            let name = words.next().unwrap();
            let help = match name {
                "store" | "audit" => Sandbox::new().run(&[name, words.next().unwrap(), "--help"]),
                name => Sandbox::new().run(&[name, "--help"]),
            };
            let help = help.done().stdout;
            for option in words.filter(|word| word.starts_with("--")) {
                let option = option.split('=').next().unwrap();
                assert!(help.contains(option), "{}: {command}", path.display());
            }
            count += 1;
        }
    }
    assert!(count > 50, "only {count} commands were found");
}
