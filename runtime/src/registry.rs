//! Every guarded and every public handler of the program, whichever crate it stands in. The attributes
//! write the list, the linker gathers it. It names; what is enforced travels in the handler's type.

use std::{collections::HashMap, fmt, hash::BuildHasherDefault, sync::LazyLock};

use crate::{
    hashed::Hashed,
    policy::{Endpoint, Policy},
    private::{Head, policy},
};

/// A guarded handler and what it asks of its caller.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct GuardedEndpoint {
    endpoint: Endpoint,
    policy: Policy<'static>,
}

impl GuardedEndpoint {
    pub(crate) const fn new(endpoint: Endpoint, policy: Policy<'static>) -> Self {
        Self { endpoint, policy }
    }

    /// The handler.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What it asks of its caller.
    pub const fn policy(&self) -> &Policy<'static> {
        &self.policy
    }
}

/// A handler that anybody may call, and why.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct PublicEndpoint {
    endpoint: Endpoint,
    reason: &'static str,
}

impl PublicEndpoint {
    /// The handler.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The reason that `#[public]` gives.
    pub const fn reason(&self) -> &'static str {
        self.reason
    }
}

/// Every handler of the program that `#[service_only]` guards, in the order of their names. Handlers of
/// all crates that are linked in are there, whether a router has them or not.
///
/// ```
/// use service_only::{endpoints, service_only};
///
/// #[service_only(services("billing"))]
/// async fn invoices() {}
///
/// let guarded = endpoints();
/// let invoices = guarded.iter().find(|guarded| guarded.endpoint().function() == "invoices");
/// assert_eq!(invoices.unwrap().policy().allowed_services(), Some(&["billing"][..]));
/// ```
pub fn endpoints() -> Vec<GuardedEndpoint> {
    REGISTRY.guarded.clone()
}

/// Every handler of the program that is `#[public]`, in the order of their names.
pub fn public_endpoints() -> Vec<PublicEndpoint> {
    REGISTRY.public.clone()
}

/// Logs each guarded handler that asks for issuers, none of which a new verifier trusts: that verifier refuses every
/// caller of it. It may be for another verifier of the program, so it is not an error.
pub(crate) fn warn_of_unreachable(trusts: impl Fn(&str) -> bool) {
    for guarded in &REGISTRY.guarded {
        if let Some(issuers) = guarded.policy.allowed_issuers()
            && !issuers.iter().any(|issuer| trusts(issuer))
        {
            let (endpoint, issuers) = (guarded.endpoint, issuers.join(" "));
            tracing::warn!(
                target: "service_only", %endpoint, issuers,
                "a handler asks for issuers, none of which this verifier trusts"
            );
        }
    }
}

pub(crate) fn endpoint(key: u64) -> Option<Endpoint> {
    REGISTRY.by_key.get(&key).map(|entry| entry.endpoint)
}

pub(crate) fn reason(key: u64) -> Option<&'static str> {
    REGISTRY.by_key.get(&key).and_then(|entry| entry.reason)
}

/// What the attributes write down of a handler.
pub struct Registration {
    /// The number in the handler's type, whose key ties the two.
    pub head: u128,
    /// `module_path!()`.
    pub module_path: &'static str,
    /// `file!()`.
    pub file: &'static str,
    /// What the handler asks of its caller.
    pub asks: Asks,
}

/// What a registered handler asks of its caller.
pub enum Asks {
    /// The text of `Site`: the function, the services, the roles, the scopes, and where there are some the issuers.
    Policy(&'static str),
    /// A public handler asks nothing.
    Nothing {
        /// The handler's name.
        function: &'static str,
        /// Why.
        reason: &'static str,
    },
}

inventory::collect!(Registration);

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::gather);

#[derive(Default)]
struct Registry {
    guarded: Vec<GuardedEndpoint>,
    public: Vec<PublicEndpoint>,
    /// A key is a hash already, made when compiling, of nothing that a caller sends. It is looked up at each
    /// request.
    by_key: HashMap<u64, Entry, BuildHasherDefault<Hashed>>,
}

struct Entry {
    endpoint: Endpoint,
    reason: Option<&'static str>,
}

impl Registry {
    fn gather() -> Self {
        let mut registry = Self::default();
        for registration in inventory::iter::<Registration> {
            registry.add(registration);
        }
        registry.guarded.sort_by_key(|guarded| place(&guarded.endpoint));
        registry.public.sort_by_key(|public| place(&public.endpoint));
        registry
    }

    fn add(&mut self, registration: &Registration) {
        let Registration { head, module_path, file, asks } = registration;
        let head = Head(*head);
        let (function, reason) = match asks {
            Asks::Policy(text) => (text.lines().next().unwrap_or_default(), None),
            Asks::Nothing { function, reason } => (*function, Some(*reason)),
        };
        let endpoint = Endpoint::new(module_path, function, file, head.line());
        // Macros such as `#[debug_handler]` write the type of an argument again, and with it the registration.
        match self.by_key.insert(head.key(), Entry { endpoint, reason }) {
            Some(again) if again.endpoint == endpoint => return,
            _ => {}
        }
        match asks {
            Asks::Policy(text) => {
                let mut lists = text.split('\n').skip(1).map(leaked_words);
                let mut next = || lists.next().unwrap_or_default();
                let (services, roles, scopes, issuers) = (next(), next(), next(), next());
                let policy = policy(issuers, services, roles, scopes, head.max_age());
                self.guarded.push(GuardedEndpoint { endpoint, policy });
            }
            Asks::Nothing { reason, .. } => self.public.push(PublicEndpoint { endpoint, reason }),
        }
    }
}

/// Once per handler of the program, for a list that lives as long as the program.
fn leaked_words(line: &'static str) -> &'static [&'static str] {
    line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().leak()
}

fn place(endpoint: &Endpoint) -> (&'static str, &'static str, u32) {
    (endpoint.module_path(), endpoint.function(), endpoint.line())
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("key", &Head(self.head).key()).finish_non_exhaustive()
    }
}
