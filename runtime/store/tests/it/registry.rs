//! The registry of many tokens: pages, counts, names and pruning, on both databases.

use std::time::Duration;

use service_only::clock::{Clock as _, SystemClock, Timestamp};
use service_only_store::{
    Coverage, ListedToken, NewRevocation, RevocationTarget, Store, TokenFilter, TokenRecord,
};

use crate::database::Database;

const ISSUERS: [&str; 2] = ["bakery-auth", "mill-auth"];
const SERVICES: [&str; 4] = ["orders", "Sales", "inventory", "käse"];

fn now() -> Timestamp {
    Timestamp::from_unix(SystemClock.now().unix())
}

fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}

/// Several tokens of each service, also with the same expiry, and names that languages sort in different ways.
fn records(now: Timestamp) -> Vec<TokenRecord> {
    let begun = now.minus(days(100));
    let mut all = Vec::new();
    for number in 0_u64..96 {
        let index = usize::try_from(number).unwrap();
        let letter = ["a", "B", "b", "A", "-", "ä"][index % 6];
        all.push(TokenRecord {
            issuer: ISSUERS[index % 2].to_owned(),
            jti: format!("{letter}{number}"),
            service: SERVICES[index / 2 % 4].to_owned(),
            kid: format!("k{}", number % 3),
            issued_at: begun.plus(Duration::from_secs(number)),
            expires_at: begun.plus(days(number / 6 * 10)),
            note: None,
            minted_by: None,
            minted_at: begun,
        });
    }
    all
}

async fn filled(database: &Database, now: Timestamp) -> Store {
    let store = Store::create(&database.url).await.unwrap();
    store.record_tokens(&records(now)).await.unwrap();
    let revocations = [
        NewRevocation::key(ISSUERS[0], "k1"),
        NewRevocation::service(ISSUERS[0], "orders", now.minus(days(100)).plus(Duration::from_secs(40))),
        NewRevocation::token(ISSUERS[1], "a0", now),
        NewRevocation::token(ISSUERS[1], "A3", now),
        // This token is revoked by its key too.
        NewRevocation::token(ISSUERS[0], "a4", now),
        NewRevocation::token(ISSUERS[1], "unknown", now),
    ];
    store.revoke_all(&revocations).await.unwrap();
    store
}

fn names(listed: &[ListedToken]) -> Vec<(i64, String, String)> {
    let name = |listed: &ListedToken| {
        (listed.token.expires_at.unix(), listed.token.issuer.clone(), listed.token.jti.clone())
    };
    listed.iter().map(name).collect()
}

fn filters(now: Timestamp) -> Vec<TokenFilter> {
    let text = |text: &str| Some(text.to_owned());
    let none = TokenFilter::default();
    let mut filters = Vec::new();
    for revoked in [None, Some(true), Some(false)] {
        let revoked = TokenFilter { revoked, ..none.clone() };
        filters.push(revoked.clone());
        filters.push(TokenFilter { expires_after: Some(now), ..revoked.clone() });
        filters.push(TokenFilter { expires_by: Some(now), issuer: text(ISSUERS[0]), ..revoked.clone() });
        filters.push(TokenFilter { service: text("orders"), ..revoked.clone() });
        filters.push(TokenFilter { kid: text("k1"), issuer: text(ISSUERS[1]), ..revoked.clone() });
        filters.push(TokenFilter { jti: text("a4"), ..revoked });
    }
    filters
}

/// The same selection, by the records themselves.
fn selected(all: &[ListedToken], filter: &TokenFilter) -> Vec<ListedToken> {
    let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
    let fits = |listed: &&ListedToken| {
        let token = &listed.token;
        is(&filter.issuer, &token.issuer)
            && is(&filter.service, &token.service)
            && is(&filter.jti, &token.jti)
            && is(&filter.kid, &token.kid)
            && filter.expires_by.is_none_or(|by| token.expires_at <= by)
            && filter.expires_after.is_none_or(|after| token.expires_at > after)
            && filter.revoked.is_none_or(|revoked| revoked == listed.revoked.is_some())
    };
    all.iter().filter(fits).cloned().collect()
}

#[tokio::test]
async fn pages_of_any_size_have_each_matching_token_once_and_in_order_from_both_ends() {
    let now = now();
    for database in Database::all().await {
        let store = filled(&database, now).await;
        let all = store.tokens(&TokenFilter::default()).await.unwrap();
        assert_eq!(all.len(), 96);
        assert!(all.iter().filter(|listed| listed.revoked.is_some()).count() > 20);
        let mut sorted = names(&all);
        sorted.sort();
        assert_eq!(names(&all), sorted);
        for filter in filters(now) {
            let expected = names(&selected(&all, &filter));
            for (most, latest_first) in
                [1, 7, 1_000].into_iter().flat_map(|most| [(most, false), (most, true)])
            {
                let mut found: Vec<ListedToken> = Vec::new();
                loop {
                    let last = found.last().map(|listed| &listed.token);
                    let page = match latest_first {
                        false => store.tokens_after(&filter, last, most).await,
                        true => store.tokens_before(&filter, last, most).await,
                    };
                    let page = page.unwrap();
                    assert!(page.len() <= most as usize);
                    if page.is_empty() {
                        break;
                    }
                    found.extend(page);
                }
                if latest_first {
                    found.reverse();
                }
                assert_eq!(names(&found), expected, "{filter:?} by {most}, from the end: {latest_first}");
            }
        }
    }
}

#[tokio::test]
async fn newest_token_of_each_service_is_found_whatever_its_state() {
    let now = now();
    for database in Database::all().await {
        let store = filled(&database, now).await;
        let all = store.tokens(&TokenFilter::default()).await.unwrap();
        let wanted = ["inventory", "nobody", "orders"];
        let newest = store.newest_tokens(ISSUERS[0], &wanted).await.unwrap();
        let of = |service: &str| {
            let own = all
                .iter()
                .filter(|listed| listed.token.issuer == ISSUERS[0] && listed.token.service == service);
            own.max_by_key(|listed| (listed.token.expires_at, &listed.token.jti)).unwrap().clone()
        };
        assert_eq!(newest, [of("inventory"), of("orders")]);
    }
}

#[tokio::test]
async fn names_of_issuers_services_and_keys_are_each_listed_once() {
    for database in Database::all().await {
        let empty = Store::create(&database.url).await.unwrap();
        assert!(empty.issuers().await.unwrap().is_empty() && empty.services(None).await.unwrap().is_empty());
        let store = filled(&database, now()).await;
        assert_eq!(store.issuers().await.unwrap(), ISSUERS);
        let mut services = SERVICES.to_vec();
        services.sort_unstable();
        assert_eq!(store.services(None).await.unwrap(), services);
        assert_eq!(store.services(Some(ISSUERS[1])).await.unwrap(), services);
        assert_eq!(store.services(Some("another")).await.unwrap(), [""; 0]);
        assert_eq!(store.key_names(ISSUERS[0]).await.unwrap(), ["k0", "k1", "k2"]);
        assert!(store.has_service(None, "käse").await.unwrap());
        assert!(!store.has_service(Some("another"), "käse").await.unwrap());
    }
}

#[tokio::test]
async fn revocation_counts_the_tokens_that_it_covers() {
    let now = now();
    for database in Database::all().await {
        let store = filled(&database, now).await;
        let all = store.tokens(&TokenFilter::default()).await.unwrap();
        let until = now.minus(days(100)).plus(Duration::from_secs(60));
        for target in [
            RevocationTarget::Key { kid: "k2".to_owned() },
            RevocationTarget::Service { service: "orders".to_owned(), issued_by: until },
            RevocationTarget::Token { jti: "a90".to_owned(), expires_at: now },
            RevocationTarget::Token { jti: "unknown".to_owned(), expires_at: now },
        ] {
            let counted = store.coverage(ISSUERS[0], &target, now).await.unwrap();
            let own = all.iter().filter(|listed| listed.token.issuer == ISSUERS[0]);
            let is_valid = |listed: &&ListedToken| listed.revoked.is_none() && listed.token.expires_at > now;
            let (covered, others): (Vec<_>, Vec<_>) =
                own.partition(|listed| target.covers(&listed.token, now));
            let later = match &target {
                RevocationTarget::Service { service, .. } => others
                    .into_iter()
                    .filter(|listed| listed.token.service == *service)
                    .filter(is_valid)
                    .count(),
                _ => 0,
            };
            let expected = (
                covered.len(),
                covered.iter().copied().filter(is_valid).count(),
                covered.iter().filter(|listed| listed.revoked.is_some()).count(),
                later,
            );
            let number = |count: u64| usize::try_from(count).unwrap();
            let found = (
                number(counted.tokens),
                number(counted.valid),
                number(counted.revoked),
                number(counted.valid_later),
            );
            assert_eq!((found, counted.complete), (expected, true), "{target:?}");
        }
    }
}

#[tokio::test]
async fn count_of_a_revocation_ends_at_its_limit_and_says_so() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        database.fill(Coverage::MOST + 5, now()).await;
        let target = RevocationTarget::Key { kid: "k0".to_owned() };
        let counted = store.coverage("bakery-auth", &target, now()).await.unwrap();
        assert!(!counted.complete);
        assert_eq!(counted.tokens, Coverage::MOST);
    }
}

#[tokio::test]
async fn prune_removes_what_expired_long_ago_and_keeps_the_last_token_of_each_service() {
    let now = now();
    for database in Database::all().await {
        let store = filled(&database, now).await;
        assert!(store.may_prune().await.unwrap());
        assert_eq!(store.pruned(ISSUERS[0]).await.unwrap(), None);
        let old = TokenRecord { service: "old".to_owned(), jti: "old".to_owned(), ..records(now)[0].clone() };
        store.record_tokens(&[old]).await.unwrap();
        let before = now.minus(days(30));
        let all = store.tokens(&TokenFilter::default()).await.unwrap();
        let stays =
            |listed: &&ListedToken| listed.token.service == "old" || listed.token.expires_at >= before;
        let kept: Vec<_> = all.iter().filter(stays).cloned().collect();
        let prunable = store.prunable_tokens(before).await.unwrap();
        let mut pruned = Vec::new();
        loop {
            pruned.push(store.prune_tokens(before, 5, now).await.unwrap());
            if pruned.last() == Some(&0) {
                break;
            }
        }
        assert_eq!(pruned[0], 10, "five of each issuer");
        assert_eq!(store.tokens(&TokenFilter::default()).await.unwrap(), kept);
        let mut counted = 0;
        for issuer in ISSUERS {
            let record = store.pruned(issuer).await.unwrap().unwrap();
            assert_eq!(record.pruned_at, now);
            counted += record.tokens;
        }
        assert_eq!(counted, pruned.iter().sum::<u64>());
        assert_eq!((prunable, store.prunable_tokens(before).await.unwrap()), (counted, 0));
        assert_eq!(usize::try_from(counted).unwrap(), all.len() - kept.len());
    }
}

#[tokio::test]
async fn metrics_show_what_expired_and_what_was_pruned() {
    let now = now();
    for database in Database::all().await {
        let store = filled(&database, now).await;
        let line = async |name: &str| {
            let text = store.exposition(ISSUERS[0], &[], now).await.unwrap();
            let line = format!("service_only_registry_{name}{{issuer=\"bakery-auth\"}} ");
            let value = text.lines().find_map(|own| own.strip_prefix(&line));
            value.map(|value| value.parse::<i64>().unwrap())
        };
        let all = store.tokens(&TokenFilter::default()).await.unwrap();
        let expired =
            all.iter().filter(|listed| listed.token.issuer == ISSUERS[0] && listed.token.expires_at <= now);
        let expired = i64::try_from(expired.count()).unwrap();
        assert_eq!(line("expired_tokens").await, Some(expired));
        assert_eq!(line("pruned_tokens_total").await, Some(0));
        assert_eq!(line("last_prune_timestamp_seconds").await, None);
        store.prune_tokens(now, 3, now).await.unwrap();
        assert_eq!(line("expired_tokens").await, Some(expired - 3));
        assert_eq!(line("pruned_tokens_total").await, Some(3));
        assert_eq!(line("last_prune_timestamp_seconds").await, Some(now.unix()));
    }
}

#[tokio::test]
async fn metrics_count_valid_tokens_by_the_time_that_they_have_left() {
    let now = now();
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let token = |jti: &str, left: u64| TokenRecord {
            jti: jti.to_owned(),
            issuer: ISSUERS[0].to_owned(),
            service: "orders".to_owned(),
            expires_at: now.plus(Duration::from_secs(left)),
            ..records(now)[0].clone()
        };
        store.record_tokens(&[token("a", 60), token("b", 90_000), token("c", 60)]).await.unwrap();
        store.revoke(&NewRevocation::token(ISSUERS[0], "c", now)).await.unwrap();
        let text = store.exposition(ISSUERS[0], &[], now).await.unwrap();
        let counts = ["1h", "1d", "7d", "ever"].map(|within| {
            let labels = format!("{{issuer=\"bakery-auth\",service=\"orders\",within=\"{within}\"}} ");
            let line = format!("service_only_registry_tokens{labels}");
            text.lines().find_map(|own| own.strip_prefix(&line)).unwrap().to_owned()
        });
        assert_eq!(counts, ["1", "1", "2", "2"]);
    }
}

#[tokio::test]
async fn metrics_have_a_zero_for_a_listed_service_without_a_valid_token_also_after_its_key_is_revoked() {
    let now = now();
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let token = TokenRecord {
            issuer: ISSUERS[0].to_owned(),
            service: "orders".to_owned(),
            expires_at: now.plus(days(7)),
            ..records(now)[0].clone()
        };
        store.record_tokens(std::slice::from_ref(&token)).await.unwrap();
        let counts = async || {
            let text = store.exposition(ISSUERS[0], &["orders", "shop"], now).await.unwrap();
            ["orders", "shop"].map(|service| {
                let labels = format!("{{issuer=\"bakery-auth\",service=\"{service}\",within=\"ever\"}} ");
                let line = format!("service_only_registry_tokens{labels}");
                text.lines().find_map(|own| own.strip_prefix(&line)).unwrap().to_owned()
            })
        };
        assert_eq!(counts().await, ["1", "0"]);
        store.revoke(&NewRevocation::key(ISSUERS[0], &token.kid)).await.unwrap();
        assert_eq!(counts().await, ["0", "0"]);
    }
}

#[tokio::test]
async fn metrics_count_a_thousand_tokens_of_a_service_and_none_of_those_that_are_revoked() {
    let now = now();
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let tokens: Vec<_> = (0..1_010_u32)
            .map(|number| TokenRecord {
                jti: format!("j{number}"),
                kid: format!("k{}", number % 2),
                service: "orders".to_owned(),
                issuer: ISSUERS[0].to_owned(),
                expires_at: now.plus(Duration::from_secs(60 * u64::from(number + 1))),
                ..records(now)[0].clone()
            })
            .collect();
        store.record_tokens(&tokens).await.unwrap();
        let counts = async || {
            let text = store.exposition(ISSUERS[0], &[], now).await.unwrap();
            ["1h", "1d", "ever"].map(|within| {
                let labels = format!("{{issuer=\"bakery-auth\",service=\"orders\",within=\"{within}\"}} ");
                let line = format!("service_only_registry_tokens{labels}");
                text.lines().find_map(|own| own.strip_prefix(&line)).unwrap().parse::<u32>().unwrap()
            })
        };
        assert_eq!(counts().await, [60, 1_000, 1_000]);
        let revoke = async |numbers: std::ops::Range<u32>| {
            let revocations =
                numbers.map(|number| NewRevocation::token(ISSUERS[0], format!("j{number}"), now));
            store.revoke_all(&revocations.collect::<Vec<_>>()).await.unwrap();
        };
        revoke(0..5).await;
        assert_eq!(counts().await, [55, 1_000, 1_000]);
        revoke(5..1_005).await;
        assert_eq!(counts().await, [0, 5, 5]);
        store.revoke(&NewRevocation::key(ISSUERS[0], "k0")).await.unwrap();
        assert_eq!(counts().await, [0, 3, 3]);
        let services = NewRevocation::service(ISSUERS[0], "orders", now.minus(days(1_000)));
        store.revoke(&services).await.unwrap();
        assert_eq!(counts().await, [0, 3, 3]);
    }
}

/// The metrics of an issuer, from its tokens themselves: each service's valid tokens within an hour, a month and for
/// ever, and the expiry of its last token.
async fn counted(store: &Store, issuer: &str, now: Timestamp) -> (Vec<String>, Vec<String>) {
    let all = store.tokens(&TokenFilter { issuer: Some(issuer.to_owned()), ..TokenFilter::default() }).await;
    let unrevoked: Vec<_> = all.unwrap().into_iter().filter(|listed| listed.revoked.is_none()).collect();
    let services: std::collections::BTreeSet<_> =
        unrevoked.iter().map(|listed| listed.token.service.as_str()).collect();
    let (mut counts, mut last) = (Vec::new(), Vec::new());
    for service in services {
        let own = unrevoked.iter().map(|listed| &listed.token).filter(|token| token.service == service);
        let labels = format!("issuer=\"{issuer}\",service=\"{service}\"");
        let valid: Vec<_> = own.clone().filter(|token| token.expires_at > now).collect();
        for (name, within) in [("1h", days(1) / 24), ("30d", days(30)), ("ever", days(100_000))] {
            let count = valid.iter().filter(|token| token.expires_at <= now.plus(within)).count();
            if !valid.is_empty() {
                counts.push(format!("service_only_registry_tokens{{{labels},within=\"{name}\"}} {count}"));
            }
        }
        let expiry = own.map(|token| token.expires_at).max().unwrap();
        last.push(format!(
            "service_only_registry_token_expiry_timestamp_seconds{{{labels}}} {}",
            expiry.unix()
        ));
    }
    (counts, last)
}

#[tokio::test]
async fn metrics_equal_a_count_of_the_tokens_themselves_whatever_is_revoked() {
    let now = now();
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        store.record_tokens(&records(now)).await.unwrap();
        let begun = now.minus(days(100));
        let steps = [
            vec![],
            vec![NewRevocation::token(ISSUERS[0], "a90", now), NewRevocation::token(ISSUERS[0], "a0", now)],
            // Some of the tokens of the service are younger.
            vec![NewRevocation::service(ISSUERS[0], "orders", begun.plus(Duration::from_secs(85)))],
            vec![NewRevocation::key(ISSUERS[0], "k1")],
            vec![NewRevocation::token(ISSUERS[0], "-82", now), NewRevocation::token(ISSUERS[0], "a84", now)],
            vec![NewRevocation::key(ISSUERS[0], "k0"), NewRevocation::key(ISSUERS[0], "k2")],
        ];
        for revocations in steps {
            store.revoke_all(&revocations).await.unwrap();
            for issuer in ISSUERS {
                let text = store.exposition(issuer, &[], now).await.unwrap();
                let (counts, last) = counted(&store, issuer, now).await;
                for line in counts.iter().chain(&last) {
                    assert!(text.lines().any(|found| found == line), "{line}\n{text}");
                }
                let valid = counts.iter().step_by(3).map(|line| line.split('"').nth(3).unwrap().to_owned());
                let found = store.services_with_valid_token(issuer, now).await.unwrap();
                assert_eq!(found, valid.collect::<Vec<_>>());
                let series = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
                assert_eq!(series("service_only_registry_tokens{"), counts.len() / 3 * 7);
                assert_eq!(series("service_only_registry_token_expiry_timestamp_seconds{"), last.len());
            }
        }
        assert!(counted(&store, ISSUERS[0], now).await.1.is_empty(), "every key of this issuer is revoked");
    }
}

#[tokio::test]
async fn metrics_are_the_same_with_more_keys_or_revoked_services_than_are_counted_on_their_own() {
    let now = now();
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let many = (0..205_u32).map(|number| TokenRecord {
            jti: format!("j{number}"),
            kid: format!("k{number}"),
            service: format!("s{number}"),
            issuer: ISSUERS[0].to_owned(),
            expires_at: now.plus(days(7)),
            ..records(now)[0].clone()
        });
        store.record_tokens(&many.collect::<Vec<_>>()).await.unwrap();
        let services = (0..203)
            .map(|number| NewRevocation::service(ISSUERS[0], format!("s{number}"), now.minus(days(1_000))));
        for revocations in [vec![NewRevocation::key(ISSUERS[0], "k3")], services.collect()] {
            store.revoke_all(&revocations).await.unwrap();
            let text = store.exposition(ISSUERS[0], &[], now).await.unwrap();
            let valid = text.lines().filter(|line| line.ends_with("within=\"30d\"} 1")).count();
            assert_eq!(valid, 204);
        }
    }
}

#[tokio::test]
async fn holders_of_a_revoked_key_are_known_though_the_journal_leaves_them_out() {
    let now = now();
    for database in Database::all().await {
        let store = filled(&database, now).await;
        let all = store.tokens(&TokenFilter::default()).await.unwrap();
        let journal = store.journal(ISSUERS[0]).await.unwrap();
        assert!(journal.holders.iter().all(|holder| holder.kid != "k1"));
        assert_eq!(journal.holders.iter().filter(|holder| holder.kid == "k0").count(), 4);
        let holders = store.holders_of(ISSUERS[0], "k1").await.unwrap();
        assert_eq!(holders.len(), 4);
        for holder in holders {
            let own = all.iter().map(|listed| &listed.token);
            let own = own.filter(|token| token.issuer == ISSUERS[0] && token.kid == "k1");
            let last =
                own.filter(|token| token.service == holder.service).map(|token| token.expires_at).max();
            assert_eq!(Some(holder.last_expiry), last);
        }
    }
}

#[tokio::test]
async fn indexes_that_an_older_program_did_not_create_are_named_and_added_on_request() {
    for database in Database::all().await {
        let store = filled(&database, now()).await;
        assert_eq!(store.missing_indexes().await.unwrap(), [""; 0]);
        database.execute("DROP INDEX service_only_tokens_list").await;
        assert_eq!(store.missing_indexes().await.unwrap(), ["service_only_tokens_list"]);
        store.close().await;
        let store = Store::connect(&database.url).await.unwrap();
        assert_eq!(store.missing_indexes().await.unwrap(), ["service_only_tokens_list"]);
        assert_eq!(store.tokens(&TokenFilter::default()).await.unwrap().len(), 96);
        store.close().await;
        let store = Store::create(&database.url).await.unwrap();
        assert_eq!(store.missing_indexes().await.unwrap(), [""; 0]);
    }
}
