//! Programs that are not ours: asked with a text on standard input, skipped where they are absent.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

/// Runs Python; `None` where there is no such module.
pub(crate) fn python(module: &str, arguments: &[&str], input: &str) -> Option<String> {
    let python = std::env::var("SERVICE_ONLY_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let import = format!("import {module}");
    if !Command::new(&python)
        .args(["-c", &import])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|it| it.success())
    {
        eprintln!("skipped: `{python}` has no `{module}`; set SERVICE_ONLY_PYTHON");
        return None;
    }
    Some(answer(Command::new(python).args(arguments), input))
}

/// Runs a script of node that needs the packages of npm; `None` where they are not.
pub(crate) fn node(script: &str, input: &str) -> Option<String> {
    let Some(folder) = std::env::var_os("SERVICE_ONLY_PEERS_DIR") else {
        eprintln!("skipped: SERVICE_ONLY_PEERS_DIR does not say where packages of npm are installed");
        return None;
    };
    let mut command = Command::new("node");
    command.args(["--input-type=module", "-e", script]).env("SERVICE_ONLY_PEERS_DIR", folder);
    Some(answer(&mut command, input))
}

fn answer(command: &mut Command, input: &str) -> String {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A program that fails early does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}\n{input}", String::from_utf8_lossy(&output.stderr));
    said.into_owned()
}
