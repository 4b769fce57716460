//! Finds tokens by the beginning of their `jti`, as people copy it from a list.
//!
//! A `jti` of this project is a UUID. The UUIDs with a common beginning are one range of the primary key. The bounds of
//! the range are whole UUIDs, so every language of a database sorts them alike, and no further index is needed.

use super::{ListedToken, Store, StoreError, pages, registry::Row, statement::with_arguments};

/// The form of a UUID: `x` is a hexadecimal digit.
const FORM: &str = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

impl Store {
    /// Up to `most` tokens whose `jti` is a UUID in lower case that begins with `prefix`, in the order of issuer and
    /// `jti`. Other names have to be complete: see [`tokens`](Self::tokens).
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn tokens_by_prefix(
        &self,
        issuer: Option<&str>,
        prefix: &str,
        most: u32,
    ) -> Result<Vec<ListedToken>, StoreError> {
        let Some((first, last)) = range(prefix) else { return Ok(Vec::new()) };
        let issuers = match issuer {
            Some(issuer) => vec![issuer.to_owned()],
            None => self.token_issuers().await?,
        };
        let mut found = Vec::new();
        for issuer in issuers {
            let left = i64::from(most) - i64::try_from(found.len()).unwrap_or(i64::MAX);
            let mut statement = pages::selection(pages::ahead());
            statement.push(" FROM service_only_tokens t WHERE t.issuer = ").bind(&issuer);
            statement.push(" AND t.jti >= ").bind(&first).push(" AND t.jti <= ").bind(&last);
            statement.push(" ORDER BY t.jti LIMIT ").bind(left);
            let rows: Vec<Row> = on_pool!(self, pool =>
                with_arguments!(sqlx::query_as(statement.sql()), statement).fetch_all(pool).await?)?;
            found.extend(rows.into_iter().map(Row::listed));
        }
        Ok(found)
    }
}

/// The first and the last UUID that begin like this, if any do.
fn range(prefix: &str) -> Option<(String, String)> {
    let mut form = FORM.chars();
    for c in prefix.chars() {
        let fits = match form.next()? {
            'x' => c.is_ascii_digit() || ('a'..='f').contains(&c),
            hyphen => c == hyphen,
        };
        if !fits {
            return None;
        }
    }
    let rest = form.as_str();
    Some((prefix.to_owned() + &rest.replace('x', "0"), prefix.to_owned() + &rest.replace('x', "f")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_has_the_uuids_with_that_beginning() {
        let bounds = |first: &str, last: &str| Some((first.to_owned(), last.to_owned()));
        assert_eq!(
            range("76514ef5-4"),
            bounds("76514ef5-4000-0000-0000-000000000000", "76514ef5-4fff-ffff-ffff-ffffffffffff")
        );
        assert_eq!(range(""), bounds(&FORM.replace('x', "0"), &FORM.replace('x', "f")));
        let whole = "76514ef5-446e-4842-932c-231cd329f030";
        assert_eq!(range(whole), bounds(whole, whole));
        for other in ["7651G", "76514EF5", "76514ef54", "765-", "night-job", &format!("{whole}0")] {
            assert_eq!(range(other), None, "{other}");
        }
    }
}
