//! Counts the valid tokens of each service, for metrics.
//!
//! A test of each token for revocation would read millions of rows. So the database counts ranges of an index, which
//! contain everything that is needed: the keys that are not revoked, and what they signed for each service. Tokens that
//! were revoked one by one are few, and are subtracted. Only the tokens of a revoked service are tested one by one, as
//! their age decides.
//!
//! The count of a service ends at [`MOST_COUNTED`]: a database counts about five million entries of an index in a second.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use service_only::clock::Timestamp;
use sqlx::{FromRow, postgres::PgRow, sqlite::SqliteRow};

use super::{
    Pool, Store, StoreError,
    names::push_found,
    pages::{MAX_PARTS, ahead, limit_of_parts, push_revoked_tokens, push_unrevoked},
    statement::{Statement, with_arguments},
};

/// How many valid tokens of a service are counted.
pub(super) const MOST_COUNTED: i64 = 1_000;

/// How many expired tokens of an issuer are counted.
const MOST_EXPIRED: i64 = 100_000;

/// The timeout.
const COUNT_TIMEOUT: Duration = Duration::from_secs(300);

/// The times within which expiring tokens are counted.
pub(crate) const WITHIN: [(&str, i64); 7] = [
    ("1h", 3_600),
    ("1d", 86_400),
    ("7d", 604_800),
    ("30d", 2_592_000),
    ("90d", 7_776_000),
    ("365d", 31_536_000),
    ("ever", i64::MAX),
];

/// A service, the issue and the expiry of its last token.
pub(crate) type LastRow = (String, i64, i64);

/// A service, and its valid tokens that expire in each of [`WITHIN`] and not earlier.
type CountRow = (String, i64, i64, i64, i64, i64, i64, i64);

/// The valid tokens of a service within each of [`WITHIN`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Within(pub(crate) [i64; WITHIN.len()]);

/// The tokens of a count.
#[derive(Clone, Copy)]
struct Counted<'a> {
    issuer: &'a str,
    /// Of this key; `None` for all keys.
    kid: Option<&'a str>,
    /// Of this service; `None` for each service.
    service: Option<&'a str>,
    revocation: Revocation,
    is_postgres: bool,
}

/// Whether a count tests each token for revocation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Revocation {
    Tested,
    Ignored,
}

/// The keys whose tokens are counted.
enum Signers {
    /// No key is revoked, so a service is one range of an index.
    All,
    /// The keys that are not revoked. A leaked key may have signed nearly all tokens.
    These(Vec<String>),
    /// Too many for a query of each: the database tests every token.
    TooMany,
}

impl Store {
    /// The valid tokens of each service, by the time that they have left at `now`, up to [`MOST_COUNTED`] for each time.
    /// A service without one is left out.
    pub(super) async fn valid_tokens(
        &self,
        issuer: &str,
        now: i64,
    ) -> Result<BTreeMap<String, Within>, StoreError> {
        let signers = self.signers(issuer).await?;
        let aged = self.revoked_services(issuer).await?;
        let signers = match signers {
            Signers::TooMany => None,
            _ if aged.len() > MAX_PARTS => None,
            Signers::All => Some(vec![None]),
            Signers::These(kids) => Some(kids.into_iter().map(Some).collect()),
        };
        let is_postgres = self.is_postgres();
        let all = Counted { issuer, kid: None, service: None, revocation: Revocation::Tested, is_postgres };
        let mut counts = Counts::default();
        if let Some(signers) = signers {
            for kid in &signers {
                let counted = Counted { kid: kid.as_deref(), revocation: Revocation::Ignored, ..all };
                counts.add(self.rows(counted.statement(now)).await?);
            }
            let revoked: Vec<CountRow> = self.rows(self.revoked_one_by_one(issuer, now)).await?;
            // The count of such a service may have ended at revoked tokens.
            let incomplete = revoked.iter().map(|row| &row.0).filter(|service| counts.is_incomplete(service));
            let tested: BTreeSet<String> = incomplete.cloned().chain(aged).collect();
            counts.subtract(revoked);
            for service in &tested {
                counts.0.remove(service);
                counts.add(self.rows(Counted { service: Some(service), ..all }.statement(now)).await?);
            }
        } else {
            counts.add(self.rows(all.statement(now)).await?);
        }
        Ok(counts.valid())
    }

    /// The services that have a valid token of an issuer at `now`, sorted. It is one query, also if a key is revoked that
    /// signed nearly all tokens.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn services_with_valid_token(
        &self,
        issuer: &str,
        now: Timestamp,
    ) -> Result<Vec<String>, StoreError> {
        let last = self.last_of_services(issuer).await?;
        let valid = last.into_iter().filter(|(.., expires_at)| *expires_at > now.unix());
        Ok(valid.map(|(service, ..)| service).collect())
    }

    /// The unrevoked token of each service that expires last, sorted by service.
    pub(super) async fn last_of_services(&self, issuer: &str) -> Result<Vec<LastRow>, StoreError> {
        let signers = match self.signers(issuer).await? {
            Signers::All | Signers::TooMany => vec![None],
            Signers::These(kids) => kids.into_iter().map(Some).collect(),
        };
        let mut last: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for kid in &signers {
            let statement = newest(issuer, kid.as_deref());
            let rows: Vec<LastRow> = self.rows(statement).await?;
            for (service, issued_at, expires_at) in rows {
                let found = last.entry(service).or_insert((issued_at, expires_at));
                if expires_at > found.1 {
                    *found = (issued_at, expires_at);
                }
            }
        }
        Ok(last
            .into_iter()
            .map(|(service, (issued_at, expires_at))| (service, issued_at, expires_at))
            .collect())
    }

    /// The expired tokens that were not pruned yet, up to [`MOST_EXPIRED`].
    pub(super) async fn expired(&self, issuer: &str, now: i64) -> Result<i64, StoreError> {
        let mut statement =
            Statement::new("SELECT COUNT(*) FROM (SELECT 1 FROM service_only_tokens WHERE issuer = ");
        statement.bind(issuer).push(" AND expires_at <= ").bind(now);
        statement.push(" LIMIT ").bind(MOST_EXPIRED).push(") AS expired_tokens");
        let rows: Vec<(i64,)> = self.rows(statement).await?;
        Ok(rows.first().map_or(0, |(count,)| *count))
    }

    async fn signers(&self, issuer: &str) -> Result<Signers, StoreError> {
        let revoked: BTreeSet<_> = self.revoked_keys(issuer).await?.into_iter().collect();
        if revoked.is_empty() {
            return Ok(Signers::All);
        }
        let most = limit_of_parts().saturating_add(i64::try_from(revoked.len()).unwrap_or(i64::MAX));
        let kids = self.signing_kids(issuer, most).await?;
        let live: Vec<_> = kids.into_iter().filter(|kid| !revoked.contains(kid)).collect();
        Ok(if live.len() > MAX_PARTS { Signers::TooMany } else { Signers::These(live) })
    }

    /// The services with a revocation of their own, up to one more than are counted one by one.
    async fn revoked_services(&self, issuer: &str) -> Result<Vec<String>, StoreError> {
        const REVOKED: &str = "SELECT name FROM service_only_revocations
            WHERE kind = 'service' AND issuer = $1 LIMIT $2";
        on_pool!(self, pool => sqlx::query_scalar(REVOKED)
            .bind(issuer).bind(limit_of_parts()).fetch_all(pool).await?)
    }

    async fn rows<T>(&self, statement: Statement) -> Result<Vec<T>, StoreError>
    where
        T: Send + Unpin + for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow>,
    {
        let work = async {
            Ok(match &self.pool {
                Pool::Sqlite(pool) => {
                    with_arguments!(sqlx::query_as(statement.sql()), statement).fetch_all(pool).await?
                }
                Pool::Postgres(pool) => {
                    let mut tx = pool.begin().await?;
                    // For a large count the planner would compile its many subqueries, which takes longer than the count.
                    sqlx::query("SET LOCAL jit = off").execute(&mut *tx).await?;
                    let counted = with_arguments!(sqlx::query_as(statement.sql()), statement);
                    let rows = counted.fetch_all(&mut *tx).await?;
                    tx.commit().await?;
                    rows
                }
            })
        };
        self.bounded(COUNT_TIMEOUT, work).await
    }

    /// The valid tokens of keys that are not revoked, and that are revoked themselves.
    fn revoked_one_by_one(&self, issuer: &str, now: i64) -> Statement {
        let mut statement = Statement::new("SELECT t.service");
        push_sums(&mut statement, now);
        push_revoked_tokens(&mut statement, issuer, self.is_postgres());
        statement.push(" AND t.expires_at > ").bind(now);
        statement.push(
            " AND (SELECT r.sequence FROM service_only_revocations r
                WHERE r.kind = 'key' AND r.issuer = t.issuer AND r.name = t.kid) IS NULL GROUP BY t.service",
        );
        statement
    }
}

impl Counted<'_> {
    /// Counts in ranges of an index, one after the other. Each step has the counts of the steps before, and counts nothing
    /// if they are enough.
    fn statement(&self, now: i64) -> Statement {
        let mut statement = Statement::new("WITH RECURSIVE ");
        match self.service {
            None => push_found(&mut statement, "service", self.issuer),
            Some(service) => {
                statement.push("found(name) AS (SELECT CAST(").bind(service).push(" AS TEXT))");
            }
        }
        let mut counted = String::new();
        let mut sum = "0".to_owned();
        let mut before = "found".to_owned();
        for (step, (from, to)) in ranges(now).enumerate() {
            let own = format!("count_{step}");
            statement.push(&format!(
                ", step_{step} AS MATERIALIZED (SELECT b.name{counted}, CASE WHEN {sum} >= {MOST_COUNTED} THEN 0 ELSE "
            ));
            self.push_count(&mut statement, from, to, &sum);
            statement.push(&format!(" END AS {own} FROM {before} b WHERE b.name IS NOT NULL)"));
            counted.push_str(&format!(", b.{own}"));
            sum.push_str(&format!(" + b.{own}"));
            before = format!("step_{step}");
        }
        statement.push(&format!(" SELECT b.name{counted} FROM {before} b"));
        statement
    }

    /// Counts the tokens of a range, if the ranges before have `sum`.
    fn push_count(&self, statement: &mut Statement, from: i64, to: i64, sum: &str) {
        statement.push("(SELECT COUNT(*) FROM (SELECT 1 FROM service_only_tokens t WHERE t.issuer = ");
        statement.bind(self.issuer);
        if let Some(kid) = self.kid {
            statement.push(" AND t.kid = ").bind(kid);
        }
        statement.push(" AND t.service = b.name AND t.expires_at > ").bind(from);
        statement.push(" AND t.expires_at <= ").bind(to);
        if self.revocation == Revocation::Tested {
            statement.push(" AND ");
            push_unrevoked(statement, ahead());
        }
        // The limit of SQLite cannot refer to a column.
        let before = if self.is_postgres { sum } else { "0" };
        statement.push(&format!(" LIMIT {MOST_COUNTED} - ({before})) AS counted_tokens)"));
    }
}

/// The unrevoked token of each service that expires last: of all keys, or of one.
fn newest(issuer: &str, kid: Option<&str>) -> Statement {
    let mut statement = Statement::new("WITH RECURSIVE ");
    push_found(&mut statement, "service", issuer);
    // The issuer is the first argument.
    statement.push(
        ", newest(name, jti) AS MATERIALIZED (SELECT found.name, (SELECT t.jti FROM service_only_tokens t
            WHERE t.issuer = $1 AND t.service = found.name AND ",
    );
    if let Some(kid) = kid {
        statement.push("t.kid = ").bind(kid).push(" AND ");
    }
    push_unrevoked(&mut statement, ahead());
    statement.push(
        " ORDER BY t.expires_at DESC LIMIT 1) FROM found WHERE found.name IS NOT NULL)
        SELECT n.name, (SELECT t.issued_at FROM service_only_tokens t WHERE t.issuer = $1 AND t.jti = n.jti),
        (SELECT t.expires_at FROM service_only_tokens t WHERE t.issuer = $1 AND t.jti = n.jti)
        FROM newest n WHERE n.jti IS NOT NULL",
    );
    statement
}

/// The sums of a [`CountRow`] over tokens `t`.
fn push_sums(statement: &mut Statement, now: i64) {
    for (from, to) in ranges(now) {
        statement.push(", SUM(CASE WHEN t.expires_at > ").bind(from).push(" AND t.expires_at <= ").bind(to);
        statement.push(" THEN 1 ELSE 0 END)");
    }
}

/// The times of expiry between one of [`WITHIN`] and the next.
fn ranges(now: i64) -> impl Iterator<Item = (i64, i64)> {
    let ends = WITHIN.map(|(_, seconds)| now.saturating_add(seconds));
    std::iter::once(now).chain(ends).zip(ends)
}

/// The tokens of each service in each range.
#[derive(Default)]
struct Counts(BTreeMap<String, [i64; WITHIN.len()]>);

impl Counts {
    fn add(&mut self, rows: Vec<CountRow>) {
        self.change(rows, i64::saturating_add);
    }

    fn subtract(&mut self, rows: Vec<CountRow>) {
        self.change(rows, i64::saturating_sub);
    }

    fn change(&mut self, rows: Vec<CountRow>, by: impl Fn(i64, i64) -> i64) {
        for (service, hour, day, week, month, quarter, year, ever) in rows {
            let own = self.0.entry(service).or_default();
            let counted = [hour, day, week, month, quarter, year, ever];
            own.iter_mut().zip(counted).for_each(|(sum, count)| *sum = by(*sum, count));
        }
    }

    /// Whether a count of this service ended before its last token.
    fn is_incomplete(&self, service: &str) -> bool {
        let ranges = self.0.get(service).into_iter().flatten();
        ranges.fold(0_i64, |sum, count| sum.saturating_add(*count)) >= MOST_COUNTED
    }

    /// Adds up the ranges. The queries are not one snapshot, so a token that another program revokes or prunes in
    /// between could be subtracted without having been counted.
    fn valid(self) -> BTreeMap<String, Within> {
        let within = |ranges: [i64; WITHIN.len()]| {
            let mut sum = 0_i64;
            Within(ranges.map(|count| {
                sum = sum.saturating_add(count.max(0)).min(MOST_COUNTED);
                sum
            }))
        };
        let all = self.0.into_iter().map(|(service, ranges)| (service, within(ranges)));
        all.filter(|(_, within)| *within != Within::default()).collect()
    }
}
