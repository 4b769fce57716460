//! Keys of another program: the client of a key management service, a script, an agent.
//!
//! The program gets a verb and the name of a key as arguments, and never a token: the message that it signs is the
//! unsigned part of one, without a signature. Time and output are limited, and its messages are escaped.

use std::{
    fmt,
    io::{Read, Write as _},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use service_only::{
    Algorithm,
    issue::{PublicJwk, SignError, Signer},
};

use crate::device::{KeyDevice, check_name};

/// Keys of another program.
///
/// The program is started for each step, with these arguments after its own:
///
/// | arguments | standard input | standard output |
/// | --- | --- | --- |
/// | `sign NAME ALGORITHM` | the message | the signature: its bytes, or base64 |
/// | `public NAME ALGORITHM` | | the public key: PEM or JWK; nothing if the key does not exist |
/// | `create NAME ALGORITHM` | | the public key of the new key; the same key if it exists |
/// | `delete NAME` | | |
///
/// An ECDSA signature is `r || s` or DER. Exit code 0 means done. After any other code, the error contains what the
/// program wrote to standard error. The program needs `create` and `delete` only for a rotation.
///
/// The program gets the environment of this one, without variables whose names contain `TOKEN`, `SECRET`, `PASSWORD`
/// or `PASSPHRASE`, unless [`keep_variable`](Self::keep_variable) names them.
#[derive(Clone)]
pub struct CommandKeys {
    program: String,
    arguments: Vec<String>,
    kept: Vec<String>,
    limit: Duration,
}

impl CommandKeys {
    /// The default time limit of one step: ten seconds.
    pub const DEFAULT_LIMIT: Duration = Duration::from_secs(10);

    /// The most output that is read, of each stream: 64 KiB. A signature has at most 1 KiB.
    pub const MAX_OUTPUT: usize = 64 * 1024;

    /// Names the program. It is started directly, without a shell.
    pub fn new(program: impl Into<String>) -> Self {
        Self { program: program.into(), arguments: Vec::new(), kept: Vec::new(), limit: Self::DEFAULT_LIMIT }
    }

    /// Adds an argument before the verb.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets the time limit of one step. Then the program is killed, with its children.
    #[must_use]
    pub fn limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Passes a variable on although its name looks like that of a secret, such as `AWS_SESSION_TOKEN`.
    #[must_use]
    pub fn keep_variable(mut self, name: impl Into<String>) -> Self {
        self.kept.push(name.into());
        self
    }

    /// A signer with a key that exists. The program prints its public key.
    ///
    /// # Errors
    /// When the program fails, or has no such key.
    pub fn open(&self, algorithm: Algorithm, name: &str) -> Result<Box<dyn Signer>, SignError> {
        let public = self.find(algorithm, name)?.ok_or_else(|| {
            SignError::new(format!("{} has no key `{name}`; create it, or name another key", self.place()))
        })?;
        Ok(self.signer(name, public))
    }

    fn place(&self) -> String {
        format!("the command `{}`", escaped(&self.program))
    }

    /// Runs one step, and returns what the program wrote.
    fn run(&self, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, SignError> {
        let verb = arguments.first().copied().unwrap_or_default();
        let place = format!("{} `{verb}`", self.place());
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if is_secret(&text) && !self.kept.iter().any(|kept| *kept == text) {
                command.env_remove(&name);
            }
        }
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|error| {
            SignError::new(format!("{place} cannot be started: {error}; check its path and permissions"))
                .caused_by(error)
        })?;
        let streams = Streams::start(&mut child, input);
        let status = streams.and_then(|streams| streams.finish(&mut child, self.limit));
        let (status, output, errors) = match status {
            Ok(done) => done,
            Err(why) => {
                kill(&mut child);
                return Err(SignError::new(match why {
                    Fault::Late => format!(
                        "{place} did not end within {} s and was killed; check the service that it uses",
                        self.limit.as_secs_f64()
                    ),
                    Fault::Long => format!(
                        "{place} wrote more than {} bytes and was killed; a signature is shorter",
                        Self::MAX_OUTPUT
                    ),
                    Fault::System(error) => format!("{place} failed: {error}"),
                }));
            }
        };
        if !status.success() {
            let text = escaped(String::from_utf8_lossy(&errors).trim());
            let text = if text.is_empty() { "it wrote no message".to_owned() } else { text };
            return Err(SignError::new(format!("{place} failed ({status}): {text}")));
        }
        Ok(output)
    }

    fn public(&self, algorithm: Algorithm, output: &[u8]) -> Result<PublicJwk, SignError> {
        let trimmed = output.trim_ascii();
        let read = if trimmed.starts_with(b"{") {
            PublicJwk::from_jwk(algorithm, trimmed)
        } else {
            PublicJwk::from_pem(algorithm, trimmed)
        };
        read.map_err(|error| {
            SignError::new(format!("{} did not print a public key for {algorithm}: {error}", self.place()))
                .caused_by(error)
        })
    }
}

impl KeyDevice for CommandKeys {
    fn find(&self, algorithm: Algorithm, name: &str) -> Result<Option<PublicJwk>, SignError> {
        check_name(name)?;
        let output = self.run(&["public", name, algorithm.as_str()], &[])?;
        if output.trim_ascii().is_empty() { Ok(None) } else { self.public(algorithm, &output).map(Some) }
    }

    fn create(
        &self,
        algorithm: Algorithm,
        rsa_bits: Option<u32>,
        name: &str,
    ) -> Result<PublicJwk, SignError> {
        check_name(name)?;
        let bits = rsa_bits.map(|bits| bits.to_string());
        let arguments: Vec<_> =
            ["create", name, algorithm.as_str()].into_iter().chain(bits.as_deref()).collect();
        let output = self.run(&arguments, &[])?;
        self.public(algorithm, &output)
    }

    fn destroy(&self, name: &str) -> Result<(), SignError> {
        check_name(name)?;
        self.run(&["delete", name], &[]).map(drop)
    }

    fn signer(&self, name: &str, public: PublicJwk) -> Box<dyn Signer> {
        Box::new(CommandSigner { keys: self.clone(), name: name.to_owned(), public })
    }

    fn reference(&self, name: &str) -> String {
        format!("command:{}:{name}", self.program)
    }
}

impl fmt::Debug for CommandKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Arguments may contain a secret, although they should not.
        f.debug_struct("CommandKeys").field("program", &self.program).finish_non_exhaustive()
    }
}

struct CommandSigner {
    keys: CommandKeys,
    name: String,
    public: PublicJwk,
}

impl Signer for CommandSigner {
    fn public_jwk(&self) -> PublicJwk {
        self.public.clone()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        check_name(&self.name)?;
        let output = self.keys.run(&["sign", &self.name, self.public.algorithm().as_str()], message)?;
        Ok(signature(output))
    }
}

/// The bytes of a signature. Text in base64 is decoded; the issuer checks what results.
fn signature(output: Vec<u8>) -> Vec<u8> {
    let text: Vec<u8> = output.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let standard: Vec<u8> = text
        .iter()
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            byte => *byte,
        })
        .collect();
    let end = standard.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let mut padded = standard.get(..end).unwrap_or_default().to_vec();
    padded.resize(padded.len().next_multiple_of(4), b'=');
    match STANDARD.decode(&padded) {
        Ok(decoded) if !decoded.is_empty() => decoded,
        _ => output,
    }
}

fn is_secret(variable: &str) -> bool {
    let name = variable.to_ascii_uppercase();
    ["TOKEN", "SECRET", "PASSWORD", "PASSPHRASE"].iter().any(|part| name.contains(part))
}

/// Text of another program, in one line of at most 500 characters.
fn escaped(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(500)
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect();
    if text.chars().count() > 500 {
        short.push('…');
    }
    short
}

enum Fault {
    Late,
    Long,
    System(std::io::Error),
}

/// The threads that feed and read the program, so that no full pipe blocks it.
struct Streams {
    output: Receiver<std::io::Result<Vec<u8>>>,
    errors: Receiver<std::io::Result<Vec<u8>>>,
}

impl Streams {
    fn start(child: &mut Child, input: &[u8]) -> Result<Self, Fault> {
        if let Some(mut stdin) = child.stdin.take() {
            let input = input.to_vec();
            // A program that does not read its input is judged by what it returns.
            thread::spawn(move || drop(stdin.write_all(&input)));
        }
        let gone = || Fault::System(std::io::Error::other("a stream of the program is missing"));
        let output = collect(child.stdout.take().ok_or_else(gone)?);
        let errors = collect(child.stderr.take().ok_or_else(gone)?);
        Ok(Self { output, errors })
    }

    fn finish(self, child: &mut Child, limit: Duration) -> Result<(ExitStatus, Vec<u8>, Vec<u8>), Fault> {
        let start = std::time::Instant::now();
        let left = || limit.saturating_sub(start.elapsed());
        let read = |stream: &Receiver<std::io::Result<Vec<u8>>>| match stream.recv_timeout(left()) {
            Ok(Ok(bytes)) if bytes.len() > CommandKeys::MAX_OUTPUT => Err(Fault::Long),
            Ok(read) => read.map_err(Fault::System),
            Err(_) => Err(Fault::Late),
        };
        let (output, errors) = (read(&self.output)?, read(&self.errors)?);
        // The streams are closed, so the program ends, or has closed them and runs on.
        loop {
            match child.try_wait().map_err(Fault::System)? {
                Some(status) => return Ok((status, output, errors)),
                None if left().is_zero() => return Err(Fault::Late),
                None => thread::sleep(Duration::from_millis(2)),
            }
        }
    }
}

fn collect(stream: impl Read + Send + 'static) -> Receiver<std::io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stream.take(CommandKeys::MAX_OUTPUT as u64 + 1).read_to_end(&mut bytes);
        let _ = sender.send(read.map(|_| bytes));
    });
    receiver
}

/// Kills the program and its children.
fn kill(child: &mut Child) {
    #[cfg(unix)]
    if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}
