//! The program's own list of who may call what: complete, and the same as what is enforced.

use crate::frameworks::{guarded_in, public_in};
use axum::{Json, extract::Path};
use service_only::{
    Caller, Policy, policy_table, public,
    routes::{PolicyTable, guarded, policy_of},
    service_only,
};

#[service_only]
async fn open_to_services() {}

#[service_only(services("orders", "gateway"), roles("admin"), scopes("t:read", "t:delete"), max_age = "24h")]
async fn closed(Path(_): Path<String>, caller: Caller, Json(_): Json<Vec<u8>>) -> String {
    caller.service().to_owned()
}

#[public(reason = "load balancers have no token")]
async fn healthz() {}

mod nested {
    use super::service_only;

    pub(super) struct Handlers;

    impl Handlers {
        #[service_only(roles("operator"))]
        pub(super) async fn within_an_impl_block() {}
    }

    #[service_only(roles("generic"))]
    pub(super) async fn generic<T: Send>(_value: T) {}
}

macro_rules! handlers {
    ($($module:ident)*) => { $(
        mod $module {
            #[service_only::service_only(scopes("one:place"))]
            pub(super) async fn written_by_a_macro() {}
        }
    )* };
}

handlers!(first second);

#[test]
fn every_guarded_handler_is_listed_once_with_its_place() {
    let listed: Vec<_> =
        guarded_in(module_path!()).iter().map(|guarded| guarded.endpoint().to_string()).collect();
    assert_eq!(
        listed,
        [
            "guard::endpoints::closed",
            "guard::endpoints::open_to_services",
            "guard::endpoints::first::written_by_a_macro",
            "guard::endpoints::nested::generic",
            "guard::endpoints::nested::within_an_impl_block",
            "guard::endpoints::second::written_by_a_macro",
        ]
    );
    for guarded in guarded_in(module_path!()) {
        assert!(guarded.endpoint().file().ends_with("endpoints.rs"), "{guarded:?}");
        assert_ne!(guarded.endpoint().line(), 0);
    }
}

#[test]
fn the_list_holds_the_policy_that_is_enforced() {
    let enforced = [
        guarded(closed),
        guarded(open_to_services),
        guarded(first::written_by_a_macro),
        guarded(nested::generic::<u8>),
        guarded(nested::Handlers::within_an_impl_block),
        guarded(second::written_by_a_macro),
    ];
    assert_eq!(guarded_in(module_path!()), enforced);
}

#[test]
fn a_policy_is_read_from_its_handler() {
    let expected = Policy::any_service()
        .services(&["orders", "gateway"])
        .roles(&["admin"])
        .scopes(&["t:read", "t:delete"])
        .max_age(std::time::Duration::from_secs(24 * 60 * 60));
    assert_eq!(policy_of(closed), expected);
    assert_eq!(policy_of(open_to_services), Policy::any_service());
}

#[test]
fn public_handlers_are_listed_with_their_reason_and_not_among_the_guarded() {
    let _ = healthz;
    let public = public_in(module_path!());
    let [healthz] = &public[..] else { panic!("{public:?}") };
    assert_eq!(healthz.endpoint().to_string(), "guard::endpoints::healthz");
    assert_eq!(healthz.reason(), "load balancers have no token");
}

#[test]
fn a_policy_table_shows_who_may_call_what() {
    insta::assert_snapshot!(policy_table![closed, open_to_services, nested::Handlers::within_an_impl_block], @r"
    endpoint                                        services        roles     scopes           max_age
    ----------------------------------------------  --------------  --------  ---------------  -------
    guard::endpoints::closed                        orders gateway  admin     t:read t:delete  86400s
    guard::endpoints::open_to_services              any             any       none             any
    guard::endpoints::nested::within_an_impl_block  any             operator  none             any
    ");
    let whole = PolicyTable::from_iter(guarded_in(module_path!())).to_string();
    assert_eq!(whole.lines().count(), 2 + guarded_in(module_path!()).len());
}
