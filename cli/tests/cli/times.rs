//! Times and durations as operators write them: read as they mean, or refused with what was expected.

use crate::sandbox::Ran;
use crate::store::{mint, sandboxes, with_store};

fn until(ran: &Ran) -> String {
    ran.json()["until"].as_str().unwrap().to_owned()
}

#[test]
fn every_form_of_rfc_3339_is_read_correctly() {
    let sandbox = with_store("sqlite:tokens.db");
    mint(&sandbox, &["orders"]);
    for (before, meant) in [
        ("2026-01-31T10:00:00.5+02:00", "2026-01-31T08:00:00Z"),
        ("2026-01-31T10:00:01+02:00", "2026-01-31T08:00:01Z"),
        ("2026-01-31t10:00:02-05:30", "2026-01-31T15:30:02Z"),
        ("2026-01-31 16:00:00z", "2026-01-31T16:00:00Z"),
        ("1769875201", "2026-01-31T16:00:01Z"),
    ] {
        let ran =
            sandbox.run(&["revoke", "--service", "orders", "--before", before, "--format", "json"]).done();
        assert_eq!(until(&ran), meant, "{before}");
    }
}

#[test]
fn ambiguous_time_is_refused_and_nothing_is_revoked() {
    for sandbox in sandboxes() {
        let (_, jti) = mint(&sandbox, &["orders"]);
        let ahead = (crate::rotate::now() + 120).to_string();
        let milliseconds = format!("{}000", crate::rotate::now());
        for (before, part) in [
            ("2026-01-31T10:00:00", "no offset"),
            ("2026-01-31 10:00:00", "no offset"),
            ("2026-01-31", "no offset"),
            ("10:00", "not an instant"),
            ("yesterday", "not an instant"),
            ("", "not an instant"),
            ("2026-01-31T10:00:00+02:00[Europe/Berlin]", "offset"),
            (&ahead, "ahead of this machine's clock"),
            ("2100-01-01T00:00:00Z", "ahead of this machine's clock"),
            (&milliseconds, "milliseconds"),
            ("99999999999999999999999", "not an instant"),
            ("20260131", "looks like a date"),
            ("2026", "looks like a date"),
            ("20260131100000", "looks like a date"),
            ("0", "no token is that old"),
            ("1769875", "no token is that old"),
            ("1969-12-31T23:59:59Z", "no token is that old"),
        ] {
            let message = sandbox.run(&["revoke", "--service", "orders", "--before", before]).refused();
            assert!(message.contains(part), "{before}: {message}");
        }
        let over = (crate::rotate::now() - 1).to_string();
        for (expires, part) in [
            ("2026-01-31T10:00:00Z", "which is in the past"),
            (over.as_str(), "which is in the past"),
            ("now", "which is in the past"),
            ("2030-01-31T10:00:00", "no offset"),
            (&milliseconds, "milliseconds"),
        ] {
            for name in [jti.as_str(), "unknown"] {
                let message = sandbox.run(&["revoke", name, "--expires", expires]).refused();
                assert!(message.contains(part), "{expires}: {message}");
            }
        }
        assert_eq!(sandbox.run(&["revocations"]).done().stdout, "");
        for good in ["now", &(crate::rotate::now() + 30).to_string()] {
            sandbox.run(&["revoke", "--service", "orders", "--before", good]).done();
        }
    }
}

#[test]
fn durations_without_a_unit_or_with_parts_of_seconds_are_refused_with_the_way_to_write_them() {
    let sandbox = with_store("sqlite:tokens.db");
    let (token, _) = mint(&sandbox, &["orders"]);
    for (text, part) in
        [("3600", "`3600s`"), ("1500ms", "whole seconds"), ("0s", "at least one second"), ("", "365d")]
    {
        for arguments in [
            &["expiring", "--within", text][..],
            &["renew", "--out-dir", "t", "--within", text],
            &["renew", "--out-dir", "t", "--lifetime", text],
            &["generate", "orders", "--lifetime", text],
            &["dev", "orders", "--lifetime", text],
            &["verify", "--max-age", text, "-"],
        ] {
            let ran = sandbox.feed(arguments, &token);
            assert_eq!(ran.code, 2, "{arguments:?}");
            assert!(ran.stderr.contains(part), "{arguments:?}: {}", ran.stderr);
        }
    }
    let year = crate::rotate::now().to_string() + "000";
    assert!(sandbox.feed(&["verify", "--now", &year, "-"], &token).refused().contains("milliseconds"));
    sandbox.feed(&["verify", "--now", "now", "--leeway", "30s", "-"], &token).done();
    let ran = sandbox.feed(&["verify", "--now", "2100-01-01T00:00:00+01:00", "-"], &token);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let message = sandbox.feed(&["verify", "--leeway", "soon", "-"], &token).refused();
    assert!(message.contains("`soon`") && message.contains("`30s`"), "{message}");
}
