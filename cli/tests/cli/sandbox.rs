//! A directory of the test's own, and the program run inside it.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// What one run of the program left behind.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Insists on exit code 0.
    pub(crate) fn done(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self
    }

    /// Insists on exit code 2 with nothing on standard output, and gives the message.
    pub(crate) fn refused(self) -> String {
        self.refused_with(2)
    }

    /// Insists on the exit code of a name that matches nothing.
    pub(crate) fn not_found(self) -> String {
        self.refused_with(9)
    }

    /// Insists on the exit code of a store that cannot be used.
    pub(crate) fn unavailable(self) -> String {
        self.refused_with(4)
    }

    /// Insists on an exit code with nothing on standard output, and gives the message.
    pub(crate) fn refused_with(self, code: i32) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{}", self.stderr);
        assert!(self.stderr.contains("error: "), "{}", self.stderr);
        self.stderr
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// Standard output without its newline.
    pub(crate) fn line(&self) -> &str {
        self.stdout.strip_suffix('\n').unwrap()
    }
}

pub(crate) struct Sandbox(TempDir);

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// With a configuration of two services and its key.
    pub(crate) fn configured() -> Self {
        let sandbox = Self::new();
        sandbox.write(
            "service-token.toml",
            r#"
issuer = "bakery-auth"
lifetime = "30d"
[key]
file = "signing.pem"
algorithm = "ES256"
[services]
orders = { role = "reader", scopes = ["orders:read", "orders:list"] }
inventory = {}
"#,
        );
        sandbox.run(&["keygen"]).done();
        sandbox
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.root())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[cfg(unix)]
    pub(crate) fn mode(&self, name: &str) -> u32 {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(self.path(name)).unwrap().permissions().mode() & 0o777
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, b"", &[])
    }

    pub(crate) fn feed(&self, arguments: &[&str], stdin: impl AsRef<[u8]>) -> Ran {
        self.run_with(arguments, stdin.as_ref(), &[])
    }

    /// Runs the program with a standard output whose reader is gone.
    pub(crate) fn run_into_closed_pipe(&self, arguments: &[&str]) -> Ran {
        let mut child =
            self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap(),
            stdout: String::new(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_service-token"));
        command
            .args(arguments)
            .current_dir(self.root())
            .env("XDG_STATE_HOME", self.path("state"))
            .env("NO_COLOR", "1")
            .env_remove("COLUMNS")
            .env_remove("SERVICE_TOKEN_ENVIRONMENT")
            .env_remove("SERVICE_TOKEN_STORE")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run_with(&self, arguments: &[&str], stdin: &[u8], variables: &[(&str, &str)]) -> Ran {
        let mut child = self
            .command(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let input = stdin.to_vec();
        // A program that ends before it has read everything breaks the pipe, which is its right.
        let feeder = std::thread::spawn(move || drop(pipe.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        Ran {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The claims of a token, unverified.
/// Whether this machine has a program. A test that lacks it says so, and ends.
pub(crate) fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !found {
        eprintln!("skipped: there is no `{program}`");
    }
    found
}

pub(crate) fn claims_of(token: &str) -> Value {
    let ran = Sandbox::new().feed(&["inspect", "--format", "json", "-"], token).done();
    ran.json()["claims"].clone()
}
