//! Formats the policies of handlers in columns, for a reader and for a snapshot.

use std::fmt;

use crate::{policy::Policy, proof::RequiredProof};

/// Formats a table. The last cell of a row that is shorter than the head may be wider than its column.
pub(crate) fn aligned(
    f: &mut fmt::Formatter<'_>,
    head: &[String],
    rows: impl Iterator<Item = Vec<String>>,
) -> fmt::Result {
    let rows: Vec<_> = rows.collect();
    let width = |(column, name): (usize, &String)| {
        let counts = |row: &&Vec<String>| row.len() == head.len() || column + 1 < row.len();
        let cells = rows.iter().filter(counts).filter_map(|row| row.get(column));
        cells.chain([name]).map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<_> = head.iter().enumerate().map(width).collect();
    let rule: Vec<_> = widths.iter().map(|width| "-".repeat(*width)).collect();
    for row in [head, rule.as_slice()].into_iter().chain(rows.iter().map(Vec::as_slice)) {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(f, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

/// The columns that a table has only if one of its rows needs them.
#[derive(Copy, Clone, Default)]
pub(crate) struct Optional {
    pub(crate) issuers: bool,
    pub(crate) claims: bool,
    pub(crate) proof: bool,
}

/// What one kind of callers must have, for the cells of a row.
pub(crate) struct Row<'r, T> {
    pub(crate) is_for_users: bool,
    pub(crate) issuers: Option<&'r [T]>,
    pub(crate) services: Option<&'r [T]>,
    pub(crate) actors: Option<&'r [T]>,
    pub(crate) roles: Option<&'r [T]>,
    pub(crate) scopes: &'r [T],
    pub(crate) any_scope: Option<&'r [T]>,
    /// Names with values.
    pub(crate) claims: Vec<(&'r str, &'r str)>,
    pub(crate) max_age: Option<u64>,
    pub(crate) proof: Option<RequiredProof>,
}

/// The head of the policy columns: services, roles, scopes, age. A column for issuers comes first, one for claims before
/// the age, and one for the proof after it, if one of the handlers requires some.
pub(crate) fn head<const N: usize>(first: [&str; N], optional: Optional) -> Vec<String> {
    let issuers = optional.issuers.then_some("issuers");
    let claims = optional.claims.then_some("claims");
    let names = first.into_iter().chain(issuers).chain(["services", "roles", "scopes"]);
    let proof = optional.proof.then_some("proof");
    names.chain(claims).chain(["max_age"]).chain(proof).map(str::to_owned).collect()
}

/// The rows of a policy: one for services, one for users, or both.
pub(crate) fn rows<'p>(policy: &'p Policy<'p>) -> impl Iterator<Item = Row<'p, &'p str>> {
    let row = |is_for_users: bool, policy: &'p Policy<'p>| Row {
        is_for_users,
        issuers: policy.allowed_issuers(),
        services: policy.allowed_services(),
        actors: policy.allowed_actors(),
        roles: policy.allowed_roles(),
        scopes: policy.required_scopes(),
        any_scope: policy.alternative_scopes(),
        claims: policy.required_claims().to_vec(),
        max_age: policy.allowed_age().map(|age| age.as_secs()),
        proof: policy.required_proof(),
    };
    let services = policy.for_services().map(|policy| row(false, policy));
    services.into_iter().chain(policy.for_users().map(|policy| row(true, policy)))
}

impl<T: AsRef<str>> Row<'_, T> {
    /// Which optional columns the row needs.
    pub(crate) fn needs(&self) -> Optional {
        Optional {
            issuers: self.issuers.is_some(),
            claims: !self.claims.is_empty(),
            proof: self.proof.is_some(),
        }
    }

    /// The cells, in the order of the head.
    pub(crate) fn cells(&self, optional: Optional) -> Vec<String> {
        let words = |names: &[T]| names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ");
        let any_of = |names: Option<&[T]>| match names {
            None => "any".to_owned(),
            Some([]) => "no caller".to_owned(),
            Some(names) => words(names),
        };
        // Parentheses are in no name of a service.
        let services = match (self.is_for_users, self.services) {
            (true, None) => "(users)".to_owned(),
            (_, services) => any_of(services),
        };
        let services = match self.actors {
            None => services,
            Some([]) => "no caller".to_owned(),
            Some(actors) => {
                let actors = actors.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" or ");
                format!("{services} (via {actors})")
            }
        };
        let alternatives = self.any_scope.map(|scopes| match scopes {
            [] => "no caller".to_owned(),
            scopes => format!("({})", scopes.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" or ")),
        });
        let scopes = (!self.scopes.is_empty()).then(|| words(self.scopes));
        let scopes = scopes.into_iter().chain(alternatives).collect::<Vec<_>>().join(" ");
        let scopes = if scopes.is_empty() { "none".to_owned() } else { scopes };
        let claims = || match self.claims.as_slice() {
            [] => "none".to_owned(),
            claims => {
                claims.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
            }
        };
        let age = self.max_age.map_or("any".to_owned(), |seconds| format!("{seconds}s"));
        let issuers = optional.issuers.then(|| any_of(self.issuers));
        let proof = optional.proof.then(|| self.proof.map_or("none", RequiredProof::as_str).to_owned());
        let asked = [services, any_of(self.roles), scopes];
        issuers
            .into_iter()
            .chain(asked)
            .chain(optional.claims.then(claims))
            .chain([age])
            .chain(proof)
            .collect()
    }
}

impl Optional {
    /// The columns that one of the rows needs.
    pub(crate) fn of(needs: impl Iterator<Item = Self>) -> Self {
        needs.fold(Self::default(), |all, row| Self {
            issuers: all.issuers || row.issuers,
            claims: all.claims || row.claims,
            proof: all.proof || row.proof,
        })
    }
}
