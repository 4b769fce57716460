//! The result of a revocation, in words and as JSON.

use serde_json::{Value, json};
use service_only_store::{Coverage, NewRevocation, RevocationRecord, RevocationTarget, Revoked, StoreError};

use crate::members;
use crate::output;
use crate::store;

/// The result of a revocation, or of its dry run.
pub(crate) struct Made {
    pub(super) revocation: NewRevocation,
    /// Its number; `None` if it was only tried.
    pub(crate) number: Option<i64>,
    pub(super) outcome: Revoked,
    /// The tokens of the registry that it covers, counted before.
    pub(crate) counted: Coverage,
    pub(super) purged: Option<Result<u64, StoreError>>,
}

impl Made {
    /// What is revoked, or would be.
    pub(crate) fn sentence(&self) -> String {
        let revocation = &self.revocation;
        let (kind, name, _) = store::columns(&revocation.target);
        let text = match (self.outcome, self.number) {
            (Revoked::New, Some(_)) => "revoked",
            (Revoked::New, None) => "would be revoked",
            (Revoked::Extended, Some(_)) => "revoked, further than before",
            (Revoked::Extended, None) => "would be revoked, further than before",
            (_, Some(_)) => "revoked already, nothing has changed",
            (_, None) => "revoked already, nothing would change",
        };
        let reach = store::reach(&revocation.target);
        format!("{text}: {kind} `{name}` of `{}`{reach}", revocation.issuer)
    }

    pub(crate) fn json(&self) -> Value {
        let revocation = &self.revocation;
        let (kind, name, until) = store::columns(&revocation.target);
        let word = match self.outcome {
            Revoked::New => "new",
            Revoked::Extended => "extended",
            _ => "already",
        };
        json!({
            "dry_run": self.number.is_none(), "outcome": word, "revocation": self.number, "kind": kind,
            "issuer": revocation.issuer, "name": name, "until": until.map(members::instant),
            "known_tokens": self.counted.tokens, "valid_tokens": self.counted.valid,
            "counted_all": self.counted.complete,
        })
    }

    pub(super) fn warn(&self) {
        if self.counted.valid == 0 && self.outcome == Revoked::New {
            output::warning(
                "the registry contains no valid token that this revocation covers; it applies to tokens that the registry does not contain",
            );
        }
        if self.counted.valid_later > 0 {
            output::note(&format!(
                "{} valid tokens of the service were issued later and stay valid",
                self.counted.valid_later
            ));
        }
    }
}

/// The outcome that a revocation would have.
pub(super) fn outcome(known: Option<&RevocationRecord>, target: &RevocationTarget) -> Revoked {
    let until = |target: &RevocationTarget| match target {
        RevocationTarget::Token { expires_at, .. } => Some(*expires_at),
        RevocationTarget::Service { issued_by, .. } => Some(*issued_by),
        RevocationTarget::Key { .. } => None,
    };
    match known {
        None => Revoked::New,
        Some(known) if until(target) > until(&known.revocation.target) => Revoked::Extended,
        Some(_) => Revoked::Already,
    }
}
