//! The reports on the audit log: usage, unused grants, anomalies, suggestions, explanations, search and tail.

#[path = "../../../runtime/evidence/tests/it/platform.rs"]
mod platform;

use serde_json::{Value, json};

use self::platform::{ANOMALIES, Day, HOUR, NOON, START, UNUSED};
use crate::sandbox::{Sandbox, has};

const TABLE: &str = r#"{"service":"stock","routes":[
  {"methods":["POST"],"path":"/reserve","handler":{"endpoint":"stock::reserve","line":4},
   "access":{"service_only":{"services":["orders","billing"],"scopes":["stock:write"]}}},
  {"methods":["GET"],"path":"/old","handler":{"endpoint":"stock::old","line":9},
   "access":{"service_only":{"services":["orders"]}}}]}"#;

const SOURCE: &str = "use service_only::service_only;\n\n#[service_only(services(\"orders\", \"billing\"), scopes(\"stock:write\"))]\nasync fn reserve() {}\n";

/// The id of the refusal in the log.
const REFUSED: &str = "019b76da-0000-7000-8000-000000000099";

fn record(number: u32, hour: u32, decision: &str, service: &str) -> String {
    format!(
        r#"{{"id":"019b76da-0000-7000-8000-{number:012}","time":"2026-01-01T{hour:02}:00:{:02}.000000Z","decision":{decision},"endpoint":"stock::reserve","service":"{service}","jti":"jti-{service}","kid":"k1","issuer":"bakery-auth","client.address":"10.0.0.7","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","duration_us":50}}"#,
        number % 60
    ) + "\n"
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    write_log(&sandbox);
    sandbox
}

/// Ten hours with a call of `orders` in each, and a refusal of `billing`, with the table of the endpoint.
pub(crate) fn write_log(sandbox: &Sandbox) {
    let mut log: String =
        (0..10).map(|hour| record(hour, hour, r#""allow","status":200"#, "orders")).collect();
    log += &record(
        99,
        9,
        r#""deny","status":403,"code":"service_not_allowed","stage":"policy","reason":"the service is `billing`, allowed: orders""#,
        "billing",
    );
    sandbox.write("audit.jsonl", log + "{\"level\":\"INFO\"}\n");
    sandbox.write("stock.json", TABLE);
}

const WINDOW: [&str; 6] = ["--window", "10h", "--until", "2026-01-01T10:00:00Z", "--endpoints", "stock.json"];

#[test]
fn usage_counts_admitted_and_refused_calls_and_names_damaged_lines() {
    let sandbox = sandbox();
    let ran = sandbox.run(&["usage", "audit.jsonl", "--format", "json"]).done();
    let usage = ran.json();
    assert_eq!(usage["usage"][1]["service"], "orders");
    assert_eq!(usage["usage"][1]["allowed"], 10);
    assert_eq!(usage["usage"][0]["refused"], 1);
    assert_eq!(usage["read"]["trouble"]["foreign"], 1);
    assert!(ran.stderr.contains("audit.jsonl:12: the line is not an audit record"), "{}", ran.stderr);
    let csv = sandbox.run(&["usage", "audit.jsonl", "--by", "token", "--format", "csv"]).done().stdout;
    assert!(
        csv.starts_with("service,jti,kids,allowed,refused,first,last,p50_us,p99_us,up_to_10_us,"),
        "{csv}"
    );
    assert!(
        csv.contains("\r\norders,jti-orders,k1,10,0,2026-01-01T00:00:00Z,2026-01-01T09:00:09Z,51,51,0,10,"),
        "{csv}"
    );
    let text = sandbox.run(&["usage", "audit.jsonl", "--by", "key"]).done().stdout;
    assert!(text.contains("k1") && text.contains("billing orders") && text.contains("▁█▁▁▁▁"), "{text}");
    let csv = sandbox.run(&["usage", "audit.jsonl", "--by", "key", "--format", "csv"]).done().stdout;
    assert!(csv.starts_with("kid,services,allowed,") && csv.contains("\r\nk1,billing orders,10,1,"), "{csv}");
    let line = json!([{ "file": "audit.jsonl", "line": 12, "kind": "foreign" }]);
    assert_eq!(usage["read"]["trouble_lines"], line);
    let by = |by: &str| sandbox.run(&["usage", "audit.jsonl", "--by", by, "--format", "csv"]).done().stdout;
    assert_eq!(by("code"), "code,refused,callers,last\r\nservice_not_allowed,1,1,2026-01-01T09:00:00Z\r\n");
    let hours = by("hour");
    assert!(hours.starts_with("hour,allowed,refused\r\n2026-01-01T00:00:00Z,1,0\r\n"), "{hours}");
    assert!(hours.ends_with("\r\n2026-01-01T09:00:00Z,1,1\r\n") && hours.lines().count() == 11, "{hours}");
    let text = sandbox.run(&["usage", "audit.jsonl", "--by", "code"]).done().stdout;
    assert!(text.contains("service_not_allowed"), "{text}");
    assert!(sandbox.run(&["usage", "absent.jsonl"]).refused().contains("`absent.jsonl`"));
}

#[test]
fn unused_grants_end_with_exit_code_1_and_accepted_ones_with_0() {
    let sandbox = sandbox();
    let unused = |more: &[&str]| sandbox.run(&[&["unused", "audit.jsonl"], &WINDOW[..], more].concat());
    let ran = unused(&["--format", "json"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let findings = ran.json()["findings"].as_array().unwrap().clone();
    let rules: Vec<_> = findings.iter().map(|found| found["rule"].as_str().unwrap()).collect();
    assert_eq!(rules, ["unused-grant", "unused-endpoint"]);
    assert_eq!(findings[0]["service"], "billing");
    let ids: Vec<_> = findings.iter().map(|found| found["id"].as_str().unwrap()).collect();
    assert_eq!(unused(&["--accept", ids[0]]).code, 1);
    let accepted = unused(&["--accept", ids[0], "--accept", ids[1], "--accept", "gap-00000000"]);
    assert_eq!((accepted.code, accepted.stdout.as_str()), (0, ""));
    assert!(accepted.stderr.contains("`gap-00000000`"), "{}", accepted.stderr);
}

#[test]
fn unused_draws_no_conclusion_from_low_coverage() {
    let sandbox = sandbox();
    let ran = sandbox.run(&[
        "unused",
        "audit.jsonl",
        "--window",
        "7d",
        "--until",
        "2026-01-01T10:00:00Z",
        "--endpoints",
        "stock.json",
        "--format",
        "json",
    ]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert_eq!(ran.json()["findings"], json!([]));
    assert_eq!(ran.json()["coverage"]["covered"], 10);
    assert!(
        sandbox.run(&["unused", "audit.jsonl", "--window", "7d"]).refused().contains("--endpoints TABLE")
    );
}

#[test]
fn unused_draws_no_conclusion_about_a_table_whose_log_is_missing() {
    let sandbox = sandbox();
    sandbox.write("mail.json", TABLE.replace("stock", "mail"));
    let both = sandbox.run(
        &[&["unused", "audit.jsonl"], &WINDOW[..], &["--endpoints", "mail.json", "--format", "json"]]
            .concat(),
    );
    assert_eq!(both.code, 1, "{}", both.stderr);
    let report = both.json();
    assert_eq!(report["tables"][1]["covered"], 0);
    assert!(report["findings"].as_array().unwrap().iter().all(|found| found["endpoint"] != "mail::old"));
    assert!(both.stderr.contains("records of `mail` cover 0 of 10 hours"), "{}", both.stderr);
    let other = [&["unused", "audit.jsonl"], &WINDOW[..4], &["--endpoints", "mail.json"]].concat();
    assert_eq!(sandbox.run(&other).code, 2);
    let suggest = [&["suggest", "audit.jsonl"], &WINDOW[..4], &["--endpoints", "mail.json"]].concat();
    assert!(sandbox.run(&suggest).refused().contains("the logs cover too little of the window"));
}

#[test]
fn unused_grants_of_the_tables_are_found_without_the_store() {
    let sandbox = sandbox();
    let absent = ["--store", "sqlite:absent.db"];
    let unused =
        |more: &[&str]| sandbox.run(&[&["unused", "audit.jsonl"], &WINDOW[..], &absent, more].concat());
    let found = unused(&["--format", "json"]);
    assert_eq!((found.code, found.json()["findings"].as_array().unwrap().len()), (1, 2), "{}", found.stderr);
    assert!(found.stderr.contains("the tokens of the registry are not known: "), "{}", found.stderr);
    // A report without findings is not complete.
    let ids: Vec<_> =
        found.json()["findings"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    let accepted = ["--accept", ids[0].as_str().unwrap(), "--accept", ids[1].as_str().unwrap()];
    assert!(unused(&accepted).unavailable().contains("absent.db"));
}

#[test]
fn unused_token_of_the_registry_is_found() {
    let sandbox = Sandbox::configured();
    sandbox.run(&["store", "init", "--store", "sqlite:tokens.db"]).done();
    let all = ["generate", "--all", "--out-dir", "tokens", "--store", "sqlite:tokens.db"];
    sandbox.run(&all).done();
    // A minute in each hour from now on: the window begins after the tokens were minted.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let time = |second: u64| {
        humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + std::time::Duration::from_secs(second))
            .to_string()
    };
    let log: String = (0..4)
        .map(|hour| {
            record(hour, 0, r#""allow","status":200"#, "orders").replace(
                &format!("2026-01-01T00:00:{hour:02}.000000Z"),
                &time(now + 3600 + u64::from(hour) * 3600),
            )
        })
        .collect();
    sandbox.write("audit.jsonl", log);
    let until = time(now + 5 * 3600);
    let ran = sandbox.run(&[
        "unused",
        "audit.jsonl",
        "--min-coverage",
        "70",
        "--window",
        "4h",
        "--until",
        &until,
        "--store",
        "sqlite:tokens.db",
        "--format",
        "csv",
    ]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert_eq!(ran.stdout.matches("unused-token").count(), 4, "{}", ran.stdout);
}

#[test]
fn anomalies_are_found_since_an_instant() {
    let sandbox = sandbox();
    let usual = sandbox.run(&["anomalies", "audit.jsonl", "--since", "2026-01-01T05:00:00Z"]);
    assert_eq!((usual.code, usual.stdout.as_str()), (0, ""), "{}", usual.stderr);
    let stolen = record(7, 8, r#""allow","status":200"#, "orders").replace("10.0.0.7", "203.0.113.9");
    sandbox.write("more.jsonl", stolen);
    let ran = sandbox.run(&[
        "anomalies",
        "audit.jsonl",
        "more.jsonl",
        "--since",
        "2026-01-01T05:00:00Z",
        "--format",
        "json",
    ]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let rules: Vec<_> =
        ran.json()["findings"].as_array().unwrap().iter().map(|found| found["rule"].clone()).collect();
    assert_eq!(rules, ["two-networks", "new-network"]);
    let since = ["--since", "2026-01-01T05:00:00Z", "--format", "prometheus"];
    let metrics =
        sandbox.run(&[&["anomalies", "audit.jsonl", "more.jsonl"], &since[..]].concat()).done().stdout;
    assert!(metrics.contains("service_only_audit_anomalies{rule=\"two-networks\"} 1\n"), "{metrics}");
    assert!(metrics.contains("service_only_audit_anomalies{rule=\"gap\"} 0\n"), "{metrics}");
    assert!(metrics.contains("service_only_audit_damaged_lines{kind=\"foreign\"} 1\n"), "{metrics}");
}

#[test]
fn suggestion_is_a_patch_and_a_table_for_the_exports() {
    let sandbox = sandbox();
    std::fs::create_dir(sandbox.path("src")).unwrap();
    sandbox.write("src/lib.rs", SOURCE);
    let suggest = |format: &[&str]| sandbox.run(&[&["suggest", "audit.jsonl"], &WINDOW[..], format].concat());
    assert!(
        suggest(&[]).done().stdout.contains("#[service_only(services(\"orders\"), scopes(\"stock:write\"))]")
    );
    let patch = suggest(&["--format", "patch", "--source", "."]).done().stdout;
    assert!(patch.contains("\n+#[service_only(services(\"orders\"), scopes(\"stock:write\"))]\n"), "{patch}");
    assert!(suggest(&["--format", "patch"]).refused().contains("--source DIR"));
    let table = suggest(&["--format", "table"]).done().stdout;
    let shown = sandbox.feed(&["endpoints", "-", "--format", "json"], table).done().json();
    assert_eq!(shown["routes"][0]["access"]["service_only"]["services"], json!(["orders"]));
}

#[test]
fn suggestions_are_rows_of_csv() {
    let csv = sandbox()
        .run(&[&["suggest", "audit.jsonl"], &WINDOW[..], &["--format", "csv"]].concat())
        .done()
        .stdout;
    let attribute = r##""#[service_only(services(""orders""), scopes(""stock:write""))]""##;
    let row = format!("stock::reserve,4,orders billing,orders,{attribute}\r\n");
    assert_eq!(csv, format!("endpoint,line,now,narrower,attribute\r\n{row}"));
}

#[test]
fn explanation_names_the_stage_both_values_and_the_smallest_change() {
    let sandbox = sandbox();
    let text = sandbox
        .run(&["explain", REFUSED, "--audit", "audit.jsonl", "--endpoints", "stock.json"])
        .done()
        .stdout;
    for part in [
        "the service `billing` from 10.0.0.7 was refused by `stock::reserve` with 403 `service_not_allowed`",
        "Refused by the stage `policy`",
        "found         billing",
        "expected      orders",
        "add the service to the list of this handler",
        "The policy of `stock::reserve` now; the record does not tell whether it has changed:",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let response =
        format!("HTTP/1.1 403 Forbidden\r\n\r\n{{\"status\":403,\"instance\":\"urn:uuid:{REFUSED}\"}}");
    let ran = sandbox.feed(&["explain", "-", "--audit", "audit.jsonl", "--format", "json"], response).done();
    assert_eq!(ran.json()["decision"]["code"], "service_not_allowed");
    assert!(
        sandbox
            .run(&["explain", "0199", "--audit", "audit.jsonl"])
            .not_found()
            .contains("no record has the id `0199`")
    );
    // A unique beginning is enough.
    let beginning = &REFUSED[..REFUSED.len() - 1];
    let short = ["explain", beginning, "--audit", "audit.jsonl", "--endpoints", "stock.json"];
    assert_eq!(sandbox.run(&short).done().stdout, text);
    let several = sandbox.run(&["explain", "019b", "--audit", "audit.jsonl"]).refused();
    assert!(several.contains("the ids of several records begin with `019b`"), "{several}");
    assert!(
        sandbox
            .feed(&["explain", "-", "--audit", "audit.jsonl"], "<html>")
            .refused()
            .contains("problem+json")
    );
}

#[test]
fn explanation_tells_whether_the_policy_has_changed_since() {
    let sandbox = sandbox();
    let what_if = ["explain", "--what-if", "--service", "orders", "--endpoint", "stock::reserve"];
    let now = ["--scope", "stock:write", "--endpoints", "stock.json", "--format", "json"];
    let policy = sandbox.run(&[&what_if[..], &now].concat()).done().json();
    let digest = policy[0]["policy_digest"].as_str().unwrap();
    let endpoint = "\"endpoint\":\"stock::reserve\"";
    let log =
        sandbox.read("audit.jsonl").replace(endpoint, &format!("{endpoint},\"policy_digest\":\"{digest}\""));
    sandbox.write("audit.jsonl", log);
    let explained = |more: &[&str]| {
        let known = ["explain", REFUSED, "--audit", "audit.jsonl", "--endpoints", "stock.json"];
        sandbox.run(&[&known[..], more].concat()).done()
    };
    let text = explained(&[]).stdout;
    assert!(text.contains("The policy of `stock::reserve` now, which is the policy that decided:"), "{text}");
    sandbox.write("stock.json", TABLE.replace("\"orders\",\"billing\"", "\"orders\""));
    let text = explained(&[]).stdout;
    assert!(text.contains("`stock::reserve` now; the policy has changed since the decision:"), "{text}");
    assert_eq!(explained(&["--format", "json"]).json()["policy_change"], json!(["changed"]));
    // The table of the release that decided, beside that of today.
    sandbox.write("released.json", TABLE);
    let text = explained(&["--endpoints", "released.json"]).stdout;
    assert!(text.contains("`stock::reserve` now; the policy has changed since the decision:"), "{text}");
    assert!(text.contains("\nThe policy that decided, of `stock::reserve`:"), "{text}");
}

#[test]
fn explanation_has_the_state_of_the_token_then_and_now_and_who_revoked_it() {
    let sandbox = sandbox();
    let url = format!("sqlite:{}", sandbox.path("tokens.db").display());
    sandbox.run(&["store", "init", "--store", &url]).done();
    let at = service_only::clock::Timestamp::from_unix;
    let (minted, refused, expires) = (1_767_200_000, 1_767_258_000, 4_102_444_800);
    let token = service_only_store::TokenRecord {
        issuer: "bakery-auth".to_owned(),
        jti: "jti-billing".to_owned(),
        service: "billing".to_owned(),
        kid: "k1".to_owned(),
        issued_at: at(minted),
        expires_at: at(expires),
        note: None,
        minted_by: Some("bob".to_owned()),
        minted_at: at(minted),
    };
    let revocation = service_only_store::NewRevocation::token("bakery-auth", "jti-billing", at(expires));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = service_only_store::Store::connect(&url).await.unwrap();
        store.record_tokens(&[token]).await.unwrap();
        store.revoke(&revocation.at(at(refused + 60)).by("ada").because("leaked")).await.unwrap();
    });
    let explain =
        |url: &str| sandbox.run(&["explain", REFUSED, "--audit", "audit.jsonl", "--store", url]).done();
    let text = explain(&url).stdout;
    for part in [
        "\n  then          active\n",
        "\n  now           revoked\n",
        "\n  minted by     bob\n",
        "\n  revoked       token at 2026-01-01T09:01:00Z by ada: leaked",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // Without the store, the record still explains the decision.
    let ran = explain("sqlite:absent.db");
    assert!(ran.stdout.contains("Refused by the stage `policy`") && !ran.stdout.contains("The token:"));
    assert!(ran.stderr.contains("the state of the token is unknown: "), "{}", ran.stderr);
}

#[test]
fn explanation_shows_a_token_as_revoked_then_if_its_revocation_was_undone_or_replaced_later() {
    let sandbox = sandbox();
    let at = service_only::clock::Timestamp::from_unix;
    let (minted, refused, expires) = (1_767_200_000, 1_767_258_000, 4_102_444_800);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let explained = |name: &str, undone_at: Option<i64>, replaced_at: Option<i64>| {
        let url = format!("sqlite:{}", sandbox.path(name).display());
        sandbox.run(&["store", "init", "--store", &url]).done();
        let token = service_only_store::TokenRecord {
            issuer: "bakery-auth".to_owned(),
            jti: "jti-billing".to_owned(),
            service: "billing".to_owned(),
            kid: "k1".to_owned(),
            issued_at: at(minted),
            expires_at: at(expires),
            note: None,
            minted_by: None,
            minted_at: at(minted),
        };
        let revocation = |issued_by, made_at, reason: &str| {
            let revocation = service_only_store::NewRevocation::service("bakery-auth", "billing", issued_by);
            revocation.at(at(made_at)).by("ada").because(reason)
        };
        runtime.block_on(async {
            let store = service_only_store::Store::connect(&url).await.unwrap();
            store.record_tokens(&[token]).await.unwrap();
            // A revocation of older tokens of the service covers this one at no time.
            store.revoke(&revocation(at(minted - 1), refused - 90, "older")).await.unwrap();
            store.revoke(&revocation(at(minted), refused - 60, "leaked")).await.unwrap();
            if let Some(time) = replaced_at {
                store.revoke(&revocation(at(time), time, "again")).await.unwrap();
            }
            if let Some(time) = undone_at {
                let undoing = service_only_store::Undoing::new(2, "false alarm").at(at(time)).by("bob");
                store.undo_revocation(&undoing).await.unwrap();
            }
        });
        let command = ["explain", REFUSED, "--audit", "audit.jsonl", "--store", &url, "--format", "json"];
        let text = sandbox.run(&command[..6]).done().stdout;
        (sandbox.run(&command).done().json()["token_now"].clone(), text)
    };
    let (token, text) = explained("undone-later.db", Some(refused + 60), None);
    assert_eq!((&token["state_then"], &token["state"]), (&json!("revoked"), &json!("active")));
    let made = json!([{
        "kind": "service", "revoked_at": "2026-01-01T08:59:00Z", "revoked_by": "ada", "reason": "leaked",
        "undone_at": "2026-01-01T09:01:00Z", "undone_by": "bob", "undone_reason": "false alarm",
    }]);
    assert_eq!(token["revocations"], made);
    for part in [
        "\n  then          revoked\n",
        "\n  now           active\n",
        "\n  revoked       service at 2026-01-01T08:59:00Z by ada: leaked\n  undone        at 2026-01-01T09:01:00Z by bob: false alarm",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (token, _) = explained("undone-before.db", Some(refused - 30), None);
    assert_eq!((&token["state_then"], &token["state"]), (&json!("active"), &json!("active")));
    let (token, _) = explained("replaced-later.db", None, Some(refused + 30));
    assert_eq!((&token["state_then"], &token["state"]), (&json!("revoked"), &json!("revoked")));
    assert_eq!(token["revocations"].as_array().unwrap().len(), 2, "{token}");
}

#[test]
fn explanation_of_an_admitted_call_claims_no_scope_that_is_not_known() {
    let sandbox = sandbox();
    let admitted = "019b76da-0000-7000-8000-000000000003";
    let text = sandbox
        .run(&["explain", admitted, "--audit", "audit.jsonl", "--endpoints", "stock.json"])
        .done()
        .stdout;
    assert!(text.contains("\n  depends       the token must have the scope stock:write\n"), "{text}");
    assert!(!text.contains("not met"), "{text}");
    // Without `--scope`, a token of `--what-if` has none.
    let what_if = ["explain", "--what-if", "--service", "orders", "--endpoint", "reserve", "--endpoints"];
    assert_eq!(sandbox.run(&[&what_if[..], &["stock.json"]].concat()).code, 3);
}

#[test]
fn explanation_has_the_revocations_of_a_token_that_is_not_in_the_registry() {
    let sandbox = sandbox();
    let url = format!("sqlite:{}", sandbox.path("tokens.db").display());
    sandbox.run(&["store", "init", "--store", &url]).done();
    let command = ["explain", REFUSED, "--audit", "audit.jsonl", "--store", &url, "--format", "json"];
    let explained = || sandbox.run(&command).done().json()["token_now"].clone();
    let unknown = json!({
        "registered": false, "state_then": "unknown", "state": "unknown", "revocations": [],
    });
    assert_eq!(explained(), unknown);
    let at = service_only::clock::Timestamp::from_unix;
    let (refused, expires) = (1_767_258_000, 4_102_444_800);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let revoke = |revocation: service_only_store::NewRevocation, made_at| {
        runtime.block_on(async {
            let store = service_only_store::Store::connect(&url).await.unwrap();
            store.revoke(&revocation.at(at(made_at)).by("ada").because("leaked")).await.unwrap();
        });
    };
    use service_only_store::NewRevocation;
    // Of another issuer or token, and of a service whose tokens may be younger.
    revoke(NewRevocation::token("bakery-auth", "jti-orders", at(expires)), refused - 60);
    revoke(NewRevocation::token("other", "jti-billing", at(expires)), refused - 60);
    revoke(NewRevocation::service("bakery-auth", "billing", at(refused - 1)), refused - 60);
    let token = explained();
    assert_eq!((&token["state_then"], &token["state"]), (&json!("unknown"), &json!("unknown")));
    assert_eq!(token["revocations"][0]["issued_by"], "2026-01-01T08:59:59Z");
    revoke(NewRevocation::token("bakery-auth", "jti-billing", at(expires)), refused + 60);
    revoke(NewRevocation::key("bakery-auth", "k1"), refused - 60);
    let token = explained();
    assert_eq!((&token["state_then"], &token["state"]), (&json!("revoked"), &json!("revoked")));
    let text = sandbox.run(&command[..6]).done().stdout;
    for part in [
        "\nThe token, which is not in the registry of the store:\n  then          revoked\n  now           revoked\n",
        "\n  revoked       token at 2026-01-01T09:01:00Z by ada: leaked\n",
        "\n  revoked       service, if issued up to 2026-01-01T08:59:59Z, at 2026-01-01T08:59:00Z by ada: leaked\n",
        "\n  revoked       key at 2026-01-01T08:59:00Z by ada: leaked",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("minted"), "{text}");
}

#[test]
fn search_and_tail_show_the_proof_and_the_certificate_of_the_connection() {
    let sandbox = Sandbox::new();
    let line = |number: u32, members: &str| {
        let line = record(number, 1, r#""allow","status":200"#, "orders");
        line.replace(r#""duration_us""#, &format!(r#"{members}"duration_us""#))
    };
    let mtls = line(1, r#""proof":"mtls","peer":"spiffe://bakery.example/orders","#);
    let bearer = line(2, r#""peer":"gateway\u001b[2J","#);
    let dpop = line(3, r#""proof":"dpop","#);
    sandbox.write("audit.jsonl", mtls + &bearer + &dpop + &line(4, ""));
    for command in [&["audit", "search"][..], &["audit", "tail", "--once"]] {
        let text = sandbox.run(&[command, &["audit.jsonl"]].concat()).done().stdout;
        let senders: Vec<&str> = text
            .lines()
            .map(|line| line.split_once(" orders").unwrap().1.split_once(" stock::reserve").unwrap().0)
            .collect();
        assert_eq!(
            senders,
            [" (mtls, spiffe://bakery.example/orders)", " (gateway\\u001b[2J)", " (dpop)", ""]
        );
    }
}

#[test]
fn what_if_answers_from_the_tables_with_the_exit_code_of_the_decision() {
    let sandbox = sandbox();
    let asked = |service: &str, scope: &[&str]| {
        sandbox.run(
            &[
                &[
                    "explain",
                    "--what-if",
                    "--service",
                    service,
                    "--endpoint",
                    "reserve",
                    "--endpoints",
                    "stock.json",
                ],
                scope,
            ]
            .concat(),
        )
    };
    assert_eq!(asked("orders", &["--scope", "stock:write"]).code, 0);
    let refused = asked("shop", &[]);
    assert_eq!(refused.code, 3);
    assert!(refused.stdout.contains("would be refused by `stock::reserve` of `stock`"), "{}", refused.stdout);
}

#[test]
fn search_prints_the_lines_that_meet_all_conditions() {
    let sandbox = sandbox();
    let found = |conditions: &[&str]| {
        let format = ["--format", "json"];
        let ran = sandbox.run(&[&["audit", "search", "audit.jsonl"], conditions, &format].concat()).done();
        ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(found(&["--deny"])[0]["id"], REFUSED);
    assert_eq!(found(&["--service", "orders"]).len(), 10);
    assert_eq!(found(&["--since", "2026-01-01T03:00:00Z", "--until", "2026-01-01T05:00:00Z"]).len(), 2);
    assert_eq!(found(&["--jti", "jti-b", "--code", "service_not_allowed", "--endpoint", "reserve"]).len(), 1);
    assert_eq!(
        found(&["--trace", "4bf92f3577b34da6a3ce929d0e0e4736", "--address", "10.0.0.7", "--limit", "3"])
            .len(),
        3
    );
    assert_eq!(found(&["--trace", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"]).len(), 11);
    assert_eq!(found(&["--address", "::ffff:10.0.0.7"]).len(), 11);
    let none = sandbox.run(&["audit", "search", "audit.jsonl", "--service", "orders", "--deny"]).done();
    assert!(none.stderr.contains("no record meets the conditions"), "{}", none.stderr);
    // The rest of the file is not read.
    let first = sandbox.run(&["audit", "search", "audit.jsonl", "--limit", "1"]).done();
    assert_eq!((first.stdout.lines().count(), first.stderr.as_str()), (1, ""));
    // Nor is it when the reader of the results has left. Results are written in blocks.
    let many = record(1, 1, r#""allow","status":200"#, "orders").repeat(10_000);
    sandbox.write("audit.jsonl", many + "other\n");
    let closed = sandbox.run_into_closed_pipe(&["audit", "search", "audit.jsonl"]);
    assert_eq!((closed.code, closed.stderr.as_str()), (0, ""));
}

#[test]
fn tail_prints_the_last_records() {
    let sandbox = sandbox();
    let ran = sandbox.run(&["audit", "tail", "audit.jsonl", "--once", "--lines", "2"]).done();
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{}", ran.stdout);
    assert!(
        lines[1].contains("deny  403 billing stock::reserve service_not_allowed: the service is"),
        "{}",
        lines[1]
    );
}

#[test]
fn tail_follows_a_log_over_a_rotation_until_its_reader_leaves() {
    use std::io::{BufRead as _, BufReader};
    let sandbox = Sandbox::new();
    let line = |number| record(number, 1, r#""allow","status":200"#, &format!("s{number}"));
    sandbox.write("audit.jsonl", line(1) + &line(2));
    let mut child = sandbox
        .command(&["audit", "tail", "audit.jsonl", "--lines", "1"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut shown = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || shown.next().unwrap().unwrap();
    assert!(next().contains(" s2 "));
    std::fs::rename(sandbox.path("audit.jsonl"), sandbox.path("audit.jsonl.1")).unwrap();
    sandbox.write("audit.jsonl", "other\n".to_owned() + &line(3));
    assert!(next().contains(" s3 "));
    drop(shown);
    // Another process that this program starts can have the pipe for a moment, so one record is not enough.
    let mut log = "other\n".to_owned() + &line(3);
    while child.try_wait().unwrap().is_none() {
        log += &line(4);
        sandbox.write("audit.jsonl", &log);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert!(
        String::from_utf8_lossy(&ended.stderr).contains("audit.jsonl:1: the line is not an audit record")
    );
}

#[test]
fn tail_of_a_compressed_log_prints_its_last_records() {
    if !has("gzip") {
        return;
    }
    let sandbox = sandbox();
    let packed =
        std::process::Command::new("gzip").arg("-kf").arg(sandbox.path("audit.jsonl")).status().unwrap();
    assert!(packed.success());
    let plain = sandbox.run(&["audit", "tail", "audit.jsonl", "--once"]).done();
    let packed = sandbox.run(&["audit", "tail", "audit.jsonl.gz", "--once"]).done();
    assert_eq!((plain.stdout.lines().count(), plain.stdout), (10, packed.stdout));
}

#[test]
fn control_characters_of_a_log_are_escaped() {
    let sandbox = Sandbox::new();
    let hostile =
        record(1, 1, r#""allow","status":200"#, "orders").replace("stock::reserve", "a\\u001b[2J\\u202e,=1");
    sandbox.write("audit.jsonl", hostile);
    for arguments in [
        &["usage", "audit.jsonl"][..],
        &["usage", "audit.jsonl", "--format", "json"],
        &["audit", "search", "audit.jsonl"],
        &["audit", "search", "audit.jsonl", "--format", "json"],
        &["audit", "tail", "audit.jsonl", "--once"],
    ] {
        let shown = sandbox.run(arguments).done().stdout;
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{arguments:?}: {shown:?}");
    }
}

/// A sealed log with five records, as the guard of a service writes it, and its public key.
pub(crate) fn sealed(sandbox: &Sandbox) -> String {
    let key = sandbox.run(&["keygen", "--audit", "bakery.example/orders", "--out", "audit.key"]).done();
    write_sealed(sandbox, |_| ());
    key.line().to_owned()
}

/// Adds five records to a sealed log.
pub(crate) fn write_sealed(sandbox: &Sandbox, on_checkpoint: impl FnMut(&str) + Send + 'static) {
    use service_only::{Algorithm, JsonLinesAudit, Verifier, issue::SigningKey};
    use service_only_evidence::tree::{LogKey, Sealing};

    let audit = Sealing::with_key(LogKey::from_file(sandbox.path("audit.key")).unwrap());
    let audit = audit
        .on_checkpoint(on_checkpoint)
        .to_file(JsonLinesAudit::builder(), sandbox.path("sealed.jsonl"))
        .unwrap();
    let signing = SigningKey::generate(Algorithm::HS256).unwrap();
    let verifier =
        Verifier::builder().issuer("bakery-auth").keys(signing.verifying_key()).audit(audit).build().unwrap();
    (0..5).for_each(|_| drop(verifier.verify("no token").unwrap_err()));
}

pub(crate) fn copy_all(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() { copy_all(&from, &to) } else { assert!(std::fs::copy(from, to).is_ok()) }
    }
}

#[test]
fn reports_skip_the_folder_of_the_tree_that_a_pattern_matches() {
    let sandbox = Sandbox::new();
    sealed(&sandbox);
    let matched = ["sealed.jsonl", "sealed.jsonl.tree"];
    for report in [&["usage"][..], &["anomalies"], &["audit", "search"]] {
        let ran = sandbox.run(&[report, &matched].concat()).done();
        let shown = sandbox.run(&[report, &matched[..1]].concat()).done();
        assert_eq!((ran.stdout, ran.stderr), (shown.stdout, shown.stderr), "{report:?}");
    }
    assert!(sandbox.run(&["usage", matched[1]]).refused().contains("name the log beside it"));
    // A copy that the sink is compressing counts no record twice.
    let plain = "sealed.jsonl.2026-01-01T00-00-00.000000Z";
    let copies = [".gz", ".gz.part"].map(|end| format!("{plain}{end}"));
    sandbox.write(plain, sandbox.read("sealed.jsonl"));
    copies.iter().for_each(|copy| sandbox.write(copy, sandbox.read("sealed.jsonl")));
    let count = |files: &[&str]| {
        let usage = sandbox.run(&[&["usage", "--format", "json"], files].concat()).done().json();
        usage["read"]["records"].as_u64().unwrap()
    };
    assert_eq!(count(&[plain, &copies[0], &copies[1]]), 5);
    assert_eq!(count(&[&copies[0]]), 5);
}

#[test]
fn stored_checkpoint_reveals_that_the_log_was_set_back_with_its_tree() {
    let sandbox = Sandbox::new();
    sealed(&sandbox);
    copy_all(&sandbox.path("sealed.jsonl.tree"), &sandbox.path("old.tree"));
    let old = sandbox.read("sealed.jsonl");
    sandbox.run(&["store", "init", "--store", "sqlite:tokens.db"]).done();
    let url = format!("sqlite:{}", sandbox.path("tokens.db").display());
    write_sealed(&sandbox, service_only_store::CheckpointWriter::of(url).start().unwrap().receiver());

    let known = ["audit", "verify", "sealed.jsonl", "--key", "audit.key.pub"];
    let verify = |more: &[&str]| sandbox.run(&[&known[..], more].concat());
    let stored = ["--store", "sqlite:tokens.db"];
    let intact = verify(&stored).done();
    assert!(intact.stdout.starts_with("intact: 10 of 10 records"), "{}", intact.stdout);
    assert!(intact.stderr.contains("checkpoints of `bakery.example/orders`"), "{}", intact.stderr);

    std::fs::remove_dir_all(sandbox.path("sealed.jsonl.tree")).unwrap();
    copy_all(&sandbox.path("old.tree"), &sandbox.path("sealed.jsonl.tree"));
    sandbox.write("sealed.jsonl", &old);
    assert!(verify(&[]).done().stdout.starts_with("intact: 5 of 5 records"));
    let found = verify(&stored);
    assert_eq!(found.code, 1, "{}", found.stderr);
    assert!(found.stdout.starts_with("tampered: rolled_back: "), "{}", found.stdout);

    // An unavailable store is not an intact log, and hides no change that the files show.
    let absent = ["--store", "sqlite:absent.db"];
    assert_eq!(verify(&absent).code, 4, "{}", verify(&absent).stdout);
    sandbox.write("sealed.jsonl", old.replacen("deny", "allo", 1));
    assert_eq!(verify(&absent).code, 1);
}

#[test]
fn sealed_log_is_verified_with_an_exit_code_for_each_answer() {
    let sandbox = Sandbox::new();
    let key = sealed(&sandbox);
    assert_eq!(sandbox.read("audit.key.pub").trim_end(), key);
    #[cfg(unix)]
    assert_eq!(sandbox.mode("audit.key"), 0o600);
    let verify = |more: &[&str]| sandbox.run(&[&["audit", "verify", "sealed.jsonl"], more].concat());
    let with_key = ["--key", "audit.key.pub", "--format", "json"];
    let intact = verify(&with_key).done().json();
    assert_eq!((&intact["verdict"], &intact["log"]["size"]), (&json!("intact"), &json!(5)));
    let warned = verify(&["--complete"]).done();
    assert!(
        warned.stdout.starts_with("intact: 5 of 5 records") && warned.stderr.contains("--key"),
        "{}",
        warned.stderr
    );
    let checkpoint = sandbox.run(&["audit", "checkpoint", "sealed.jsonl", "--key", &key]).done().stdout;
    sandbox.write("kept.checkpoint", &checkpoint);
    assert_eq!(verify(&["--key", &key, "--since", "kept.checkpoint"]).code, 0);

    let text = sandbox.read("sealed.jsonl");
    sandbox.write("sealed.jsonl", text.replacen("deny", "allo", 1));
    let tampered = verify(&with_key);
    assert_eq!(tampered.code, 1, "{}", tampered.stderr);
    assert_eq!(tampered.json()["tampering"]["change"], "changed");
    assert_eq!(tampered.json()["tampering"]["record"], 0);
    let shown = verify(&["--key", &key]).stdout;
    assert!(
        shown.starts_with("tampered: changed: ") && shown.contains("sealed.jsonl:1: record 0"),
        "{shown}"
    );
    let undecided = sandbox.run(&["audit", "verify", "absent.jsonl", "--key", &key]);
    assert_eq!(undecided.code, 2, "{}", undecided.stdout);
    assert!(verify(&["--key", &sandbox.read("audit.key")]).refused().contains("private key"));
    sandbox.run(&["keygen", "--audit", "bakery.example/orders", "--out", "other.key"]).done();
    let other = verify(&["--key", "other.key.pub"]);
    assert_eq!(other.code, 2, "{}", other.stdout);
    assert!(
        other.stdout.starts_with("undecided: ") && other.stdout.contains("not signed by"),
        "{}",
        other.stdout
    );
}

/// The gate compiles and tests the examples as they are. Their attribute is widened here, and the patch must restore it.
#[test]
fn patch_of_a_widened_example_is_the_example_that_compiles_and_passes_its_tests() {
    if !has("git") {
        return;
    }
    let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let original = std::fs::read_to_string(top.join("examples/quickstart/src/main.rs")).unwrap();
    let services = "services(\"tenant-deletion-orchestrator\")";
    let wide = "services(\"billing\", \"tenant-deletion-orchestrator\")";
    let attributes = [
        (format!("{services}, "), String::new(), "{\"scopes\":[\"tenants:delete\"]}".to_owned()),
        (
            services.to_owned(),
            wide.to_owned(),
            "{\"services\":[\"billing\",\"tenant-deletion-orchestrator\"],\"scopes\":[\"tenants:delete\"]}"
                .to_owned(),
        ),
    ];
    for (narrow, wide, access) in attributes {
        let sandbox = Sandbox::new();
        let source = original.replacen(&narrow, &wide, 1);
        assert_ne!(source, original);
        let line = source.lines().position(|line| line.contains("fn delete_tenant")).unwrap() + 1;
        std::fs::create_dir(sandbox.path("src")).unwrap();
        sandbox.write("src/main.rs", &source);
        sandbox.write(
            "table.json",
            format!(
                r#"{{"service":"quickstart","routes":[{{"methods":["DELETE"],"path":"/tenants/{{tenant}}","handler":{{"endpoint":"quickstart::delete_tenant","line":{line}}},"access":{{"service_only":{access}}}}}]}}"#
            ),
        );
        let log: String = (0..10)
            .map(|hour| record(hour, hour, r#""allow","status":200"#, "tenant-deletion-orchestrator"))
            .collect();
        sandbox.write("audit.jsonl", log.replace("stock::reserve", "quickstart::delete_tenant"));
        let suggest = ["suggest", "audit.jsonl", "--window", "10h", "--until", "2026-01-01T10:00:00Z"];
        let patch = ["--endpoints", "table.json", "--format", "patch", "--source", "."];
        let patch = sandbox.run(&[&suggest[..], &patch].concat()).done().stdout;
        sandbox.write("narrow.patch", &patch);
        let mut git = std::process::Command::new("git");
        let applied = git.args(["apply", "narrow.patch"]).current_dir(sandbox.path(".")).status();
        assert!(applied.unwrap().success(), "{patch}");
        assert_eq!(sandbox.read("src/main.rs"), original, "{patch}");
    }
}

#[test]
fn record_of_a_sealed_log_is_proven_and_exported() {
    let sandbox = Sandbox::new();
    let key = sealed(&sandbox);
    let first: Value = serde_json::from_str(sandbox.read("sealed.jsonl").lines().next().unwrap()).unwrap();
    let id = first["id"].as_str().unwrap();
    sandbox
        .run(&["audit", "prove", id, "--audit", "sealed.jsonl", "--key", &key, "--out", "evidence"])
        .done();
    // A unique beginning of the id is enough, and a trial writes nothing.
    let own = ["--audit", "sealed.jsonl", "--key", &key];
    let ids: Vec<String> = sandbox
        .read("sealed.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned())
        .collect();
    let is_unique = |end: &usize| ids.iter().filter(|other| other.starts_with(&id[..*end])).count() == 1;
    let beginning = &id[..(4..=id.len()).find(is_unique).unwrap()];
    let tried = [&["audit", "prove", beginning, "--out", "short", "--dry-run"][..], &own].concat();
    let tried = sandbox.run(&tried).done().stdout;
    assert_eq!(tried, "would write short.record\nwould write short.proof\n");
    assert!(!sandbox.path("short.proof").exists());
    sandbox.run(&[&["audit", "prove", beginning, "--out", "short"][..], &own].concat()).done();
    assert_eq!(sandbox.read("short.proof"), sandbox.read("evidence.proof"));
    sandbox
        .run(&[&["audit", "prove", beginning, "--out", "short", "--dry-run"][..], &own].concat())
        .refused();
    let tried = sandbox.run(&[&["audit", "export", "static", "--dry-run"][..], &own].concat()).done();
    assert_eq!(tried.stdout, "would export 5 records to static\n");
    assert!(!sandbox.path("static").exists());
    let check = |record: &str| sandbox.run(&["audit", "check", "evidence.proof", record, "--key", &key]);
    let valid = check("evidence.record").done().stdout;
    assert!(valid.contains("it is record 0 of 5 of `bakery.example/orders`"), "{valid}");
    sandbox.write("other.record", sandbox.read("evidence.record").replace("deny", "allow"));
    assert_eq!(check("other.record").code, 1);
    sandbox.run(&["audit", "export", "static", "--audit", "sealed.jsonl", "--key", &key]).done();
    assert!(sandbox.path("static/tile/entries/000.p/5").exists());
    sandbox.run(&[&["audit", "export", "static", "--dry-run"][..], &own].concat()).refused();
    assert!(
        sandbox
            .run(&["audit", "prove", "absent", "--audit", "sealed.jsonl"])
            .not_found()
            .contains("`absent`")
    );
}

#[test]
fn condition_of_a_search_that_no_record_can_meet_is_an_error() {
    let sandbox = sandbox();
    for command in [&["audit", "search"][..], &["audit", "tail", "--once"]] {
        for (condition, expected) in [
            (["--code", "service_not_alowed"], "did you mean `service_not_allowed`?"),
            (["--code", "EXPIRED"], "did you mean `expired`?"),
            (["--trace", "4bf92f35"], "32 hexadecimal digits"),
            (["--address", "10.0.0.7:80"], "invalid"),
            (["--jti", ""], "a value is required"),
            (["--since", "20260101"], "looks like a date"),
        ] {
            let message = sandbox.run(&[command, &["audit.jsonl"], &condition].concat()).refused();
            assert!(message.contains(expected), "{condition:?}: {message}");
        }
        for (condition, expected) in [
            (["--service", "ordres"], "did you mean `orders`?"),
            (["--endpoint", "serve"], "`stock::reserve`"),
            (["--endpoint", "stock::resrve"], "did you mean `stock::reserve`?"),
            (["--jti", "jti-x"], "a rotated file may have its records"),
        ] {
            let message = sandbox.run(&[command, &["audit.jsonl"], &condition].concat()).not_found();
            assert!(message.contains(expected), "{command:?} {condition:?}: {message}");
        }
    }
}

#[test]
fn log_without_records_is_not_reported_as_usual() {
    let sandbox = sandbox();
    sandbox.write("empty.jsonl", "");
    let message = sandbox.run(&["anomalies", "empty.jsonl"]).refused();
    assert!(message.contains("the files have no records, so nothing was compared"), "{message}");
    let message = sandbox.run(&["anomalies", "audit.jsonl", "--since", "2026-01-02T00:00:00Z"]).refused();
    assert!(message.contains("no record is as new as `--since`"), "{message}");
    let metrics = sandbox.run(&["anomalies", "empty.jsonl", "--format", "prometheus"]).done().stdout;
    assert!(metrics.contains("service_only_audit_anomalies"), "{metrics}");
    assert!(sandbox.run(&["usage", "empty.jsonl"]).done().stderr.contains("the files have no records"));
}

#[test]
fn file_that_is_named_twice_is_counted_once() {
    let sandbox = sandbox();
    let allowed = |files: &[&str]| {
        let usage = sandbox.run(&[&["usage", "--format", "json"], files].concat()).done().json();
        usage["usage"][1]["allowed"].clone()
    };
    assert_eq!(allowed(&["audit.jsonl", "./audit.jsonl", "audit.jsonl"]), 10);
}

#[test]
fn commands_find_exactly_what_was_planted_in_a_day_of_twelve_services() {
    let time = |second: i64| jiff::Timestamp::from_second(START + second).unwrap().to_string();
    let (noon, midnight) = (time(NOON), time(24 * HOUR));
    for (day, anomalies, unused) in [
        (Day::planted(1), &ANOMALIES[..], &UNUSED[..]),
        (Day::planted(2), &ANOMALIES, &UNUSED),
        (Day::usual(1), &[], &[]),
        (Day::usual(2), &[], &[]),
    ] {
        let sandbox = Sandbox::new();
        let store = register(&sandbox, &day.tokens());
        let mut tables = Vec::new();
        for (number, table) in day.tables().iter().enumerate() {
            let name = format!("table-{number}.json");
            sandbox.write(&name, table.to_string());
            tables.extend(["--endpoints".to_owned(), name]);
        }
        let logs = day.logs();
        logs.iter().for_each(|(name, text)| sandbox.write(name, text));
        let found = |command: &[&str]| {
            let mut arguments = command.to_vec();
            arguments.extend(logs.iter().map(|(name, _)| name.as_str()));
            arguments.extend(["--format", "json"]);
            let ran = sandbox.run(&arguments);
            let report = ran.json();
            assert_eq!(report["read"]["trouble"]["torn"], 1, "the torn line: {}", ran.stderr);
            let findings = report["findings"].as_array().unwrap();
            assert_eq!(ran.code, i32::from(!findings.is_empty()), "{}", ran.stderr);
            findings.iter().map(about).collect::<Vec<_>>()
        };
        assert_eq!(found(&["anomalies", "--since", &noon]), owned(anomalies));
        let window = ["unused", "--window", "1d", "--until", &midnight, "--store", &store];
        let tables = tables.iter().map(String::as_str);
        assert_eq!(found(&window.into_iter().chain(tables).collect::<Vec<_>>()), owned(unused));
    }
}

fn owned(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(rule, about)| ((*rule).to_owned(), (*about).to_owned())).collect()
}

/// The rule of a finding, and its endpoint or the end of its subject.
fn about(finding: &Value) -> (String, String) {
    let subject = || finding["subject"].as_str().and_then(|subject| subject.rsplit('/').next());
    let about = finding["endpoint"].as_str().or_else(subject).unwrap_or_default();
    (finding["rule"].as_str().unwrap().to_owned(), about.to_owned())
}

/// A store with these tokens, minted before the day.
fn register(sandbox: &Sandbox, tokens: &[(&str, String)]) -> String {
    let url = format!("sqlite:{}", sandbox.path("tokens.db").display());
    sandbox.run(&["store", "init", "--store", &url]).done();
    let at = service_only::clock::Timestamp::from_unix;
    let record = |(service, jti): &(&str, String)| service_only_store::TokenRecord {
        issuer: "auth".to_owned(),
        jti: jti.clone(),
        service: (*service).to_owned(),
        kid: "key-1".to_owned(),
        issued_at: at(START - HOUR),
        expires_at: at(4_102_444_800),
        note: None,
        minted_by: None,
        minted_at: at(START - HOUR),
    };
    let records: Vec<_> = tokens.iter().map(record).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = service_only_store::Store::connect(&url).await.unwrap();
        store.record_tokens(&records).await.unwrap();
    });
    url
}
