//! The same binary on a terminal, which `script` (util-linux) makes: colours, a progress bar and a
//! question.

use std::process::Stdio;
use std::time::Duration;

use tenant_deletion::catalogue::ORCHESTRATOR;
use tenant_deletion::tenant::LEAVING;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::town::Town;

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the binary on a terminal and answers its question, if it asks one.
pub(crate) async fn on_terminal(arguments: &str, answer: &str, no_color: bool) -> Option<(i32, String)> {
    let command = format!("'{}' {arguments}", env!("CARGO_BIN_EXE_tenant-deletion"));
    let mut script = Command::new("script");
    script
        .args(["--quiet", "--flush", "--return", "--command", &command, "/dev/null"])
        .env("TERM", "xterm-256color")
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .env_remove("CI")
        .env_remove("RUST_LOG")
        .envs(no_color.then_some(("NO_COLOR", "1")))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let Ok(mut child) = script.spawn() else {
        eprintln!("skipped: script is not installed (Debian: apt-get install bsdutils)");
        return None;
    };
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let watch = async {
        let (mut seen, mut asked) = (Vec::new(), false);
        while screen.read_buf(&mut seen).await.unwrap() > 0 {
            if !asked && String::from_utf8_lossy(&seen).contains("[y/N]") {
                asked = true;
                keyboard.write_all(answer.as_bytes()).await.unwrap();
            }
        }
        String::from_utf8_lossy(&seen).into_owned()
    };
    let seen = tokio::time::timeout(PATIENCE, watch).await.expect("it ends");
    let status = child.wait().await.unwrap();
    Some((status.code().unwrap(), seen))
}

#[tokio::test]
async fn demonstration_has_colours_on_a_terminal_and_none_with_no_color() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = format!("--state-dir '{}'", directory.path().display());
    let Some((code, seen)) = on_terminal(&arguments, "", false).await else { return };
    assert_eq!(code, 0, "{seen}");
    assert!(coloured(&seen), "{seen}");
    let Some((code, seen)) = on_terminal(&arguments, "", true).await else { return };
    assert_eq!(code, 0, "{seen}");
    assert!(!coloured(&seen), "{seen}");
}

/// Whether a "select graphic rendition" is in it; a progress bar moves the cursor also without colours.
fn coloured(seen: &str) -> bool {
    let mut sequences = seen.split("\u{1b}[").skip(1);
    sequences.any(|text| text.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'))
}

#[tokio::test]
async fn orchestrator_asks_on_a_terminal_and_deletes_only_on_yes() {
    let town = Town::start().await;
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, town.token()).unwrap();
    let arguments = format!(
        "orchestrate {} --gateway https://{} --token-file '{}' --tls '{}'",
        LEAVING.id,
        town.gateway,
        token.display(),
        town.tls_folder(ORCHESTRATOR).display()
    );

    let before = town.counts(LEAVING);
    let Some((code, seen)) = on_terminal(&arguments, "n\r", false).await else { return };
    assert_eq!(code, 1, "{seen}");
    let question = format!("Delete {} records of tenant {}", before.values().sum::<u64>(), LEAVING.id);
    assert!(seen.contains(&question) && seen.contains("Nothing was deleted."), "{seen}");
    assert_eq!(town.counts(LEAVING), before);

    let Some((code, seen)) = on_terminal(&arguments, "y\r", false).await else { return };
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains("/12"), "a progress bar: {seen}");
    assert!(town.counts(LEAVING).values().all(|&left| left == 0));
}
