use super::{json_lines::tests::event, *};

/// A sink that returns the same result for every call.
#[derive(Clone, Default)]
struct Fixed {
    off: bool,
    required: bool,
    error: Option<AuditError>,
}

impl AuditSink for Fixed {
    fn record(&self, _: &AuditEvent<'_>) -> Result<(), AuditError> {
        self.error.clone().map_or(Ok(()), Err)
    }

    fn ready(&self) -> Result<(), AuditError> {
        self.error.clone().map_or(Ok(()), Err)
    }

    fn is_required(&self) -> bool {
        self.required
    }

    fn is_off(&self) -> bool {
        self.off
    }
}

#[test]
fn a_pair_is_off_when_both_are_and_required_when_one_is() {
    for (first, second) in [(false, false), (false, true), (true, false), (true, true)] {
        let off = |off| Fixed { off, ..Fixed::default() };
        let required = |required| Fixed { required, ..Fixed::default() };
        assert_eq!((off(first), off(second)).is_off(), first && second);
        assert_eq!((required(first), required(second)).is_required(), first || second);
        // Shared, it is what it was.
        assert_eq!(Arc::new((off(first), off(second))).is_off(), first && second);
        assert_eq!(Arc::new((required(first), required(second))).is_required(), first || second);
    }
    assert!((NoAudit, NoAudit).is_off() && !(NoAudit, TracingAudit).is_off());
}

#[test]
fn a_pair_fails_when_one_does_and_its_loss_is_logged_when_every_loss_was() {
    let quiet = AuditError::new("quiet");
    let loud = AuditError::new("loud").logged();
    let none = || None;
    let (quiet, loud) = (|| Some(quiet.clone()), || Some(loud.clone()));
    let cases = [
        (none(), none(), None),
        (quiet(), none(), quiet()),
        (none(), quiet(), quiet()),
        (loud(), none(), loud()),
        (none(), loud(), loud()),
        (quiet(), loud(), quiet()),
        (loud(), quiet(), quiet()),
        (loud(), loud(), loud()),
    ];
    for (first, second, expected) in cases {
        let [one, other] = [&first, &second].map(|error| Fixed { error: error.clone(), ..Fixed::default() });
        let pair = (one, other);
        assert_eq!(pair.record(&event("/")).err(), expected, "{first:?} {second:?}");
        assert_eq!(pair.ready().is_err(), first.or(second).is_some());
    }
}
