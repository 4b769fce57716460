//! What the tests of several frameworks share.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use service_only::{
    KeySet, Policy, Verifier,
    error::Code,
    keys::{KeySource, KeysUnavailable, Refresh},
    routes::{Endpoint, GuardedEndpoint, PublicEndpoint, endpoints, public_endpoints},
    verifier::VerifierBuilder,
};
use service_only_testkit::{Expectation, Fixture, TestAuthority, TokenDraft};
use tokio::sync::watch;
use tracing_subscriber::fmt::MakeWriter;

/// The guarded handlers of one module, by its `module_path!()`, and of the modules in it.
pub(crate) fn guarded_in(module: &str) -> Vec<GuardedEndpoint> {
    endpoints().into_iter().filter(|guarded| is_in(module, guarded.endpoint())).collect()
}

/// The public handlers of one module, as [`guarded_in`] finds the guarded ones.
pub(crate) fn public_in(module: &str) -> Vec<PublicEndpoint> {
    public_endpoints().into_iter().filter(|public| is_in(module, public.endpoint())).collect()
}

fn is_in(module: &str, endpoint: &Endpoint) -> bool {
    let rest = endpoint.module_path().strip_prefix(module);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// What the guarded endpoints of these tests ask for.
pub(crate) const POLICY: Policy<'static> =
    Policy::any_service().services(&["orchestrator"]).scopes(&["tenants:delete"]);

/// A token that such an endpoint lets in.
pub(crate) fn valid(authority: &TestAuthority) -> TokenDraft {
    authority.service("orchestrator").scope("tenants:delete")
}

/// The fixtures that a guard decides about, whatever stands before it.
pub(crate) fn fixtures(authority: &TestAuthority) -> impl Iterator<Item = Fixture> {
    let decided = |fixture: &Fixture| {
        fixture.defect().is_none_or(|defect| matches!(defect.expectation(), Expectation::Denied(_)))
    };
    valid(authority).fixtures().into_iter().filter(decided)
}

/// The headers of a fixture, if they are all that it consists of.
pub(crate) fn headers_of(fixture: &Fixture) -> Option<HeaderMap> {
    let outgoing = fixture.outgoing(Method::POST, "/");
    if (outgoing.method, outgoing.target.as_str(), outgoing.body) != (Method::POST, "/", None) {
        return None;
    }
    let header = |(name, value): (String, String)| {
        (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::try_from(value).unwrap())
    };
    let mut headers = HeaderMap::new();
    for (name, value) in outgoing.headers.into_iter().map(header) {
        headers.append(name, value);
    }
    Some(headers)
}

/// The challenge that a refused fixture must come with.
pub(crate) fn challenge_of(fixture: &Fixture) -> Option<&'static str> {
    fixture.code().and_then(challenge)
}

/// The challenge that a refusal must come with, where [`POLICY`] is asked for.
pub(crate) fn challenge(code: Code) -> Option<&'static str> {
    match (code.status(), code) {
        (_, Code::MissingScope) => {
            Some(r#"Bearer realm="service", error="insufficient_scope", scope="tenants:delete""#)
        }
        (400, _) => Some(r#"Bearer realm="service", error="invalid_request""#),
        (401, Code::MissingToken) | (403, _) => Some(r#"Bearer realm="service""#),
        (401, _) => Some(r#"Bearer realm="service", error="invalid_token""#),
        _ => None,
    }
}

/// Keys that are not there until somebody has waited for them, and the test has let them come.
#[derive(Clone)]
pub(crate) struct LateKeys {
    keys: KeySet,
    others: KeySet,
    published: Arc<watch::Sender<bool>>,
    waits: Arc<AtomicUsize>,
}

impl LateKeys {
    pub(crate) fn of(authority: &TestAuthority) -> Self {
        Self {
            keys: authority.keys(),
            others: TestAuthority::new().keys(),
            published: Arc::new(watch::Sender::new(false)),
            waits: Arc::default(),
        }
    }

    pub(crate) fn publish(&self) {
        self.published.send_replace(true);
    }

    /// How many have waited.
    pub(crate) fn waits(&self) -> usize {
        self.waits.load(Ordering::SeqCst)
    }

    pub(crate) fn verifier(&self, authority: &TestAuthority) -> Verifier {
        let builder: VerifierBuilder = Verifier::builder().issuer(TestAuthority::ISSUER).keys(self.clone());
        builder.clock(authority.clock().clone()).audit(authority.audit().clone()).build().unwrap()
    }
}

impl KeySource for LateKeys {
    fn snapshot(&self) -> Result<KeySet, KeysUnavailable> {
        Ok(if *self.published.borrow() { self.keys.clone() } else { self.others.clone() })
    }

    fn refresh_for(&self, _: &str) -> Option<Refresh<'_>> {
        self.waits.fetch_add(1, Ordering::SeqCst);
        let mut published = self.published.subscribe();
        Some(Box::pin(async move {
            let _ = published.wait_for(|published| *published).await;
        }))
    }
}

/// The log of a program as lines of JSON.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Takes the events of this thread while the guard lives.
    pub(crate) fn of_this_thread(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = tracing_subscriber::fmt().json().with_writer(self.clone()).finish();
        tracing::subscriber::set_default(subscriber)
    }

    /// The events of a target.
    pub(crate) fn events(&self, target: &str) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let events = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        events.filter(|event| event["target"] == target).collect()
    }

    /// The events of a target while `act` runs.
    pub(crate) fn during(target: &str, act: impl FnOnce()) -> Vec<serde_json::Value> {
        // One for all threads takes everything and keeps nothing: `tracing` would remember for this thread too
        // that a test without a subscriber, which runs beside it, takes none.
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        let log = Self::default();
        let listening = log.of_this_thread();
        act();
        drop(listening);
        log.events(target)
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}
