//! Keys outside of plain files: encrypted, in a real SoftHSM, and of an external command.

mod pkcs11;

pub(crate) use pkcs11::module;

use std::process::{Command, Stdio};

use service_only::keys::KeyState;

use crate::rotate::{DAY, aged, keys, sandbox};
use crate::sandbox::{Ran, Sandbox, has};

const PASSPHRASE: &str = "correct horse";

/// With a key that is encrypted under the passphrase of the file `pass`.
fn encrypted() -> Sandbox {
    let sandbox = sandbox("");
    sandbox.write("pass", format!("{PASSPHRASE}\n"));
    sandbox.run(&["keygen", "--force", "--encrypt", "--passphrase-file", "pass"]).done();
    sandbox
}

fn configure(sandbox: &Sandbox, line: &str) {
    let config = sandbox.read("service-token.toml");
    let config = config.replace("algorithm = \"ES256\"", &format!("algorithm = \"ES256\"\n{line}"));
    sandbox.write("service-token.toml", config);
}

fn verify(sandbox: &Sandbox, jwks: &str, token: &str) {
    sandbox.feed(&["verify", "--jwks", jwks, "--issuer", "bakery-auth", "-"], token).done();
}

#[test]
fn passphrase_comes_from_a_file_a_descriptor_a_variable_or_the_configuration() {
    let sandbox = encrypted();
    assert!(sandbox.read("signing.pem").starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    assert_eq!(sandbox.mode("signing.pem"), 0o600);
    let set = sandbox.run(&["jwks", "--passphrase-file", "pass"]).done().stdout;
    sandbox.write("set.json", &set);
    let ran = sandbox.run(&["generate", "orders", "--passphrase-file", "pass"]).done();
    verify(&sandbox, "set.json", ran.line());

    let script = format!("{} generate orders --passphrase-fd 3 3<pass", env!("CARGO_BIN_EXE_service-token"));
    let output = Command::new("sh").args(["-c", &script]).current_dir(sandbox.root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    verify(&sandbox, "set.json", String::from_utf8(output.stdout).unwrap().trim_end());

    let key =
        ["generate", "orders", "--key", "signing.pem", "--algorithm", "ES256", "--issuer", "bakery-auth"];
    let ran = sandbox.run(&[&key[..], &["--no-store", "--passphrase-file", "pass"]].concat()).done();
    verify(&sandbox, "set.json", ran.line());

    configure(&sandbox, "passphrase_env = \"KEY_PASS\"");
    let missing = sandbox.run(&["generate", "orders"]).refused();
    assert!(missing.contains("the environment variable `KEY_PASS` is not set; export it"), "{missing}");
    let ran = sandbox.run_with(&["generate", "orders"], b"", &[("KEY_PASS", PASSPHRASE)]).done();
    verify(&sandbox, "set.json", ran.line());
    // The command line overrides the configuration.
    sandbox.run(&["generate", "orders", "--passphrase-file", "pass"]).done();

    let config = sandbox
        .read("service-token.toml")
        .replace("passphrase_env = \"KEY_PASS\"", "passphrase_file = \"pass\"");
    sandbox.write("service-token.toml", config);
    for arguments in [
        &["generate", "--all", "--out-dir", "tokens"][..],
        &["renew", "--out-dir", "tokens", "--within", "100d"],
        &["k8s-secret", "orders"],
        &["jwks"],
        &["rotate"],
    ] {
        sandbox.run(arguments).done();
    }
    let token = sandbox.read("tokens/orders.token");
    sandbox.feed(&["verify", "-"], token.trim_end()).done();
}

#[test]
fn wrong_or_missing_passphrase_is_named_and_never_shown() {
    let sandbox = encrypted();
    sandbox.write("wrong", "hunter2hunter2\n");
    let said = sandbox.run(&["generate", "orders", "--passphrase-file", "wrong"]).refused();
    assert!(said.contains("signing.pem`: the passphrase is wrong, or the file is damaged"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    let said = sandbox.run(&["generate", "orders", "--passphrase-file", "nothing"]).refused();
    assert!(said.contains("passphrase file `nothing`") && said.contains("check the path"), "{said}");
    let said = sandbox.run(&["generate", "orders", "--passphrase-fd", "77"]).refused();
    assert!(said.contains("`/dev/fd/77`"), "{said}");
    let said = sandbox.run(&["generate", "orders", "--passphrase-fd", "1", "--passphrase-file", "wrong"]);
    assert_eq!(said.code, 2);
    // Without a terminal, the program does not wait for an answer.
    let mut command = Command::new("setsid");
    command.args([env!("CARGO_BIN_EXE_service-token"), "generate", "orders"]).current_dir(sandbox.root());
    let Ok(output) = command.stdin(Stdio::null()).output() else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said.contains("this program has no terminal to ask on") && said.contains("`--passphrase-fd N`"),
        "{said}"
    );
}

/// Runs the program on a terminal, and types these lines.
fn typed(sandbox: &Sandbox, arguments: &str, lines: &str) -> Option<(bool, String)> {
    use std::io::Write as _;
    let program = env!("CARGO_BIN_EXE_service-token");
    let mut child = Command::new("script")
        .args(["-qec", &format!("{program} {arguments}"), "/dev/null"])
        .current_dir(sandbox.root())
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Some((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
}

#[test]
fn new_passphrase_is_typed_twice_on_a_terminal() {
    let sandbox = Sandbox::new();
    let keygen = "keygen --encrypt --out typed.pem";
    let Some((done, said)) = typed(&sandbox, keygen, "correct horse\nwrong horse\n") else {
        eprintln!("skipped: there is no `script`");
        return;
    };
    assert!(!done && said.contains("the two passphrases differ; nothing was written"), "{said}");
    assert!(!sandbox.path("typed.pem").exists());
    let (done, said) = typed(&sandbox, keygen, "correct horse\ncorrect horse\n").unwrap();
    assert!(done && said.contains("new passphrase of the private key: "), "{said}");
    let generate = "generate orders --key typed.pem --algorithm ES256 --issuer bakery-auth --no-store";
    let (done, said) = typed(&sandbox, generate, "correct horse\n").unwrap();
    assert!(done && said.contains("passphrase of key file `typed.pem`: "), "{said}");
}

#[test]
fn rotation_of_an_encrypted_key_encrypts_its_successor() {
    let sandbox = encrypted();
    configure(&sandbox, "passphrase_file = \"pass\"");
    aged(&sandbox, 80 * DAY);
    assert!(sandbox.run(&["rotate"]).done().stdout.starts_with("prepared "));
    assert!(sandbox.read("signing-next.pem").starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    sandbox.run(&["rotate", "--emergency"]).done();
    assert!(sandbox.read("signing.pem").starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    let token = sandbox.run(&["generate", "orders"]).done();
    verify(&sandbox, "jwks.json", token.line());
}

#[test]
fn options_that_do_not_fit_the_key_are_refused() {
    let sandbox = Sandbox::configured();
    let said = sandbox.run(&["keygen", "--existing", "x", "--force"]).refused();
    assert!(said.contains("no place is configured"), "{said}");
    let secret = ["keygen", "--algorithm", "HS256", "--encrypt", "--out", "secret"];
    assert!(sandbox.run(&secret).refused().contains("only key pairs are encrypted"));
    for (line, says) in [
        ("command = []", "`command` is empty"),
        ("command_limit = \"1s\"", "are for a `command`"),
        ("command = [\"x\"]\npkcs11 = { module = \"m\" }", "contradict each other"),
        ("pkcs11 = { module = \"m\", token = \"a\", serial = \"b\" }", "`token` and `serial` contradict"),
        ("pkcs11 = { module = \"m\", pin = \"1234\" }", "unknown key `pin`"),
        ("command = [\"x\"]\npassphrase_file = \"p\"", "a passphrase is for a key in a file"),
    ] {
        let sandbox = Sandbox::configured();
        configure(&sandbox, line);
        let said = sandbox.run(&["jwks"]).refused();
        assert!(said.contains(says) && !said.contains("1234"), "{said}");
    }
    let sandbox = Sandbox::configured();
    configure(&sandbox, "command = [\"x\"]");
    let said = sandbox.run(&["generate", "orders", "--no-store"]).refused();
    assert!(said.contains("contains a private key, and `[key]` says that the key is elsewhere"), "{said}");
}

const KMS: &str = r#"
set -eu
verb=$1 key=kms/$2.pem
case $verb in
    create) [ -e "$key" ] || openssl ecparam -name prime256v1 -genkey -noout -out "$key"
            openssl pkey -in "$key" -pubout ;;
    public) [ ! -e "$key" ] || openssl pkey -in "$key" -pubout ;;
    sign)   openssl dgst -sha256 -sign "$key" ;;
    delete) [ ! -e kms/frozen ] || { echo "frozen" >&2; exit 1; }; rm -f "$key" ;;
esac
"#;

/// With a key of an external command, which the program starts in the folder of the test; `None` without openssl.
fn commanded() -> Option<Sandbox> {
    if !has("openssl") {
        return None;
    }
    let sandbox = sandbox("");
    std::fs::create_dir(sandbox.path("kms")).unwrap();
    sandbox.write("kms-sign", KMS);
    configure(&sandbox, "command = [\"sh\", \"kms-sign\"]");
    let config = sandbox.read("service-token.toml").replace("signing.pem", "signing.json");
    sandbox.write("service-token.toml", config);
    sandbox.run(&["keygen", "--public-out", "jwks.json"]).done();
    Some(sandbox)
}

fn kms_keys(sandbox: &Sandbox) -> usize {
    std::fs::read_dir(sandbox.path("kms")).unwrap().count()
}

#[test]
fn external_command_signs_and_its_keys_rotate() {
    let Some(sandbox) = commanded() else { return };
    assert!(!sandbox.read("signing.json").contains("PRIVATE"));
    let old = aged(&sandbox, 80 * DAY);
    let token = sandbox.run(&["generate", "orders"]).done();
    verify(&sandbox, "jwks.json", token.line());
    assert!(sandbox.run(&["rotate"]).done().stdout.starts_with("prepared "));
    assert_eq!(kms_keys(&sandbox), 2);
    let next = keys(&sandbox).into_iter().find(|key| key.state == KeyState::Prepared).unwrap();
    assert!(next.file.as_deref().unwrap().starts_with("command:sh:service-token-"), "{next:?}");

    std::fs::write(sandbox.path("kms/frozen"), "").unwrap();
    let ran = sandbox.run(&["rotate", &format!("--emergency={old}"), "--keep-prepared"]).done();
    assert!(
        ran.stderr.contains("could not be destroyed") && ran.stderr.contains("the next run tries again"),
        "{}",
        ran.stderr
    );
    assert!(sandbox.path("signing-former.json").exists());
    std::fs::remove_file(sandbox.path("kms/frozen")).unwrap();
    sandbox.run(&["rotate"]).done();
    assert!(!sandbox.path("signing-former.json").exists());
    assert_eq!(kms_keys(&sandbox), 1, "the former key is destroyed");
    let token = sandbox.run(&["generate", "orders"]).done();
    verify(&sandbox, "jwks.json", token.line());
    sandbox.feed(&["verify", "-"], token.line()).done();
}

#[test]
fn keygen_that_was_killed_is_finished_with_the_same_key() {
    let Some(sandbox) = commanded() else { return };
    let mut left = std::fs::read_dir(sandbox.path("kms")).unwrap();
    let name = left.next().unwrap().unwrap().file_name().into_string().unwrap().replace(".pem", "");
    let whole = sandbox.read("signing.json");
    sandbox.write("signing.json", format!("{{\"creating\":\"{name}\"}}\n"));
    let said = sandbox.run(&["generate", "orders"]).refused();
    assert!(said.contains("names a key that a killed run has not finished"), "{said}");
    sandbox.run(&["keygen"]).done();
    assert_eq!((sandbox.read("signing.json"), kms_keys(&sandbox)), (whole, 1));
    let said = sandbox.run(&["keygen"]).refused();
    assert!(said.contains("`signing.json` exists already"), "{said}");
}

#[test]
fn existing_key_of_a_command_is_used_by_its_name() {
    let Some(sandbox) = commanded() else { return };
    let create = "openssl ecparam -name prime256v1 -genkey -noout -out kms/theirs.pem";
    assert!(Command::new("sh").args(["-c", create]).current_dir(sandbox.root()).status().unwrap().success());
    let missing = sandbox.run(&["keygen", "--force", "--existing", "nobody"]).refused();
    assert!(missing.contains("no key `nobody` exists for ES256"), "{missing}");
    let ran: Ran = sandbox.run(&["keygen", "--force", "--existing", "theirs"]).done();
    assert!(ran.stderr.contains("the private half stays where it is"), "{}", ran.stderr);
    assert!(sandbox.read("signing.json").contains("\"key\":\"theirs\""));
    let set = sandbox.run(&["jwks", "--drop-unknown"]).done().stdout;
    sandbox.write("set.json", set);
    let token = sandbox.run(&["generate", "orders", "--no-store"]).done();
    verify(&sandbox, "set.json", token.line());
}
