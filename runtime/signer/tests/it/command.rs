//! An external command that signs, and commands that misbehave.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use service_only::{Algorithm, issue::SigningKey};
use service_only_signer::{CommandKeys, KeyDevice as _};

use crate::{mint, shell};

/// Signs with OpenSSL and files in its folder, as a client of a key management service would.
const KMS: &str = r#"#!/bin/sh
set -eu
verb=$1 name=$2
cd "$(dirname "$0")"
case $verb in
    create)
        [ -e "$name.pem" ] || openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$name.pem" 2>/dev/null ||
            openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$name.pem" 2>/dev/null
        openssl pkey -in "$name.pem" -pubout ;;
    public) [ ! -e "$name.pem" ] || openssl pkey -in "$name.pem" -pubout ;;
    sign) openssl dgst -sha256 -sign "$name.pem" ENCODE ;;
    delete) rm -f "$name.pem" ;;
    *) echo "unknown verb $verb" >&2; exit 64 ;;
esac
"#;

/// A script that the shell reads: a file that was written a moment ago cannot always be executed.
fn script(folder: &Path, text: &str) -> CommandKeys {
    let path = folder.join("kms-sign");
    fs::write(&path, text).unwrap();
    CommandKeys::new("sh").argument(path.to_str().unwrap()).limit(Duration::from_secs(60))
}

#[test]
fn command_creates_signs_and_deletes() {
    for encode in ["", "| base64", "| openssl base64 -A | tr '+/' '-_' | tr -d '='"] {
        let folder = tempfile::tempdir().unwrap();
        let keys = script(folder.path(), &KMS.replace("ENCODE", encode));
        if shell(folder.path(), "openssl version").is_none() {
            return;
        }
        assert_eq!(keys.find(Algorithm::ES256, "tokens").unwrap(), None);
        let public = keys.create(Algorithm::ES256, None, "tokens").unwrap();
        assert_eq!(keys.create(Algorithm::ES256, None, "tokens").unwrap(), public, "the same key");
        let key = SigningKey::from_signer(keys.open(Algorithm::ES256, "tokens").unwrap()).unwrap();
        assert_eq!(key.kid(), public.kid());
        mint(key).unwrap();
        assert_eq!(keys.reference("tokens"), "command:sh:tokens");
        keys.destroy("tokens").unwrap();
        let error = keys.open(Algorithm::ES256, "tokens").err().unwrap().to_string();
        assert!(error.contains("has no key `tokens`"), "{error}");
    }
}

/// Runs `sign` of a script that has a valid public key.
fn sign(body: &str, limit: Duration) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let keys = script(folder.path(), &format!("#!/bin/sh\n{body}\n")).limit(limit);
    let public = SigningKey::generate(Algorithm::EdDSA).unwrap().public_jwk().unwrap();
    mint(SigningKey::from_signer(keys.signer("tokens", public)).unwrap())
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn failure_of_the_command_is_shown_escaped_with_its_exit_code() {
    let error = sign(r"printf 'access \033[31mdenied\nfor role x' >&2; exit 3", LONG).unwrap_err();
    assert!(
        error.contains("`sign` failed (exit status: 3): access \\u{1b}[31mdenied\\nfor role x"),
        "{error}"
    );
    let error = sign("kill -9 $$", LONG).unwrap_err();
    assert!(error.contains("signal: 9") && error.contains("it wrote no message"), "{error}");
    let long = sign("head -c 5000 /dev/zero | tr '\\0' x >&2; exit 1", LONG).unwrap_err();
    assert!(long.ends_with('…') && long.len() < 1000, "{long}");
}

#[test]
fn wrong_signature_of_the_command_becomes_no_token() {
    for body in ["cat >/dev/null", "printf x", "head -c 64 /dev/zero", "cat"] {
        let error = sign(body, LONG).unwrap_err();
        assert!(error.contains("not an EdDSA signature of the key"), "{body}: {error}");
    }
}

#[test]
fn command_that_does_not_end_is_killed_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let body = format!("sleep 600 & echo $! >'{}'; wait", file.display());
    let error = sign(&body, Duration::from_millis(500)).unwrap_err();
    assert!(error.contains("did not end within 0.5 s and was killed"), "{error}");
    let Ok(pid) = fs::read_to_string(&file) else { return };
    // A killed child ends when it is scheduled. It is a zombie until init has collected it, then gone. Without the kill
    // it sleeps for ten minutes.
    let started = Instant::now();
    let state = || fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    let runs = || state().rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']));
    while cfg!(target_os = "linux") && runs() {
        assert!(started.elapsed() < Duration::from_secs(60), "{}", state());
        std::thread::yield_now();
    }
    let error = sign("exec >&- 2>&-; sleep 600", Duration::from_millis(500)).unwrap_err();
    assert!(error.contains("was killed"), "{error}");
}

#[test]
fn output_of_the_command_is_bounded() {
    let within = format!("head -c {} /dev/zero", CommandKeys::MAX_OUTPUT);
    assert!(sign(&within, LONG).unwrap_err().contains("not an EdDSA signature"));
    let error = sign("cat /dev/zero", LONG).unwrap_err();
    assert!(error.contains("wrote more than 65536 bytes and was killed"), "{error}");
    let error = sign("cat /dev/zero >&2", LONG).unwrap_err();
    assert!(error.contains("wrote more than 65536 bytes"), "{error}");
}

#[test]
fn command_that_cannot_be_started_is_named() {
    let keys = CommandKeys::new("/nowhere/kms-sign");
    let error = keys.open(Algorithm::ES256, "tokens").err().unwrap().to_string();
    assert!(error.contains("the command `/nowhere/kms-sign` `public` cannot be started"), "{error}");
    assert!(error.contains("check its path and permissions"), "{error}");
}

#[test]
fn name_of_a_key_is_never_an_option_or_a_control_sequence() {
    let keys = CommandKeys::new("true");
    for name in ["", "-x", "a b", "a\nb", "\u{1b}[31m", "ä", &"x".repeat(257)] {
        assert!(keys.find(Algorithm::ES256, name).unwrap_err().to_string().contains("not the name of a key"));
    }
    assert!(keys.find(Algorithm::ES256, &"x".repeat(256)).unwrap().is_none());
    assert!(keys.find(Algorithm::ES256, "arn:aws:kms:eu-1:1:alias/tokens").unwrap().is_none());
}

#[test]
fn public_key_that_is_not_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (body, says) in
        [("echo hello", "no PEM block"), ("echo '{}'", "did not print a public key for ES256")]
    {
        let keys = script(folder.path(), &format!("#!/bin/sh\n{body}\n"));
        let error = keys.open(Algorithm::ES256, "tokens").err().unwrap().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn variables_with_secrets_are_not_passed_on() {
    // Cargo sets no such variable, so the test starts itself with some.
    let name = "command::variables_with_secrets_are_not_passed_on";
    if std::env::var_os("SERVICE_ONLY_TEST_TOKEN").is_none() {
        let this = std::env::current_exe().unwrap();
        let mut test = std::process::Command::new(this);
        test.args(["--exact", name, "--nocapture"])
            .env("SERVICE_ONLY_TEST_TOKEN", "t0")
            .env("kms_password", "p0");
        let output = test.env("AWS_SESSION_TOKEN", "s0").env("KMS_REGION", "r0").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let seen = |keys: CommandKeys| keys.find(Algorithm::ES256, "x").unwrap_err().to_string();
    let keys = script(folder.path(), "#!/bin/sh\nenv | grep -E '=(t0|p0|s0|r0)$' >&2\nexit 1\n");
    let short = seen(keys.clone());
    assert!(
        short.contains("r0") && !short.contains("t0") && !short.contains("p0") && !short.contains("s0"),
        "{short}"
    );
    assert!(seen(keys.keep_variable("AWS_SESSION_TOKEN")).contains("s0"));
}
