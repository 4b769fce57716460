//! Lists every guarded and every public handler of the program, in whichever crate it is. The attributes write the
//! entries and the linker collects them. The list only informs; the enforced policy travels in the handler's type.

use std::{
    collections::{BTreeSet, HashMap, hash_map},
    fmt,
    hash::BuildHasherDefault,
    sync::LazyLock,
    time::Duration,
};

use crate::{
    const_text::decode::{Admits, Head, Lists, Singles, key, policy, proof, seconds},
    hashed::Hashed,
    policy::{Endpoint, Policy},
    policy_digest::digest_of,
};

/// A guarded handler and what it requires of its caller.
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

    /// What the handler requires of its caller.
    pub const fn policy(&self) -> &Policy<'static> {
        &self.policy
    }
}

/// A public handler, and the reason why.
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

/// Every handler of the program that `#[service_only]` guards, sorted by name. The list contains handlers of
/// all linked crates, even if no router uses them.
///
/// ```standalone_crate
/// use service_only::{service_only, routes::endpoints};
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

/// Every handler of the program that is `#[public]`, sorted by name.
pub fn public_endpoints() -> Vec<PublicEndpoint> {
    REGISTRY.public.clone()
}

/// Logs each guarded handler whose required issuers a new verifier does not trust: that verifier refuses every
/// caller of it. The handler may be for another verifier of the program, so this is not an error.
pub(crate) fn warn_of_unreachable(trusts: impl Fn(&str) -> bool) {
    for guarded in &REGISTRY.guarded {
        if let Some(issuers) = guarded.policy.allowed_issuers()
            && !issuers.iter().any(|issuer| trusts(issuer))
        {
            let (endpoint, issuers) = (guarded.endpoint, issuers.join(" "));
            tracing::warn!(
                target: "service_only", %endpoint, issuers,
                "a handler requires issuers that this verifier does not trust"
            );
        }
    }
}

/// The scopes that handlers of the program require, sorted.
pub(crate) fn scopes() -> Vec<&'static str> {
    let policies = REGISTRY.guarded.iter().map(|guarded| &guarded.policy);
    let all = policies.flat_map(|policy| policy.for_services().into_iter().chain(policy.for_users()));
    let scopes: BTreeSet<_> = all
        .flat_map(|asked| {
            asked.required_scopes().iter().chain(asked.alternative_scopes().unwrap_or_default())
        })
        .copied()
        .collect();
    scopes.into_iter().collect()
}

/// The first set that a handler of the program refers to and that a verifier lacks, with the handler.
pub(crate) fn missing_set(has: impl Fn(&str) -> bool) -> Option<(&'static str, Endpoint)> {
    REGISTRY.guarded.iter().find_map(|guarded| {
        let missing = guarded.policy.service_sets().find(|set| !has(set))?;
        Some((missing, guarded.endpoint))
    })
}

/// The first handler of the program that requires a proof of DPoP.
pub(crate) fn requires_dpop() -> Option<Endpoint> {
    let requires = REGISTRY.guarded.iter().find(|guarded| guarded.policy.requires_dpop());
    requires.map(|guarded| guarded.endpoint)
}

pub(crate) fn endpoint(key: u64) -> Option<Endpoint> {
    REGISTRY.by_key.get(&key).map(|entry| entry.endpoint)
}

pub(crate) fn reason(key: u64) -> Option<&'static str> {
    REGISTRY.by_key.get(&key).and_then(|entry| entry.reason)
}

/// The handlers that share a key, if there are any. Their records would be ambiguous.
pub(crate) fn ambiguous() -> Option<&'static str> {
    REGISTRY.ambiguous.first().copied()
}

/// What the attributes record about a handler.
#[derive(PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "hidden")]
pub struct Registration {
    /// The number in the handler's type. Together with the module it makes the key that links both.
    pub head: u128,
    /// `module_path!()`.
    pub module_path: &'static str,
    /// `file!()`.
    pub file: &'static str,
    /// What the handler requires of its caller.
    pub asks: Asks,
}

/// What a registered handler requires of its caller.
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "hidden")]
pub enum Asks {
    /// The text of `Site`.
    Policy(&'static str),
    /// The same for lists with constants, whose text the attribute does not know.
    Lists {
        /// The handler's name.
        function: &'static str,
        /// The words of each line after the function's name.
        lists: &'static [&'static [&'static str]],
    },
    /// A public handler requires nothing.
    Nothing {
        /// The handler's name.
        function: &'static str,
        /// Why it is public.
        reason: &'static str,
    },
}

inventory::collect!(Registration);

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| Registry::of(inventory::iter::<Registration>));

#[derive(Default)]
struct Registry {
    guarded: Vec<GuardedEndpoint>,
    public: Vec<PublicEndpoint>,
    /// The handlers by key. A key is already a hash, computed at compile time from nothing that a caller sends. Each
    /// request looks one up.
    by_key: HashMap<u64, Entry, BuildHasherDefault<Hashed>>,
    /// The names of different handlers that share a key.
    ambiguous: Vec<&'static str>,
}

struct Entry {
    registration: &'static Registration,
    endpoint: Endpoint,
    reason: Option<&'static str>,
}

impl Registry {
    fn of(registrations: impl IntoIterator<Item = &'static Registration>) -> Self {
        let mut registry = Self::default();
        for registration in registrations {
            registry.add(registration);
        }
        registry.guarded.sort_by_key(|guarded| place(&guarded.endpoint));
        registry.public.sort_by_key(|public| place(&public.endpoint));
        registry
    }

    fn add(&mut self, registration: &'static Registration) {
        let key = registration.key();
        // Macros such as `#[debug_handler]` repeat the type of an argument, and with it the registration.
        if self.by_key.get(&key).is_some_and(|known| known.registration == registration) {
            return;
        }
        let policy = registration.policy();
        let endpoint = registration.endpoint().with_policy(policy.as_ref().and_then(digest_of));
        match self.by_key.entry(key) {
            hash_map::Entry::Vacant(slot) => {
                slot.insert(Entry { registration, endpoint, reason: registration.reason() });
            }
            hash_map::Entry::Occupied(mut known) => {
                self.ambiguous.push(known.get_mut().share_with(endpoint));
            }
        }
        match (policy, registration.reason()) {
            (Some(policy), _) => self.guarded.push(GuardedEndpoint { endpoint, policy }),
            (None, reason) => {
                self.public.push(PublicEndpoint { endpoint, reason: reason.unwrap_or_default() });
            }
        }
    }
}

impl Entry {
    /// Marks a key that two handlers share. It names neither of them, so that no record names the wrong one.
    fn share_with(&mut self, other: Endpoint) -> &'static str {
        let names = format!("ambiguous: {} or {other}", self.registration.endpoint());
        let names: &'static str = names.leak();
        tracing::error!(
            target: "service_only",
            handlers = names,
            "two handlers share a key, so audit records cannot distinguish them; rename one of them"
        );
        self.endpoint = Endpoint::unregistered(names, 0);
        self.reason = self.reason.map(|_| names);
        names
    }
}

impl Registration {
    const fn key(&self) -> u64 {
        key(self.head, self.module_path)
    }

    fn endpoint(&self) -> Endpoint {
        let function = match self.asks {
            Asks::Policy(text) => text.lines().next().unwrap_or_default(),
            Asks::Lists { function, .. } | Asks::Nothing { function, .. } => function,
        };
        Endpoint::new(self.module_path, function, self.file, Head(self.head).line())
    }

    /// What is required of a caller; `None` for a public handler. The texts are leaked, once for each handler.
    fn policy(&self) -> Option<Policy<'static>> {
        let lists = match self.asks {
            Asks::Nothing { .. } => return None,
            Asks::Lists { lists, .. } => lists,
            Asks::Policy(text) => text.split('\n').skip(1).map(leaked_words).collect::<Vec<_>>().leak(),
        };
        Some(policy_of(lists, Head(self.head).max_age()))
    }

    const fn reason(&self) -> Option<&'static str> {
        match self.asks {
            Asks::Policy(_) | Asks::Lists { .. } => None,
            Asks::Nothing { reason, .. } => Some(reason),
        }
    }
}

/// Reads the lines of a `Site` after the function's name.
fn policy_of(lists: &'static [&'static [&'static str]], max_age: Option<Duration>) -> Policy<'static> {
    let line = |n: usize| lists.get(n).copied().unwrap_or_default();
    let from = |n: usize| Lists {
        services: line(n),
        roles: line(n + 1),
        scopes: line(n + 2),
        issuers: line(n + 3),
        any_scope: line(n + 4),
        claims: leaked_pairs(line(n + 5)),
        actors: line(n + 6),
    };
    let word = |n: usize| line(n).first().copied().unwrap_or_default();
    let own = policy(from(0), Singles { max_age, proof: proof(word(7)) });
    match Admits::named(word(8)) {
        Admits::Services => own,
        Admits::Users => own.of_users(),
        Admits::Both => {
            let singles = Singles { max_age: seconds(word(17)), proof: proof(word(16)) };
            let users = policy(from(9), singles).of_users();
            own.or_users(Box::leak(Box::new(users)))
        }
    }
}

/// Splits words at their first `=`, as `const_text::decode::pairs`.
fn leaked_pairs(words: &'static [&'static str]) -> &'static [(&'static str, &'static str)] {
    words.iter().map(|word| word.split_once('=').unwrap_or((word, ""))).collect::<Vec<_>>().leak()
}

/// Leaks the words of a line, once for each handler, for a list that lives as long as the program.
fn leaked_words(line: &'static str) -> &'static [&'static str] {
    line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().leak()
}

fn place(endpoint: &Endpoint) -> (&'static str, &'static str, u32) {
    (endpoint.module_path(), endpoint.function(), endpoint.line())
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("key", &self.key()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: u128 = 7 << 64 | 3 << 32 | u32::MAX as u128;

    fn registration(
        module_path: &'static str,
        file: &'static str,
        text: &'static str,
    ) -> &'static Registration {
        let asks = Asks::Policy(text);
        Box::leak(Box::new(Registration { head: HEAD, module_path, file, asks }))
    }

    fn names(registry: &Registry) -> Vec<String> {
        registry.guarded.iter().map(|guarded| guarded.endpoint.to_string()).collect()
    }

    #[test]
    fn handlers_of_two_modules_have_two_keys() {
        let payroll = registration("shop::payroll", "src/lib.rs", "list\n\n\n");
        let reports = registration("shop::reports", "src/lib.rs", "list\n\n\n");
        assert_ne!(payroll.key(), reports.key());
        let registry = Registry::of([payroll, reports]);
        assert_eq!(names(&registry), ["shop::payroll::list", "shop::reports::list"]);
        assert!(registry.ambiguous.is_empty());
        for registration in [payroll, reports] {
            let endpoint = registry.by_key[&registration.key()].endpoint;
            assert_eq!(endpoint.with_policy(None), registration.endpoint());
            assert_eq!(endpoint.policy_digest(), digest_of(&Policy::any_service()));
        }
    }

    #[test]
    fn a_handler_that_is_registered_twice_is_listed_once() {
        let once = registration("shop", "src/lib.rs", "list\n\n\n");
        let again = registration("shop", "src/lib.rs", "list\n\n\n");
        let registry = Registry::of([once, again]);
        assert_eq!(names(&registry), ["shop::list"]);
        assert!(registry.ambiguous.is_empty());
    }

    #[test]
    fn handlers_that_share_a_key_are_both_listed_and_neither_is_named() {
        let pairs = [
            (
                registration("shop", "src/lib.rs", "list\n\n\n"),
                registration("shop", "src/main.rs", "list\n\n\n"),
            ),
            (
                registration("shop", "src/lib.rs", "list\n\n\n"),
                registration("shop", "src/lib.rs", "show\n\n\n"),
            ),
            (
                registration("shop", "src/lib.rs", "list\n\n\n"),
                registration("shop", "src/lib.rs", "list\na\n\n"),
            ),
        ];
        for (one, other) in pairs {
            let registry = Registry::of([one, other]);
            assert_eq!(registry.guarded.len(), 2, "{one:?}");
            let expected = format!("ambiguous: {} or {}", one.endpoint(), other.endpoint());
            assert_eq!(registry.ambiguous, [expected.as_str()]);
            assert_eq!(registry.by_key[&one.key()].endpoint.to_string(), expected);
        }
    }
}
