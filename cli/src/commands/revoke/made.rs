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
    /// How many tokens of the service it also revokes one by one, because their `iat` is ahead of the clock. The
    /// revocation of the service covers them only until that time comes.
    pub(super) ahead: usize,
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
            (Revoked::Covered, Some(_)) => {
                "revoked further already, the new revocation applies if this one is undone"
            }
            (Revoked::Covered, None) => {
                "revoked further already, the new revocation would apply if this one is undone"
            }
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
            Revoked::Covered => "covered",
            _ => "already",
        };
        json!({
            "dry_run": self.number.is_none(), "outcome": word, "revocation": self.number, "kind": kind,
            "issuer": revocation.issuer, "name": name, "until": until.map(members::instant),
            "known_tokens": self.counted.tokens, "valid_tokens": self.counted.valid,
            "counted_all": self.counted.complete, "revoked_one_by_one": self.ahead,
        })
    }

    pub(super) fn warn(&self) {
        if self.counted.valid == 0 && self.outcome == Revoked::New {
            output::warning(
                "the registry contains no valid token that this revocation covers; it applies to tokens that the registry does not contain",
            );
        }
        if self.ahead > 0 {
            let (are, again) = match (self.number, self.ahead >= super::MOST_AHEAD as usize) {
                (None, _) => ("would also be", ""),
                (Some(_), false) => ("are also", ""),
                (Some(_), true) => {
                    ("are also", "; there may be more of them: repeat the command, or revoke their key")
                }
            };
            output::warning(&format!(
                "the clock was wrong when {} good tokens of the service were minted: their `iat` is ahead, so they {are} \
                 revoked one by one{again}",
                self.ahead
            ));
        }
        if self.counted.valid_later > 0 {
            let later = match self.counted.valid_later {
                1 => "1 valid token of the service was issued later and stays valid".to_owned(),
                later => format!("{later} valid tokens of the service were issued later and stay valid"),
            };
            output::note(&later);
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
        Some(known) if until(target) < until(&known.revocation.target) => Revoked::Covered,
        Some(_) => Revoked::Already,
    }
}
