//! One day of a platform of twelve services, from a seed, with planted findings. The reports find them and nothing else.

use std::{fs, io::Write as _, path::PathBuf};

use service_only_evidence::{
    anomalies::AnomalyRules,
    findings::Finding,
    read,
    survey::Survey,
    unused::{GrantedToken, Grants, Window},
};

const START: i64 = 1_767_225_600;
const HOUR: i64 = 3_600;
/// What happens from noon on is compared with the morning.
const NOON: i64 = 12 * HOUR;

/// Each service calls the next ones. No other program calls.
const SERVICES: [&str; 12] = [
    "gateway", "orders", "stock", "billing", "mail", "users", "search", "prices", "reports", "media", "chat",
    "tenants",
];

/// A small generator (PCG), so that a seed gives the same day everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 >> 33) ^ (self.0 >> 18);
        mixed % limit
    }
}

#[derive(Clone)]
struct Call {
    at: i64,
    caller: usize,
    callee: usize,
    endpoint: &'static str,
    token: String,
    kid: &'static str,
    address: String,
    code: Option<&'static str>,
}

struct Day {
    random: Random,
    calls: Vec<Call>,
}

/// The services that a service calls.
fn callees(caller: usize) -> [usize; 3] {
    [1, 2, 5].map(|step| (caller + step) % SERVICES.len())
}

impl Day {
    /// An usual day: calls each minute, a deployment with new addresses, and a rotation of all tokens and the key.
    fn usual(seed: u64) -> Self {
        let mut day = Self { random: Random(seed), calls: Vec::new() };
        for (caller, name) in SERVICES.iter().enumerate() {
            // Deployed at another time of the morning and of the afternoon; rotated at 10:00 within minutes.
            let deployments =
                [0, 1].map(|half| half * 12 * HOUR + 2 * HOUR + day.random.below(8 * 3_600) as i64);
            let rotated = 10 * HOUR + day.random.below(600) as i64;
            for minute in 0..24 * 60 {
                for callee in callees(caller) {
                    // Less traffic at night, and a call at least every minute of some service.
                    let quiet = !(7 * 60..20 * 60).contains(&minute);
                    if quiet && day.random.below(3) > 0 {
                        continue;
                    }
                    let at = minute * 60 + day.random.below(60) as i64;
                    let deployed = deployments.iter().filter(|deployed| **deployed <= at).count();
                    let replica = day.random.below(3);
                    // A pod gets a new address in the network of its node pool.
                    let address = format!("10.0.{}.{}", caller * 3 + replica as usize, 10 + deployed);
                    let (token, kid) = if at < rotated { ("old", "key-1") } else { ("new", "key-2") };
                    let token = format!("{name}-{token}");
                    let endpoint = if day.random.below(4) == 0 { "write" } else { "read" };
                    // One call in five hundred fails: clocks, restarts, typing errors.
                    let code = (day.random.below(500) == 0).then_some("expired");
                    day.calls.push(Call { at, caller, callee, endpoint, token, kid, address, code });
                }
            }
        }
        day
    }

    /// What the reports have to find.
    fn plant(&mut self) {
        let like = |day: &Self, caller: usize, at: i64| {
            let found =
                day.calls.iter().filter(|call| call.caller == caller).min_by_key(|call| (call.at - at).abs());
            Call { at, ..found.unwrap().clone() }
        };
        // A stolen token of billing, from the internet, next to the real ones.
        for call in 0..7 {
            let stolen = like(self, 3, 15 * HOUR + call * 40);
            self.calls.push(Call { address: "203.0.113.9".to_owned(), code: None, ..stolen });
        }
        // Mail was misconfigured at 16:00: its token lacks a scope for twenty minutes.
        for call in 0..300 {
            let refused = like(self, 4, 16 * HOUR + call * 4);
            self.calls.push(Call { code: Some("missing_scope"), ..refused });
        }
        // Chat calls tenants, which it never did.
        let new = like(self, 10, 17 * HOUR);
        self.calls.push(Call { callee: 11, endpoint: "delete", code: None, ..new });
        // The old token of search is used again at night.
        let again = like(self, 6, 20 * HOUR);
        self.calls.push(Call { token: "search-old".to_owned(), kid: "key-1", code: None, ..again });
        // A forged id: a token of users with the id of another, signed by another key.
        let forged = like(self, 5, 21 * HOUR);
        self.calls.push(Call { kid: "key-of-a-test", code: None, ..forged });
        // The log of prices has no records for an hour.
        self.calls.retain(|call| call.callee != 7 || !(18 * HOUR..19 * HOUR).contains(&call.at));
    }

    /// Writes a log for each service, that of the first rotated and compressed, with a torn line.
    fn write(mut self, folder: &std::path::Path) -> Vec<PathBuf> {
        self.calls.sort_by_key(|call| call.at);
        let mut files = Vec::new();
        for (callee, name) in SERVICES.iter().enumerate() {
            let mut text = String::new();
            for (number, call) in self.calls.iter().enumerate().filter(|(_, call)| call.callee == callee) {
                text.push_str(&record(number, call));
            }
            let path = folder.join(format!("{name}.jsonl"));
            if callee == 0 {
                let middle = text.len() / 2;
                let end = middle + text[middle..].find('\n').unwrap() + 1;
                let (first, second) = text.split_at(end);
                let old = folder.join("gateway.jsonl.2026-01-01T12-00-00.000000Z.gz");
                let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                packed.write_all(first.as_bytes()).unwrap();
                fs::write(&old, packed.finish().unwrap()).unwrap();
                files.push(old);
                fs::write(&path, format!("{{\"id\":\"torn\n{second}")).unwrap();
            } else {
                fs::write(&path, text).unwrap();
            }
            files.push(path);
        }
        // The order of the files does not matter.
        files.reverse();
        files
    }
}

fn record(number: usize, call: &Call) -> String {
    let Call { at, caller, callee, endpoint, token, kid, address, code } = call;
    let time = jiff::Timestamp::from_second(START + at).unwrap();
    let decision = match code {
        Some(code) => format!(r#""deny","status":403,"code":"{code}","stage":"policy","reason":"planted""#),
        None => r#""allow","status":200"#.to_owned(),
    };
    format!(
        r#"{{"id":"019b76da-0000-7000-8000-{number:012}","time":"{time}","decision":{decision},"endpoint":"{}::{endpoint}","http.request.method":"GET","http.route":"/{endpoint}","url.path":"/{endpoint}","service":"{}","jti":"{token}","kid":"{kid}","issuer":"auth","profile":"compatible","client.address":"{address}","duration_us":{}}}"#,
        SERVICES[*callee],
        SERVICES[*caller],
        20 + number % 60
    ) + "\n"
}

/// What may call what: the real callers, an unused grant at stock, and a handler of reports without a caller.
fn grants() -> Grants {
    let tables = (0..SERVICES.len()).map(|callee| {
        let callers: Vec<&str> = (0..SERVICES.len())
            .filter(|caller| callees(*caller).contains(&callee))
            .map(|caller| SERVICES[caller])
            .collect();
        let name = SERVICES[callee];
        let mut handlers = vec![("read", callers.clone()), ("write", callers)];
        match name {
            "stock" => handlers[1].1.push("users"),
            "reports" => handlers.push(("purge", vec!["tenants"])),
            "tenants" => handlers.push(("delete", vec!["chat"])),
            _ => {}
        }
        let routes: Vec<_> = handlers
            .iter()
            .map(|(handler, services)| {
                serde_json::json!({
                    "methods": ["GET"], "path": format!("/{handler}"),
                    "handler": { "endpoint": format!("{name}::{handler}"), "line": 1 },
                    "access": { "service_only": { "services": services } },
                })
            })
            .collect();
        serde_json::from_value(serde_json::json!({ "service": name, "routes": routes })).unwrap()
    });
    let mut tokens: Vec<_> = SERVICES
        .iter()
        .map(|service| GrantedToken {
            issuer: "auth".to_owned(),
            jti: format!("{service}-old"),
            service: (*service).to_owned(),
            scopes: Vec::new(),
            minted: 0,
        })
        .collect();
    tokens.push(GrantedToken { jti: "forgotten".to_owned(), ..tokens[8].clone() });
    Grants { tables: tables.collect(), tokens }
}

fn survey(day: Day) -> Survey {
    let folder = tempfile::tempdir().unwrap();
    let files = day.write(folder.path());
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
        let mut day = Day::usual(seed);
        day.plant();
        let survey = survey(day);
        let found = anomalies(&survey);
        let expected = [
            ("new-pair", "tenants::delete"),
            ("two-networks", "billing-new"),
            ("two-keys", "users-new"),
            ("new-network", "billing-new"),
            ("refusal-burst", "missing_scope"),
            ("used-after-rotation", "search-old"),
            ("gap", "prices.jsonl 2026-01-01T18:00:00Z"),
        ];
        assert_eq!(
            shown(&found),
            expected.map(|(rule, about)| (rule, about.to_owned())),
            "{seed}: {found:#?}"
        );
    }
}

#[test]
fn unused_grants_of_the_day_are_found() {
    let mut day = Day::usual(1);
    day.plant();
    let window =
        Window { end: (START + 24 * HOUR) * 1_000_000, length: 24 * HOUR * 1_000_000, min_coverage: 0.9 };
    let unused = survey(day).unused(&grants(), window);
    let expected = [
        ("unused-grant", "stock::write"),
        ("unused-endpoint", "reports::purge"),
        ("unused-token", "forgotten"),
    ];
    assert_eq!(
        shown(&unused.findings),
        expected.map(|(rule, about)| (rule, about.to_owned())),
        "{:#?}",
        unused.findings
    );
    assert_eq!((unused.coverage.covered, unused.coverage.of), (24, 24));
}
