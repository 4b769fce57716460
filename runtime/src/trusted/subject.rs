//! A service as another system names it, and the names that are configured for such subjects.

use std::{borrow::Cow, collections::BTreeMap};

use crate::{
    claims::ServiceName,
    denial::{Code, Denial, quoted},
};

/// The service names that subjects of another system are mapped to.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) given: BTreeMap<String, ServiceName>,
    /// Whether a subject without a configured name is refused. This is so if several issuers are trusted: each
    /// could otherwise derive a name that means another issuer's service.
    pub(crate) only_given: bool,
}

/// A service as another system names it.
pub(super) struct Foreign<'c> {
    pub(super) subject: Cow<'c, str>,
    /// The derived name, for a subject without a configured one; `None` if another subject could have the same.
    pub(super) default: Option<Cow<'c, str>>,
}

impl Foreign<'_> {
    pub(super) fn name(&self, names: &Names) -> Result<ServiceName, Denial> {
        if let Some(name) = names.given.get(&*self.subject) {
            return Ok(name.clone());
        }
        let unnamed = || {
            let reason = format!("the subject `{}` has no service name; give it one", quoted(&self.subject));
            Denial::new(Code::BadClaimValue, reason)
        };
        if names.only_given {
            return Err(unnamed());
        }
        let name: ServiceName =
            self.default.as_deref().and_then(|name| name.parse().ok()).ok_or_else(unnamed)?;
        // The derived name must not equal the configured name of another subject.
        if names.given.values().any(|taken| *taken == name) {
            return Err(unnamed());
        }
        Ok(name)
    }
}

/// Reads `spiffe://TRUST-DOMAIN/PATH` (SPIFFE-ID section 2). `place` is where the ID was found, for the operator.
pub(super) fn workload<'c>(id: &'c str, trust_domain: &str, place: &str) -> Result<Foreign<'c>, Denial> {
    let rest = id.strip_prefix("spiffe://").ok_or_else(|| wrong(id, place, "which is not a SPIFFE ID"))?;
    of_domain(id, rest, trust_domain, place)
}

fn wrong(id: &str, place: &str, why: &str) -> Denial {
    Denial::new(Code::BadClaimValue, format!("{place} is `{}`, {why}", quoted(id)))
}

/// Reads the part of an ID after its scheme.
pub(super) fn of_domain<'c>(
    id: &'c str,
    rest: &'c str,
    trust_domain: &str,
    place: &str,
) -> Result<Foreign<'c>, Denial> {
    let (domain, path) = rest.split_once('/').unwrap_or((rest, ""));
    if domain != trust_domain {
        let reason =
            format!("the trust domain in {place} is `{}`, expected `{trust_domain}`", quoted(domain));
        return Err(Denial::new(Code::WrongIssuer, reason));
    }
    let segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    if !path.split('/').all(segment) {
        return Err(wrong(id, place, "which names no workload"));
    }
    let default = (!path.contains('.')).then(|| Cow::Owned(path.replace('/', ".")));
    Ok(Foreign { default, subject: id.into() })
}
