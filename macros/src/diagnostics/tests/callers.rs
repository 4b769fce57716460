//! Mistakes in `#[users_only]` and `#[callers]`, and in the keys that compare claims.

use super::*;

fn mistakes_in(attribute: Attribute, tokens: &str) -> Vec<String> {
    let mut errors = Diagnostics::default();
    let tokens = tokens.parse().expect("tokens");
    check::policy(attribute, Args::parse(attribute, tokens, &mut errors), &mut errors);
    errors.into_errors().iter().map(ToString::to_string).collect()
}

fn assert_one(attribute: Attribute, tokens: &str, expected: &str) {
    let mistakes = mistakes_in(attribute, tokens);
    assert!(
        mistakes.len() == 1 && mistakes.iter().all(|one| one.contains(expected)),
        "{tokens}: {mistakes:?}"
    );
}

#[test]
fn users_only_has_no_services() {
    for tokens in [r#"services("a")"#, "services", "users"] {
        assert_one(Attribute::UsersOnly, tokens, "is not a key of `#[users_only]`; write `#[callers(");
    }
    assert_one(Attribute::ServiceOnly, "users", "`users` is not a key of `#[service_only]`");
}

#[test]
fn callers_needs_both_kinds_and_no_key_beside_them() {
    assert_one(Attribute::Callers, "users", "names no services");
    assert_one(Attribute::Callers, r#"services("a")"#, "names no users");
    assert_one(Attribute::Callers, "", "needs both kinds");
    assert_one(
        Attribute::Callers,
        r#"users, services, roles("a")"#,
        "move it to one kind of caller: `users(roles..)`",
    );
    assert_one(Attribute::Callers, "users, services, users", "`users` is repeated");
    assert_one(Attribute::Callers, r#"users, services, services("a")"#, "`services` is repeated");
    assert_one(Attribute::Callers, "users(), services", "`users()` requires nothing");
    assert_one(Attribute::Callers, r#"users = "a", services"#, "write `users(roles(\"manager\"))`");
    assert_one(
        Attribute::Callers,
        r#"users(services("a")), services"#,
        "`services` is not a key of `users(..)`",
    );
    assert_one(
        Attribute::Callers,
        r#"users, services("a", crate = b)"#,
        "`crate` is not a key of `services(..)`",
    );
    assert_one(Attribute::Callers, r#"users("mia"), services"#, "expected a key, found `\"mia\"`");
    assert_one(Attribute::Callers, r#"users(roles("a b")), services"#, "has a space");
    assert_one(Attribute::Callers, r#"users, services("a b")"#, "is not a service name");
    assert!(mistakes_in(Attribute::Callers, r#"users(max_age = "1h"), services("a", b::C, @d)"#).is_empty());
}

#[test]
fn scope_with_a_wildcard_is_refused() {
    for tokens in [r#"scopes("orders:*")"#, r#"scopes("*")"#, r#"any_scope("a", "b*")"#] {
        assert_one(Attribute::ServiceOnly, tokens, "scopes are compared byte for byte, without patterns");
    }
    assert!(mistakes_in(Attribute::ServiceOnly, r#"roles("a*"), issuers("b*")"#).is_empty());
}

#[test]
fn claim_has_a_name_and_a_text_or_a_whole_path_parameter() {
    for (tokens, expected) in [
        ("claims()", "`claims()` requires nothing"),
        (r#"claims = "a""#, "write `claims(tenant = \"{tenant}\")`"),
        (r#"claims("a")"#, "takes names with string literals"),
        ("claims(a = b)", "takes names with string literals"),
        (r#"claims(a = "b", a = "c")"#, "is required twice"),
        (r#"claims("a b" = "c")"#, "is not the name of a claim, it has a space"),
        (r#"claims("a=b" = "c")"#, "is not the name of a claim, it has '='"),
        (r#"claims(a = "")"#, "it is empty"),
        (r#"claims(a = "{b")"#, "a path parameter in braces is the whole value"),
        (r#"claims(a = "x-{b}")"#, "a path parameter in braces is the whole value"),
        (r#"claims(a = "{}")"#, "the braces contain no name of a path parameter"),
        (r#"claims(a = "{*b}")"#, "the braces contain no name of a path parameter"),
        (r#"claims(a = "b" c = "d")"#, "expected `,`"),
    ] {
        assert_one(Attribute::ServiceOnly, tokens, expected);
    }
}

#[test]
fn set_of_services_is_a_name_in_services_once() {
    assert_one(Attribute::ServiceOnly, "services(@a, @a)", "is in `services` twice");
    assert_one(Attribute::ServiceOnly, "roles(@a)", "write `services(@a)`");
    assert_one(Attribute::ServiceOnly, r#"services(@"a")"#, "takes string literals and constants");
}

#[test]
fn text_of_all_lists_is_bounded() {
    let list = |key: &str| format!("{key}({:?})", format!("{key}-{}", "x".repeat(1000)));
    let lists = ["roles", "scopes", "any_scope", "issuers"].map(list);
    assert!(mistakes_in(Attribute::UsersOnly, &lists.join(", ")).is_empty());
    let more = [lists.as_slice(), &[format!("claims(a = {:?})", "x".repeat(1000))]].concat();
    assert_one(Attribute::UsersOnly, &more.join(", "), "bytes of text, and the limit is 4128");
}

#[test]
fn claims_need_a_path_or_a_caller() {
    let applied = |tokens: &str, item: &str| {
        let mut errors = Diagnostics::default();
        let attribute = Attribute::ServiceOnly;
        let tokens = tokens.parse().expect("tokens");
        let policy = check::policy(attribute, Args::parse(attribute, tokens, &mut errors), &mut errors);
        let Ok(Item::Function(function)) = Item::parse(item.parse().expect("tokens")) else {
            panic!("{item}")
        };
        let (function, way) = check::function(*function, attribute, &mut errors);
        check::applicable(&policy, &function, way, &mut errors);
        errors.into_errors().iter().map(ToString::to_string).collect::<String>()
    };
    let (path, literal) = (r#"claims(a = "{b}")"#, r#"claims(a = "b")"#);
    assert!(applied(path, "fn f(c: &Caller) -> R {}").contains("has no route"));
    assert!(applied(literal, "fn f(c: &ServiceClaims) -> R {}").contains("give `f` a `&Caller`"));
    let proof = r#"proof = "mtls""#;
    assert!(
        applied(proof, "fn f(c: &ServiceClaims) -> R {}")
            .contains("no sender whose proof can be checked; give `f` a `&Caller`")
    );
    assert_eq!(applied(proof, "fn f(c: &Caller) -> R {}"), "");
    assert_eq!(applied(literal, "fn f(c: &Caller) -> R {}"), "");
    assert_eq!(applied(path, "async fn f(b: Path<B>) {}"), "");
}
