//! Whole `impl` blocks under the attribute: every method is guarded, or says that it is public.

use std::{convert::Infallible, sync::Arc};

use crate::frameworks::{guarded_in, public_in};
use async_trait::async_trait;
use axum::{Router, routing::get};
use service_only::{__private::Admit, Caller, Denial, Verifier, error::Code, service_only};
use service_only_testkit::{TestAuthority, assert_allowed, assert_denied, call};

/// As a framework's request: it holds a token, and knows a verifier.
#[derive(Debug)]
struct Request<T> {
    token: String,
    verifier: Verifier,
    message: T,
}

impl<T: Send> Admit for Request<T> {
    type Refusal = Denial;

    async fn admit<P: service_only::__private::StaticPolicy>(self) -> Result<Self, Denial> {
        self.verifier.verify_with(&self.token, &P::POLICY)?;
        Ok(self)
    }
}

#[derive(Debug)]
struct Status(Code);

impl From<Denial> for Status {
    fn from(denial: Denial) -> Self {
        Self(denial.code())
    }
}

#[async_trait]
trait Api {
    const MOST: usize;
    type Answer;
    async fn list(&self, request: Request<()>) -> Result<Vec<String>, Status>;
    async fn write(self: Arc<Self>, request: Request<String>, again: bool) -> Result<Self::Answer, Status>;
    async fn ping(&self, request: Request<()>) -> Result<(), Infallible>;
    fn version() -> u32;
}

struct Orders {
    orders: Vec<String>,
}

#[service_only(services("gateway"))]
#[async_trait]
impl Api for Orders {
    const MOST: usize = 2;
    type Answer = String;

    /// Everybody's.
    #[tracing::instrument(skip(self, request))]
    async fn list(&self, mut request: Request<()>) -> Result<Vec<String>, Status> {
        request.token.clear();
        Ok(self.orders.iter().take(Self::MOST).cloned().collect())
    }

    #[service_only(services("gateway"), scopes("orders:write"))]
    async fn write(
        self: Arc<Self>,
        Request { message, .. }: Request<String>,
        again: bool,
    ) -> Result<Self::Answer, Status> {
        Ok(if again { message.repeat(2) } else { message })
    }

    #[public(reason = "clients ask whether anybody is there")]
    async fn ping(&self, _: Request<()>) -> Result<(), Infallible> {
        Ok(())
    }

    #[public(reason = "it is a constant")]
    fn version() -> u32 {
        7
    }
}

/// Without a trait, and a caller or a hidden argument instead of a request.
#[service_only(roles("operator"))]
impl Orders {
    #[r#service_only(roles("operator"))]
    async fn health() -> &'static str {
        "well"
    }

    fn clear(&mut self, caller: &Caller) -> Result<usize, Denial> {
        tracing::info!(by = caller.service(), "clearing");
        Ok(self.orders.drain(..).len())
    }

    async fn next<T: Send>(&self, _: Request<T>) -> Result<Option<&String>, Status> {
        Ok(self.orders.first())
    }
}

/// What macros by example pass on, and macros that write types: none of it hides a method.
struct Pieced;

macro_rules! pieced {
    ($ty:ident, $body:block, $item:item, $path:path, $braced:block, $value:expr) => {
        #[service_only(services("orchestrator"))]
        impl $ty {
            fn body_passed_on(&self, caller: &Caller) -> Result<u8, Denial> $body
            const AFTER_A_BODY: u8 = $value;
            $item
            fn after_an_item(&self, caller: &Caller) -> Result<u8, Denial> { Ok(Self::AFTER_A_BODY) }
            fn path_of_a_macro(&self, caller: &Caller) -> $path! { u8 } $braced
            fn where_a_macro_bounds(&self, caller: &Caller) -> Result<u8, Denial> where answer! { u8 }: Send { Ok(5) }
            fn last(&self, caller: &Caller) -> answer! { u8 } { Ok(6) }
        }
    };
}

macro_rules! answer {
    ($ty:ty) => { Result<$ty, Denial> };
}

pieced!(
    Pieced,
    { Ok(1) },
    fn item_passed_on(&self, caller: &Caller) -> Result<u8, Denial> {
        Ok(2)
    },
    answer,
    { Ok(4) },
    { 3 } + 1
);

macro_rules! api_of {
    ($ty:ident { $list:block $write:block $ping:block $version:block }) => {
        #[service_only(services("orchestrator"))]
        #[async_trait]
        impl Api for $ty {
            const MOST: usize = 1;
            type Answer = String;
            async fn list(&self, _: Request<()>) -> Result<Vec<String>, Status> $list
            async fn write(self: Arc<Self>, _: Request<String>, _: bool) -> Result<Self::Answer, Status> $write
            #[r#public(reason = "clients ask whether anybody is there")]
            async fn ping(&self, _: Request<()>) -> Result<(), Infallible> $ping
            #[public(reason = "it is a constant")]
            fn version() -> u32 $version
        }
    };
}

api_of!(Pieced { { Ok(vec![]) } { Ok(String::new()) } { Ok(()) } { 8 } });

fn orders() -> Orders {
    Orders { orders: ["a", "b", "c"].map(str::to_owned).into() }
}

fn request<T>(authority: &TestAuthority, token: impl std::fmt::Display, message: T) -> Request<T> {
    Request { token: token.to_string(), verifier: authority.verifier(), message }
}

#[tokio::test]
async fn requests_of_a_trait_are_checked_by_the_policy_of_the_block() {
    let authority = TestAuthority::new();
    let gateway = authority.service("gateway").token().to_string();
    let listed = orders().list(request(&authority, &gateway, ())).await.unwrap();
    assert_eq!(listed, ["a", "b"]);
    let stranger = authority.service("stranger").token().to_string();
    let refused = orders().list(request(&authority, &stranger, ())).await.unwrap_err();
    assert_eq!(refused.0, Code::ServiceNotAllowed);
    assert_eq!(authority.audit().len(), 2, "one record per attempt");
}

#[tokio::test]
async fn a_policy_of_the_method_replaces_that_of_the_block() {
    let authority = TestAuthority::new();
    let gateway = authority.service("gateway");
    let reading = request(&authority, gateway.token().to_string(), "x".to_owned());
    assert_eq!(Arc::new(orders()).write(reading, true).await.unwrap_err().0, Code::MissingScope);
    let writing = request(&authority, gateway.scope("orders:write").token().to_string(), "x".to_owned());
    assert_eq!(Arc::new(orders()).write(writing, true).await.unwrap(), "xx");
}

#[tokio::test]
async fn a_public_method_requires_nothing() {
    let authority = TestAuthority::new();
    orders().ping(request(&authority, "garbage", ())).await.unwrap();
    assert_eq!(Orders::version(), 7);
    assert!(authority.audit().is_empty());
}

#[tokio::test]
async fn methods_of_a_type_are_guarded_each_in_its_way() {
    let authority = TestAuthority::new();
    let operator = authority.service("ops").role("operator");
    let stranger = authority.service("ops").role("guest");

    let app = Router::new().route("/", get(Orders::health)).with_state(authority.verifier());
    let app = call(app).audit(authority.audit());
    assert_allowed!(app.get("/").bearer(operator.token()).await);
    assert_denied!(app.get("/").bearer(stranger.token()).await, 403);

    let verifier = authority.verifier();
    let caller = |token: String| verifier.verify(&token).unwrap();
    let mut cleared = orders();
    let refused = cleared.clear(&caller(stranger.token().to_string())).unwrap_err();
    assert_eq!((refused.code(), cleared.orders.len()), (Code::RoleNotAllowed, 3));
    assert_eq!(cleared.clear(&caller(operator.token().to_string())).unwrap(), 3);

    let next = orders();
    let let_in = request(&authority, operator.token().to_string(), 7);
    assert_eq!(next.next(let_in).await.unwrap().unwrap(), "a");
    let refused = request(&authority, stranger.token().to_string(), 7);
    assert_eq!(next.next(refused).await.unwrap_err().0, Code::RoleNotAllowed);
}

#[test]
fn methods_that_macros_write_piece_by_piece_are_guarded_one_by_one() {
    let authority = TestAuthority::new();
    let (orchestrator, stranger) =
        ["orchestrator", "stranger"].map(|name| authority.service(name).caller()).into();
    for (value, method) in [
        (1, Pieced::body_passed_on as fn(&Pieced, &Caller) -> Result<u8, Denial>),
        (2, Pieced::item_passed_on),
        (4, Pieced::after_an_item),
        (4, Pieced::path_of_a_macro),
        (5, Pieced::where_a_macro_bounds),
        (6, Pieced::last),
    ] {
        assert_eq!(method(&Pieced, &stranger).unwrap_err().code(), Code::ServiceNotAllowed, "{value}");
        assert_eq!(method(&Pieced, &orchestrator).unwrap(), value);
    }
}

#[tokio::test]
async fn methods_with_bodies_from_a_macro_are_guarded() {
    let authority = TestAuthority::new();
    let stranger = authority.service("stranger").token().to_string();
    let refused = Pieced.list(request(&authority, &stranger, ())).await.unwrap_err();
    assert_eq!(refused.0, Code::ServiceNotAllowed);
    let refused = Arc::new(Pieced).write(request(&authority, &stranger, String::new()), true).await;
    assert_eq!(refused.unwrap_err().0, Code::ServiceNotAllowed);
    assert_eq!(authority.audit().len(), 2);
    Pieced.ping(request(&authority, "garbage", ())).await.unwrap();
    assert_eq!(Pieced::version(), 8);
}

#[test]
fn every_method_is_listed_by_its_type_and_name() {
    let guarded: Vec<_> = guarded_in(module_path!())
        .iter()
        .map(|guarded| (guarded.endpoint().function(), guarded.policy().allowed_services().is_some()))
        .collect();
    let names = [
        ("Orders::clear", false),
        ("Orders::health", false),
        ("Orders::list", true),
        ("Orders::next", false),
        ("Orders::write", true),
        ("Pieced::after_an_item", true),
        ("Pieced::body_passed_on", true),
        ("Pieced::item_passed_on", true),
        ("Pieced::last", true),
        ("Pieced::list", true),
        ("Pieced::path_of_a_macro", true),
        ("Pieced::where_a_macro_bounds", true),
        ("Pieced::write", true),
    ];
    assert_eq!(guarded, names);
    let public: Vec<_> =
        public_in(module_path!()).iter().map(|public| public.endpoint().to_string()).collect();
    let names = ["Orders::ping", "Orders::version", "Pieced::ping", "Pieced::version"];
    assert_eq!(public, names.map(|name| format!("guard::impl_blocks::{name}")));
}
