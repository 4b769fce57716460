//! What the exports say, one point at a time.

use serde_json::{Value, json};
use service_only::{
    Policy,
    routes::{Access, Route, RouteTable},
};
use service_only_export::{self as export, ExportError, MeshOption, MeshOptions};

use crate::{mesh, table};

fn of(access: Access) -> RouteTable {
    RouteTable::new("orders").route(Route::new(["GET"], "/", access))
}

/// The rules of the policy for Istio.
fn rules(table: &RouteTable) -> Vec<Value> {
    use serde::Deserialize as _;
    let yaml = export::istio(table, &mesh()).unwrap();
    let policy = serde_norway::Deserializer::from_str(&yaml).nth(1).unwrap();
    let policy = Value::deserialize(policy).unwrap();
    policy["spec"]["rules"].as_array().cloned().unwrap_or_default()
}

#[test]
fn issuer_and_keys_are_required() {
    assert!(MeshOptions::with_jwks_uri("", "https://auth.example/").is_err());
    assert!(MeshOptions::with_jwks_uri("bakery-auth", "").is_err());
    let nowhere = MeshOptions::with_jwks_uri("bakery-auth", "https://auth.example/").unwrap();
    assert!(matches!(
        export::istio(&table(), &nowhere),
        Err(ExportError::Option { option: MeshOption::Namespace, .. })
    ));
}

#[test]
fn guarded_routes_always_require_a_token() {
    for rule in rules(&table()) {
        if rule.get("from").is_none() {
            let paths = &rule["to"][0]["operation"]["paths"];
            assert!([json!(["/healthz"]), json!(["/files/{**}"])].contains(paths), "{rule}");
            continue;
        }
        for source in rule["from"].as_array().unwrap() {
            assert_ne!(source["source"]["requestPrincipals"], Value::Null, "{rule}");
        }
    }
}

#[test]
fn token_and_principal_must_name_the_same_service() {
    let rules = rules(&of(Access::from(&Policy::any_service().services(&["a", "b"]))));
    let source = |name: &str| {
        json!({ "source": {
            "principals": [format!("cluster.local/ns/bakery/sa/{name}")],
            "requestPrincipals": [format!("bakery-auth/{name}")],
        } })
    };
    assert_eq!(rules[0]["from"], json!([source("a"), source("b")]));
    assert_eq!(rules[0]["when"][1], json!({ "key": "request.auth.claims[service]", "values": ["a", "b"] }));
}

#[test]
fn empty_lists_deny_every_caller() {
    for policy in [Policy::any_service().services(&[]), Policy::any_service().roles(&[])] {
        let table = of(Access::from(&policy));
        let nobody = json!([{ "source": { "notRequestPrincipals": ["*"], "requestPrincipals": ["*"] } }]);
        assert_eq!(rules(&table)[0]["from"], nobody);
        assert!(export::envoy(&table, &mesh()).unwrap().contains("- not_id:\n              any: true"));
        assert!(export::markdown(&table).contains("| no caller |"));
        assert!(!export::mermaid(&table).contains("-->"));
    }
}

#[test]
fn tables_without_routes_deny_everything() {
    let empty = RouteTable::new("orders");
    assert_eq!(rules(&empty), Vec::<Value>::new());
    assert!(export::istio(&empty, &mesh()).unwrap().contains("action: ALLOW"));
    assert!(export::envoy(&empty, &mesh()).unwrap().ends_with("action: ALLOW\n      policies: {}\n"));
}

#[test]
fn wider_routes_exclude_narrower_ones() {
    let table = RouteTable::new("orders")
        .route(Route::new([""; 0], "/a/{x}", Access::public("a test")))
        .route(Route::new(["GET"], "/a/b", Access::from(&Policy::any_service())))
        .route(Route::new(["PUT"], "/a/{x}", Access::from(&Policy::any_service())))
        .route(Route::new([""; 0], "/c", Access::from(&Policy::any_service())));
    let operation = json!({ "notMethods": ["PUT"], "notPaths": ["/a/b"], "paths": ["/a/{*}"] });
    let public = rules(&table).into_iter().find(|rule| rule.get("from").is_none()).unwrap();
    assert_eq!(public["to"], json!([{ "operation": operation }]));
}

#[test]
fn wider_routes_exclude_empty_segments_as_the_router_does() {
    let table = RouteTable::new("orders")
        .route(Route::new([""; 0], "/{*rest}", Access::public("a website")))
        .route(Route::new(["GET"], "/api/{x}/items/{y}/z", Access::from(&Policy::any_service())));
    let public = rules(&table).into_iter().find(|rule| rule.get("from").is_none()).unwrap();
    assert_eq!(public["to"][0]["operation"]["notPaths"], json!(["/api/{*}/items/{*}/z", "/api//*", "/"]));
    let said =
        "# Checked only by the code: `/api/{*}/items/{*}/z` with an empty segment for a later parameter";
    assert!(export::istio(&table, &mesh()).unwrap().contains(said));
}

#[test]
fn wildcard_at_the_end_does_not_match_an_empty_rest_in_istio() {
    let table = RouteTable::new("orders")
        .route(Route::new([""; 0], "/files/{*rest}", Access::public("a website")))
        .route(Route::new([""; 0], "/{x}/", Access::from(&Policy::any_service())));
    let public = rules(&table).into_iter().find(|rule| rule.get("from").is_none()).unwrap();
    assert_eq!(public["to"][0]["operation"]["notPaths"], json!(["/files/"]));
}

#[test]
fn resources_of_two_services_have_two_names() {
    let name = |service: &str| {
        let yaml = export::istio(&RouteTable::new(service), &mesh().label("app", "orders")).unwrap();
        let names: Vec<_> = yaml.lines().filter_map(|line| line.strip_prefix("  name: ")).collect();
        assert_eq!(names[0], names[1]);
        names[0].to_owned()
    };
    let (long, longer) = (format!("{}-a", "x".repeat(199)), format!("{}-b", "x".repeat(199)));
    let services = ["orders-api", "orders.api", "orders_api", "Orders-api", "Orders_api", &long, &longer];
    let names: std::collections::BTreeSet<String> = services.iter().map(|service| name(service)).collect();
    assert_eq!(names.len(), services.len(), "{names:?}");
    assert_eq!(name("orders-api"), "orders-api-service-only");
    // A name is for years: `kubectl apply` leaves the policy of another name in force.
    assert_eq!(name("orders.api"), "orders-api.37a371bc9e376881-service-only");
    let subdomain =
        regex::Regex::new(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$").unwrap();
    assert!(names.iter().all(|name| name.len() <= 253 && subdomain.is_match(name)), "{names:?}");
}

#[test]
fn fallbacks_exclude_every_route() {
    let website = |path: &str| Route::new([""; 0], path, Access::public("it is a website")).as_fallback();
    let table = RouteTable::new("orders")
        .route(Route::new(["GET"], "/{tenant}/{id}", Access::from(&Policy::any_service())))
        .route(Route::new(["GET"], "/rest/{*all}", Access::from(&Policy::any_service())))
        .route(website("/a/{*rest}"))
        .route(website("/rest/{*rest}"))
        .route(website("/{*rest}"));
    let operations: Vec<Value> =
        rules(&table).iter().map(|rule| rule["to"][0]["operation"].clone()).collect();
    let taken = |path: &str| {
        let operation = operations.iter().find(|it| it["paths"] == json!([path])).unwrap();
        operation["notPaths"].as_array().unwrap().clone()
    };
    assert!(taken("/a/{**}").contains(&json!("/{*}/{*}")), "{operations:?}");
    for narrower in ["/{*}/{*}", "/rest/{**}", "/a/{**}"] {
        assert!(taken("/{**}").contains(&json!(narrower)), "{operations:?}");
    }
    // A route that answers all of a fallback's paths leaves it none.
    assert_eq!(operations.iter().filter(|it| it["paths"] == json!(["/rest/{**}"])).count(), 1);
    assert!(export::envoy(&table, &mesh()).unwrap().contains("fallback /a/{*rest}:"));
}

#[test]
fn two_routes_for_the_same_requests_are_refused() {
    for methods in [vec!["GET"], vec![]] {
        let route = |access| Route::new(methods.clone(), "/", access);
        let table = RouteTable::new("orders")
            .route(route(Access::public("a test")))
            .route(route(Access::from(&Policy::any_service())));
        assert!(export::envoy(&table, &mesh()).unwrap_err().to_string().contains("two routes"));
        assert!(export::openapi(&table, "1").is_err());
    }
}

#[test]
fn paths_that_openapi_cannot_distinguish_are_refused() {
    let table = RouteTable::new("orders")
        .route(Route::new(["GET"], "/a/{x}", Access::public("a test")))
        .route(Route::new(["GET"], "/a/{*x}", Access::public("a test")));
    let error = export::openapi(&table, "1").unwrap_err().to_string();
    assert_eq!(error, "`GET /a/{*x}`: OpenAPI cannot distinguish it from `/a/{x}`");
}

#[test]
fn a_route_for_any_method_gets_the_remaining_operations() {
    let table = RouteTable::new("orders")
        .route(Route::new([""; 0], "/", Access::public("a test")))
        .route(Route::new(["PUT"], "/", Access::from(&Policy::any_service().scopes(&["a:b"]))));
    let document: Value = serde_json::from_str(&export::openapi(&table, "1").unwrap()).unwrap();
    let item = &document["paths"]["/"];
    assert_eq!(item.as_object().unwrap().len(), 9);
    assert_eq!(item["put"]["security"], json!([{ "serviceToken": ["a:b"] }]));
    assert_eq!(item["get"]["security"], json!([]));
}
