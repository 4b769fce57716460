//! One day of a platform of twelve services, from a seed. A planted day has the findings of [`ANOMALIES`] and [`UNUSED`],
//! and a usual day has none. The tests of the library and of the command line share this file.

use serde_json::{Value, json};

/// What a planted day has: the rule, and the endpoint or the end of the subject.
pub(crate) const ANOMALIES: [(&str, &str); 7] = [
    ("new-pair", "tenants::delete"),
    ("two-networks", "billing-new"),
    ("two-keys", "users-new"),
    ("new-network", "billing-new"),
    ("refusal-burst", "missing_scope"),
    ("used-after-rotation", "search-old"),
    ("gap", "prices.jsonl 2026-01-01T18:00:00Z"),
];

/// The grants of a planted day that no call needed.
pub(crate) const UNUSED: [(&str, &str); 3] =
    [("unused-grant", "stock::write"), ("unused-endpoint", "reports::purge"), ("unused-token", "forgotten")];

pub(crate) const START: i64 = 1_767_225_600;
pub(crate) const HOUR: i64 = 3_600;
/// What happens from noon on is compared with the morning.
pub(crate) const NOON: i64 = 12 * HOUR;

/// Each service calls the next ones. No other program calls.
pub(crate) const SERVICES: [&str; 12] = [
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

/// The calls of one day, and whether findings were planted in it.
pub(crate) struct Day {
    random: Random,
    calls: Vec<Call>,
    is_planted: bool,
}

/// The services that a service calls.
fn callees(caller: usize) -> [usize; 3] {
    [1, 2, 5].map(|step| (caller + step) % SERVICES.len())
}

impl Day {
    /// A usual day: calls each minute, a deployment with new addresses, and a rotation of all tokens and the key.
    pub(crate) fn usual(seed: u64) -> Self {
        let mut day = Self { random: Random(seed), calls: Vec::new(), is_planted: false };
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

    /// A day with everything that the reports have to find: [`ANOMALIES`] and [`UNUSED`].
    pub(crate) fn planted(seed: u64) -> Self {
        let mut day = Self::usual(seed);
        day.plant();
        day
    }

    fn plant(&mut self) {
        self.is_planted = true;
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

    /// What may call what: the real callers. On a planted day also an unused grant at stock, and a handler of reports
    /// without a caller.
    pub(crate) fn tables(&self) -> Vec<Value> {
        let table = |callee: usize| {
            let callers: Vec<&str> = (0..SERVICES.len())
                .filter(|caller| callees(*caller).contains(&callee))
                .map(|caller| SERVICES[caller])
                .collect();
            let name = SERVICES[callee];
            let mut handlers = vec![("read", callers.clone()), ("write", callers)];
            match name {
                _ if !self.is_planted => {}
                "stock" => handlers[1].1.push("users"),
                "reports" => handlers.push(("purge", vec!["tenants"])),
                "tenants" => handlers.push(("delete", vec!["chat"])),
                _ => {}
            }
            let routes: Vec<_> = handlers
                .iter()
                .map(|(handler, services)| {
                    json!({
                        "methods": ["GET"], "path": format!("/{handler}"),
                        "handler": { "endpoint": format!("{name}::{handler}"), "line": 1 },
                        "access": { "service_only": { "services": services } },
                    })
                })
                .collect();
            json!({ "service": name, "routes": routes })
        };
        (0..SERVICES.len()).map(table).collect()
    }

    /// The tokens of the registry, each with its service. On a planted day also one that was never used.
    pub(crate) fn tokens(&self) -> Vec<(&'static str, String)> {
        let mut tokens: Vec<_> =
            SERVICES.iter().map(|service| (*service, format!("{service}-old"))).collect();
        if self.is_planted {
            tokens.push((SERVICES[8], "forgotten".to_owned()));
        }
        tokens
    }

    /// A log for each service, with its name. That of the first is rotated, and has a torn line.
    pub(crate) fn logs(mut self) -> Vec<(String, String)> {
        self.calls.sort_by_key(|call| call.at);
        let mut logs = Vec::new();
        for (callee, name) in SERVICES.iter().enumerate() {
            let mut text = String::new();
            for (number, call) in self.calls.iter().enumerate().filter(|(_, call)| call.callee == callee) {
                text.push_str(&record(number, call));
            }
            if callee == 0 {
                let middle = text.len() / 2;
                let end = middle + text[middle..].find('\n').unwrap() + 1;
                let (first, second) = text.split_at(end);
                logs.push(("gateway.jsonl.2026-01-01T12-00-00.000000Z".to_owned(), first.to_owned()));
                text = format!("{{\"id\":\"torn\n{second}");
            }
            logs.push((format!("{name}.jsonl"), text));
        }
        // The order of the files does not matter.
        logs.reverse();
        logs
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
