//! The runbooks: each command that they show is run, in the order in which they show it.

use super::{at_work, insist, page, run};
use crate::sandbox::{Sandbox, claims_of, has};

/// All commands of a runbook.
fn script_of(name: &str) -> String {
    page::steps(&page::read(name)).into_iter().map(|step| step.script).collect()
}

#[test]
fn commands_of_the_rotation_page_run_in_order() {
    let script = script_of("rotation.md");
    assert_eq!(script.matches("service-token ").count(), 6, "{script}");
    let said = insist(&run(&at_work(), &script, &[]));
    assert!(said.starts_with("adopted ") && said.contains("\"step\":\"prepare\""), "{said}");
}

#[test]
fn commands_of_the_incident_page_leave_no_valid_leaked_token() {
    let sandbox = at_work();
    let leaked = sandbox.read("tokens/orders.token");
    sandbox.write("leaked.token", &leaked);
    let jti = claims_of(&leaked)["jti"].as_str().unwrap().to_owned();
    let set = sandbox.run(&["jwks"]).done().json();
    let kid = set["keys"][0]["kid"].as_str().unwrap().to_owned();
    let script = script_of("incident.md");
    assert_eq!(script.matches("service-token ").count(), 10, "{script}");
    let said = insist(&run(&sandbox, &script, &[("JTI", &jti), ("KID", &kid)]));
    assert!(said.contains(&format!("revoked {kid}\n")), "{said}");
    let all = sandbox.run(&["list", "--format", "json"]).done().json();
    let good = all.as_array().unwrap().iter().filter(|token| token["state"] == "active");
    let good: Vec<_> = good.map(|token| (&token["service"], token["kid"] != kid.as_str())).collect();
    assert_eq!(good.len(), 2, "{all}");
    assert!(good.iter().all(|(_, is_of_the_new_key)| *is_of_the_new_key), "{all}");
    for service in ["orders", "inventory"] {
        let verify = ["verify", "--jwks", "jwks.json", "--issuer", "bakery-auth", "-"];
        sandbox.feed(&verify, sandbox.read(&format!("tokens/{service}.token")).trim_end()).done();
    }
}

#[test]
fn commands_of_the_command_line_page_run_in_order() {
    let sandbox = Sandbox::new();
    let [first, list, read, find, check] = &page::steps(&page::read("command-line.md"))[..] else {
        panic!("five steps")
    };
    let said = insist(&run(&sandbox, &first.script, &[]));
    page::assert_shown(first.shown.as_deref().unwrap(), &said);
    let jti = claims_of(sandbox.read("orders.token").trim_end())["jti"].as_str().unwrap().to_owned();
    for step in [list, read] {
        let said = insist(&run(&sandbox, &step.script, &[("JTI", &jti)]));
        assert!(said.contains(&jti), "{said}");
    }
    insist(&run(&sandbox, &find.script, &[]));
    assert!(sandbox.read("pages.txt").contains(".local/share/man/man1/service-token.1"));
    // The sample lists another service, and its key was not rotated yet.
    let said = insist(&run(&sandbox, &check.script, &[]));
    assert!(said.contains("skipped") && !said.contains("problem"), "{said}");
}

#[test]
fn commands_of_the_store_page_run() {
    let script = script_of("store.md");
    assert_eq!(script.matches("service-token ").count(), 10, "{script}");
    let said = insist(&run(&at_work(), &script, &[]));
    assert!(said.contains("pruned 0 tokens"), "{said}");
    assert_eq!(said.matches("nothing is wrong with").count(), 2, "{said}");
    assert_eq!(said.matches(": 2 tokens, 0 revocations, 0 keys").count(), 3, "{said}");
}

#[test]
fn commands_of_the_page_on_keys_outside_of_files_run_in_order() {
    if !has("openssl") {
        return;
    }
    let mut steps = page::steps(&page::read("keys-outside-of-files.md"));
    let module = crate::elsewhere::module();
    if module.is_none() {
        steps.retain(|step| !step.script.contains("softhsm"));
    }
    let sandbox = Sandbox::new();
    let module = module.unwrap_or_default().display().to_string();
    let mut ran = 0;
    for step in steps {
        let said = insist(&run(&sandbox, &step.script, &[("PKCS11_MODULE", &module)]));
        page::assert_shown(step.shown.as_deref().unwrap_or_default(), &said);
        ran += step.script.matches("service-token ").count();
    }
    assert!(ran == 12 || module.is_empty(), "{ran}");
}

#[test]
fn each_exit_code_of_the_reference_page_is_met() {
    let text = page::read("../reference/exit-codes.md");
    let codes = text.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok());
    let mut codes: Vec<i32> = codes.collect();
    codes.sort_unstable();
    let sandbox = at_work();
    sandbox.write("altered.token", "a.b.c");
    let verify = ["verify", "--issuer", "bakery-auth", "--service"];
    let met = [("orders", "tokens/orders.token"), ("orders", "altered.token"), ("", "tokens/orders.token")];
    let met = met.into_iter().chain([("sales", "tokens/orders.token")]);
    let met = met.map(|(service, token)| {
        let arguments = [&verify[..], &[service, "-"]].concat();
        sandbox.feed(&arguments, sandbox.read(token).trim_end()).code
    });
    let mut met: Vec<_> = met.collect();
    met.push(sandbox.run(&["list", "--store", "sqlite:absent.db"]).code);
    sandbox.run(&["rotate"]).done();
    let lock = std::fs::File::open(sandbox.path("signing.lock")).unwrap();
    lock.lock().unwrap();
    met.push(sandbox.run(&["rotate"]).code);
    drop(lock);
    let kid = sandbox.run(&["jwks"]).done().json()["keys"][0]["kid"].as_str().unwrap().to_owned();
    met.push(sandbox.run(&["rotate", "--emergency"]).code);
    sandbox.run(&["revoke", "--key", &kid]).done();
    met.push(sandbox.run(&["generate", "orders"]).code);
    let late = crate::rotate::sandbox("");
    crate::rotate::aged(&late, 100 * crate::rotate::DAY);
    met.push(late.run(&["rotate", "--plan"]).code);
    met.push(sandbox.run(&["list", "--service", "ghost"]).code);
    let table = |access: &str| {
        format!(r#"{{"service":"a","routes":[{{"methods":[],"path":"/","access":{access}}}]}}"#)
    };
    sandbox.write("old.json", table(r#"{"service_only":{}}"#));
    sandbox.write("new.json", table(r#"{"public":{"reason":"a test"}}"#));
    met.push(sandbox.run(&["endpoints", "new.json", "--diff", "old.json"]).code);
    assert_eq!(met, codes);
}
