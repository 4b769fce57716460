#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;

const REFUSED: &str = r#"{"id":"019b76da-0000-7000-8000-000000000001","time":"2026-01-01T00:00:00.123456Z","decision":"deny","status":403,"code":"service_not_allowed","stage":"policy","reason":"the service is `orders`, allowed: tenant-deletion-orchestrator","endpoint":"tenants::delete_tenant","service":"orders","client.address":"10.0.0.7","duration_us":94}"#;

#[test]
fn refusal_is_explained_with_its_stages_and_both_values() {
    let record = Record::parse(REFUSED.as_bytes()).unwrap();
    let explained = Explanation::of(&record);
    assert_eq!(
        explained.summary,
        "the service `orders` from 10.0.0.7 was refused by `tenants::delete_tenant` with 403 `service_not_allowed`"
    );
    assert_eq!(explained.passed.last().unwrap().stage, "service");
    assert_eq!(explained.refused_by.as_deref(), Some("policy"));
    let compared = explained.compared.unwrap();
    assert_eq!(
        (compared.found.as_str(), compared.expected.as_str()),
        ("orders", "tenant-deletion-orchestrator")
    );
    assert!(explained.advice.unwrap().risk.contains("stolen"));
}

#[test]
fn summary_has_the_proof_and_the_certificate_of_the_connection() {
    let summary = |members: &str| {
        let text = REFUSED.replace(r#""duration_us""#, &format!(r#"{members}"duration_us""#));
        Explanation::of(&Record::parse(text.as_bytes()).unwrap()).summary
    };
    let refused = "was refused by `tenants::delete_tenant` with 403 `service_not_allowed`";
    assert_eq!(
        summary(r#""proof":"mtls","peer":"spiffe://bakery.example/orders","#),
        format!(
            "the service `orders` from 10.0.0.7 over a connection of `spiffe://bakery.example/orders` with the proof `mtls` {refused}"
        )
    );
    // A bearer token over mutual TLS, and a proof without a certificate.
    assert_eq!(
        summary(r#""peer":"gateway","#),
        format!("the service `orders` from 10.0.0.7 over a connection of `gateway` {refused}")
    );
    assert_eq!(
        summary(r#""proof":"dpop","#),
        format!("the service `orders` from 10.0.0.7 with the proof `dpop` {refused}")
    );
}

#[test]
fn every_code_has_its_advice() {
    for code in Code::ALL {
        assert_ne!(advice(code.as_str()), advice("a code of the future"), "{}", code.as_str());
    }
    assert!(is_known("expired") && !is_known("a code of the future"));
}

#[test]
fn unknown_stage_claims_no_passed_stage() {
    let text = REFUSED.replace(r#""stage":"policy""#, r#""stage":"quota""#);
    assert!(Explanation::of(&Record::parse(text.as_bytes()).unwrap()).passed.is_empty());
}

#[test]
fn what_if_answers_from_the_table() {
    let table: RouteTable = serde_json::from_str(
        r#"{"service":"stock","routes":[{"methods":["POST"],"path":"/reserve","handler":{"endpoint":"stock::reserve","line":7},
        "access":{"service_only":{"services":["orders"],"scopes":["stock:write"],"max_age":60,"proof":"mtls"}}}]}"#,
    )
    .unwrap();
    let tables = [table];
    let caller = |service: &str, scopes: &[&str]| Hypothesis {
        service: service.to_owned(),
        scopes: Some(scopes.iter().map(|scope| (*scope).to_owned()).collect()),
        ..Hypothesis::default()
    };
    let answer = |caller| what_if(&tables, "reserve", &caller).remove(0);
    assert!(answer(caller("orders", &["stock:write"])).is_admitted);
    let refused = answer(caller("billing", &[]));
    assert!(!refused.is_admitted);
    let met: Vec<_> = refused.requirements.iter().map(|required| required.is_met).collect();
    assert_eq!(met, [None, Some(false), Some(false), None]);
    assert_eq!(refused.requirements[0].text, "the sender must give the proof mtls");
    assert!(what_if(&tables, "absent", &caller("orders", &[])).is_empty());
    // A record does not have the scopes of the token.
    let unknown = answer(Hypothesis { scopes: None, ..caller("orders", &[]) });
    let met: Vec<_> = unknown.requirements.iter().map(|required| required.is_met).collect();
    assert_eq!((unknown.is_admitted, met), (true, vec![None, Some(true), None, None]));
}

#[test]
fn policy_of_today_is_compared_with_that_of_the_record() {
    let table = |services: &str| -> RouteTable {
        let json = format!(
            r#"{{"service":"tenants","routes":[{{"methods":["DELETE"],"path":"/","handler":{{"endpoint":"tenants::delete_tenant","line":7}},
            "access":{{"service_only":{{"services":[{services}]}}}}}}]}}"#
        );
        serde_json::from_str(&json).unwrap()
    };
    let then = table(r#""tenant-deletion-orchestrator""#);
    let digest = then.routes()[0].access().policy_digest().unwrap().to_string();
    let line = REFUSED.replace(r#""service":"#, &format!(r#""policy_digest":"{digest}","service":"#));
    let explained = Explanation::of(&Record::parse(line.as_bytes()).unwrap());
    let compared = |digest: Option<&str>, table: RouteTable| {
        let now = what_if(&[table], "tenants::delete_tenant", &Hypothesis::default()).remove(0);
        PolicyChange::between(digest, now.policy_digest.as_deref())
    };
    let digest = explained.policy_digest.as_deref();
    assert_eq!(compared(digest, then.clone()), PolicyChange::Same);
    let wider = table(r#""orders","tenant-deletion-orchestrator""#);
    assert_eq!(compared(digest, wider), PolicyChange::Changed);
    assert_eq!(compared(None, then), PolicyChange::Unknown);
}
