use std::time::Duration;

use super::*;
use crate::{
    clock::Timestamp,
    peer::{PeerFacts, PeerTrust, peer_certificate},
};

const FROM: i64 = 1_767_225_600;
const UNTIL: i64 = FROM + 3_600;

struct Roots(bool);

impl PeerTrust for Roots {
    fn is_trusted(&self) -> bool {
        self.0
    }
}

fn facts(spiffe_id: Option<&str>) -> PeerFacts {
    PeerFacts {
        thumbprint: [7; 32],
        spiffe_id: spiffe_id.map(str::to_owned),
        name: None,
        not_before: Timestamp::from_unix(FROM),
        not_after: Timestamp::from_unix(UNTIL),
        forwarded_by: None,
    }
}

fn domain(name: &str, given: &[(&str, &str)]) -> Arc<TrustDomain> {
    let given = given.iter().map(|(subject, name)| ((*subject).to_owned(), name.parse().unwrap())).collect();
    Arc::new(TrustDomain { name: name.to_owned(), names: Names { given, only_given: false } })
}

fn verdict(domains: &[Arc<TrustDomain>], peer: &PeerCertificate, now: i64) -> Result<String, Code> {
    let at = Moment { now: Timestamp::from_unix(now), leeway: Duration::from_secs(300) };
    match accept(domains, peer, at) {
        Ok((claims, domain)) => {
            assert_eq!(claims.issuer, domain.name);
            Ok(claims.service.as_str().to_owned())
        }
        Err(denial) => Err(denial.code()),
    }
}

fn of(id: &str) -> Result<String, Code> {
    let domains = [domain("bakery.example", &[]), domain("mill.example", &[])];
    verdict(&domains, &peer_certificate(facts(Some(id)), Roots(true)), FROM)
}

#[test]
fn the_refusal_is_that_of_the_trust_domain_of_the_id() {
    let domains = [domain("bakery.example", &[]), domain("mill.example", &[])];
    let peer = |id| peer_certificate(facts(Some(id)), Roots(true));
    assert_eq!(verdict(&domains, &peer("spiffe://bakery.example/a.b"), FROM), Err(Code::BadClaimValue));
    assert_eq!(verdict(&domains, &peer("spiffe://mill.example/a.b"), FROM), Err(Code::BadClaimValue));
    assert_eq!(verdict(&domains, &peer("spiffe://bakery.example/a//b"), FROM), Err(Code::BadClaimValue));
    assert_eq!(verdict(&domains, &peer("spiffe://farm.example/a.b"), FROM), Err(Code::WrongIssuer));
}

#[test]
fn a_workload_is_named_by_its_path_or_by_the_name_of_its_whole_id() {
    assert_eq!(of("spiffe://bakery.example/orders"), Ok("orders".to_owned()));
    assert_eq!(of("spiffe://mill.example/ns/mill/sa/flour"), Ok("ns.mill.sa.flour".to_owned()));
    let named = [domain("bakery.example", &[("spiffe://bakery.example/a.b", "orders")])];
    let peer = |id| peer_certificate(facts(Some(id)), Roots(true));
    assert_eq!(verdict(&named, &peer("spiffe://bakery.example/a.b"), FROM), Ok("orders".to_owned()));
    for other in
        ["spiffe://bakery.example/a.b.c", "spiffe://bakery.example/a.B", "spiffe://bakery.example/orders"]
    {
        assert_eq!(verdict(&named, &peer(other), FROM), Err(Code::BadClaimValue), "{other}");
    }
}

#[test]
fn another_trust_domain_and_a_wrong_id_are_refused() {
    for (id, code) in [
        ("spiffe://other.example/orders", Code::WrongIssuer),
        ("spiffe://bakery.example.evil/orders", Code::WrongIssuer),
        ("spiffe://evil.bakery.example/orders", Code::WrongIssuer),
        ("spiffe://BAKERY.example/orders", Code::WrongIssuer),
        ("spiffe://bakery.example:443/orders", Code::WrongIssuer),
        ("spiffe://x@mill.example/orders", Code::WrongIssuer),
        ("SPIFFE://mill.example/orders", Code::BadClaimValue),
        ("https://mill.example/orders", Code::BadClaimValue),
        ("spiffe://mill.example", Code::BadClaimValue),
        ("spiffe://mill.example/", Code::BadClaimValue),
        ("spiffe://mill.example/a//b", Code::BadClaimValue),
        ("spiffe://mill.example/a/../b", Code::BadClaimValue),
        ("spiffe://mill.example/a%2fb", Code::BadClaimValue),
        ("spiffe://mill.example/orders?x", Code::BadClaimValue),
        ("spiffe://mill.example/orders#x", Code::BadClaimValue),
        ("spiffe://mill.example/a.b", Code::BadClaimValue),
        ("", Code::BadClaimValue),
    ] {
        assert_eq!(of(id), Err(code), "{id}");
    }
}

#[test]
fn times_are_those_of_the_certificate_without_the_leeway_of_tokens() {
    let domains = [domain("bakery.example", &[])];
    let peer = peer_certificate(facts(Some("spiffe://bakery.example/orders")), Roots(true));
    for (now, expected) in [
        (FROM - 1, Err(Code::NotYetValid)),
        (FROM, Ok("orders".to_owned())),
        (UNTIL, Ok("orders".to_owned())),
        (UNTIL + 1, Err(Code::Expired)),
    ] {
        assert_eq!(verdict(&domains, &peer, now), expected, "{now}");
    }
}

#[test]
fn a_certificate_that_the_roots_do_not_verify_any_more_is_refused() {
    let peer = peer_certificate(facts(Some("spiffe://bakery.example/orders")), Roots(false));
    assert_eq!(verdict(&[domain("bakery.example", &[])], &peer, FROM), Err(Code::BadSignature));
}

#[test]
fn a_certificate_without_a_spiffe_id_is_no_credential() {
    let peer = peer_certificate(facts(None), Roots(true));
    assert_eq!(verdict(&[domain("bakery.example", &[])], &peer, FROM), Err(Code::MissingToken));
    let peer = peer_certificate(facts(Some("spiffe://bakery.example/orders")), Roots(true));
    assert_eq!(
        verdict(&[], &peer, FROM),
        Err(Code::MissingToken),
        "no trust domain is trusted without a token"
    );
}

#[test]
fn a_certificate_grants_no_scopes_and_no_roles() {
    let peer = peer_certificate(facts(Some("spiffe://bakery.example/orders")), Roots(true));
    let at = Moment { now: Timestamp::from_unix(FROM), leeway: Duration::ZERO };
    let (claims, _) = accept(&[domain("bakery.example", &[])], &peer, at).unwrap();
    assert!(claims.scope.is_empty() && claims.roles.is_empty() && claims.role.is_none());
    assert_eq!((claims.sub.as_str(), claims.iat), ("spiffe://bakery.example/orders", Some(FROM)));
    assert_eq!(claims.exp, UNTIL + 1);
}
