//! Tests one valid file, with one broken property at a time.

use super::*;
use crate::key_file::SecretEncoding;

const VALID: &str = r#"
issuer = "bakery-auth"
lifetime = "30d"

[key]
file = "keys/signing.pem"
algorithm = "ES256"

[services]
orders = { role = "reader", scopes = ["orders:read"] }
inventory = {}
"#;

fn load(text: &str) -> Outcome<Config> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("service-token.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(&path)
}

fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
}

fn refusal(from: &str, to: &str) -> String {
    let text = VALID.replacen(from, to, 1);
    assert_ne!(text, VALID);
    load(&text).unwrap_err().to_string()
}

#[test]
fn valid_file_is_read_and_its_key_path_is_relative_to_it() {
    let config = load(VALID).unwrap();
    assert_eq!(config.key.path, config.path.with_file_name("keys/signing.pem"));
    assert_eq!(config.key.encoding, SecretEncoding::Raw);
    assert_eq!(config.lifetime, Some(Duration::from_secs(30 * 86_400)));
    assert_eq!(config.services[&name("orders")].role.as_deref(), Some("reader"));
    assert_eq!(config.services[&name("inventory")].role, None);
}

#[test]
fn unknown_key_is_named_with_its_line_and_the_known_ones() {
    let text = refusal("lifetime", "lifetimes");
    assert!(
        text.contains("service-token.toml:3: unknown key `lifetimes`; expected one of `issuer`"),
        "{text}"
    );
}

#[test]
fn unknown_key_of_a_service_is_named() {
    let text = refusal("scopes =", "scope =");
    assert!(text.contains(":10") && text.contains("unknown key `scope`"), "{text}");
}

#[test]
fn unknown_algorithm_is_named_with_its_key() {
    let text = refusal("ES256", "none");
    assert!(text.contains(":7: key `algorithm`") && text.contains("ES256"), "{text}");
}

#[test]
fn wrong_type_is_named_with_its_key() {
    let text = refusal("\"bakery-auth\"", "5");
    assert!(text.contains(":2: key `issuer`") && text.contains("expected a string"), "{text}");
}

#[test]
fn missing_and_empty_values_are_refused() {
    assert!(refusal("issuer = \"bakery-auth\"", "").contains("missing key `issuer`"));
    assert!(refusal("bakery-auth", "").contains("must not be empty"));
}

#[test]
fn name_scope_and_lifetime_follow_their_rules() {
    assert!(refusal("inventory =", "\"in ventory\" =").contains("in ventory"));
    assert!(refusal("orders:read", "orders read").contains("`orders read` is not a scope"));
    assert!(refusal("30d", "soon").contains("`soon` is not a duration"));
    assert!(refusal("30d", "0s").contains("at least one second"));
}

#[test]
fn service_named_twice_is_refused() {
    assert!(refusal("inventory =", "orders =").contains("duplicate key"));
}

#[test]
fn broken_syntax_and_bytes_are_refused_without_panic() {
    for text in ["issuer = ", "[", "\u{0}", "issuer = \"a\"\n[key", "= = ="] {
        assert_eq!(load(text).unwrap_err().code(), ProblemCode::BadConfig);
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.toml");
    std::fs::write(&path, b"issuer = \"\xff\"").unwrap();
    assert!(Config::load(&path).unwrap_err().to_string().contains("not UTF-8"));
}

/// The keys that the program accepts in a table, from its message about an unknown key.
fn keys_of(table: &str) -> Vec<String> {
    let before = "issuer = \"a\"\nkey = { file = \"k\", algorithm = \"ES256\", unknown = 1 }\n";
    let text = match table {
        "" => "unknown = 1\n".to_owned(),
        "[key]" => before.to_owned(),
        table => format!("issuer = \"a\"\n{table}\nunknown = 1\n"),
    };
    let said = load(&text).unwrap_err().to_string();
    let (_, expected) = said.split_once("expected ").unwrap();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn guide_has_a_row_for_each_key_and_for_nothing_else() {
    let guide = include_str!("../../docs/configuration.md");
    for (table, heading) in [
        ("", "| key |"),
        ("[key]", "| key of `[key]` |"),
        ("[key.pkcs11]", "| key of `[key.pkcs11]` |"),
        ("[rotation]", "| key of `[rotation]` |"),
        ("[services.orders]", "| key of a service in `[services]` |"),
    ] {
        let rows = guide.split_once(&format!("\n{heading}")).unwrap().1.lines().skip(2);
        let rows = rows.take_while(|line| line.starts_with("| `"));
        let rows: Vec<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
        let known = keys_of(table);
        let known: Vec<_> = known
            .iter()
            .map(String::as_str)
            .filter(|key| !(table.is_empty() && matches!(*key, "key" | "rotation" | "services")))
            .collect();
        assert_eq!(rows, known, "{table}");
    }
}

const ENVIRONMENTS: &str = r#"
audience = "bakery"
store = "sqlite:tokens.db"

[key]
file = "production.pem"
algorithm = "ES256"

[rotation]
key_life = "90d"
leeway = "1m"

[services]
orders = { role = "reader" }
inventory = {}

[environments.production]
issuer = "bakery-auth"

[environments.staging]
issuer = "bakery-staging"
lifetime = "2h"
key = { file = "keys/staging.pem" }
rotation = { key_life = "7d" }
services = { orders = { role = "tester" }, probe = {} }
"#;

fn load_in(text: &str, environment: Option<&str>) -> Outcome<Config> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("service-token.toml");
    std::fs::write(&path, text).unwrap();
    Config::load_in(&path, environment)
}

#[test]
fn environment_overrides_the_common_settings() {
    let staging = load_in(ENVIRONMENTS, Some("staging")).unwrap();
    assert_eq!((staging.issuer.as_str(), staging.audience.as_deref()), ("bakery-staging", Some("bakery")));
    assert_eq!(staging.lifetime, Some(Duration::from_secs(7_200)));
    assert_eq!(staging.key.path, staging.path.with_file_name("keys/staging.pem"));
    assert_eq!(staging.key.algorithm, service_only::Algorithm::ES256);
    assert_eq!(staging.rotation.settings.key_life, Duration::from_secs(7 * 86_400));
    assert_eq!(staging.rotation.settings.leeway, Duration::from_secs(60));
    let services: Vec<_> = staging.services.keys().map(ServiceName::as_str).collect();
    assert_eq!(services, ["inventory", "orders", "probe"]);
    assert_eq!(staging.services[&name("orders")].role.as_deref(), Some("tester"));
    let production = load_in(ENVIRONMENTS, Some("production")).unwrap();
    assert_eq!((production.issuer.as_str(), production.services.len()), ("bakery-auth", 2));
    assert_eq!(production.lifetime, None);
}

#[test]
fn environment_is_never_guessed() {
    let refused = |environment| load_in(ENVIRONMENTS, environment).unwrap_err().to_string();
    let message = refused(None);
    assert!(message.contains("missing key `issuer` of the common settings"), "{message}");
    assert!(
        message.contains("choose an environment with `--environment NAME`: `production`, `staging`"),
        "{message}"
    );
    let message = refused(Some("stagin"));
    assert!(
        message.contains("no environment `stagin`; its environments are `production`, `staging`"),
        "{message}"
    );
    assert!(load_in(VALID, Some("staging")).unwrap_err().to_string().contains("`[environments.staging]`"));
    let text = ENVIRONMENTS.replace("issuer = \"bakery-staging\"\n", "");
    let message = load_in(&text, Some("staging")).unwrap_err().to_string();
    assert!(message.contains("missing key `issuer`, also in the environment `staging`"), "{message}");
}

#[test]
fn key_of_an_environment_may_not_contradict_the_common_one() {
    let text = ENVIRONMENTS.replace("algorithm = \"ES256\"", "algorithm = \"ES256\"\npassphrase_env = \"A\"");
    let text = text.replace("keys/staging.pem\"", "keys/staging.pem\", passphrase_file = \"b\"");
    assert!(load_in(&text, Some("production")).is_ok());
    let message = load_in(&text, Some("staging")).unwrap_err().to_string();
    assert!(message.contains("`[key]`: `passphrase_file` and `passphrase_env` contradict"), "{message}");
}

#[test]
fn unknown_key_of_an_environment_is_named_with_its_line() {
    let text = ENVIRONMENTS.replace("lifetime = \"2h\"", "lifetimes = \"2h\"");
    let message = load_in(&text, Some("production")).unwrap_err().to_string();
    assert!(
        message.contains("service-token.toml:22") && message.contains("unknown key `lifetimes`"),
        "{message}"
    );
    let text = ENVIRONMENTS.replace("[environments.staging]", "[environment.staging]");
    assert!(load_in(&text, None).unwrap_err().to_string().contains("unknown key `environment`"));
}
