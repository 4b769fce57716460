//! What holds for every token: properties over random tokens, changes and claims.
//!
//! Keys are made once. Tokens are signed by hand where an issuer would not write them so.

use std::time::Duration;

use crate::proof::{
    oracle::{self, Verdict},
    payload,
    signing::{NOW, compact, key, sign, token, verifier},
};
use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, Request, header::AUTHORIZATION},
};
use proptest::{collection::vec, option, prelude::*, sample, strategy::ValueTree, test_runner::TestRunner};
use service_only::{
    Algorithm, Caller, KeySet, TrustedIssuer, Verifier, VerifyingKey,
    claims::ServiceClaims,
    clock::{Clock, FixedClock, SystemClock, Timestamp},
    issue::Issuer,
};

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn algorithm() -> impl Strategy<Value = Algorithm> {
    sample::select(&Algorithm::ALL[..])
}

/// The token must be refused, whatever was done to it.
fn refused(verifier: &Verifier, token: &[u8]) -> Result<(), TestCaseError> {
    // A verifier takes text; what is none cannot even be asked.
    let Ok(text) = std::str::from_utf8(token) else { return Ok(()) };
    let verdict = verifier.verify(text);
    prop_assert!(verdict.is_err(), "accepted: {text}");
    Ok(())
}

#[test]
fn a_token_of_any_algorithm_is_refused_after_the_change_of_any_single_bit() {
    let mut count = 0;
    for algorithm in Algorithm::ALL {
        let (verifier, token) = (verifier(algorithm), token(algorithm));
        assert!(verifier.verify(&token).is_ok(), "{algorithm}");
        // The eighth bit makes it another text altogether, or none.
        for (position, bit) in (0..token.len()).flat_map(|position| (0..8).map(move |bit| (position, bit))) {
            let mut changed = token.clone().into_bytes();
            changed[position] ^= 1 << bit;
            refused(&verifier, &changed).unwrap();
            count += 1;
        }
    }
    eprintln!("{count} single-bit changes");
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn a_token_is_refused_when_bits_of_it_change(
        algorithm in algorithm(),
        claims in payload::valid(),
        position in any::<sample::Index>(),
        bits in 1..=0x7f_u8,
    ) {
        let token = sign(key(algorithm), &payload::text(&claims));
        prop_assert!(verifier(algorithm).verify(&token).is_ok());
        let mut changed = token.into_bytes();
        let position = position.index(changed.len());
        changed[position] ^= bits;
        refused(&verifier(algorithm), &changed)?;
    }

    #[test]
    fn a_token_is_refused_when_it_is_cut(algorithm in algorithm(), at in any::<sample::Index>()) {
        let token = token(algorithm).into_bytes();
        let at = at.index(token.len());
        refused(&verifier(algorithm), &token[..at])?;
        refused(&verifier(algorithm), &token[at + 1..])?;
        refused(&verifier(algorithm), &[&token[..at], &token[at + 1..]].concat())?;
    }

    #[test]
    fn a_token_is_refused_when_text_is_inserted(
        algorithm in algorithm(),
        at in any::<sample::Index>(),
        text in "[A-Za-z0-9_.=+/~ \\n\\x00-]{1,4}|\\PC{1,2}",
    ) {
        let token = token(algorithm).into_bytes();
        let at = at.index(token.len() + 1);
        refused(&verifier(algorithm), &[&token[..at], text.as_bytes(), &token[at..]].concat())?;
    }

    #[test]
    fn a_token_is_refused_when_two_bytes_change_places(
        algorithm in algorithm(),
        first in any::<sample::Index>(),
        second in any::<sample::Index>(),
    ) {
        let mut changed = token(algorithm).into_bytes();
        let (first, second) = (first.index(changed.len()), second.index(changed.len()));
        prop_assume!(changed[first] != changed[second]);
        changed.swap(first, second);
        refused(&verifier(algorithm), &changed)?;
    }

    #[test]
    fn segments_of_different_tokens_do_not_fit_together(
        algorithm in algorithm(),
        one in payload::valid(),
        other in payload::valid(),
    ) {
        prop_assume!(one != other);
        let (one, other) = (sign(key(algorithm), &payload::text(&one)), sign(key(algorithm), &payload::text(&other)));
        let (one, other): (Vec<_>, Vec<_>) = (one.split('.').collect(), other.split('.').collect());
        refused(&verifier(algorithm), [one[0], one[1], other[2]].join(".").as_bytes())?;
        refused(&verifier(algorithm), [one[0], other[1], one[2]].join(".").as_bytes())?;
        refused(&verifier(algorithm), [one[1], one[0], one[2]].join(".").as_bytes())?;
    }

    #[test]
    fn a_token_of_one_key_is_refused_by_the_verifier_of_another(signer in algorithm(), other in algorithm()) {
        let verdict = verifier(other).verify(&token(signer));
        prop_assert_eq!(verdict.is_ok(), signer == other, "signed by {}, verified for {}", signer, other);
    }
}

/// Otherwise the model would be compared on one kind of claims only.
#[test]
fn the_random_claims_meet_every_verdict() {
    let mut runner = TestRunner::deterministic();
    let mut seen = [0; 3];
    for _ in 0..1000 {
        let claims = payload::any().new_tree(&mut runner).unwrap().current();
        match oracle::verdict(&claims, None, 0) {
            Verdict::Accept(_) => seen[0] += 1,
            Verdict::Refuse(401) => seen[1] += 1,
            Verdict::Refuse(_) => seen[2] += 1,
        }
    }
    eprintln!("accepted, 401 and 403 of 1000 random claims: {seen:?}");
    assert!(seen.iter().all(|&count| count > 50), "{seen:?}");
}

proptest! {
    #![proptest_config(cases(1024))]

    #[test]
    fn order_whitespace_and_unknown_members_change_no_verdict(
        claims in payload::any(),
        spelling in payload::spelling(),
        header_spelling in payload::spelling(),
    ) {
        let key = key(Algorithm::HS256);
        let plain = verifier(Algorithm::HS256).verify(&sign(key, &payload::text(&claims)));
        let header = payload::members(&serde_json::json!({"alg": "HS256", "typ": "JWT", "kid": key.kid()}));
        let other = compact(key, header_spelling.write(&header), spelling.write(&payload::members(&claims)));
        let other = verifier(Algorithm::HS256).verify(&other);
        prop_assert_eq!(
            plain.map(|caller| caller.claims().clone()).map_err(|denial| denial.code()),
            other.map(|caller| caller.claims().clone()).map_err(|denial| denial.code())
        );
    }

    #[test]
    fn a_duplicate_member_is_refused(
        claims in payload::valid(),
        repeated in any::<sample::Index>(),
        spelling in payload::spelling(),
    ) {
        let mut members = payload::members(&claims);
        let (name, value) = members[repeated.index(members.len())].clone();
        members.push((name, value));
        let token = sign(key(Algorithm::HS256), &spelling.write(&members));
        refused(&verifier(Algorithm::HS256), token.as_bytes())?;
    }

    #[test]
    fn the_verdict_on_claims_is_that_of_a_simple_model(
        claims in payload::any(),
        audience in option::of(Just("orders")),
        leeway in sample::select(vec![0, 1, 60]),
    ) {
        let key = key(Algorithm::HS256);
        let builder = Verifier::builder()
            .issuer("bakery-auth")
            .keys(key.verifying_key())
            .clock(FixedClock(NOW))
            .audit(service_only::audit::NoAudit)
            .leeway(Duration::from_secs(leeway));
        let builder = match audience {
            Some(audience) => builder.audience(audience),
            None => builder,
        };
        let verdict = match builder.build().unwrap().verify(&sign(key, &payload::text(&claims))) {
            Ok(caller) => Verdict::Accept(caller.service().to_owned()),
            Err(denial) => Verdict::Refuse(denial.status()),
        };
        let leeway = i64::try_from(leeway).unwrap();
        prop_assert_eq!(verdict, oracle::verdict(&claims, audience, leeway), "{}", claims);
    }
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn verifying_a_minted_token_returns_its_claims(
        algorithm in algorithm(),
        issuer in "\\PC{1,30}",
        service in "[A-Za-z0-9]([A-Za-z0-9._-]{0,60}[A-Za-z0-9])?",
        role in "[!#-\\[\\]-~]{1,20}",
        scopes in vec("[!#-\\[\\]-~]{1,12}", 0..6),
        audience in option::of("\\PC{1,20}"),
        kid in option::of("\\PC{0,40}"),
        lifetime in (1..=3650 * 86_400_u64).prop_map(Duration::from_secs),
        strict in any::<bool>(),
        not_before in option::of(-1_000_000_000_000..=NOW.unix()),
    ) {
        let signing = crate::proof::signing::copy(key(algorithm));
        let signing = match kid {
            Some(kid) => signing.with_kid(kid),
            None => signing,
        };
        let verifying = signing.verifying_key();
        let strict = strict && audience.is_some() && !algorithm.is_symmetric();
        let minter = Issuer::builder().issuer(&issuer).key(signing).clock(FixedClock(NOW));
        let minter = match &audience {
            Some(audience) if strict => minter.strict().audience(audience),
            _ => minter,
        };
        let minter = minter.build().unwrap();
        let request = minter.token_for(&service).role(&role).scopes(&scopes).lifetime(lifetime);
        let request = match &audience {
            Some(audience) => request.audience(audience),
            None => request,
        };
        let request = match not_before {
            Some(not_before) => request.not_before(Timestamp::from_unix(not_before)),
            None => request,
        };
        let minted = request.mint().unwrap();
        let verify_at = |seconds: i64| {
            let trusted = if strict { TrustedIssuer::strict } else { TrustedIssuer::compatible };
            let trusted = trusted(issuer.clone()).keys(verifying.clone()).max_lifetime(lifetime);
            let trusted = match &audience {
                Some(audience) => trusted.audience(audience),
                None => trusted,
            };
            let clock = FixedClock(Timestamp::from_unix(seconds));
            let builder = Verifier::builder().trust(trusted).clock(clock).audit(service_only::audit::NoAudit);
            builder.build().unwrap().verify(minted.as_str())
        };
        let end = NOW.plus(lifetime).unix();
        for now in [NOW.unix(), end - 1] {
            let caller = verify_at(now).unwrap();
            prop_assert_eq!(caller.claims(), minted.claims());
            prop_assert_eq!(caller.key_id(), Some(minted.kid()));
            prop_assert_eq!((caller.service(), caller.role()), (service.as_str(), Some(role.as_str())));
            prop_assert!(scopes.iter().all(|scope| caller.has_scope(scope)));
        }
        prop_assert_eq!(verify_at(end).unwrap_err().code().as_str(), "expired");
    }
}

#[test]
fn a_token_that_no_verifier_would_read_is_not_minted() {
    let issuer = |audiences: usize| {
        let names = (0..audiences).map(|index| format!("service-{index}"));
        let builder =
            Issuer::builder().issuer("bakery-auth").key(crate::proof::signing::copy(key(Algorithm::ES256)));
        names.fold(builder, service_only::issue::IssuerBuilder::audience).build().unwrap()
    };
    assert!(issuer(ServiceClaims::MAX_AUDIENCES).token_for("orders").mint().is_ok());
    let error = issuer(ServiceClaims::MAX_AUDIENCES + 1).token_for("orders").mint().unwrap_err();
    assert_eq!(error.to_string(), "65 audiences, and a token has at most 64");
    let error =
        issuer(0).token_for("orders").scope("s".repeat(Verifier::MAX_TOKEN_LENGTH)).mint().unwrap_err();
    assert!(error.to_string().contains("no verifier reads more than 16384"), "{error}");
    let refused = |request: service_only::issue::TokenRequest<'_>| request.mint().unwrap_err().to_string();
    let one = issuer(1);
    assert!(refused(one.token_for("orders").audience("")).contains("audience"));
    let lifetime = Duration::from_secs(60);
    let soon = SystemClock.now().plus(Duration::from_secs(3600));
    assert!(refused(one.token_for("orders").lifetime(lifetime).not_before(soon)).contains("`nbf`"));
    let key = crate::proof::signing::copy(key(Algorithm::ES256)).with_kid("k".repeat(257));
    let named = Issuer::builder().issuer("bakery-auth").key(key).build().unwrap();
    assert!(refused(named.token_for("orders")).contains("`kid`"));
}

proptest! {
    #![proptest_config(cases(1024))]

    #[test]
    fn no_text_is_a_token(
        text in prop_oneof![
            any::<String>(),
            "[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,60}\\.[A-Za-z0-9_-]{0,60}",
            "\\PC{0,40}\\.\\PC{0,40}\\.\\PC{0,40}",
        ],
        algorithm in algorithm(),
    ) {
        refused(&verifier(algorithm), text.as_bytes())?;
    }

    #[test]
    fn no_signed_bytes_are_a_token_unless_they_are_json(
        header in vec(any::<u8>(), 0..60),
        payload in vec(any::<u8>(), 0..60),
    ) {
        let key = key(Algorithm::HS256);
        let good = serde_json::json!({"alg": "HS256"}).to_string();
        refused(&verifier(Algorithm::HS256), compact(key, &header, &payload).as_bytes())?;
        refused(&verifier(Algorithm::HS256), compact(key, good.as_bytes(), &payload).as_bytes())?;
    }

    #[test]
    fn no_authorization_header_makes_a_caller_without_a_token(
        scheme in prop_oneof![Just(b"Bearer ".to_vec()), Just(b"bearer  ".to_vec()), vec(header_byte(), 0..12)],
        rest in vec(header_byte(), 0..80),
    ) {
        let value = HeaderValue::from_bytes(&[scheme, rest].concat()).unwrap();
        prop_assert!(extract(&[value]).is_none());
    }

    #[test]
    fn an_authorization_header_around_a_token_is_read_exactly(
        before in "(Bearer|bearer|BEARER|Basic|Bear er|)[ \\t]{0,2}",
        after in "[ \\t,;=a-z.-]{0,2}",
        twice in any::<bool>(),
    ) {
        let token = token(Algorithm::HS256);
        let value = HeaderValue::from_str(&format!("{before}{token}{after}")).unwrap();
        let scheme = before.strip_suffix(' ').map(|scheme| scheme.trim_end_matches(' ').to_ascii_lowercase());
        let right = scheme.as_deref() == Some("bearer") && after.is_empty() && !twice;
        let values = if twice { vec![value.clone(), value] } else { vec![value] };
        prop_assert_eq!(extract(&values).is_some(), right, "{:?} {:?}", before, after);
    }

    #[test]
    fn no_bytes_make_the_reader_of_jwk_sets_panic(
        bytes in vec(any::<u8>(), 0..200),
        at in any::<sample::Index>(),
        replaced in 0..8_usize,
        algorithm in algorithm(),
    ) {
        prop_assert!(KeySet::from_jwks(&bytes).is_err());
        let Some(jwk) = key(algorithm).public_jwk() else { return Ok(()) };
        let set = service_only::issue::PublicJwk::set([&jwk]).into_bytes();
        let at = at.index(set.len());
        let end = (at + replaced).min(set.len());
        if let Ok(keys) = KeySet::from_jwks(&[&set[..at], &bytes, &set[end..]].concat()) {
            prop_assert!(keys.len() == 1, "a spoiled set has more keys than it had");
        }
    }

    #[test]
    fn no_bytes_make_the_reader_of_pem_panic(
        bytes in vec(any::<u8>(), 0..200),
        at in any::<sample::Index>(),
        replaced in 0..8_usize,
        algorithm in algorithm(),
    ) {
        prop_assert!(VerifyingKey::from_pem(algorithm, &bytes).is_err());
        let pem = crate::proof::signing::public_pem(algorithm);
        let at = at.index(pem.len());
        let end = (at + replaced).min(pem.len());
        let spoiled = [&pem[..at], &bytes, &pem[end..]].concat();
        for algorithm in Algorithm::ALL {
            let _ = VerifyingKey::from_pem(algorithm, &spoiled);
        }
    }
}

/// The bytes that HTTP lets through in a field value.
fn header_byte() -> impl Strategy<Value = u8> {
    prop_oneof![Just(b'\t'), b' '..=b'~', 0x80..=0xff_u8]
}

/// The caller that a handler would get for these `Authorization` headers.
fn extract(values: &[HeaderValue]) -> Option<Caller> {
    let mut request = Request::new(());
    for value in values {
        request.headers_mut().append(AUTHORIZATION, value.clone());
    }
    let (mut parts, ()) = request.into_parts();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let verifier = verifier(Algorithm::HS256);
    runtime.block_on(Caller::from_request_parts(&mut parts, &verifier)).ok()
}
