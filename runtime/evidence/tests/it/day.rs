//! The reports of the library find what was planted in a day of a platform, and nothing else.

use std::{fs, io::Write as _};

use service_only_evidence::{
    anomalies::AnomalyRules,
    findings::Finding,
    read,
    survey::Survey,
    unused::{GrantedToken, Grants, Window},
};

use crate::platform::{ANOMALIES, Day, HOUR, NOON, START, UNUSED};

fn grants(day: &Day) -> Grants {
    let token = |(service, jti): (&str, String)| GrantedToken {
        issuer: "auth".to_owned(),
        jti,
        service: service.to_owned(),
        scopes: Vec::new(),
        minted: 0,
    };
    Grants {
        tables: day.tables().into_iter().map(|table| serde_json::from_value(table).unwrap()).collect(),
        tokens: day.tokens().into_iter().map(token).collect(),
    }
}

/// Reads the logs of a day. A rotated one is compressed.
fn survey(day: Day) -> Survey {
    let folder = tempfile::tempdir().unwrap();
    let write = |(name, text): (String, String)| {
        let is_rotated = !name.ends_with(".jsonl");
        let path = folder.path().join(if is_rotated { name + ".gz" } else { name });
        if is_rotated {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(text.as_bytes()).unwrap();
            fs::write(&path, packed.finish().unwrap()).unwrap();
        } else {
            fs::write(&path, text).unwrap();
        }
        path
    };
    let files: Vec<_> = day.logs().into_iter().map(write).collect();
    let mut survey = Survey::new();
    let done = read::files(&files, &mut survey).unwrap();
    assert_eq!(done.trouble().len(), 1, "{:?}", done.trouble());
    survey
}

fn anomalies(survey: &Survey) -> Vec<Finding> {
    let rules = AnomalyRules { since: Some((START + NOON) * 1_000_000), ..AnomalyRules::default() };
    survey.anomalies(&rules).findings
}

fn shown(findings: &[Finding]) -> Vec<(&str, String)> {
    let about = |found: &Finding| {
        let subject =
            found.subject.as_ref().and_then(|subject| subject.rsplit('/').next()).map(str::to_owned);
        found.endpoint.clone().or(subject).unwrap_or_default()
    };
    findings.iter().map(|found| (found.rule.as_str(), about(found))).collect()
}

fn owned(expected: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    expected.iter().map(|(rule, about)| (*rule, (*about).to_owned())).collect()
}

#[test]
fn usual_days_have_no_finding() {
    for seed in 1..=5 {
        let findings = anomalies(&survey(Day::usual(seed)));
        assert!(findings.is_empty(), "{seed}: {findings:?}");
    }
}

#[test]
fn exactly_what_was_planted_is_found() {
    for seed in 1..=3 {
        let found = anomalies(&survey(Day::planted(seed)));
        assert_eq!(shown(&found), owned(&ANOMALIES), "{seed}: {found:#?}");
    }
}

#[test]
fn unused_grants_of_the_day_are_found() {
    let window =
        Window { end: (START + 24 * HOUR) * 1_000_000, length: 24 * HOUR * 1_000_000, min_coverage: 0.9 };
    for seed in 1..=3 {
        for (day, expected) in [(Day::planted(seed), &UNUSED[..]), (Day::usual(seed), &[])] {
            let grants = grants(&day);
            let unused = survey(day).unused(&grants, window);
            assert_eq!(shown(&unused.findings), owned(expected), "{seed}: {:#?}", unused.findings);
            assert_eq!((unused.coverage.covered, unused.coverage.of), (24, 24));
        }
    }
}
