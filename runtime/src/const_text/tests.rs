use std::time::Duration;

use super::*;
use crate::{
    __private::{Site, rewritten},
    guard::StaticPolicy,
    policy::Policy,
};

const LONG: &str =
    "list\norders gateway\nadmin\nan:order a:second.scope-that-goes-on-until-it-needs-a-node more";
type Long = Text<
    { word(LONG, 0) },
    { word(LONG, 1) },
    { word(LONG, 2) },
    { word(LONG, 3) },
    Text<{ word(LONG, 4) }, { word(LONG, 5) }, { word(LONG, 6) }, { word(LONG, 7) }>,
>;
type Bare = Text<{ word("list\n\n\n", 0) }>;

/// Packs the numbers as the attribute writes them.
const fn head(key: u64, line: u32, max_age: u32) -> u128 {
    (key as u128) << 64 | (line as u128) << 32 | max_age as u128
}

#[test]
fn texts_are_unchanged_after_a_round_trip_through_types() {
    assert_eq!(Long::TEXT, LONG);
    assert_eq!(Bare::TEXT, "list\n\n\n");
    assert_eq!(<() as TypeText>::TEXT, "");
}

#[test]
fn the_words_of_a_text_are_decoded_before_its_rest() {
    let rest = <()>::BUFFER.prefixed(&[word("the rest", 0)]);
    let text: &'static Buffer =
        Box::leak(Box::new(rest.prefixed(&[word("two words of text, ", 0), word("two words of text, ", 1)])));
    assert_eq!(text.as_str(), "two words of text, the rest");
}

#[test]
fn a_constant_is_unchanged_after_a_round_trip_through_its_type() {
    const ORDERS: &str =
        "orders-of-the-northern-region.and-of-the-southern-one.and-of-all-others-that-there-are";
    const fn w(n: usize) -> u128 {
        service_word(ORDERS, n)
    }
    type Rest = Text<{ word(" billing\n\n", 0) }>;
    type Named = Name<
        { w(0) },
        { w(1) },
        { w(2) },
        { w(3) },
        { w(4) },
        { w(5) },
        { w(6) },
        { w(7) },
        { w(8) },
        { w(9) },
        { w(10) },
        { w(11) },
        { w(12) },
        { w(13) },
        { w(14) },
        { w(15) },
        Rest,
    >;
    type Words = Text<{ word("list\n", 0) }, 0, 0, 0, Named>;
    type Asking = Site<{ head(7, 7, u32::MAX) }, 7, Words>;
    assert_eq!(Asking::POLICY.allowed_services(), Some(&[ORDERS, "billing"][..]));
}

#[test]
#[should_panic(expected = "put that attribute above `#[service_only]`")]
fn a_constant_of_a_function_without_its_seal_panics() {
    rewritten();
}

#[test]
fn an_invalid_text_type_allows_no_caller() {
    type Garbled = Text<{ u128::MAX }, 0, 0, 0>;
    type Site = crate::__private::Site<{ head(7, 7, u32::MAX) }, 7, Garbled>;
    assert_eq!(Site::POLICY.allowed_services(), Some(&["\\"][..]));
    assert!("\\".parse::<crate::claims::ServiceName>().is_err());
}

#[test]
fn a_site_contains_the_required_issuers() {
    const ISSUERS: &str = "list\n\n\n\nbakery-auth https://mill.example/realms/a";
    type Words = Text<{ word(ISSUERS, 0) }, { word(ISSUERS, 1) }, { word(ISSUERS, 2) }, { word(ISSUERS, 3) }>;
    type Asking = Site<{ head(7, 7, u32::MAX) }, 7, Words>;
    let issuers = ["bakery-auth", "https://mill.example/realms/a"];
    assert_eq!(Asking::POLICY, Policy::any_service().issuers(&issuers));
    assert_eq!(Site::<{ head(7, 7, u32::MAX) }, 7, Bare>::POLICY.allowed_issuers(), None);
}

#[test]
fn a_site_contains_the_required_actors_of_services_and_users() {
    const BOTH: &str = "list\norders\n\n\n\n\n\ngateway edge\n\nboth\n\nmanager\n\n\n\n\ncdn\n\n60";
    type Words = Text<{ word(BOTH, 0) }, { word(BOTH, 1) }, { word(BOTH, 2) }, { word(BOTH, 3) }>;
    type Asking = Site<{ head(7, 7, u32::MAX) }, 7, Words>;
    let users = Policy::any_user().roles(&["manager"]).actors(&["cdn"]).max_age(Duration::from_secs(60));
    let services = Policy::any_service().services(&["orders"]).actors(&["gateway", "edge"]);
    assert_eq!(Asking::POLICY, services.or_users(&users));
}

#[test]
fn a_site_contains_its_policy_and_the_name_of_its_function() {
    type Open = Site<{ head(7, 7, u32::MAX) }, 7, Bare>;
    type Closed = Site<{ head(u64::MAX, u32::MAX, 60) }, 8, Long>;
    assert_eq!(Open::POLICY, Policy::any_service());
    let endpoint = Open::endpoint();
    assert_eq!((endpoint.to_string().as_str(), endpoint.line()), ("list", 7));
    assert_eq!(Closed::endpoint().line(), u32::MAX);
    assert_eq!(Closed::POLICY.allowed_services(), Some(&["orders", "gateway"][..]));
    assert_eq!(Closed::POLICY.allowed_roles(), Some(&["admin"][..]));
    let scopes = ["an:order", "a:second.scope-that-goes-on-until-it-needs-a-node", "more"];
    assert_eq!(Closed::POLICY.required_scopes(), scopes);
    assert_eq!(Closed::POLICY.allowed_age(), Some(Duration::from_secs(60)));
}
