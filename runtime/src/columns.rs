//! Formats the policies of handlers in columns, for a reader and for a snapshot.

use std::fmt;

use crate::policy::Policy;

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

/// The head of the policy columns: services, roles, scopes, age. A column for issuers comes first if one of the
/// handlers requires some.
pub(crate) fn head<const N: usize>(first: [&str; N], with_issuers: bool) -> Vec<String> {
    let issuers = with_issuers.then_some("issuers");
    let rest = ["services", "roles", "scopes", "max_age"];
    first.into_iter().chain(issuers).chain(rest).map(str::to_owned).collect()
}

/// The cells of a policy, in the order of that head.
pub(crate) fn asked(policy: &Policy<'_>, with_issuers: bool) -> Vec<String> {
    let age = policy.allowed_age().map(|age| age.as_secs());
    let issuers = with_issuers.then_some(policy.allowed_issuers());
    cells(issuers, policy.allowed_services(), policy.allowed_roles(), policy.required_scopes(), age)
}

/// `issuers` is `None` for a table without a column of issuers.
pub(crate) fn cells<T: AsRef<str>>(
    issuers: Option<Option<&[T]>>,
    services: Option<&[T]>,
    roles: Option<&[T]>,
    scopes: &[T],
    max_age: Option<u64>,
) -> Vec<String> {
    let words = |names: &[T]| names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ");
    let any_of = |names: Option<&[T]>| match names {
        None => "any".to_owned(),
        Some([]) => "no caller".to_owned(),
        Some(names) => words(names),
    };
    let scopes = if scopes.is_empty() { "none".to_owned() } else { words(scopes) };
    let age = max_age.map_or("any".to_owned(), |seconds| format!("{seconds}s"));
    let issuers = issuers.map(any_of);
    issuers.into_iter().chain([any_of(services), any_of(roles), scopes, age]).collect()
}
