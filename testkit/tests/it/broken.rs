//! The attack finds holes: verifiers that are correct but for one flaw are caught each, by the class
//! that is about the flaw, and the one without a flaw is not accused.

pub(crate) mod flaw;
mod hole;
pub(crate) mod json;
pub(crate) mod verifier;

use axum::{Router, routing::any};
use http::Method;
use service_only::Policy;
use service_only_testkit::{Attack, AttackReport, Control, Defect, Outcome, TestAuthority, attack};

use self::{
    flaw::Flaw,
    hole::{ACTOR_HOLES, HOLES, Hole, Kind},
    verifier::{ACTOR, HandMade, PATH, ROLE, SCOPES, SERVICE},
};

const POLICY: Policy<'static> = Policy::any_service().services(&[SERVICE]).roles(&[ROLE]).scopes(&SCOPES);

/// The policy of a handler that requires an actor.
const VIA: Policy<'static> = POLICY.actors(&[ACTOR]);

fn under_attack(flaw: Option<Flaw>, hole: Option<&'static Hole>) -> Attack {
    let authority = TestAuthority::new().audience("orders-api");
    let guard = HandMade::new(&authority, flaw, hole);
    let app = Router::new().fallback(any(verifier::handle)).with_state(guard);
    let policy = match hole {
        Some(Hole { kind: Kind::ActorBy(_), .. }) => &VIA,
        _ => &POLICY,
    };
    attack(app).as_caller(authority.service("any").meeting(policy)).endpoint(Method::GET, PATH)
}

fn holes() -> impl Iterator<Item = &'static Hole> {
    HOLES.iter().chain(&ACTOR_HOLES)
}

pub(crate) fn got_in(report: &AttackReport) -> Vec<Defect> {
    report.got_in().map(|finding| finding.defect()).collect()
}

/// What is wrong with the report about a hole: with the class it is the class alone that is found, and without it the
/// report would be clean.
pub(crate) fn wrong_besides(report: &AttackReport, class: Defect) -> Vec<String> {
    let mut wrong = Vec::new();
    if got_in(report) != [class] {
        wrong.push(format!("{class}: {:?}\n{report}", got_in(report)));
    }
    let others = report.findings().filter(|finding| finding.defect() != class);
    let broke = others.filter(|finding| matches!(finding.outcome(), Outcome::Broke(_))).count();
    if broke > 0 || !matches!(report.endpoints()[0].control(), Control::Passes(_)) {
        wrong.push(format!("without {class} the report would not be clean\n{report}"));
    }
    wrong
}

#[tokio::test]
async fn a_correct_verifier_has_no_findings() {
    let report = under_attack(None, None).run().await;
    assert_eq!(got_in(&report), []);
    let sent = report.findings().filter(|finding| !matches!(finding.outcome(), Outcome::NotSent(_))).count();
    assert!(sent > 250, "{sent}");
}

#[tokio::test]
async fn a_correct_verifier_that_requires_an_actor_has_no_findings() {
    static NONE: Hole = Hole { class: Defect::OtherActor, kind: Kind::ActorBy(|_| false) };
    let report = under_attack(None, Some(&NONE)).run().await;
    let actors = report.findings().filter(|finding| finding.defect().family() == "actor");
    let sent = actors.filter(|finding| !matches!(finding.outcome(), Outcome::NotSent(_))).count();
    assert_eq!(sent, ACTOR_HOLES.len(), "{report}");
}

#[tokio::test]
async fn every_flaw_is_found_by_its_class() {
    for flaw in Flaw::ALL {
        let report = under_attack(Some(flaw), None).report().await;
        let got_in = got_in(&report);
        assert!(!report.is_clean(), "{flaw:?} was not caught");
        for defect in flaw.caught_by() {
            assert!(got_in.contains(defect), "{flaw:?} was not caught by {defect}\n{report}");
        }
    }
}

#[test]
fn each_class_of_an_enumerating_family_has_its_own_test_flaw() {
    let enumerate = ["place", "scheme", "spoofed", "exception", "admitted", "actor"];
    let classes = Defect::ALL.iter().filter(|defect| enumerate.contains(&defect.family()));
    let without: Vec<_> = classes.filter(|defect| holes().all(|hole| hole.class != **defect)).collect();
    assert!(without.is_empty(), "{without:?}");
}

#[tokio::test]
async fn every_hole_is_found_by_exactly_one_class() {
    assert_found_by_one_class(&HOLES, |attack| attack).await;
}

/// Of the classes about actors: the rest of these verifiers is that of the test above.
#[tokio::test]
async fn every_hole_in_the_check_of_actors_is_found_by_exactly_one_class() {
    let others = || Defect::ALL.iter().filter(|defect| defect.family() != "actor");
    assert_found_by_one_class(&ACTOR_HOLES, |attack| {
        others().fold(attack, |attack, defect| attack.without(*defect))
    })
    .await;
}

/// With the class it is the class alone that is found; without it the report is clean.
async fn assert_found_by_one_class(holes: &'static [Hole], only: impl Fn(Attack) -> Attack) {
    let mut wrong = Vec::new();
    for hole in holes {
        let report = only(under_attack(None, Some(hole))).report().await;
        wrong.extend(wrong_besides(&report, hole.class));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_report_without_the_class_that_finds_a_hole_is_clean() {
    for hole in HOLES.iter().step_by(16) {
        under_attack(None, Some(hole)).without(hole.class).run().await;
    }
}

#[test]
fn at_least_forty_classes_have_their_own_hole_and_the_guide_has_their_number() {
    let classes: std::collections::HashSet<_> = holes().map(|hole| hole.class).collect();
    let count = holes().count();
    assert_eq!(classes.len(), count, "a class has two holes");
    assert!(count >= 40, "{count}");
    let guide = include_str!("../../README.md");
    let counts = [
        format!("{} verifiers that are right but for one flaw", Flaw::ALL.len()),
        format!("{count} more have one hole each"),
    ];
    assert!(counts.iter().all(|count| guide.contains(count)), "the guide does not say {counts:?}");
}

#[tokio::test]
#[should_panic(expected = "attacks got in")]
async fn run_fails_the_test_of_a_broken_verifier() {
    under_attack(Some(Flaw::ExpiryIgnored), None).run().await;
}

#[tokio::test]
async fn report_begins_with_the_cause_and_lists_its_attacks() {
    let report = under_attack(Some(Flaw::CriticalIgnored), None).report().await;
    insta::assert_snapshot!(report, @r"
    6 of 440 attacks got in
    2363 requests were sent to GET /tenant/seven

    Causes
        6  `crit` is not checked

    Findings
    GET /tenant/seven
      got in: critical_extension (200 OK): `crit` requires an extension that the
        verifier does not implement. [RFC 7515 section 4.1.11]
      got in: critical_known_name (200 OK): `crit` names a standard header
        parameter, which RFC 7515 forbids. [RFC 7515 section 4.1.11]
      got in: critical_expiry (200 OK): `crit` names `exp`, for a verifier that
        confuses claims with extensions. [RFC 7515 section 4.1.11]
      got in: critical_nothing (200 OK): `crit` is an empty list, which RFC 7515
        forbids. [RFC 7515 section 4.1.11]
      got in: critical_as_text (200 OK): `crit` is a string, for a verifier that
        loops over its letters and finds no extension. [RFC 7515 section 4.1.11]
      got in: critical_null (200 OK): `crit` is `null`, for a verifier that treats
        it as absent. [RFC 7515 section 4.1.11]

    Not sent
       75  the attack has no certificates
       70  the token is not bound to a key of its sender
       22  the endpoint requires no actor
       10  no identity provider issued the token
        7  the token is not of the strict profile
        6  the key is of another type or algorithm
        4  the endpoint requires no claim whose value is known
        3  the endpoint has no maximum age
        1  the token is a service's
    ");
}

/// The first cause of a flaw, and how many attacks it admits.
#[tokio::test]
async fn each_flaw_has_the_cause_that_names_the_missing_check() {
    let flaws = [
        (Flaw::SignatureNotChecked, "53  the signature is not checked"),
        (Flaw::NoneAccepted, "3  `alg` is not compared with the key's algorithm"),
        (Flaw::EmbeddedKeyTrusted, "2  keys from the token are trusted"),
        (Flaw::KeyIdIgnored, "7  `kid` is not compared"),
        (Flaw::OnlyFirstBytesCompared, "1  the signature is checked loosely"),
        (Flaw::AudienceIgnored, "12  `aud` is not compared"),
        (Flaw::AudienceOptional, "1  `aud` is not required"),
        (Flaw::AudienceBySearch, "2  `aud` is checked loosely"),
        (Flaw::ExpiryIgnored, "15  `exp` is not compared with the clock"),
        (Flaw::ExpiryOptional, "6  the type of `exp` is not checked"),
        (Flaw::BindingIgnored, "14  `cnf` is accepted without a proof of possession"),
        (Flaw::NameNotCompared, "14  `service` is not compared with the allowed services"),
        (Flaw::ScopeIgnored, "14  `scope` is not compared with the required scopes"),
        (Flaw::FirstOfTwoHeaders, "3  a second `Authorization` header is not refused"),
        (Flaw::TokenInQuery, "2  tokens outside `Authorization` are accepted"),
        (Flaw::IdentityHeadersBelieved, "6  identity headers are trusted"),
        (Flaw::LastMemberWins, "4  a repeated JSON member is not refused"),
        (Flaw::OnlyGetGuarded, "7  another method bypasses the guard"),
        (Flaw::ErrorLetsIn, "301  the token is not verified: any text is accepted"),
    ];
    for (flaw, expected) in flaws {
        let report = under_attack(Some(flaw), None).report().await.to_string();
        let (_, causes) = report.split_once("\nCauses\n").unwrap();
        assert_eq!(causes.lines().next().unwrap().trim(), expected, "{flaw:?}");
    }
}

#[tokio::test]
async fn family_of_which_every_attack_got_in_is_listed() {
    let report = under_attack(Some(Flaw::BindingIgnored), None).report().await.to_string();
    let families = "\nFamilies that fail completely\n  GET /tenant/seven: all 14 of `bound`\n";
    assert!(report.contains(families), "{report}");
    let partly = under_attack(Some(Flaw::CertificateNotAskedFor), None).report().await.to_string();
    assert!(!partly.contains("fail completely"), "{partly}");
}

#[tokio::test]
async fn clean_report_has_few_lines_and_tells_why_attacks_were_not_sent() {
    let report = under_attack(None, None).without(Defect::Expired).report().await;
    insta::assert_snapshot!(report, @r"
    0 of 439 attacks got in
    2362 requests were sent to GET /tenant/seven

    Not sent
       75  the attack has no certificates
       70  the token is not bound to a key of its sender
       22  the endpoint requires no actor
       10  no identity provider issued the token
        7  the token is not of the strict profile
        6  the key is of another type or algorithm
        4  the endpoint requires no claim whose value is known
        3  the endpoint has no maximum age
        1  the test excludes this class
        1  the token is a service's
    ");
}
