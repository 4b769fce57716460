//! Completion in real shells: a person types the beginning of a line and presses the tab key.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::presentation::{KID, fill};
use crate::sandbox::Sandbox;
use crate::store::with_store;

/// What is typed, with `\t` for the tab key, and the line that it becomes.
const TYPED: [(&str, &str); 9] = [
    ("gener\torde\t", "generate orders"),
    ("k8s-sec\t--all", "k8s-secret --all"),
    ("k8s-secret orders --names\t", "k8s-secret orders --namespace"),
    ("store ba\t", "store backup"),
    ("list --service tenant\t", "list --service tenant-deletion-orchestrator"),
    ("show c0ff\t", "show c0ffee00-91a3-4a43-9a64-5f8e6f0c7a11"),
    ("revoke --key Nz\t", "revoke --key NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
    ("rotate --emergency=Nz\t", "rotate --emergency=NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
    ("verify --format=js\t", "verify --format=json"),
];

/// With a store of four tokens, and a folder with the scripts of the shells.
fn sandbox() -> Sandbox {
    let sandbox = with_store("sqlite:tokens.db");
    fill(&sandbox);
    std::fs::create_dir_all(sandbox.path("share/bash-completion/completions")).unwrap();
    std::fs::create_dir(sandbox.path("functions")).unwrap();
    let script = |shell| sandbox.run(&["completions", shell]).done().stdout;
    sandbox.write("share/bash-completion/completions/service-token", script("bash"));
    sandbox.write("functions/_service-token", script("zsh"));
    sandbox.write("service-token.fish", script("fish"));
    sandbox
}

/// A shell that finds this program, and nothing of the person who runs the test.
fn shell(sandbox: &Sandbox, name: &str) -> Command {
    let program = Path::new(env!("CARGO_BIN_EXE_service-token")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut shell = Command::new(name);
    shell
        .current_dir(sandbox.root())
        .env("PATH", format!("{}:{path}", program.display()))
        .env("HOME", sandbox.root())
        .env("ZDOTDIR", sandbox.root())
        .env("XDG_DATA_HOME", sandbox.path("share"))
        .env("TERM", "dumb")
        .env("LC_ALL", "C")
        .env_remove("SERVICE_TOKEN_STORE")
        .env_remove("BASH_COMPLETION_USER_DIR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    shell
}

/// Types the lines. After each, `echo` is put in front of it, so that the shell prints what it has become.
fn type_lines(mut shell: Command) -> Option<String> {
    let program = shell.get_program().to_owned();
    let mut running = match shell.spawn() {
        Ok(running) => running,
        Err(error) => {
            eprintln!("skipped: no `{}`: {error}", program.display());
            return None;
        }
    };
    let mut keys = running.stdin.take().unwrap();
    for (typed, _) in TYPED {
        writeln!(keys, "service-token {typed}\u{1}echo ").unwrap();
    }
    writeln!(keys, "exit").unwrap();
    drop(keys);
    let output = running.wait_with_output().unwrap();
    Some(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

fn assert_completed(printed: &str) {
    let lines: Vec<&str> = printed.lines().map(str::trim).collect();
    for (typed, line) in TYPED {
        let line = format!("service-token {line}");
        assert!(lines.contains(&line.as_str()), "{typed:?} did not become `{line}`:\n{printed}");
    }
}

fn exists(program: impl AsRef<OsStr>) -> bool {
    let found = Command::new(program.as_ref()).arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: no `{}`", program.as_ref().display());
    }
    found
}

#[test]
fn bash_completes_commands_options_and_values() {
    let sandbox = sandbox();
    sandbox.write("rc", "PS1=; unset HISTFILE; . share/bash-completion/completions/service-token\n");
    let mut bash = shell(&sandbox, "bash");
    bash.args(["--noprofile", "--rcfile", "rc", "-i"]);
    if let Some(printed) = type_lines(bash) {
        assert_completed(&printed);
    }
}

#[test]
fn bash_completion_loads_the_script_by_its_file_name() {
    let package = "/usr/share/bash-completion/bash_completion";
    if !Path::new(package).exists() {
        eprintln!("skipped: no bash-completion");
        return;
    }
    let sandbox = sandbox();
    sandbox.write("rc", format!("PS1=; unset HISTFILE; . {package}\n"));
    let mut bash = shell(&sandbox, "bash");
    // Relative, because bash-completion 2.11 splits a folder at its spaces.
    bash.args(["--noprofile", "--rcfile", "rc", "-i"]).env("XDG_DATA_HOME", "share");
    if let Some(printed) = type_lines(bash) {
        assert_completed(&printed);
    }
}

#[test]
fn zsh_completes_with_the_first_tab() {
    if !exists("zsh") {
        return;
    }
    let sandbox = sandbox();
    sandbox.write(
        ".zshrc",
        "PROMPT= RPROMPT=; unsetopt prompt_cr prompt_sp beep; bindkey -e; bindkey '^I' complete-word\n\
         fpath=($PWD/functions $fpath); autoload -Uz compinit; compinit -u -D\n",
    );
    // The editor of zsh needs a terminal.
    let mut zsh = shell(&sandbox, "script");
    zsh.args(["-qec", "zsh --no-globalrcs -i", "/dev/null"]);
    if let Some(printed) = type_lines(zsh) {
        assert_completed(&printed);
    }
}

#[test]
fn fish_completes_with_descriptions() {
    if !exists("fish") {
        return;
    }
    let sandbox = sandbox();
    let complete = |line: &str| {
        let script = format!("source service-token.fish; complete -C 'service-token {line}'");
        let output = shell(&sandbox, "fish").args(["--no-config", "-c", &script]).output().unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for (typed, line) in TYPED {
        // Fish replaces the last word, so it prints that word alone.
        let typed = typed.rsplit_once('\t').unwrap().0.replace('\t', "ate ");
        let (last, words) = (line.split(' ').nth(typed.matches(' ').count()), complete(&typed));
        assert!(words.lines().any(|word| word.split('\t').next() == last), "{typed:?}: {words}");
    }
    assert!(complete("gener").starts_with("generate\tMint a token for one service"));
    assert!(complete("show c0ff").contains("\tmail expired, expires 2 d ago"));
}

/// The answer to a shell that asks for the last of these words.
fn answer(sandbox: &Sandbox, words: &[&str]) -> String {
    let index = words.len().to_string();
    let variables = [("SERVICE_TOKEN_COMPLETE", "bash"), ("_CLAP_COMPLETE_INDEX", index.as_str())];
    let ran = sandbox.run_with(&[&["--", "service-token"], words].concat(), b"", &variables).done();
    assert_eq!(ran.stderr, "", "a completion writes nothing on standard error");
    ran.stdout
}

#[test]
fn completion_without_a_store_is_silent() {
    let empty = Sandbox::new();
    let broken = Sandbox::new();
    broken.write("service-token.toml", "issuer = ");
    let missing = Sandbox::configured();
    let config = missing.read("service-token.toml");
    missing.write("service-token.toml", format!("store = \"sqlite:none.db\"\n{config}"));
    // No packet to a documentation address is answered.
    let unreachable = Sandbox::new();
    unreachable
        .write("service-token.toml", format!("store = \"postgres://me:secret@192.0.2.1/x\"\n{config}"));
    for sandbox in [&empty, &broken, &missing, &unreachable] {
        for words in [&["revoke", "--key", ""][..], &["unrevoke", "1"], &["show", "7"]] {
            assert_eq!(answer(sandbox, words), "", "{words:?}");
        }
        assert!(answer(sandbox, &["lis"]).contains("list"));
    }
    assert_eq!(answer(&missing, &["generate", "or"]), "orders");
    assert!(!missing.path("none.db").exists(), "a completion creates no store");
}

#[test]
fn completion_reads_the_configuration_and_the_store_of_the_line() {
    let sandbox = sandbox();
    std::fs::create_dir(sandbox.path("deploy")).unwrap();
    std::fs::rename(sandbox.path("service-token.toml"), sandbox.path("deploy/tokens.toml")).unwrap();
    assert_eq!(answer(&sandbox, &["generate", "in"]), "");
    assert_eq!(answer(&sandbox, &["generate", "--config", "deploy/tokens.toml", "in"]), "inventory");
    assert_eq!(answer(&sandbox, &["revoke", "--store=sqlite:tokens.db", "--key", "Nz"]), KID);
    let config = sandbox.read("deploy/tokens.toml");
    sandbox.write(
        "service-token.toml",
        format!("{config}\n[environments.staging]\nservices = {{ probe = {{}} }}\n"),
    );
    assert_eq!(answer(&sandbox, &["--environment", "st"]), "staging");
    assert_eq!(answer(&sandbox, &["generate", "pro"]), "");
    assert_eq!(answer(&sandbox, &["--environment", "staging", "generate", "pro"]), "probe");
    let ids = answer(&sandbox, &["revoke", "--store", "sqlite:tokens.db", "7651"]);
    assert_eq!(ids.lines().count(), 2, "{ids}");
}
