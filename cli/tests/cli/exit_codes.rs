//! Exit codes that a timer acts on, errors as JSON, and a reader that closes the pipe.

use std::fs::File;

use serde_json::Value;

use crate::sandbox::Ran;
use crate::store::{mint, naming_store, with_store};

/// Commands that need the store, each with arguments that are right otherwise.
const OF_THE_STORE: [&[&str]; 17] = [
    &["generate", "orders"],
    &["k8s-secret", "orders"],
    &["renew", "--out-dir", "tokens"],
    &["list"],
    &["show", "some-token"],
    &["expiring", "--within", "30d"],
    &["expiring", "--format", "prometheus"],
    &["revoke", "some-token"],
    &["unrevoke", "1", "--reason", "r"],
    &["revocations"],
    &["rotate"],
    &["rotate", "--plan"],
    &["rotate", "--emergency"],
    &["prune"],
    &["jwks"],
    &["store", "check"],
    &["store", "init"],
];

#[test]
fn unreachable_store_has_its_own_exit_code_in_each_command() {
    let sandbox = naming_store("postgres://operator@127.0.0.1:1/tokens");
    for command in OF_THE_STORE {
        let message = sandbox.run(command).unavailable();
        assert!(message.contains("cannot be reached"), "{command:?}: {message}");
    }
    let verify = ["verify", "a.b.c"];
    sandbox.run(&verify).unavailable();
    assert_eq!(sandbox.run(&[&verify[..], &["--no-store"]].concat()).code, 1);
    // As JSON, the answer is there too.
    let answer = sandbox.run(&[&verify[..], &["--format", "json"]].concat());
    assert_eq!((answer.code, &answer.json()["verdict"]), (4, &"config_error".into()));
}

#[test]
fn each_command_without_a_format_is_named_beside_the_errors_as_json() {
    let page = |name: &str| {
        let guide = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src");
        std::fs::read_to_string(guide.join(name)).unwrap()
    };
    // A test compares this table with the program.
    let options = page("operations/configuration.md");
    let options = options.split_once("| command | options |").unwrap().1.split_once("\n\n").unwrap().0;
    let without = options.lines().filter(|row| row.starts_with("| `") && !row.contains("`--format`"));
    let without: Vec<_> = without.map(|row| row.split('`').nth(1).unwrap()).collect();
    let exceptions = page("reference/exit-codes.md");
    let exceptions = exceptions.split_once("These commands have no `--format`").unwrap().1;
    let exceptions = exceptions.split_once("\n\n`verify`").unwrap().0;
    let named = exceptions.lines().filter(|line| line.starts_with("- "));
    let named = named.flat_map(|line| line.split('`').skip(1).step_by(2));
    let (mut without, mut named): (Vec<_>, Vec<_>) = (without, named.collect());
    without.sort_unstable();
    named.sort_unstable();
    assert_eq!(without, named);
}

#[test]
fn expiring_distinguishes_some_none_and_cannot_tell() {
    let sandbox = with_store("sqlite:tokens.db");
    mint(&sandbox, &["orders"]);
    let code = |options: &[&str]| sandbox.run(&[&["expiring"], options].concat()).code;
    assert_eq!(code(&["--within", "29d"]), 0);
    assert_eq!(code(&["--within", "31d"]), 1);
    assert_eq!(code(&["--within", "31d", "--store", "sqlite:absent.db"]), 4);
    assert_eq!(code(&["--within", "31d", "--service", "ghost"]), 9);
    assert_eq!(code(&[]), 2);
}

#[test]
fn second_rotation_on_one_machine_is_busy() {
    let sandbox = with_store("sqlite:tokens.db");
    sandbox.run(&["rotate"]).done();
    let lock = File::open(sandbox.path("signing.lock")).unwrap();
    lock.lock().unwrap();
    for command in [&["rotate"][..], &["rotate", "--emergency"]] {
        let message = sandbox.run(command).refused_with(5);
        assert!(message.contains("is running"), "{message}");
    }
    drop(lock);
    sandbox.run(&["rotate"]).done();
}

/// The last line of standard error.
fn error(ran: &Ran) -> Value {
    let line = ran.stderr.lines().last().unwrap();
    serde_json::from_str::<Value>(line).unwrap_or_else(|_| panic!("{}", ran.stderr))["error"].clone()
}

#[test]
fn errors_of_each_command_are_json_on_request() {
    let sandbox = naming_store("postgres://operator@127.0.0.1:1/tokens");
    let without_format = [&["k8s-secret"][..], &["jwks"], &["store", "init"]];
    for command in
        OF_THE_STORE.into_iter().filter(|command| !without_format.iter().any(|own| command.starts_with(own)))
    {
        let command: Vec<_> =
            command.iter().copied().filter(|part| !["--format", "prometheus"].contains(part)).collect();
        let within: &[&str] = if command == ["expiring"] { &["--within", "1d"] } else { &[] };
        let ran = sandbox.run(&[&command[..], within, &["--format", "json"]].concat());
        let error = error(&ran);
        assert_eq!((&error["code"], &error["exit"]), (&"store".into(), &4.into()), "{command:?}: {error}");
        assert_eq!(ran.code, 4, "{command:?}");
        assert!(error["reason"].as_str().unwrap().contains("cannot be reached"), "{error}");
    }
    let sandbox = with_store("sqlite:tokens.db");
    for (command, code, exit) in [
        (&["list", "--service", "ghost"][..], "not_found", 9),
        (&["show", "ghost"], "not_found", 9),
        (&["revoke", "ghost"], "not_found", 9),
        (&["unrevoke", "7", "--reason", "r"], "not_found", 9),
        (&["generate", "ordres"], "not_found", 9),
        (&["list", "--no-such-option"], "usage", 2),
        (&["list", "--limit", "none"], "usage", 2),
        (&["expiring"], "usage", 2),
        (&["keygen"], "exists", 2),
        (&["endpoints", "absent.json"], "io", 2),
        (&["list", "--store", "redis://cache"], "bad_config", 2),
    ] {
        let ran = sandbox.run(&[command, &["--format", "json"]].concat());
        let error = error(&ran);
        assert_eq!(
            (ran.code, &error["code"], &error["exit"]),
            (exit, &code.into(), &exit.into()),
            "{command:?}"
        );
    }
    let nearly = sandbox.run(&["generate", "ordres", "--format=json"]);
    assert!(error(&nearly)["help"].as_str().unwrap().contains("did you mean `orders`?"), "{}", nearly.stderr);
}

#[test]
fn closed_pipe_is_silent_and_changes_no_exit_code() {
    let sandbox = with_store("sqlite:tokens.db");
    let (token, jti) = mint(&sandbox, &["orders"]);
    sandbox.run(&["jwks", "--out", "jwks.json"]).done();
    let verify = ["verify", "--jwks", "jwks.json", "--issuer", "bakery-auth"];
    for (command, code) in [
        (&["list"][..], 0),
        (&["list", "--format", "json"], 0),
        (&["show", &jti], 0),
        (&["expiring", "--within", "31d"], 1),
        (&["jwks"], 0),
        (&["revocations"], 0),
        (&[&verify[..], &[&token]].concat(), 0),
        (&[&verify[..], &["--service", "sales", &token]].concat(), 3),
        (&[&verify[..], &["a.b.c"]].concat(), 1),
    ] {
        let ran = sandbox.run_into_closed_pipe(command);
        assert_eq!((ran.code, ran.stderr.as_str()), (code, ""), "{command:?}");
    }
    // A token that no reader received is not silent.
    let lost = sandbox.run_into_closed_pipe(&["generate", "orders"]);
    assert_eq!(lost.code, 2);
    assert!(lost.stderr.contains("not all were written out"), "{}", lost.stderr);
}
