//! `service-token explain`: one decision in sentences, or the answer for a call that was never made.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use service_only::clock::Timestamp;
use service_only::routes::RouteTable;
use service_only_evidence::explain::{self, Advice, Explanation, Hypothesis, PolicyChange, WhatIf};
use service_only_evidence::read::{Place, Record};
use service_only_store::{
    ListedToken, NewRevocation, PastRevocation, RevocationRecord, RevocationTarget, Store, TokenFilter,
    TokenState, Undoing,
};

use super::files;
use crate::commands::endpoints;
use crate::config::ScopeToken;
use crate::escape;
use crate::exit::Exit;
use crate::members;
use crate::named;
use crate::option_values::role;
use crate::output::{self, Format};
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::store::{self, StoreAndConfig, refused};

/// Far larger than any response of a guard.
const MAX_RESPONSE_BYTES: u64 = 64 * 1024;

const EXAMPLES: &str = "\
Examples:
  service-token explain 019b76da-0c1e-7a52-8b6e-2f7c0d9e4a11 --audit audit.jsonl*
  curl -s https://stock/reserve | service-token explain - --audit audit.jsonl --endpoints stock.json
  service-token explain --what-if --service billing --endpoint stock::reserve --endpoints stock.json";

/// How many past revocations one query reads.
const PAGE: u32 = 1_000;

/// The options for a call that was never made. They mean nothing beside an id.
const WHAT_IF: [&str; 6] = ["what_if", "service", "endpoint", "issuer", "role", "scope"];

/// Explain why a call was refused or admitted: the stage, the two values, the setting, the smallest change
///
/// The id is the `instance` of the response and the `id` of the record. With `--endpoints`, the answer
/// includes the handler's policy of today; with a store, the state of the token.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExplainOptions {
    /// Id of a record, a unique beginning of it, its `urn:uuid:` form, or `-` to read a response body from standard input
    #[arg(value_name = "ID", required_unless_present = "what_if", conflicts_with_all = WHAT_IF)]
    id: Option<String>,
    /// Audit files to search, plain, gzip or zstd
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "what_if", conflicts_with = "what_if")]
    audit: Vec<PathBuf>,
    /// Answer from the tables alone: would this service be admitted?
    #[arg(long, requires_all = ["service", "endpoint", "endpoints"])]
    what_if: bool,
    /// Service for `--what-if`
    #[arg(long, value_name = "NAME", requires = "what_if")]
    service: Option<String>,
    /// Handler for `--what-if`, or the end of its path
    #[arg(long, value_name = "ENDPOINT", requires = "what_if")]
    endpoint: Option<String>,
    /// Issuer of the token for `--what-if`
    #[arg(long, value_name = "ISSUER", requires = "what_if")]
    issuer: Option<String>,
    /// Role of the token for `--what-if`
    #[arg(long, value_name = "ROLE", value_parser = role, requires = "what_if")]
    role: Option<String>,
    /// Scope of the token for `--what-if`; repeatable
    #[arg(long, value_name = "SCOPE", requires = "what_if")]
    scope: Vec<ScopeToken>,
    /// The table of a program as JSON, as `service-token endpoints` reads it; repeatable
    #[arg(long, value_name = "TABLE")]
    endpoints: Vec<PathBuf>,
    #[command(flatten)]
    store: StoreAndConfig,
    /// Output format
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(crate) fn run(options: &ExplainOptions) -> Outcome<Exit> {
    let tables = options.endpoints.iter().map(|path| endpoints::read(path)).collect::<Outcome<Vec<_>>>()?;
    match (&options.id, &options.service, &options.endpoint) {
        (Some(id), ..) => recorded(options, &wanted(id)?, &tables),
        (None, Some(service), Some(endpoint)) => {
            let caller = Hypothesis {
                service: service.clone(),
                issuer: options.issuer.clone(),
                role: options.role.clone(),
                scopes: Some(options.scope.iter().map(|ScopeToken(scope)| scope.clone()).collect()),
            };
            hypothetical(&tables, endpoint, &caller, options.format)
        }
        _ => Err(Problem::usage("no id of a record").help("pass an id, or `--what-if`")),
    }
}

/// What a record is explained with.
pub(crate) struct Found {
    pub(crate) explanation: Explanation,
    at: Timestamp,
    pub(crate) service: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) jti: Option<String>,
    kid: Option<String>,
    pub(crate) endpoint: Option<String>,
    /// How many records have the id. The last one is the outcome.
    pub(crate) records: u64,
}

impl Found {
    /// A record that has the id, after those that were found before it.
    pub(crate) fn then(before: Option<&Self>, record: &Record<'_>) -> Self {
        let owned = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
        Self {
            explanation: Explanation::of(record),
            at: Timestamp::from_unix(record.micros().div_euclid(1_000_000)),
            service: owned(&record.service),
            issuer: owned(&record.issuer),
            jti: owned(&record.jti),
            kid: owned(&record.kid),
            endpoint: owned(&record.endpoint),
            records: before.map_or(0, |found| found.records) + 1,
        }
    }

    /// What the tables of today require of the caller.
    pub(crate) fn policies(&self, tables: &[RouteTable]) -> Vec<WhatIf> {
        let (Some(service), Some(endpoint)) = (&self.service, &self.endpoint) else { return Vec::new() };
        let (service, issuer) = (service.clone(), self.issuer.clone());
        explain::what_if(tables, endpoint, &Hypothesis { service, issuer, ..Hypothesis::default() })
    }

    pub(crate) fn json(&self, token: Option<&Value>, policies: &[WhatIf]) -> Value {
        let changes: Vec<_> = policies.iter().map(|policy| self.compared(policy)).collect();
        json!({
            "decision": self.explanation, "records": self.records, "token_now": token, "policy_now": policies,
            "policy_change": changes,
        })
    }

    /// How a policy of today compares with the one that decided.
    pub(crate) fn compared(&self, policy: &WhatIf) -> PolicyChange {
        let then = self.explanation.policy_digest.as_deref();
        PolicyChange::between(then, policy.policy_digest.as_deref())
    }
}

fn recorded(options: &ExplainOptions, id: &str, tables: &[RouteTable]) -> Outcome<Exit> {
    let mut candidates = BTreeMap::<String, Found>::new();
    files::read(&options.audit, &mut |_: Place<'_>, record: &Record<'_>| {
        let before = candidates.get(record.id.as_ref());
        if before.is_some() || named::is_candidate(&record.id, id, candidates.len()) {
            let found = Found::then(before, record);
            candidates.insert(record.id.to_string(), found);
        }
    })?;
    let id = named::record(id, candidates.keys().cloned())?;
    let found = candidates.remove(&id).ok_or_else(|| {
        Problem::new(ProblemCode::NotFound, format!("no record has the id `{}`", escape::one_line(&id)))
            .help("pass the id or a unique beginning of it, and name the log of the service that answered, with the rotated files of that time")
    })?;
    // The record and the tables explain the decision also without the store.
    let token = token(options, &found).unwrap_or_else(|problem| {
        output::warning(&format!("the state of the token is unknown: {problem}"));
        None
    });
    let policies = found.policies(tables);
    if let Some(endpoint) = found.endpoint.as_deref().filter(|_| !tables.is_empty() && policies.is_empty()) {
        output::note(&format!(
            "no table contains the handler `{endpoint}`, so its current policy is unknown"
        ));
    }
    match options.format {
        Format::Json => output::json(&found.json(token.as_ref(), &policies))?,
        Format::Text => output::lines(text(&found, token.as_ref(), &policies).trim_end())?,
    }
    Ok(Exit::Done)
}

fn text(found: &Found, token: Option<&Value>, policies: &[WhatIf]) -> String {
    let Explanation { id, time, summary, passed, refused_by, code, reason, compared, advice, .. } =
        &found.explanation;
    let mut text = format!("{time}: {summary}.\n");
    let mut add = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    if found.records > 1 {
        add(format!(
            "{} records have the id {id}: the handler changed the outcome, and this is the last.",
            found.records
        ));
    }
    if !passed.is_empty() {
        add("\nPassed:".to_owned());
        passed.iter().for_each(|stage| add(format!("  {:<13} {}", stage.stage, stage.proves)));
    }
    if let Some(stage) = refused_by {
        add(format!("\nRefused by the stage `{stage}`, code `{}`.", code.as_deref().unwrap_or("-")));
    }
    if let Some(reason) = reason {
        add(format!("  reason        {reason}"));
    }
    if let Some(compared) = compared {
        add(format!("  found         {}", compared.found));
        add(format!("  expected      {}", compared.expected));
    }
    if let Some(advice) = advice {
        add("\nTo admit this caller:".to_owned());
        advised(advice).into_iter().for_each(&mut add);
    }
    if let Some(token) = token {
        let is_registered = is_registered(token);
        add(match is_registered {
            true => "\nThe token:".to_owned(),
            false => "\nThe token, which is not in the registry of the store:".to_owned(),
        });
        for (name, label) in [
            ("state_then", "then"),
            ("state", "now"),
            ("minted_at", "minted at"),
            ("minted_by", "minted by"),
            ("expires_at", "expires at"),
        ]
        .into_iter()
        .take(if is_registered { 5 } else { 2 })
        {
            add(format!("  {label:<13} {}", member(token, name)));
        }
        for revocation in token.get("revocations").and_then(Value::as_array).into_iter().flatten() {
            let reach = match revocation.get("issued_by").and_then(Value::as_str) {
                Some(issued_by) => format!(", if issued up to {issued_by},"),
                None => String::new(),
            };
            add(format!(
                "  {:<13} {}{reach} at {} by {}: {}",
                "revoked",
                member(revocation, "kind"),
                member(revocation, "revoked_at"),
                member(revocation, "revoked_by"),
                member(revocation, "reason")
            ));
            if revocation.get("undone_at").is_some() {
                add(format!(
                    "  {:<13} at {} by {}: {}",
                    "undone",
                    member(revocation, "undone_at"),
                    member(revocation, "undone_by"),
                    member(revocation, "undone_reason")
                ));
            }
        }
    }
    for policy in policies {
        let endpoint = &policy.endpoint;
        add(match found.compared(policy) {
            // One of several tables may be that of the release that decided.
            PolicyChange::Same if policies.len() > 1 => {
                format!("\nThe policy that decided, of `{endpoint}`:")
            }
            PolicyChange::Same => {
                format!("\nThe policy of `{endpoint}` now, which is the policy that decided:")
            }
            PolicyChange::Changed => {
                format!("\nThe policy of `{endpoint}` now; the policy has changed since the decision:")
            }
            _ => {
                format!("\nThe policy of `{endpoint}` now; the record does not tell whether it has changed:")
            }
        });
        requirements(policy).into_iter().for_each(&mut add);
    }
    text
}

fn member(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or("-").to_owned()
}

fn advised(advice: &Advice) -> [String; 3] {
    [
        format!("  check         {}", advice.setting),
        format!("  change        {}", advice.change),
        format!("  risk          {}", advice.risk),
    ]
}

fn requirements(policy: &WhatIf) -> Vec<String> {
    let met = |is_met: Option<bool>| match is_met {
        Some(true) => "met",
        Some(false) => "not met",
        None => "depends",
    };
    policy
        .requirements
        .iter()
        .map(|required| format!("  {:<13} {}", met(required.is_met), required.text))
        .collect()
}

fn hypothetical(tables: &[RouteTable], endpoint: &str, caller: &Hypothesis, format: Format) -> Outcome<Exit> {
    let answers = explain::what_if(tables, endpoint, caller);
    if answers.is_empty() {
        let reason = format!("no table contains a guarded handler `{}`", escape::one_line(endpoint));
        return Err(Problem::new(ProblemCode::NotFound, reason)
            .help("`service-token endpoints TABLE` lists the handlers of a table"));
    }
    let is_admitted = answers.iter().all(|answer| answer.is_admitted);
    match format {
        Format::Json => output::json(&answers)?,
        Format::Text => {
            let mut text = String::new();
            for answer in &answers {
                let outcome = if answer.is_admitted { "would be admitted to" } else { "would be refused by" };
                text.push_str(&format!(
                    "the service `{}` {outcome} `{}` of `{}`, with an authentic token:\n",
                    caller.service, answer.endpoint, answer.program
                ));
                for (required, line) in answer.requirements.iter().zip(requirements(answer)) {
                    text.push_str(&format!("{line}\n"));
                    if let (Some(false), Some(advice)) = (required.is_met, &required.advice) {
                        advised(advice).iter().for_each(|line| text.push_str(&format!("  {line}\n")));
                    }
                }
            }
            output::lines(text.trim_end())?;
        }
    }
    Ok(if is_admitted { Exit::Done } else { Exit::Forbidden })
}

/// The state of the token of a record, if a store is named.
fn token(options: &ExplainOptions, found: &Found) -> Outcome<Option<Value>> {
    if found.jti.is_none() {
        return Ok(None);
    }
    let Some((url, _)) = options.store.find_if_any()? else { return Ok(None) };
    store::run(async {
        let store = Store::open(&url).await.map_err(|error| refused(&error))?;
        token_now(&store, found).await
    })
}

/// The state of the token of a record.
pub(crate) async fn token_now(store: &Store, found: &Found) -> Outcome<Option<Value>> {
    let Some(jti) = &found.jti else { return Ok(None) };
    let filter =
        TokenFilter { jti: Some(jti.clone()), issuer: found.issuer.clone(), ..TokenFilter::default() };
    let tokens = store.tokens(&filter).await.map_err(|error| refused(&error))?;
    let Some(listed) = tokens.first() else { return unregistered(store, found, jti).await.map(Some) };
    let mut revocations = Vec::new();
    for number in &listed.revocations {
        let next = store.revocations_since(number.saturating_sub(1), 1).await;
        // Another revocation is the next one if this one was undone since the token was read.
        let record = next.map_err(|error| refused(&error))?.into_iter().find(|next| next.sequence == *number);
        revocations.extend(record.map(|record| Revocation { made: record.revocation, undone: None }));
    }
    let covers = |made: &NewRevocation| {
        made.issuer == listed.token.issuer && made.target.covers(&listed.token, found.at)
    };
    revocations.extend(past(store, covers).await?);
    Ok(Some(described(listed, &revocations, found.at)))
}

/// Whether the registry has the token of this answer.
pub(crate) fn is_registered(token: &Value) -> bool {
    token.get("registered").and_then(Value::as_bool).unwrap_or_default()
}

/// What the store has about a token that is not in its registry, such as one of another program: revocations. It was
/// issued at an unknown time, so a revocation of older tokens of its service covers it only if it was used before.
async fn unregistered(store: &Store, found: &Found, jti: &str) -> Outcome<Value> {
    let issuer = found.issuer.as_deref().unwrap_or_default();
    let never = Timestamp::from_unix(0);
    let service = found.service.clone();
    let targets = [
        Some(RevocationTarget::Token { jti: jti.to_owned(), expires_at: never }),
        service.map(|service| RevocationTarget::Service { service, issued_by: never }),
        found.kid.clone().map(|kid| RevocationTarget::Key { kid }),
    ];
    let mut revocations = Vec::new();
    for target in targets.iter().flatten() {
        let current = store.revocation_of(issuer, target).await.map_err(|error| refused(&error))?;
        revocations.extend(current.map(|record| Revocation { made: record.revocation, undone: None }));
    }
    let is_same = |one: &RevocationTarget, other: &RevocationTarget| {
        let ((kind, name, _), (other_kind, other_name, _)) = (store::columns(one), store::columns(other));
        (kind, name) == (other_kind, other_name)
    };
    let names = |made: &NewRevocation| {
        made.issuer == issuer && targets.iter().flatten().any(|target| is_same(target, &made.target))
    };
    revocations.extend(past(store, names).await?);
    let covers = |revocation: &&Revocation| match revocation.made.target {
        RevocationTarget::Service { issued_by, .. } => issued_by >= found.at,
        _ => true,
    };
    let covering = || revocations.iter().filter(covers);
    let state = |is_revoked: bool| if is_revoked { TokenState::Revoked.as_str() } else { "unknown" };
    let was_revoked = covering().any(|revocation| revocation.applied_at(found.at));
    let is_revoked = covering().any(|revocation| revocation.undone.is_none());
    let described: Vec<Value> = revocations
        .iter()
        .map(|revocation| {
            let mut json = revocation.json();
            if let RevocationTarget::Service { issued_by, .. } = revocation.made.target
                && let Some(json) = json.as_object_mut()
            {
                json.insert("issued_by".to_owned(), members::instant(issued_by).into());
            }
            json
        })
        .collect();
    Ok(json!({
        "registered": false, "state_then": state(was_revoked), "state": state(is_revoked),
        "revocations": described,
    }))
}

/// A revocation that covers the token, or covered it once.
struct Revocation {
    made: NewRevocation,
    undone: Option<Undoing>,
}

impl Revocation {
    /// Whether it applied at that time. One that was replaced applied from its start: its replacement reaches further.
    fn applied_at(&self, instant: Timestamp) -> bool {
        self.made.revoked_at <= instant
            && self.undone.as_ref().is_none_or(|undone| undone.undone_at > instant)
    }

    fn json(&self) -> Value {
        let Self { made, undone } = self;
        let mut json = json!({
            "kind": store::columns(&made.target).0, "revoked_at": members::instant(made.revoked_at),
            "revoked_by": made.revoked_by, "reason": made.reason,
        });
        if let (Some(undone), Some(json)) = (undone, json.as_object_mut()) {
            json.insert("undone_at".to_owned(), members::instant(undone.undone_at).into());
            json.insert("undone_by".to_owned(), undone.undone_by.clone().into());
            json.insert("undone_reason".to_owned(), undone.reason.clone().into());
        }
        json
    }
}

/// The revocations that covered the token until they were undone or replaced.
async fn past(store: &Store, covers: impl Fn(&NewRevocation) -> bool) -> Outcome<Vec<Revocation>> {
    let mut covering = Vec::new();
    let mut last = 0;
    loop {
        let page = store.past_since(last, PAGE).await.map_err(|error| refused(&error))?;
        let Some(end) = page.last() else { return Ok(covering) };
        last = end.revoked.sequence;
        for PastRevocation { revoked: RevocationRecord { revocation: made, .. }, undone, .. } in page {
            if covers(&made) {
                covering.push(Revocation { made, undone: undone.map(|(_, undone)| undone) });
            }
        }
    }
}

/// The state of a token at the time of the decision and now.
fn described(listed: &ListedToken, revocations: &[Revocation], then: Timestamp) -> Value {
    let token = &listed.token;
    let was_revoked = revocations.iter().any(|revocation| revocation.applied_at(then));
    let state_then = match was_revoked {
        true => TokenState::Revoked,
        false if token.expires_at <= then => TokenState::Expired,
        false => TokenState::Active,
    };
    let revocations: Vec<Value> = revocations.iter().map(Revocation::json).collect();
    json!({
        "registered": true, "state_then": state_then.as_str(), "state": listed.state(store::now()).as_str(), "revoked": listed.revoked,
        "minted_at": members::instant(token.minted_at), "minted_by": token.minted_by,
        "expires_at": members::instant(token.expires_at), "revocations": revocations,
    })
}

/// The id of an argument, or of a response body on standard input.
fn wanted(argument: &str) -> Outcome<String> {
    if argument != "-" {
        return Ok(argument.trim_start_matches("urn:uuid:").to_ascii_lowercase());
    }
    let mut body = String::new();
    io::stdin()
        .lock()
        .take(MAX_RESPONSE_BYTES)
        .read_to_string(&mut body)
        .map_err(|error| Problem::new(ProblemCode::Io, format!("cannot read standard input: {error}")))?;
    // The headers of `curl -i` may come first.
    let (_, after) = body.split_once("urn:uuid:").ok_or_else(|| {
        Problem::usage("the response has no `instance` with an id").help(
            "pipe the body of a refusal, which is `application/problem+json`; a proxy may have replaced it",
        )
    })?;
    let id: String =
        after.chars().take_while(|character| character.is_ascii_hexdigit() || *character == '-').collect();
    Ok(id.to_ascii_lowercase())
}
