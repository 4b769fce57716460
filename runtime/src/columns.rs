//! Who may call what, in columns, for a person and for a snapshot.

use std::fmt;

use crate::policy::Policy;

/// Writes a table. The last cell of a row that is shorter than the head may be as wide as it likes.
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

/// The cells of what a handler asks: services, roles, scopes, age.
pub(crate) fn asked(policy: &Policy<'_>) -> [String; 4] {
    let age = policy.allowed_age().map(|age| age.as_secs());
    cells(policy.allowed_services(), policy.allowed_roles(), policy.required_scopes(), age)
}

pub(crate) fn cells<T: AsRef<str>>(
    services: Option<&[T]>,
    roles: Option<&[T]>,
    scopes: &[T],
    max_age: Option<u64>,
) -> [String; 4] {
    let words = |names: &[T]| names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ");
    let any_of = |names: Option<&[T]>| match names {
        None => "any".to_owned(),
        Some([]) => "nobody".to_owned(),
        Some(names) => words(names),
    };
    let scopes = if scopes.is_empty() { "none".to_owned() } else { words(scopes) };
    let age = max_age.map_or("any".to_owned(), |seconds| format!("{seconds}s"));
    [any_of(services), any_of(roles), scopes, age]
}
