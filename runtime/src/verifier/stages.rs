//! The stages of authentication in order. The first stage that fails is the one reported.

use std::sync::Arc;

use super::{Verifier, cache::Grounds};
use crate::{
    bearer::missing_token,
    caller::{Caller, Identity, User},
    claims::{self, Origin, RawClaims, TokenMembers},
    denial::{Code, Denial, Stage},
    evidence::Evidence,
    recorder::Refused,
    revocation::PresentedToken,
    times::Moment,
    token::{Header, HeaderRoom, PayloadRoom, Segments},
    trusted::{Acceptance, Claims, Signed, Trusted, accept_certificate},
};

/// The verification of one token at one instant.
pub(crate) struct Verification<'v> {
    pub(crate) verifier: &'v Verifier,
    /// What the sender of the token gives besides it.
    pub(crate) evidence: Evidence<'v>,
    pub(crate) at: Moment,
    /// The facts that the acceptance depends on, for the token cache.
    pub(crate) grounds: Grounds,
}

impl Verification<'_> {
    /// Splits the token, reads its header and tries the issuers. Returns the identity and the index of its issuer.
    pub(crate) fn run(&mut self, token: &str) -> Result<(Identity, usize), Refused> {
        let segments = Segments::split(token)?;
        let mut room = HeaderRoom::new();
        let accepted = match segments.header(&mut room) {
            Ok(header) => {
                let accepted = self.by_any_issuer(&segments, &header);
                accepted.inspect(|_| segments.keep_header(&header))
            }
            Err(denial) => Err(Refused::from(denial)),
        };
        accepted.map_err(|refused| Refused { unverified_service: unverified_service(&segments), ..refused })
    }

    /// Returns the identity from the first issuer that accepts the token, or else the refusal of the latest stage. `iss`
    /// selects the issuers to try: no other could accept the token. If it selects none, all refuse it.
    fn by_any_issuer(
        &mut self,
        segments: &Segments<'_>,
        header: &Header<'_>,
    ) -> Result<(Identity, usize), Refused> {
        let mut refused = None;
        let issuers = &self.verifier.0.issuers;
        let mut room = PayloadRoom::new();
        let origin = match issuers.as_slice() {
            [_] => None,
            _ => segments.payload(&mut room).ok().and_then(Origin::read),
        };
        let origin = origin.filter(|origin| issuers.iter().any(|issuer| issuer.is_origin(origin)));
        for (index, issuer) in issuers.iter().enumerate() {
            if origin.as_ref().is_some_and(|origin| !issuer.is_origin(origin)) {
                self.grounds.passed_over(|| issuer.keys_now());
                continue;
            }
            match self.by_issuer(issuer, segments, header) {
                Ok(identity) => return Ok((identity, index)),
                Err(next) => {
                    self.grounds.refused(&next.denial);
                    refused = Some(later(refused, next));
                }
            }
        }
        Err(refused.unwrap_or_else(|| Denial::new(Code::UnknownKey, "no issuer is trusted").into()))
    }

    fn by_issuer(
        &mut self,
        issuer: &Arc<Trusted>,
        segments: &Segments<'_>,
        header: &Header<'_>,
    ) -> Result<Identity, Refused> {
        let keys = issuer.keys_now()?;
        self.grounds.keys(&keys);
        let signed = issuer.check_signature(segments, header, keys)?;
        let key_id = signed.key_id.clone();
        // Only from here on do the claims come from the issuer.
        self.accept(issuer, segments, signed).map_err(|denial| Refused { key_id, ..denial.into() })
    }

    fn accept(
        &mut self,
        issuer: &Arc<Trusted>,
        segments: &Segments<'_>,
        signed: Signed,
    ) -> Result<Identity, Denial> {
        let mut room = PayloadRoom::new();
        let payload = segments.payload(&mut room)?;
        let mut raw = RawClaims::parse(payload)?;
        let confirmation = issuer.confirmation(&raw, payload)?;
        raw.confirmation = confirmation;
        let (claims, times) = issuer.check_claims(&raw, payload, self.evidence, self.at)?;
        let keeps_payload = match &claims {
            Claims::Service(_) => issuer.kind.has_subjects() || raw.exceeds_service_claims(),
            Claims::User(_) => true,
        };
        let members = if keeps_payload { TokenMembers::of_payload(payload) } else { TokenMembers::default() };
        let recorder = Arc::clone(self.verifier.recorder());
        let acceptance = Acceptance::Token { issuer: Arc::clone(issuer), signed, confirmation };
        self.verifier.check_required_proof(&acceptance)?;
        let identity = match claims {
            Claims::Service(claims) => {
                Identity::Service(Caller::verified(claims, members, acceptance, recorder))
            }
            Claims::User(claims) => Identity::User(User::verified(claims, members, acceptance, recorder)),
        };
        let epoch = self.verifier.check_revocation(&identity.presented(self.at))?;
        self.grounds.accepted(times, epoch);
        Ok(identity)
    }
}

/// Accepts the certificate of the connection of a request without a token. Its signatures were checked in the handshake;
/// its name, times and roots are checked here.
pub(crate) fn by_certificate(
    verifier: &Verifier,
    evidence: Evidence<'_>,
    at: Moment,
) -> Result<Caller, Refused> {
    let accepted = || {
        let peer = evidence.peer.ok_or_else(missing_token)?;
        let (claims, domain) = accept_certificate(&verifier.0.domains, peer, at)?;
        let acceptance = Acceptance::Certificate { domain, peer: peer.clone() };
        verifier.check_required_proof(&acceptance)?;
        let recorder = Arc::clone(verifier.recorder());
        let caller = Caller::verified(claims, TokenMembers::default(), acceptance, recorder);
        verifier.check_revocation(&caller.presented(at))?;
        Ok(caller)
    };
    accepted().map_err(|denial: Denial| denial.without_token().into())
}

impl Verifier {
    /// Checks the proof that the verifier requires of all callers.
    fn check_required_proof(&self, acceptance: &Acceptance) -> Result<(), Denial> {
        self.recorder().required_proof.map_or(Ok(()), |required| required.check(acceptance.proof()))
    }

    /// Returns the epoch in which the credential is not revoked.
    fn check_revocation(&self, presented: &PresentedToken<'_>) -> Result<Option<u64>, Denial> {
        let revocation = self.recorder().revocation.as_ref();
        revocation.map_or(Ok(None), |revocation| revocation.check(presented))
    }
}

/// The refusal of the later stage; of one stage, the earlier issuer's. Before the claims, the other refusal may know
/// the key.
fn later(first: Option<Refused>, second: Refused) -> Refused {
    let Some(first) = first else { return second };
    let is_first = first.denial.stage() >= second.denial.stage();
    let (reported, other) = if is_first { (first, second) } else { (second, first) };
    match reported.key_id {
        None if reported.denial.stage() <= Stage::Signature => Refused { key_id: other.key_id, ..reported },
        _ => reported,
    }
}

/// The service name in the token, for the record of a token that is not accepted.
pub(crate) fn unverified_service(segments: &Segments<'_>) -> Option<String> {
    let mut room = PayloadRoom::new();
    claims::unverified_service(segments.payload(&mut room).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeyId;

    fn refused(code: Code, key: Option<&str>) -> Refused {
        Refused { key_id: key.map(KeyId::new), ..Denial::new(code, "the reason").into() }
    }

    #[test]
    fn of_two_issuers_the_refusal_of_the_later_stage_is_reported() {
        // The key of the other refusal is known only while the claims were not read.
        for (first, second, code, key) in [
            (refused(Code::BadSignature, None), refused(Code::Expired, Some("k")), Code::Expired, Some("k")),
            (refused(Code::Expired, Some("k")), refused(Code::BadSignature, None), Code::Expired, Some("k")),
            (refused(Code::Expired, None), refused(Code::Malformed, Some("k")), Code::Expired, None),
            (refused(Code::Malformed, Some("k")), refused(Code::Expired, None), Code::Expired, None),
            (
                refused(Code::BadSignature, None),
                refused(Code::Malformed, Some("k")),
                Code::BadSignature,
                Some("k"),
            ),
            (
                refused(Code::Malformed, Some("k")),
                refused(Code::BadSignature, None),
                Code::BadSignature,
                Some("k"),
            ),
            (
                refused(Code::Expired, Some("a")),
                refused(Code::WrongIssuer, Some("b")),
                Code::Expired,
                Some("a"),
            ),
        ] {
            let reported = later(Some(first), second);
            let name = reported.key_id.as_ref().map(KeyId::as_str);
            assert_eq!((reported.denial.code(), name), (code, key));
        }
        assert_eq!(later(None, refused(Code::Expired, None)).denial.code(), Code::Expired);
    }
}
