//! What a timer and a monitor see of a rotation: exit codes, the plan, and metrics.

use service_only::keys::KeyState;

use super::{DAY, aged, keys, kid_in, published, sandbox};
use crate::sandbox::Sandbox;
use crate::store::sandboxes;

fn count(sandbox: &Sandbox, kind: &str) -> String {
    let ran = sandbox.run(&["rotate", "--plan", "--format", "prometheus"]).done();
    let start = format!("service_only_rotation_warnings{{issuer=\"bakery-auth\",kind=\"{kind}\"}} ");
    ran.stdout.lines().find_map(|line| line.strip_prefix(&start)).unwrap().to_owned()
}

#[test]
fn rotation_fails_while_the_active_key_is_revoked() {
    for sandbox in sandboxes() {
        sandbox.run(&["rotate"]).done();
        let kid = published(&sandbox).remove(0);
        sandbox.run(&["revoke", "--key", &kid]).done();
        for arguments in [&["rotate"][..], &["rotate", "--plan"], &["rotate", "--format", "json"]] {
            let ran = sandbox.run(arguments);
            assert_eq!(ran.code, 7, "{arguments:?}");
            assert!(ran.stderr.contains(&format!("rotate --emergency={kid}")), "{}", ran.stderr);
        }
        assert_eq!(count(&sandbox, "active_key_revoked"), "1");
        // The revoked key is young, and nothing is lost with it.
        sandbox.run(&["rotate", "--emergency"]).done();
        sandbox.run(&["rotate"]).done();
        assert_eq!(count(&sandbox, "active_key_revoked"), "0");
    }
}

#[test]
fn emergency_without_a_name_leaves_a_key_alone_that_is_minutes_old() {
    for sandbox in sandboxes() {
        sandbox.run(&["rotate"]).done();
        let young = published(&sandbox).remove(0);
        for arguments in [&["rotate", "--emergency"][..], &["rotate", "--emergency", "--keep-prepared"]] {
            let message = sandbox.run(arguments).refused_with(6);
            assert!(message.contains(&format!("`service-token rotate --emergency={young}`")), "{message}");
        }
        assert_eq!(published(&sandbox), std::slice::from_ref(&young));
        assert_eq!(sandbox.run(&["revocations"]).done().stdout, "");
        sandbox.run(&["rotate", &format!("--emergency={young}")]).done();
        assert!(!published(&sandbox).contains(&young));
    }
}

#[test]
fn emergency_without_a_name_replaces_a_key_that_is_an_hour_old() {
    let sandbox = sandbox("");
    let old = aged(&sandbox, 3600);
    sandbox.run(&["rotate", "--emergency"]).done();
    assert!(!published(&sandbox).contains(&old));
}

#[test]
fn overdue_step_is_in_the_plan_the_exit_code_and_the_metrics() {
    let sandbox = sandbox("");
    aged(&sandbox, 80 * DAY);
    sandbox.write("jwks.json", sandbox.run(&["jwks"]).done().stdout);
    let ran = sandbox.run(&["rotate", "--plan"]);
    assert_eq!(ran.code, 8, "{}", ran.stderr);
    assert!(ran.stdout.contains("overdue  prepare the next key\n"), "{}", ran.stdout);
    assert!(ran.stderr.contains("has been due for more than 2 hours"), "{}", ran.stderr);
    let json = sandbox.run(&["rotate", "--plan", "--format", "json"]).json();
    assert_eq!((&json["next"][0]["step"], &json["next"][0]["overdue"]), (&"prepare".into(), &true.into()));
    assert_eq!((count(&sandbox, "step_overdue"), count(&sandbox, "key_past_life")), ("1".into(), "0".into()));
    sandbox.run(&["rotate"]).done();
    sandbox.run(&["rotate", "--plan"]).done();
    assert_eq!(count(&sandbox, "step_overdue"), "0");
}

#[test]
fn key_past_its_life_is_in_the_plan_the_exit_code_and_the_metrics() {
    let sandbox = sandbox("");
    let old = aged(&sandbox, 100 * DAY);
    sandbox.run(&["rotate"]).done();
    let ran = sandbox.run(&["rotate", "--plan"]);
    assert_eq!(ran.code, 8, "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("the active key `{old}` still signs, and its life ended at")));
    assert_eq!((count(&sandbox, "step_overdue"), count(&sandbox, "key_past_life")), ("0".into(), "1".into()));
}

#[test]
fn unfinished_run_is_in_the_plan_the_exit_code_and_the_metrics() {
    type Spoil = fn(&Sandbox);
    let spoil: [(Spoil, &str); 3] = [
        (|sandbox| std::fs::remove_file(sandbox.path("jwks.json")).unwrap(), "lacks the active key"),
        (
            |sandbox| {
                sandbox.run(&["keygen", "--out", "signing-next.pem", "--algorithm", "ES256"]).done();
            },
            "which is not a prepared key",
        ),
        (
            |sandbox| {
                let before = sandbox.read("jwks.json");
                let kid = published(sandbox).remove(0);
                sandbox.run(&["rotate", &format!("--emergency={kid}")]).done();
                sandbox.write("jwks.json", before.replace("]", &format!(",{}]", live(sandbox))));
            },
            "still has the retired key",
        ),
    ];
    for (spoil, told) in spoil {
        let sandbox = sandbox("");
        sandbox.run(&["rotate"]).done();
        sandbox.run(&["rotate", "--plan"]).done();
        spoil(&sandbox);
        let ran = sandbox.run(&["rotate", "--plan"]);
        assert_eq!(ran.code, 8, "{told}: {}", ran.stderr);
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
        assert_eq!(count(&sandbox, "run_unfinished"), "1");
        sandbox.run(&["rotate"]).done();
        sandbox.run(&["rotate", "--plan"]).done();
        assert_eq!(count(&sandbox, "run_unfinished"), "0");
    }
}

/// The public half of the active key.
fn live(sandbox: &Sandbox) -> String {
    let active = kid_in(sandbox, KeyState::Active).unwrap();
    keys(sandbox).into_iter().find(|key| key.kid == active).unwrap().public_jwk.unwrap()
}

#[test]
fn metrics_are_those_of_the_plan() {
    let sandbox = sandbox("");
    sandbox.run(&["rotate"]).done();
    assert!(sandbox.run(&["rotate", "--format", "prometheus"]).refused().contains("--plan"));
}
