//! Prints audit records as a table for people.

use std::fmt;

use service_only::audit::AuditRecord;

const COLUMNS: [&str; 7] = ["decision", "status", "code", "service", "request", "endpoint", "reason"];

/// Writes one line per record. Records are safe to print: the runtime escapes the caller's data.
pub(crate) fn write(f: &mut fmt::Formatter<'_>, events: &[AuditRecord]) -> fmt::Result {
    if events.is_empty() {
        return f.write_str("the audit has no records\n");
    }
    let rows: Vec<_> = std::iter::once(COLUMNS.map(str::to_owned)).chain(events.iter().map(row)).collect();
    let mut widths = [0; COLUMNS.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in &rows {
        let cells: Vec<_> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(f, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

fn row(event: &AuditRecord) -> [String; COLUMNS.len()] {
    let text = |value: Option<&str>| value.unwrap_or("-").to_owned();
    let service = match (&event.service, &event.unverified_service) {
        (Some(service), _) => service.to_string(),
        (None, Some(claimed)) => format!("({claimed})"),
        (None, None) => text(None),
    };
    let request = match (&event.method, &event.path) {
        (Some(method), Some(path)) => format!("{method} {path}"),
        _ => text(None),
    };
    [
        event.decision.as_str().to_owned(),
        event.status.to_string(),
        text(event.code.map(|code| code.as_str())),
        service,
        request,
        event.endpoint.map_or_else(|| text(None), |endpoint| endpoint.function().to_owned()),
        text(event.reason.as_deref()),
    ]
}
