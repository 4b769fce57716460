//! Verifying one token, crate against crate, in each algorithm: tokens that were never seen before, and
//! one token again and again, as a service sends it.

use service_only::{Algorithm, audit::NoAudit};

use crate::{
    common::{
        race::{Outcome, Race},
        report::{Bound, Report},
        tokens::{self, ALGORITHMS},
    },
    keys::Keys,
    verifiers,
};

const OURS: &str = "service-only";

pub fn run() {
    let report = &mut Report::new("races");
    for algorithm in ALGORITHMS {
        let key = tokens::signing_key(algorithm);
        let keys = Keys::new(&key);
        let issuer = tokens::issuer(key);
        // Some peers need a third of a millisecond for what is not HMAC.
        let batch = if algorithm == Algorithm::HS256 { 64 } else { 16 };
        let cold = race(&keys, &format!("{algorithm}, crate against crate, never seen before"));
        ahead(
            &cold.cold(&tokens::mint(&issuer, 160 * batch), batch).report(report),
            algorithm,
            "cold",
            report,
        );
        let warm = race(&keys, &format!("{algorithm}, crate against crate, one token again and again"));
        let token = tokens::token(&issuer, tokens::SERVICE);
        ahead(&warm.warm(&token, batch).report(report), algorithm, "warm", report);
    }
}

fn race(keys: &Keys, title: &str) -> Race<'static> {
    let verifier = tokens::verifier(keys.ours(), NoAudit);
    let race = Race::new(title).with(OURS, move |token| verifier.verify(token).unwrap());
    verifiers::peers(keys).into_iter().fold(race, |race, (name, verify)| race.with(name, verify))
}

fn ahead(outcome: &Outcome, algorithm: Algorithm, state: &str, report: &mut Report) {
    let next = outcome.least_of_others();
    report.budget(&format!("{algorithm}, {state}: the next peer"), "times", next, Bound::AtLeast(1.0));
}
