//! What operators and callers see when the queue is full.

use super::*;
use crate::{
    Algorithm, Verifier,
    error::Code,
    issue::{Issuer, SigningKey},
};

/// Returns what is logged while `act` runs on this thread.
fn logged(act: impl FnOnce()) -> Vec<serde_json::Value> {
    let log = Shared::default();
    let to = log.clone();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || to.clone()).finish();
    tracing::subscriber::with_default(subscriber, act);
    let lines = log.lines();
    let lines = lines.iter().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|line| line["target"] == "service_only::audit").map(|line| line["fields"].clone()).collect()
}

#[test]
fn losses_are_logged_when_they_begin_and_counted_when_there_was_none_for_a_second() {
    let _alone = alone();
    let queue = Arc::new(Queue::new(1, WhenFull::Drop, None));
    let mut writer = Writer::new(Plain::new(io::sink()), Arc::clone(&queue));
    let push = || queue.push(true, |lines, line| lines.add(line, &event("/")), || ());
    let begun = logged(|| {
        push().unwrap();
        for _ in 0..3 {
            assert!(push().unwrap_err().is_logged(), "not once more for every record");
        }
    });
    assert_eq!(begun.len(), 1, "{begun:?}");
    assert_eq!(begun[0]["message"], "the audit queue is full, so records are being lost");

    let naps = |writer: &mut Writer<Plain<_>>, naps| (0..naps).for_each(|_| writer.look_at_losses());
    let over = logged(|| {
        naps(&mut writer, QUIET);
        // Another loss restarts the second.
        push().unwrap_err();
        naps(&mut writer, QUIET);
    });
    assert!(over.is_empty(), "{over:?}");
    let over = logged(|| naps(&mut writer, 1));
    assert_eq!(over, [serde_json::json!({ "message": "the audit queue has room again", "lost": 4 })]);

    let again = logged(|| {
        push().unwrap_err();
        naps(&mut writer, QUIET + 1);
    });
    assert_eq!((again.len(), &again[1]["lost"]), (2, &1.into()), "{again:?}");
    assert_eq!(queue.lost(), 5);
}

#[test]
fn losses_that_last_until_the_end_are_counted_there() {
    let _alone = alone();
    let queue = Arc::new(Queue::new(2, WhenFull::Drop, None));
    let push = || queue.push(true, |lines, line| lines.add(line, &event("/")), || ());
    let lines = logged(|| {
        push().unwrap();
        push().unwrap();
        push().unwrap_err();
        queue.close(JsonLinesAudit::DEFAULT_FLUSH_TIMEOUT);
        Writer::new(Plain::new(io::sink()), Arc::clone(&queue)).run();
    });
    assert_eq!((lines.len(), &lines[1]["lost"]), (2, &1.into()), "{lines:?}");
}

#[test]
fn callers_are_refused_while_the_queue_of_a_sink_that_denies_is_nearly_full() {
    let _alone = alone();
    let disk = Stuck::default();
    let builder = JsonLinesAudit::builder().queue(8).when_full(WhenFull::Deny);
    let audit = builder.to_writer(disk.clone()).unwrap();
    let key = SigningKey::generate(Algorithm::HS256).unwrap();
    let verifier = Verifier::builder().issuer("bakery-auth").keys(key.verifying_key()).audit(audit.clone());
    let verifier = verifier.build().unwrap();
    let issuer = Issuer::builder().issuer("bakery-auth").key(key).build().unwrap();
    let token = issuer.token_for("orders").mint().unwrap();

    // Seven records wait; the writer has taken some of them.
    let mut verified = (0..16).map(|_| verifier.verify(token.as_str()));
    let refused = verified.find_map(Result::err).unwrap();
    assert_eq!((refused.code(), refused.status()), (Code::AuditUnavailable, 503));
    disk.release();
    audit.flush().unwrap();
    verifier.verify(token.as_str()).unwrap();
    assert_eq!(audit.dropped(), 0, "the refusal was recorded too");
}
