//! Reads the registry in pages: the database filters, sorts and counts, so memory stays small for any number of
//! tokens.
//!
//! A page is merged from parts. Each part is one range of one index, already in the order of the list: the tokens of
//! an issuer, of a key or of a service. The list of revoked tokens starts from the revocations, because a search among
//! millions of valid tokens for a few revoked ones would read them all.

use std::{cmp::Ordering, collections::BTreeSet};

use service_only::{
    Verifier,
    clock::{Clock as _, SystemClock},
};

use super::{
    ListedToken, Store, StoreError, TokenFilter, TokenRecord,
    registry::Row,
    statement::{Statement, with_arguments},
};

/// The number of tokens that one query reads.
const PAGE: u32 = 1_000;

/// The largest number of parts. With more, the whole issuer is one part, and the database tests each token.
pub(crate) const MAX_PARTS: usize = 200;

/// The revocation of the key of a token `t`.
const BY_KEY: &str = "(SELECT r.sequence FROM service_only_revocations r
    WHERE r.kind = 'key' AND r.issuer = t.issuer AND r.name = t.kid)";

/// The revocation of a token `t` itself.
const BY_TOKEN: &str = "(SELECT r.sequence FROM service_only_revocations r
    WHERE r.kind = 'token' AND r.issuer = t.issuer AND r.name = t.jti)";

/// The revocation of the service of a token `t`, up to the condition on its age.
const BY_SERVICE: &str = "(SELECT r.sequence FROM service_only_revocations r
    WHERE r.kind = 'service' AND r.issuer = t.issuer AND r.name = t.service
    AND (r.until >= t.issued_at OR t.issued_at > ";

/// An `iat` beyond this second does not prove a token's age, as for a verifier.
pub(crate) fn ahead() -> i64 {
    SystemClock.now().plus(Verifier::MAX_ISSUED_AHEAD).unix()
}

/// A part of the list: one range of an index.
#[derive(Default)]
struct Part {
    issuer: String,
    kid: Option<String>,
    /// The service, and the last second in which its revoked tokens were issued.
    service: Option<(String, i64)>,
    /// Only tokens that a revocation names.
    by_token: bool,
}

impl Part {
    fn of(issuer: &str) -> Self {
        Self { issuer: issuer.to_owned(), ..Self::default() }
    }
}

/// In which order a list is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    EarliestFirst,
    LatestFirst,
}

/// What every part of a page shares.
struct Page<'a> {
    filter: &'a TokenFilter,
    direction: Direction,
    /// The last token of the previous page.
    after: Option<&'a TokenRecord>,
    most: u32,
    ahead: i64,
    /// Sorts names by their bytes, as this program does, whatever the language of the database.
    bytewise: &'static str,
    is_postgres: bool,
}

impl Store {
    /// All tokens of the registry that match, sorted by expiry, the earliest first. For a registry that may be large,
    /// use [`tokens_after`](Self::tokens_after).
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn tokens(&self, filter: &TokenFilter) -> Result<Vec<ListedToken>, StoreError> {
        let mut all: Vec<ListedToken> = Vec::new();
        loop {
            let last = all.last().map(|listed| &listed.token);
            let page = self.tokens_after(filter, last, PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Up to `most` tokens that match, in the order of expiry, issuer and `jti`, behind the token `after`.
    ///
    /// Pages are not one snapshot: a token that is minted between two pages is in a later page, or in none.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn tokens_after(
        &self,
        filter: &TokenFilter,
        after: Option<&TokenRecord>,
        most: u32,
    ) -> Result<Vec<ListedToken>, StoreError> {
        self.page(filter, Direction::EarliestFirst, after, most).await
    }

    /// The same in the opposite order: up to `most` tokens that match, from those that expire last, behind the token
    /// `before` in this order.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn tokens_before(
        &self,
        filter: &TokenFilter,
        before: Option<&TokenRecord>,
        most: u32,
    ) -> Result<Vec<ListedToken>, StoreError> {
        self.page(filter, Direction::LatestFirst, before, most).await
    }

    async fn page(
        &self,
        filter: &TokenFilter,
        direction: Direction,
        after: Option<&TokenRecord>,
        most: u32,
    ) -> Result<Vec<ListedToken>, StoreError> {
        let mut found = Vec::new();
        for part in self.parts(filter).await? {
            found.extend(self.tokens_of(&part, filter, direction, after, most).await?);
        }
        found.sort_by(|one, other| direction.order(place(one).cmp(&place(other))));
        // A token can be revoked by its key and by its name, and so be in two parts.
        found.dedup_by(|one, other| place(one) == place(other));
        found.truncate(most as usize);
        Ok(found)
    }

    /// The first `most` tokens of a part. This program tests whether they are revoked, and not the database: PostgreSQL
    /// would take such a condition for a reason to sort the whole part.
    async fn tokens_of(
        &self,
        part: &Part,
        filter: &TokenFilter,
        direction: Direction,
        after: Option<&TokenRecord>,
        most: u32,
    ) -> Result<Vec<ListedToken>, StoreError> {
        let fits =
            |listed: &ListedToken| filter.revoked.is_none_or(|wanted| wanted == listed.revoked.is_some());
        let mut found: Vec<ListedToken> = Vec::new();
        let mut last = after.cloned();
        // A filter may let few tokens pass: then small pages would be many queries.
        let size = if filter.revoked.is_some() { most.max(PAGE) } else { most };
        loop {
            let (ahead, bytewise) = (ahead(), self.bytewise());
            let is_postgres = self.is_postgres();
            let after = last.as_ref();
            let page = Page { filter, direction, after, most: size, ahead, bytewise, is_postgres };
            let statement = page.statement(part);
            let rows: Vec<Row> = on_pool!(self, pool =>
                with_arguments!(sqlx::query_as(statement.sql()), statement).fetch_all(pool).await?)?;
            let is_last = rows.len() < size as usize;
            let mut listed = rows.into_iter().map(Row::listed).peekable();
            while let Some(one) = listed.next() {
                if listed.peek().is_none() {
                    last = Some(one.token.clone());
                }
                if fits(&one) {
                    found.push(one);
                }
            }
            if is_last || found.len() >= most as usize {
                return Ok(found);
            }
        }
    }

    /// The token of each service that expires last, if the service has one: revoked and expired ones count too.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn newest_tokens(
        &self,
        issuer: &str,
        services: &[&str],
    ) -> Result<Vec<ListedToken>, StoreError> {
        let mut newest = Vec::new();
        for service in services {
            let mut statement = selection(ahead());
            statement.push(" FROM service_only_tokens t WHERE t.issuer = ").bind(issuer);
            statement.push(" AND t.service = ").bind(*service);
            let bytewise = self.bytewise();
            statement.push(&format!(" ORDER BY t.expires_at DESC, t.jti{bytewise} DESC LIMIT 1"));
            let row: Option<Row> = on_pool!(self, pool =>
                with_arguments!(sqlx::query_as(statement.sql()), statement).fetch_optional(pool).await?)?;
            newest.extend(row.map(Row::listed));
        }
        Ok(newest)
    }

    pub(crate) fn bytewise(&self) -> &'static str {
        if self.is_postgres() { " COLLATE \"C\"" } else { "" }
    }

    async fn parts(&self, filter: &TokenFilter) -> Result<Vec<Part>, StoreError> {
        let issuers = match &filter.issuer {
            Some(issuer) => vec![issuer.clone()],
            None => self.token_issuers().await?,
        };
        let mut parts = Vec::new();
        for issuer in issuers {
            // One token or one service is a small range already.
            let narrow = filter.jti.is_some() || filter.service.is_some();
            match filter.revoked.filter(|_| !narrow) {
                None => parts.push(Part::of(&issuer)),
                Some(true) => parts.extend(self.revoked_parts(&issuer).await?),
                Some(false) => parts.extend(self.unrevoked_parts(&issuer).await?),
            }
        }
        Ok(parts)
    }

    async fn revoked_parts(&self, issuer: &str) -> Result<Vec<Part>, StoreError> {
        const MADE: &str = "SELECT kind, name, until FROM service_only_revocations
            WHERE kind IN ('key', 'service') AND issuer = $1 LIMIT $2";
        let made: Vec<(String, String, Option<i64>)> = on_pool!(self, pool => sqlx::query_as(MADE)
            .bind(issuer).bind(limit_of_parts()).fetch_all(pool).await?)?;
        if made.len() > MAX_PARTS {
            return Ok(vec![Part::of(issuer)]);
        }
        let mut parts = vec![Part { by_token: true, ..Part::of(issuer) }];
        parts.extend(made.into_iter().map(|(_, name, until)| match until {
            Some(until) => Part { service: Some((name, until)), ..Part::of(issuer) },
            None => Part { kid: Some(name), ..Part::of(issuer) },
        }));
        Ok(parts)
    }

    /// Leaves revoked keys out: a leaked key may have signed nearly all tokens.
    async fn unrevoked_parts(&self, issuer: &str) -> Result<Vec<Part>, StoreError> {
        const REVOKED: &str = "SELECT name FROM service_only_revocations
            WHERE kind = 'key' AND issuer = $1 LIMIT $2";
        let revoked: Vec<String> = on_pool!(self, pool => sqlx::query_scalar(REVOKED)
            .bind(issuer).bind(limit_of_parts()).fetch_all(pool).await?)?;
        if revoked.is_empty() || revoked.len() > MAX_PARTS {
            return Ok(vec![Part::of(issuer)]);
        }
        let revoked: BTreeSet<_> = revoked.into_iter().collect();
        let kids = self.signing_kids(issuer, limit_of_parts()).await?;
        if kids.len() > MAX_PARTS {
            return Ok(vec![Part::of(issuer)]);
        }
        let live = kids.into_iter().filter(|kid| !revoked.contains(kid));
        Ok(live.map(|kid| Part { kid: Some(kid), ..Part::of(issuer) }).collect())
    }
}

pub(crate) fn limit_of_parts() -> i64 {
    i64::try_from(MAX_PARTS).unwrap_or(i64::MAX).saturating_add(1)
}

/// The place of a token in the list.
fn place(listed: &ListedToken) -> (i64, &str, &str) {
    (listed.token.expires_at.unix(), &listed.token.issuer, &listed.token.jti)
}

/// The columns of a [`Row`].
pub(crate) fn selection(ahead: i64) -> Statement {
    let mut statement = Statement::new(
        "SELECT t.issuer, t.jti, t.service, t.kid, t.issued_at, t.expires_at, t.note, t.minted_by, t.minted_at, ",
    );
    statement.push(BY_KEY).push(" AS by_key, ").push(BY_TOKEN).push(" AS by_token, ");
    statement.push(BY_SERVICE).bind(ahead).push(")) AS by_service");
    statement
}

/// The condition that no revocation covers a token `t`. Subqueries, because a planner may turn `NOT EXISTS` into a
/// join that reads the whole table.
pub(crate) fn push_unrevoked(statement: &mut Statement, ahead: i64) {
    statement.push(BY_KEY).push(" IS NULL AND ").push(BY_TOKEN).push(" IS NULL AND ");
    statement.push(BY_SERVICE).bind(ahead).push(")) IS NULL");
}

/// Appends `FROM` and `WHERE` for the tokens `t` of an issuer that are revoked one by one: from the revocations to their
/// tokens. SQLite keeps the order of a `CROSS JOIN`. PostgreSQL may reverse it and read all tokens; `LIMIT` forbids that.
pub(crate) fn push_revoked_tokens(statement: &mut Statement, issuer: &str, is_postgres: bool) {
    statement.push(" FROM service_only_revocations k CROSS JOIN ");
    if is_postgres {
        statement.push("LATERAL (SELECT own.* FROM service_only_tokens own WHERE own.issuer = k.issuer");
        statement
            .push(" AND own.jti = k.name LIMIT 1) AS t WHERE k.kind = 'token' AND k.issuer = ")
            .bind(issuer);
    } else {
        statement.push("service_only_tokens t WHERE k.kind = 'token' AND k.issuer = ").bind(issuer);
        statement.push(" AND t.jti = k.name AND t.issuer = ").bind(issuer);
    }
}

impl Direction {
    /// The order of two tokens, from that of their places.
    fn order(self, places: Ordering) -> Ordering {
        match self {
            Self::EarliestFirst => places,
            Self::LatestFirst => places.reverse(),
        }
    }

    /// The comparison of a token with one that it is behind, and the suffix of a column in `ORDER BY`.
    fn sql(self) -> (&'static str, &'static str) {
        match self {
            Self::EarliestFirst => (">", ""),
            Self::LatestFirst => ("<", " DESC"),
        }
    }
}

impl Page<'_> {
    fn statement(&self, part: &Part) -> Statement {
        let mut statement = selection(self.ahead);
        if part.by_token {
            push_revoked_tokens(&mut statement, &part.issuer, self.is_postgres);
        } else {
            statement.push(" FROM service_only_tokens t WHERE t.issuer = ").bind(&part.issuer);
        }
        self.push_part(&mut statement, part);
        self.push_filter(&mut statement);
        self.push_start(&mut statement, part);
        let (_, suffix) = self.direction.sql();
        statement.push(&format!(" ORDER BY t.expires_at{suffix}, t.jti{}{suffix} LIMIT ", self.bytewise));
        statement.bind(i64::from(self.most));
        statement
    }

    fn push_part(&self, statement: &mut Statement, part: &Part) {
        if let Some(kid) = &part.kid {
            statement.push(" AND t.kid = ").bind(kid);
        }
        if let Some((service, until)) = &part.service {
            statement.push(" AND t.service = ").bind(service);
            statement.push(" AND (t.issued_at <= ").bind(*until);
            statement.push(" OR t.issued_at > ").bind(self.ahead).push(")");
        }
    }

    fn push_filter(&self, statement: &mut Statement) {
        let filter = self.filter;
        let texts = [
            (" AND t.service = ", &filter.service),
            (" AND t.jti = ", &filter.jti),
            (" AND t.kid = ", &filter.kid),
        ];
        for (condition, text) in texts {
            if let Some(text) = text {
                statement.push(condition).bind(text);
            }
        }
        // The last token of the previous page is beyond the bound at which a list starts, and the better place to start.
        let is_start = |direction| self.direction == direction && self.after.is_some();
        if let Some(by) = filter.expires_by.filter(|_| !is_start(Direction::LatestFirst)) {
            statement.push(" AND t.expires_at <= ").bind(by.unix());
        }
        if let Some(after) = filter.expires_after.filter(|_| !is_start(Direction::EarliestFirst)) {
            statement.push(" AND t.expires_at > ").bind(after.unix());
        }
    }

    /// Starts behind the last token of the previous page.
    fn push_start(&self, statement: &mut Statement, part: &Part) {
        let Some(last) = self.after else { return };
        let second = last.expires_at.unix();
        let (beyond, _) = self.direction.sql();
        match self.direction.order(part.issuer.cmp(&last.issuer)) {
            Ordering::Less => statement.push(&format!(" AND t.expires_at {beyond} ")).bind(second),
            Ordering::Greater => statement.push(&format!(" AND t.expires_at {beyond}= ")).bind(second),
            Ordering::Equal => {
                statement.push(&format!(" AND (t.expires_at, t.jti{}) {beyond} (", self.bytewise));
                statement.bind(second).push(", ").bind(&last.jti).push(")")
            }
        };
    }
}
