//! Values and items that pass the checks. The mistakes are in `diagnostics/tests.rs`.

use super::*;
use crate::item::Item;
use crate::rules::MAX_SERVICE_NAME_BYTES;

const SERVICES: Attribute = Attribute::ServiceOnly;

fn accepted(attribute: &str) -> Policy {
    let mut errors = Diagnostics::default();
    let attribute = attribute.parse().expect("tokens");
    let policy = policy(SERVICES, Args::parse(SERVICES, attribute, &mut errors), &mut errors);
    let errors: Vec<_> = errors.into_errors().iter().map(ToString::to_string).collect();
    assert_eq!(errors, [""; 0]);
    policy
}

fn guardable(item: &str) -> Way {
    let mut errors = Diagnostics::default();
    let Ok(Item::Function(written)) = Item::parse(item.parse().expect("tokens")) else { panic!("{item}") };
    let (_, way) = function(*written, Attribute::ServiceOnly, &mut errors);
    let errors: Vec<_> = errors.into_errors().iter().map(ToString::to_string).collect();
    assert_eq!(errors, [""; 0], "{item}");
    way
}

#[test]
fn values_of_a_list_are_joined_by_spaces_in_order() {
    let policy = accepted(r#"services("b", "a"), roles("x"), scopes("r:2", "r:1")"#);
    assert_eq!(policy.services, "b a");
    assert_eq!(policy.roles, "x");
    assert_eq!(policy.scopes, "r:2 r:1");
}

#[test]
fn actors_are_names_and_uris() {
    let names = ["gateway", "https://service16.example.com", "client-7"];
    let written = names.map(|name| format!("{name:?}")).join(", ");
    assert_eq!(accepted(&format!("actors({written})")).actors, names.join(" "));
    assert_eq!(accepted("").actors, "");
}

#[test]
fn issuers_are_names_and_uris() {
    let names =
        ["bakery-auth", "https://mill.example:8443/realms/a?b=c#d", "urn:example:a", "spiffe.example"];
    let written = names.map(|name| format!("{name:?}")).join(", ");
    assert_eq!(accepted(&format!("issuers({written})")).issuers, names.join(" "));
    assert_eq!(accepted("").issuers, "");
}

#[test]
fn shortest_and_longest_service_names_are_accepted() {
    let longest = "x".repeat(MAX_SERVICE_NAME_BYTES);
    for name in ["a", "7", "a-b_c.d", "A--b..c__9", longest.as_str()] {
        assert_eq!(accepted(&format!("services({name:?})")).services, name);
    }
}

#[test]
fn every_character_of_a_scope_token_is_accepted() {
    let all: String = ('\x21'..='\x7e').filter(|c| !matches!(c, '"' | '\\')).collect();
    assert_eq!(all.len(), 92);
    let of_scopes = all.replace('*', "");
    let policy = accepted(&format!("roles({all:?}), scopes({of_scopes:?}), any_scope({of_scopes:?})"));
    assert_eq!((policy.roles, &policy.scopes, &policy.any_scope), (all, &of_scopes, &of_scopes));
}

fn accepted_by(attribute: Attribute, tokens: &str) -> Policy {
    let mut errors = Diagnostics::default();
    let policy =
        policy(attribute, Args::parse(attribute, tokens.parse().expect("tokens"), &mut errors), &mut errors);
    let errors: Vec<_> = errors.into_errors().iter().map(ToString::to_string).collect();
    assert_eq!(errors, [""; 0]);
    policy
}

#[test]
fn a_set_of_services_is_a_word_with_an_at_sign() {
    let policy = accepted(r#"services("billing", @deleters, @r#type)"#);
    assert_eq!(policy.services, "billing @deleters @type");
}

#[test]
fn claims_are_words_with_an_equals_sign() {
    let policy = accepted(r#"claims(tenant = "{tenant}", region = "eu", "https://a.example/b" = "c")"#);
    assert_eq!(policy.claims, "tenant={tenant} region=eu https://a.example/b=c");
    assert!(policy.first_parameter.is_some() && policy.first_claim.is_some());
    assert!(accepted(r#"claims(region = "eu")"#).first_parameter.is_none());
}

#[test]
fn users_and_services_have_policies_of_their_own() {
    let policy = accepted_by(
        Attribute::Callers,
        r#"users(roles("manager", "owner"), max_age = "1h"), services("billing", scopes("a:b")), crate = a"#,
    );
    assert_eq!(
        (policy.services.as_str(), policy.scopes.as_str(), policy.roles.as_str()),
        ("billing", "a:b", "")
    );
    let Admits::Both(users) = policy.admits else { panic!() };
    assert_eq!((users.roles.as_str(), users.scopes.as_str()), ("manager owner", ""));
    assert_eq!(users.max_age, Some(Duration::from_secs(3600)));
    let policy = accepted_by(Attribute::Callers, "users, services");
    assert!(policy.services.is_empty() && matches!(policy.admits, Admits::Both(_)));
    let policy = accepted_by(Attribute::UsersOnly, r#"roles("manager"), scopes("a:b")"#);
    assert!(matches!(policy.admits, Admits::Users));
}

#[test]
fn proof_is_one_of_three_words_and_each_kind_of_callers_has_its_own() {
    for proof in PROOFS {
        assert_eq!(accepted(&format!("proof = {proof:?}")).proof, proof);
    }
    assert_eq!(accepted("").proof, "");
    let policy =
        accepted_by(Attribute::Callers, r#"users(proof = "dpop"), services("billing", proof = "mtls")"#);
    let Admits::Both(users) = policy.admits else { panic!() };
    assert_eq!((policy.proof.as_str(), users.proof.as_str()), ("mtls", "dpop"));
    assert!(policy.first_proof.is_some());
}

#[test]
fn longest_list_is_accepted() {
    let names: Vec<_> = (0..MAX_NAMES).map(|n| format!("\"service-{n}\"")).collect();
    let policy = accepted(&format!("services({})", names.join(", ")));
    assert_eq!(policy.services.split(' ').count(), MAX_NAMES);
}

#[test]
fn ages_are_parsed_as_durations() {
    let day = 24 * 60 * 60;
    for (age, seconds) in [
        ("1s", 1),
        ("90s", 90),
        ("15min", 15 * 60),
        ("24h", day),
        ("1h 30min", 90 * 60),
        ("1.5h", 90 * 60),
        ("1000ms", 1),
        ("7days", 7 * day),
        ("366days", 366 * day),
    ] {
        let policy = accepted(&format!("max_age = {age:?}"));
        assert_eq!(policy.max_age, Some(Duration::from_secs(seconds)), "{age}");
    }
}

#[test]
fn functions_without_self_are_guardable() {
    for item in [
        "fn f() {}",
        "async fn f(a: A, b: B) -> C {}",
        "fn f<'a, T: Fn(&'a str) -> bool>(t: T) -> impl Sized + 'a where T: Send {}",
        "pub(in a::b) async fn f(mut a: A, (b, ..): (B, C), [d, ..]: [D; 3], S { e, .. }: S) {}",
        // A path that begins with `self`, and lifetimes and names that look like a receiver.
        "fn f(self::State(state): self::State<Db>) {}",
        "fn f(selfish: &'a mut self::Me) {}",
        "fn f(#[allow(unused)] a: A) {}",
        // The body is not parsed, so an editor can expand an unfinished one.
        "fn f(a: A) { a. }",
    ] {
        assert_eq!(guardable(item), Way::HiddenArgument, "{item}");
    }
}

#[test]
fn caller_argument_is_found_by_its_type() {
    for (item, at) in [
        ("fn f(claims: &ServiceClaims) {}", 0),
        ("fn f(id: Id, caller: &Caller) {}", 1),
        ("fn f(&self, caller: &Caller) {}", 1),
        ("fn f<'a>(&'a self, id: Map<A, B>, mut caller: &'a service_only::Caller, c: C) {}", 2),
        ("fn f(caller: &r#Caller) {}", 0),
        ("fn f(_: &::service_only::claims::ServiceClaims) {}", 0),
        ("fn f(ServiceClaims { sub, .. }: &crate::a::ServiceClaims, b: B) {}", 0),
        ("fn f(#[allow(unused)] claims: &'_ ServiceClaims) {}", 0),
        // Without a space after it, the colon is joint with the next token, like the first half of `::`.
        ("fn f(caller:&Caller) {}", 0),
        ("fn f(self:&Self, caller:&::service_only::Caller) {}", 1),
        ("fn f(self::D(d):D, caller:&'_ Caller) {}", 1),
    ] {
        assert_eq!(guardable(item), Way::Given(at), "{item}");
    }
}

#[test]
fn argument_of_another_type_is_not_a_caller() {
    for ty in [
        "Caller",
        "ServiceClaims",
        "&mut Caller",
        "&&Caller",
        "&Caller<T>",
        "&[Caller]",
        "&Option<Caller>",
        "Option<&Caller>",
        "&dyn Caller",
        "&impl Caller",
        "&(Caller)",
        "&<T as Trait>::Caller",
        "&UserClaims",
    ] {
        assert_eq!(guardable(&format!("fn f(a: {ty}) {{}}")), Way::HiddenArgument, "{ty}");
    }
}

#[test]
fn users_own_type_named_guard_is_an_ordinary_argument() {
    for item in [
        "fn f(guard: Guard) {}",
        "fn f(guard: self::Guard<T>) {}",
        "fn f(guard: MutexGuard<'_, T>) {}",
        "fn f(guard: parking_lot::Guard<T>) {}",
        "fn f(extract::Guard(guard): extract::Guard<T>) {}",
        "fn f(id: Id, guard: Guard<T>) {}",
        "fn f(guard: Option<Guard<T>>) {}",
    ] {
        guardable(item);
    }
}

#[test]
fn attributes_with_similar_names_are_ignored() {
    guardable("#[service_only_docs] #[doc = \"service_only\"] #[my::attribute(service_only)] fn f() {}");
}

#[test]
fn condition_on_a_checked_argument_is_found_in_a_macro_fragment() {
    let name: TokenStream = "cfg(any())".parse().expect("tokens");
    let fragment = proc_macro2::Group::new(proc_macro2::Delimiter::None, name);
    let Ok(Item::Function(written)) = Item::parse(quote::quote!(fn f(#[#fragment] caller: &Caller) {}))
    else {
        panic!("no function")
    };
    let mut errors = Diagnostics::default();
    function(*written, Attribute::ServiceOnly, &mut errors);
    assert_eq!(errors.into_errors().len(), 1);
}

/// The messages about an attribute.
fn messages(attribute: Attribute, tokens: &str) -> Vec<String> {
    let mut errors = Diagnostics::default();
    let tokens = tokens.parse().expect("tokens");
    policy(attribute, Args::parse(attribute, tokens, &mut errors), &mut errors);
    errors.into_errors().iter().map(ToString::to_string).collect()
}

/// Names of 31 letters that together have this many bytes with the spaces between them.
fn words(bytes: usize) -> Vec<String> {
    let mut words: Vec<String> = (0..bytes / 32).map(|index| format!("{index:a>31}")).collect();
    match bytes % 32 {
        31 => words.push("b".repeat(31)),
        rest => words.last_mut().expect("a word").push_str(&"b".repeat(rest + 1)),
    }
    words
}

fn written(key: &str, bytes: usize) -> String {
    let words = words(bytes);
    assert_eq!(words.join(" ").len(), bytes);
    format!("{key}({})", words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", "))
}

#[test]
fn longest_texts_are_accepted_and_one_byte_more_is_refused() {
    for key in ["services", "roles", "scopes", "issuers", "actors"] {
        assert_eq!(messages(SERVICES, &written(key, MAX_LIST_BYTES)), [""; 0], "{key}");
        let [message] = &messages(SERVICES, &written(key, MAX_LIST_BYTES + 1))[..] else { panic!("{key}") };
        assert!(message.contains("1025") && message.contains("1024"), "{message}");
    }

    let claims = |bytes: usize| {
        let pairs = words(bytes).into_iter().map(|word| format!("{}={:?}", &word[..26], &word[27..]));
        let letters = ('a'..='z').flat_map(|a| ('a'..='z').map(move |b| format!("{a}{b}")));
        // Each claim has a name of its own.
        let pairs = pairs
            .zip(letters)
            .map(|(pair, letters)| format!("{letters}{}", &pair[2..].replace(char::is_numeric, "n")));
        format!("claims({})", pairs.collect::<Vec<_>>().join(", "))
    };
    assert_eq!(messages(SERVICES, &claims(MAX_LIST_BYTES)), [""; 0]);
    let [message] = &messages(SERVICES, &claims(MAX_LIST_BYTES + 1))[..] else { panic!("claims") };
    assert!(message.contains("1025") && message.contains("1024"), "{message}");

    let full = ["services", "roles", "scopes", "issuers"].map(|key| written(key, MAX_LIST_BYTES)).join(", ");
    let rest = MAX_TEXT_BYTES - 4 * MAX_LIST_BYTES;
    assert_eq!(messages(SERVICES, &format!("{full}, {}", written("actors", rest))), [""; 0]);
    let beyond = messages(SERVICES, &format!("{full}, {}", written("actors", rest + 1)));
    assert!(matches!(&beyond[..], [message] if message.contains("4129")), "{beyond:?}");

    for (bytes, is_refused) in [(MAX_REASON_BYTES, false), (MAX_REASON_BYTES + 1, true)] {
        let mut errors = Diagnostics::default();
        let tokens = format!("reason = {:?}", "r".repeat(bytes)).parse().expect("tokens");
        public(crate::args::PublicArgs::parse(tokens, &mut errors), &mut errors);
        assert_eq!(errors.into_errors().len(), usize::from(is_refused), "{bytes}");
    }
}

#[test]
fn other_brackets_operators_and_suffixes_are_refused() {
    for (attribute, tokens) in [
        (Attribute::Callers, r#"services["a"], users()"#),
        (SERVICES, r#"claims[tenant = "a"]"#),
        (SERVICES, r#"crate : a::b"#),
        (SERVICES, r#"crate = "a::b""#),
        (SERVICES, r#"services("a"suffix)"#),
        (SERVICES, r#"services(("a"))"#),
        (SERVICES, r#"max_age = ("24h")"#),
    ] {
        assert_ne!(messages(attribute, tokens), [""; 0], "{tokens}");
    }
    let mut errors = Diagnostics::default();
    let tokens = r#"reason : "why""#.parse().expect("tokens");
    public(crate::args::PublicArgs::parse(tokens, &mut errors), &mut errors);
    assert_eq!(errors.into_errors().len(), 1);
}
