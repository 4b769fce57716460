//! Hostile requests with proofs of WIMSE: what is known about a class.

use service_only::error::Code;

/// A request that a service with Workload Proof Tokens must refuse.
/// [`TestAuthority::experimental_hostile_workloads`](crate::TestAuthority::experimental_hostile_workloads) creates them.
#[derive(Debug, Clone)]
pub struct HostileProof {
    class: &'static Facts,
    headers: Headers,
}

/// The headers of a request.
pub(super) type Headers = Vec<(&'static str, String)>;

impl HostileProof {
    /// The name of the class, in snake case.
    pub fn name(&self) -> &'static str {
        self.class.name
    }

    /// What is wrong with the request.
    pub fn description(&self) -> &'static str {
        self.class.description
    }

    /// The rule that it breaks: a verifier without this check accepts the request.
    pub fn rule(&self) -> &'static str {
        self.class.rule
    }

    /// The section of the standard.
    pub fn source(&self) -> &'static str {
        self.class.source
    }

    /// The code of the refusal.
    pub fn code(&self) -> Code {
        self.class.code
    }

    /// The headers of the request.
    pub fn headers(&self) -> &[(&'static str, String)] {
        &self.headers
    }

    /// Whether the request is valid when it is sent first, so that it must be sent twice.
    pub fn is_replay(&self) -> bool {
        self.class.rule == "replay"
    }
}

/// What is known about a class of hostile requests.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) name: &'static str,
    pub(super) rule: &'static str,
    pub(super) description: &'static str,
    pub(super) source: &'static str,
    pub(super) code: Code,
}

/// A class, and how its requests are made of a valid one.
pub(super) struct Class<V> {
    pub(super) facts: Facts,
    pub(super) make: fn(V) -> Headers,
}

impl<V> Class<V> {
    pub(super) fn of(&'static self, valid: V) -> HostileProof {
        HostileProof { class: &self.facts, headers: (self.make)(valid) }
    }
}

/// Repeats the URL with another host, as if the service took its own name from the request.
pub(super) fn at_another_host(url: &str) -> String {
    let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..)));
    format!("https://evil.example{}", path.unwrap_or("/"))
}
