//! The trace id of a W3C `traceparent` header, if the header is valid.

/// `version "-" trace-id "-" parent-id "-" trace-flags`, lower-case hexadecimal (W3C Trace Context
/// section 3.2.2). Anything else is ignored rather than logged.
pub(crate) fn trace_id(traceparent: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(traceparent).ok()?;
    let mut fields = text.split('-');
    let (version, trace, parent, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let hex = |field: &str, length| {
        field.len() == length && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let well_formed = hex(version, 2) && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    // Version 00 has four fields, later ones may have more; ff is not a version.
    let known = version != "ff" && (version != "00" || fields.next().is_none());
    let set = trace.bytes().any(|byte| byte != b'0');
    (well_formed && known && set).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_traceparent_gives_a_trace_id() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let cases = [
            (format!("00-{id}-00f067aa0ba902b7-01"), true),
            (format!("01-{id}-00f067aa0ba902b7-01-more"), true),
            (format!("00-{id}-00f067aa0ba902b7-01-more"), false),
            (format!("ff-{id}-00f067aa0ba902b7-01"), false),
            (format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()), false),
            (format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), false),
            (format!("00-{id}"), false),
            (format!("00-{id}\n-00f067aa0ba902b7-01"), false),
            (String::new(), false),
        ];
        for (header, valid) in cases {
            assert_eq!(trace_id(header.as_bytes()), valid.then_some(id), "{header:?}");
        }
    }
}
