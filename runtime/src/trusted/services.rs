//! Which services an issuer may name. Compatible and strict tokens name their service themselves, so two such
//! issuers in one verifier share one namespace. Unless each declares separate names, either can mint a token that
//! passes for a service of the other. It is pure: the builder checks the declarations, the pipeline checks each
//! token.

use crate::{
    claims::ServiceName,
    denial::{Code, Denial, quoted},
    error::BuildError,
};

/// The services that are declared for an issuer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) names: Vec<String>,
    /// Prefixes of service names. Each ends in a separator.
    pub(crate) prefixes: Vec<String>,
}

impl Declared {
    /// Refuses an invalid service name, and a prefix that would also cover names beside the intended ones.
    pub(crate) fn check(&self) -> Result<(), BuildError> {
        if self.names.is_empty() && self.prefixes.is_empty() {
            return Err(BuildError::NoServices);
        }
        if let Some(name) = self.names.iter().find(|name| !ServiceName::is_one(name)) {
            return Err(BuildError::ServiceName(quoted(name)));
        }
        let is_prefix =
            |prefix: &String| prefix.ends_with(['-', '_', '.']) && ServiceName::is_one(&format!("{prefix}x"));
        match self.prefixes.iter().find(|prefix| !is_prefix(prefix)) {
            Some(prefix) => Err(BuildError::ServicePrefix(quoted(prefix))),
            None => Ok(()),
        }
    }

    fn covers(&self, service: &str) -> bool {
        self.names.iter().any(|name| name == service)
            || self.prefixes.iter().any(|prefix| service.starts_with(prefix.as_str()))
    }

    /// Returns a name, or the start of one, that both declarations cover.
    fn shares<'d>(&'d self, other: &'d Self) -> Option<&'d str> {
        let covered = |names: &'d [String], by: &Self| names.iter().find(|name| by.covers(name));
        covered(&self.names, other)
            .or_else(|| covered(&self.prefixes, other))
            .or_else(|| covered(&other.names, self))
            .or_else(|| covered(&other.prefixes, self))
            .map(String::as_str)
    }
}

/// The services that one issuer may name: the declared ones, or by default all that no other issuer declares.
#[derive(Debug, Default)]
pub(crate) struct Namespace {
    own: Option<Declared>,
    /// The services that are declared for other issuers.
    others: Vec<Declared>,
}

impl Namespace {
    pub(crate) fn of(own: Option<Declared>) -> Self {
        Self { own, others: Vec::new() }
    }

    /// Checks that a token of `issuer` may name `service`.
    pub(crate) fn check(&self, issuer: &str, service: &str) -> Result<(), Denial> {
        let may = match &self.own {
            Some(own) => own.covers(service),
            None => !self.others.iter().any(|other| other.covers(service)),
        };
        if may {
            return Ok(());
        }
        let reason = format!("the service is `{service}`, which the issuer `{issuer}` may not name");
        Err(Denial::new(Code::BadClaimValue, reason))
    }

    /// Checks that a token of `issuer` may name a user. An issuer that is trusted for some services is not trusted
    /// for the users of another.
    pub(crate) fn check_user(&self, issuer: &str) -> Result<(), Denial> {
        if self.own.is_none() {
            return Ok(());
        }
        let reason =
            format!("the token is a user's, and the issuer `{issuer}` is trusted for some services only");
        Err(Denial::new(Code::NotService, reason))
    }
}

/// Computes the namespace of each issuer, or fails if two issuers could name one service. Entries with one `iss`
/// are one authority with several keys and share their names. A fleet that moves from compatible to strict tokens
/// has such entries.
pub(crate) fn separate<'n>(
    issuers: impl IntoIterator<Item = (&'n str, &'n mut Namespace)>,
) -> Result<(), BuildError> {
    let issuers: Vec<_> = issuers.into_iter().collect();
    let declared: Vec<(&str, Option<Declared>)> =
        issuers.iter().map(|(issuer, namespace)| (*issuer, namespace.own.clone())).collect();
    for (index, (issuer, own)) in declared.iter().enumerate() {
        for (other, others) in declared.iter().skip(index + 1) {
            if other == issuer {
                continue;
            }
            match (own, others) {
                (None, None) => {
                    return Err(BuildError::ServicesNotDeclared(quoted(issuer), quoted(other)));
                }
                (Some(own), Some(others)) => {
                    if let Some(shared) = own.shares(others) {
                        let [issuer, other, shared] = [issuer, other, shared].map(quoted);
                        return Err(BuildError::SharedService { issuer, other, shared });
                    }
                }
                (Some(_), None) | (None, Some(_)) => {}
            }
        }
    }
    for (issuer, namespace) in issuers {
        let others = declared.iter().filter(|(other, _)| *other != issuer);
        namespace.others = others.filter_map(|(_, declared)| declared.clone()).collect();
    }
    Ok(())
}

#[cfg(test)]
mod tests;
