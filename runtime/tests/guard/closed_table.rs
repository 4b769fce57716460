//! The table of a closed router against the router, for routers that nobody wrote: whatever the table
//! says of a request, axum does.

use std::panic::catch_unwind;

use axum::{http::Method, routing::MethodFilter};
use proptest::{collection::vec, prelude::*, sample::select};
use service_only::{
    ClosedRouter, Verifier,
    closed::{any, get, on},
    public,
    routes::{Access, Route, RouteTable},
    service_only,
};
use service_only_testkit::{TestApp, TestAuthority, call};

#[service_only]
async fn guarded() -> &'static str {
    "guarded"
}

#[service_only]
async fn guarded_too() -> &'static str {
    "guarded_too"
}

#[public(reason = "it is a website")]
async fn website() -> &'static str {
    "website"
}

#[public(reason = "it is a shop")]
async fn shop() -> &'static str {
    "shop"
}

/// A function for each handler, for their types differ.
macro_rules! with_handler {
    ($handler:expr, $name:ident => $use:expr) => {
        match $handler % 4 {
            0 => {
                let $name = guarded;
                $use
            }
            1 => {
                let $name = guarded_too;
                $use
            }
            2 => {
                let $name = website;
                $use
            }
            _ => {
                let $name = shop;
                $use
            }
        }
    };
}

#[derive(Debug, Clone)]
enum Step {
    Route { path: &'static str, methods: u8, handler: u8 },
    Fallback(u8),
    NotAllowed(u8),
    Reset,
    Nest(&'static str, Vec<Step>),
    Merge(Vec<Step>),
}

fn built(steps: &[Step]) -> ClosedRouter<Verifier> {
    steps.iter().fold(ClosedRouter::new(), |router, step| match step {
        Step::Route { path, methods, handler } => {
            with_handler!(handler, it => router.route(path, match methods % 4 {
                0 => any(it),
                1 => get(it),
                2 => on(MethodFilter::POST.or(MethodFilter::DELETE), it),
                _ => get(it).fallback(guarded),
            }))
        }
        Step::Fallback(handler) => with_handler!(handler, it => router.fallback(it)),
        Step::NotAllowed(handler) => with_handler!(handler, it => router.method_not_allowed_fallback(it)),
        Step::Reset => router.reset_fallback(),
        Step::Nest(prefix, inner) => router.nest(prefix, built(inner)),
        Step::Merge(other) => router.merge(built(other)),
    })
}

const PATHS: [&str; 9] = ["/", "/a", "/b", "/a/", "//a", "/{x}", "/a/{x}", "/{x}/b", "/{*all}"];
const PREFIXES: [&str; 6] = ["/a", "/b", "/a/", "/a/{x}", "/a/b", "/{x}/b"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let route =
        || {
            (select(PATHS.to_vec()), any_byte(), any_byte())
                .prop_map(|(path, methods, handler)| Step::Route { path, methods, handler })
        };
    let leaf = prop_oneof![
        6 => route(),
        3 => any_byte().prop_map(Step::Fallback),
        1 => any_byte().prop_map(Step::NotAllowed),
        1 => Just(Step::Reset),
    ];
    let step = leaf.prop_recursive(3, 24, 4, |step| {
        prop_oneof![
            3 => (select(PREFIXES.to_vec()), vec(step.clone(), 1..4)).prop_map(|(at, it)| Step::Nest(at, it)),
            1 => vec(step, 1..4).prop_map(Step::Merge),
        ]
    });
    vec(step, 1..5)
}

fn any_byte() -> impl Strategy<Value = u8> {
    proptest::num::u8::ANY
}

/// What the table says of a path: its rows, found as axum finds a route, and the fallbacks after them.
struct Reading<'t> {
    table: &'t RouteTable,
    routes: matchit::Router<String>,
    fallbacks: matchit::Router<String>,
}

impl<'t> Reading<'t> {
    fn of(table: &'t RouteTable) -> Self {
        let paths = |fallback: bool| {
            let mut router = matchit::Router::new();
            let mut rows: Vec<_> =
                table.routes().iter().filter(|row| row.is_fallback() == fallback).collect();
            rows.dedup_by_key(|row| row.path());
            for row in rows {
                router.insert(row.path(), row.path().to_owned()).unwrap();
            }
            router
        };
        Self { table, routes: paths(false), fallbacks: paths(true) }
    }

    fn rows(&self, path: &str) -> Vec<&'t Route> {
        let (template, fallback) = match (self.routes.at(path), self.fallbacks.at(path)) {
            (Ok(found), _) => (found.value, false),
            (_, Ok(found)) => (found.value, true),
            _ => return Vec::new(),
        };
        let named = |row: &&Route| row.path() == template && row.is_fallback() == fallback;
        self.table.routes().iter().filter(named).collect()
    }

    /// The row, or the status where there is none.
    fn answer(&self, method: &Method, path: &str) -> Result<&'t Route, u16> {
        let rows = self.rows(path);
        let by_name = rows.iter().find(|row| row.methods().iter().any(|name| name == method.as_str()));
        let answer = by_name.or_else(|| rows.iter().find(|row| row.methods().is_empty()));
        answer.copied().ok_or(if rows.is_empty() { 404 } else { 405 })
    }
}

/// Paths that fit a row, and such that nearly do.
fn requested(table: &RouteTable) -> Vec<String> {
    let mut paths = vec!["/".to_owned(), "/none".to_owned(), "/a/b/none".to_owned()];
    for row in table.routes() {
        let path = row.path().replace("{x}", "7").replace("{*all}", "9/9").replace("{*rest}", "8/8");
        let parent = path.rsplit_once('/').map(|(parent, _)| parent.to_owned()).filter(|it| !it.is_empty());
        paths.extend(parent);
        paths.extend([format!("{path}/"), format!("{path}/none"), row.path().replace("{x}", ""), path]);
    }
    paths.retain(|path| !path.contains('{'));
    paths.sort();
    paths.dedup();
    paths
}

async fn says_what_is_done(router: ClosedRouter<Verifier>, authority: &TestAuthority) {
    let table = router.routes("bakery");
    let app: TestApp = call(router.with_state(authority.verifier()));
    let token = authority.service("orders").token();
    let reading = Reading::of(&table);
    for path in requested(&table) {
        for method in [Method::GET, Method::POST, Method::PUT] {
            let stranger = app.request(method.clone(), &path).await.status();
            let service = app.request(method.clone(), &path).bearer(&token).await;
            match reading.answer(&method, &path) {
                Ok(row) => {
                    let refused = if matches!(row.access(), Access::Public { .. }) { 200 } else { 401 };
                    assert_eq!(stranger, refused, "{method} {path} of\n{table}");
                    let name = row.endpoint().unwrap().rsplit("::").next().unwrap();
                    assert_eq!(service.text(), name, "{method} {path} of\n{table}");
                }
                Err(status) => assert_eq!(
                    (stranger.as_u16(), service.status().as_u16()),
                    (status, status),
                    "{method} {path} of\n{table}"
                ),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, max_global_rejects: 100_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_of_every_router_matches_its_behaviour(steps in steps()) {
        // axum does not build each of them, and neither do we.
        let Ok(router) = catch_unwind(|| built(&steps)) else { return Err(TestCaseError::reject("no router")) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(says_what_is_done(router, &TestAuthority::new()));
    }
}
