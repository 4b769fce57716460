//! The trace and the span of a W3C `traceparent` header, if the header is valid.

/// The span of the request's sender, as its `traceparent` names it. It only selects a trace; no decision depends on
/// it.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParentSpan {
    /// The id of the span in its trace.
    pub id: u64,
    /// Whether the sender records the trace.
    pub is_sampled: bool,
}

#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) struct TraceParent<'h> {
    pub(crate) trace_id: &'h str,
    /// `None` if the id is all zeros, which names no span.
    pub(crate) span: Option<ParentSpan>,
}

/// Parses `version "-" trace-id "-" parent-id "-" trace-flags`, lower-case hexadecimal (W3C Trace Context
/// section 3.2.2). Any other text is ignored and not logged.
pub(crate) fn trace_parent(traceparent: &[u8]) -> Option<TraceParent<'_>> {
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
    if !(well_formed && known && set) {
        return None;
    }
    let is_sampled = u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & SAMPLED != 0);
    let id = u64::from_str_radix(parent, 16).ok().filter(|id| *id != 0);
    Some(TraceParent { trace_id: trace, span: id.map(|id| ParentSpan { id, is_sampled }) })
}

/// The flag of a sampled trace (W3C Trace Context section 3.2.2.5.1).
const SAMPLED: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_traceparent_contains_a_trace_id() {
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
            let found = trace_parent(header.as_bytes()).map(|parent| parent.trace_id);
            assert_eq!(found, valid.then_some(id), "{header:?}");
        }
    }

    #[test]
    fn span_id_and_flag_are_read_and_zero_is_not_a_span() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let span = |rest: &str| trace_parent(format!("00-{trace}-{rest}").as_bytes()).unwrap().span;
        let id = 0x00f0_67aa_0ba9_02b7;
        assert_eq!(span("00f067aa0ba902b7-01"), Some(ParentSpan { id, is_sampled: true }));
        assert_eq!(span("00f067aa0ba902b7-02"), Some(ParentSpan { id, is_sampled: false }));
        assert_eq!(span("0000000000000000-01"), None);
    }
}
