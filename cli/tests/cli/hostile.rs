//! What an operator gets wrong: nothing that is there is lost, and each problem names the next step.

use crate::sandbox::Sandbox;
use crate::store::with_store;

#[test]
fn rotation_never_writes_one_of_its_files_in_place_of_another() {
    for jwks in [
        "signing.pem",
        "./signing.pem",
        "signing-next.pem",
        "signing.lock",
        "service-token.toml",
        "tokens.db",
    ] {
        let sandbox = with_store("sqlite:tokens.db");
        sandbox.run(&["generate", "orders"]).done();
        let config = sandbox.read("service-token.toml");
        sandbox.write("service-token.toml", format!("{config}[rotation]\njwks = \"{jwks}\"\n"));
        let key = sandbox.read("signing.pem");
        for arguments in [&["rotate"][..], &["rotate", "--plan"], &["rotate", "--emergency"]] {
            let message = sandbox.run(arguments).refused();
            assert!(message.contains("are the same file") && message.contains("name two files"), "{message}");
        }
        assert_eq!(sandbox.read("signing.pem"), key, "{jwks}");
        sandbox.run(&["list"]).done();
    }
}

#[test]
fn new_key_never_replaces_the_configuration() {
    let sandbox = Sandbox::configured();
    let config = sandbox.read("service-token.toml");
    for arguments in [
        &["keygen", "--force", "--config", "service-token.toml", "--out", "service-token.toml"][..],
        &["keygen", "--force", "--public-out", "service-token.toml"],
    ] {
        assert!(sandbox.run(arguments).refused().contains("are the same file"), "{arguments:?}");
    }
    assert_eq!(sandbox.read("service-token.toml"), config);
}

#[test]
fn every_problem_with_a_file_names_it_and_the_next_step() {
    let sandbox = with_store("sqlite:tokens.db");
    sandbox.run(&["generate", "orders", "--lifetime", "1d"]).done();
    std::fs::create_dir(sandbox.path("folder")).unwrap();
    sandbox.write("text", "nonsense");
    sandbox.write("empty", "");
    for (arguments, named) in [
        (&["generate", "orders", "--out-dir", "text"][..], "`text`"),
        (&["renew", "--out-dir", "text/below"], "`text"),
        (&["verify", "--batch", "folder"], "`folder`"),
        (&["verify", "--batch", "missing"], "`missing`"),
        (&["endpoints", "-"], "standard input is empty"),
        (&["endpoints", "empty"], "`empty`"),
        (&["jwks", "--config", "folder"], "`folder`"),
        (&["jwks", "--config", "missing.toml"], "`missing.toml`"),
        (&["keygen", "--out", "folder"], "`folder`"),
        (&["keygen", "--algorithm", "RS256", "--bits", "512", "--out", "new.pem"], "512 bits"),
        (&["list", "--store", "postgres://db/x?sslmod=require"], "`sslmod`"),
    ] {
        let message = sandbox.run(arguments).refused();
        assert!(message.contains(named), "{arguments:?}: {message}");
        assert!(message.contains("help: ") || message.contains("; "), "{arguments:?}: {message}");
    }
    for (url, named) in [
        ("sqlite:folder", "`sqlite:folder`"),
        ("sqlite:missing.db", "`sqlite:missing.db`"),
        ("host=/no/such/folder dbname=x", "the socket does not exist"),
    ] {
        let message = sandbox.run(&["list", "--store", url]).unavailable();
        assert!(message.contains(named) && message.contains("; "), "{url}: {message}");
    }
    assert!(!sandbox.path("new.pem").exists());
}

#[test]
fn password_in_an_argument_gives_a_warning_and_is_never_shown() {
    let sandbox = Sandbox::new();
    let url = "postgres://operator:hush@127.0.0.1:1/tokens";
    let ran = sandbox.run(&["list", "--store", url]);
    assert!(ran.stderr.contains("PGPASSWORD") && ran.stderr.contains("PGPASSFILE"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("hush"), "{}", ran.stderr);
    let silent = sandbox.run_with(&["list"], b"", &[("SERVICE_TOKEN_STORE", url)]);
    assert!(!silent.stderr.contains("warning: ") && !silent.stderr.contains("hush"), "{}", silent.stderr);
    let silent = sandbox.run(&["list", "--store", "postgres://operator@127.0.0.1:1/tokens"]);
    assert!(!silent.stderr.contains("warning: "), "{}", silent.stderr);
}

#[test]
fn refused_connection_is_reported_with_its_cause_and_at_once() {
    let sandbox = Sandbox::new();
    let begun = std::time::Instant::now();
    let message = sandbox.run(&["list", "--store", "postgres://operator@127.0.0.1:1/tokens"]).unavailable();
    assert!(message.contains("Connection refused") && message.contains("check the host"), "{message}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(3), "{:?}", begun.elapsed());
}
