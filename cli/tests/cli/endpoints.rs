//! The table of a program: shown, exported, compared.

use serde_json::Value;

use crate::sandbox::Sandbox;

pub(crate) const TABLE: &str = r#"{"service":"orders","routes":[
  {"methods":["DELETE"],"path":"/tenants/{id}","handler":{"endpoint":"orders::delete_tenant","line":7},
   "access":{"service_only":{"services":["orchestrator"],"scopes":["tenants:delete"]}}},
  {"methods":["GET"],"path":"/healthz","access":{"public":{"reason":"load balancers have no token"}}}]}"#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("orders.json", TABLE);
    sandbox
}

const MESH: [&str; 6] =
    ["--issuer", "bakery-auth", "--jwks-uri", "https://auth.example/jwks.json", "--namespace", "bakery"];

#[test]
fn table_is_shown_in_every_format() {
    let sandbox = sandbox();
    let shown = |format: &str| sandbox.run(&["endpoints", "orders.json", "--format", format]).done().stdout;
    assert!(shown("text").contains("orchestrator, scope tenants:delete"));
    assert!(shown("markdown").contains("| `orders::delete_tenant` | `orchestrator` |"));
    assert!(shown("mermaid").starts_with("flowchart LR\n"));
    assert_eq!(
        serde_json::from_str::<Value>(&shown("json")).unwrap(),
        serde_json::from_str::<Value>(TABLE).unwrap()
    );
    let openapi: Value = serde_json::from_str(&shown("openapi")).unwrap();
    assert_eq!(openapi["paths"]["/healthz"]["get"]["security"], serde_json::json!([]));
}

#[test]
fn table_comes_from_standard_input_too() {
    let ran = Sandbox::new().feed(&["endpoints", "-", "--format", "markdown"], TABLE).done();
    assert!(ran.stdout.contains("`/tenants/{id}`"));
}

#[test]
fn mesh_export_contains_the_values_of_the_options() {
    let sandbox = sandbox();
    let istio = [&["endpoints", "orders.json", "--format", "istio"], &MESH[..]].concat();
    let more = ["--audience", "orders", "--label", "app=shop", "--principal", "orchestrator=td/ns/jobs/sa/x"];
    let yaml = sandbox.run(&[&istio[..], &more].concat()).done().stdout;
    for part in
        ["app: shop", "- td/ns/jobs/sa/x", "- bakery-auth/orchestrator", "- orders", "namespace: bakery"]
    {
        assert!(yaml.contains(part), "{part}: {yaml}");
    }
    let envoy = [&["endpoints", "orders.json", "--format", "envoy", "--leeway", "30"], &MESH[..]].concat();
    assert!(sandbox.run(&envoy).done().stdout.contains("clock_skew_seconds: 30"));
}

#[test]
fn issuer_comes_from_the_configuration_and_keys_from_a_set() {
    let sandbox = Sandbox::configured();
    sandbox.write("orders.json", TABLE);
    let set = sandbox.run(&["jwks"]).done().stdout;
    sandbox.write("jwks.json", set);
    let ran = sandbox.run(&["endpoints", "orders.json", "--format", "envoy", "--jwks", "jwks.json"]).done();
    assert!(
        ran.stdout.contains("issuer: bakery-auth") && ran.stdout.contains("inline_string:"),
        "{}",
        ran.stdout
    );
}

#[test]
fn required_options_of_a_mesh_have_no_default() {
    let sandbox = sandbox();
    let refused = |more: &[&str]| {
        sandbox.run(&[&["endpoints", "orders.json", "--format", "istio"], more].concat()).refused()
    };
    assert!(refused(&MESH[2..]).contains("--issuer ISSUER"));
    assert!(refused(&MESH[..2]).contains("--jwks-uri"));
    assert!(refused(&MESH[..4]).contains("--namespace NAMESPACE"));
    let plain = ["--issuer", "a", "--jwks-uri", "http://auth.example/", "--namespace", "b"];
    assert!(refused(&plain).contains("https://"));
}

#[test]
fn mesh_options_are_refused_for_other_formats() {
    let ran = sandbox().run(&["endpoints", "orders.json", "--namespace", "bakery"]);
    assert!(ran.refused().contains("--format istio"));
}

#[test]
fn invalid_table_is_refused_with_its_path() {
    let sandbox = Sandbox::new();
    sandbox.write("no.json", "{\"service\":\"orders\",\n\"routes\":[{}]}");
    let message = sandbox.run(&["endpoints", "no.json"]).refused();
    assert!(message.contains("`no.json`") && message.contains("line 2"), "{message}");
    sandbox.run(&["endpoints", "absent.json"]).refused();
}

#[test]
fn diff_shows_the_current_callers_and_fails_if_a_rule_admits_more() {
    let sandbox = sandbox();
    sandbox.write(
        "new.json",
        TABLE.replace(r#""services":["orchestrator"],"#, "").replace("/healthz", "/livez"),
    );
    let ran = sandbox.run(&["endpoints", "new.json", "--diff", "orders.json"]);
    assert_eq!(ran.code, 10, "{}", ran.stderr);
    assert_eq!(
        ran.stdout,
        "loosened DELETE /tenants/{id}: any service, scope tenants:delete; before: orchestrator, scope tenants:delete\n\
         added GET /livez: public: load balancers have no token\n\
         removed GET /healthz\n"
    );
    assert_eq!(sandbox.run(&["endpoints", "new.json", "--diff", "new.json"]).done().stdout, "");
    // The way back tightens the rule.
    let back =
        sandbox.run(&["endpoints", "orders.json", "--diff", "new.json", "--format", "json"]).done().json();
    assert_eq!((&back[0]["change"], &back[0]["admits_more"]), (&"tightened".into(), &false.into()), "{back}");
    assert_eq!(back[0]["before"], "any service, scope tenants:delete");
    assert_eq!(back.as_array().unwrap().len(), 3);
    // Other callers are more callers too.
    sandbox.write("other.json", TABLE.replace(r#""services":["orchestrator"]"#, r#""services":["sales"]"#));
    let other = sandbox.run(&["endpoints", "other.json", "--diff", "orders.json", "--format", "json"]);
    assert_eq!((other.code, &other.json()[0]["change"]), (10, &"changed".into()));
    let markdown = sandbox.run(&["endpoints", "new.json", "--diff", "orders.json", "--format", "markdown"]);
    assert!(markdown.refused().contains("text or JSON"));
}

#[test]
fn control_characters_of_a_table_are_escaped() {
    let sandbox = Sandbox::new();
    let table = r#"{"service":"orders","routes":[{"methods":["GET\u001b[2J"],"path":"/\u202ea","access":{"public":{"reason":"a\u001b]0;x\u0007"}}}]}"#;
    sandbox.write("orders.json", table);
    for format in ["text", "json", "markdown", "mermaid"] {
        let shown = sandbox.run(&["endpoints", "orders.json", "--format", format]).done().stdout;
        assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{format}: {shown:?}");
    }
}
