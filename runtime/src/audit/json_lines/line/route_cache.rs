//! A cache of the members that the records of a route share: its handler, its policy, its method and its template, as
//! JSON. A service has few routes, so each thread caches those that it serves.

use crate::{audit::AuditEvent, policy::PolicyDigest};

/// How many routes a thread caches. The records of further routes are written without the cache.
const ROUTES: usize = 64;

/// The maximum length of a method and a template that are cached, in bytes.
const LONGEST: usize = 256;

/// The maximum length of the members that are cached, in bytes.
const LONGEST_MEMBERS: usize = 288;

/// How many misses in a row replace an entry, so that two routes with the same index do not alternate.
const MISSES: u8 = 32;

pub(crate) struct RouteCache([Option<Box<Entry>>; ROUTES]);

/// The module and the name of a handler, and its policy. Two layers can have one name and two policies.
type Named = (&'static str, &'static str, Option<PolicyDigest>);

struct Entry {
    /// Compared by address: these texts live as long as the program.
    endpoint: Option<Named>,
    method: Option<Box<str>>,
    route: Option<Box<str>>,
    written: Vec<u8>,
    misses: u8,
}

impl Default for RouteCache {
    fn default() -> Self {
        Self([const { None }; ROUTES])
    }
}

impl RouteCache {
    #[inline]
    pub(crate) fn find(&mut self, event: &AuditEvent<'_>) -> Option<&[u8]> {
        let entry = self.0.get_mut(place(event))?.as_deref_mut()?;
        entry.is_of(event).then(|| {
            entry.misses = 0;
            entry.written.as_slice()
        })
    }

    #[cold]
    pub(crate) fn insert<E>(
        &mut self,
        event: &AuditEvent<'_>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (method, route) = (event.request.method, event.request.route.as_deref());
        if method.map_or(0, str::len) + route.map_or(0, str::len) > LONGEST {
            return Ok(());
        }
        let Some(place) = self.0.get_mut(place(event)) else { return Ok(()) };
        if let Some(entry) = place.as_deref_mut().filter(|entry| entry.misses < MISSES) {
            entry.misses += 1;
            return Ok(());
        }
        let mut written = Vec::new();
        write(&mut written)?;
        if written.len() <= LONGEST_MEMBERS {
            let (method, route) = (method.map(Into::into), route.map(Into::into));
            *place = Some(Box::new(Entry { endpoint: endpoint(event), method, route, written, misses: 0 }));
        }
        Ok(())
    }
}

impl Entry {
    #[inline]
    fn is_of(&self, event: &AuditEvent<'_>) -> bool {
        let same_endpoint = match (self.endpoint, endpoint(event)) {
            (None, None) => true,
            (Some(own), Some(other)) => {
                std::ptr::eq(own.0, other.0) && std::ptr::eq(own.1, other.1) && own.2 == other.2
            }
            _ => false,
        };
        same_endpoint
            && self.method.as_deref() == event.request.method
            && self.route.as_deref() == event.request.route.as_deref()
    }
}

fn endpoint(event: &AuditEvent<'_>) -> Option<Named> {
    event
        .request
        .endpoint
        .map(|endpoint| (endpoint.module_path(), endpoint.function(), endpoint.policy_digest()))
}

/// Hashes addresses, not texts: the texts are compared afterwards.
fn place(event: &AuditEvent<'_>) -> usize {
    let route = event.request.route.as_deref().map_or(0, |route| route.as_ptr() as usize);
    let function = event.request.endpoint.map_or(0, |endpoint| endpoint.function().as_ptr() as usize);
    let method = event.request.method.map_or(0, str::len);
    (route / 16 + function / 8 + method) % ROUTES
}
