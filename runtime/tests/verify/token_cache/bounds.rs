//! What is remembered, of whom, and how much of it.

use service_only::{error::BuildError, verifier::Verifier};

use super::*;

#[test]
fn a_token_that_is_seen_once_is_not_cached() {
    let world = World::new();
    let verifier = world.verifier().build().unwrap();
    let (issuer, _) = world.issuer();
    for _ in 0..20 {
        assert!(!is_known(&verifier, mint(&issuer, "orders").as_str()));
    }
    assert_eq!(verifier.token_cache_hits(), 0);
}

#[test]
fn a_cached_token_with_one_changed_byte_is_refused() {
    let world = World::new();
    let verifier = world.verifier().build().unwrap();
    let (issuer, _) = world.issuer();
    let token = mint(&issuer, "orders");
    warm(&verifier, token.as_str());
    let hits = verifier.token_cache_hits();
    for index in 0..token.as_str().len() {
        for change in [1, 2, 4, 8, 16, 32] {
            let mut bytes = token.as_str().as_bytes().to_vec();
            bytes[index] ^= change;
            let other = String::from_utf8(bytes).unwrap();
            assert!(verdict(&verifier, &other).is_some(), "byte {index}");
        }
        let cut = &token.as_str()[..index];
        assert!(
            verdict(&verifier, cut).is_some() && verdict(&verifier, &token.as_str()[index + 1..]).is_some()
        );
    }
    assert_eq!(verifier.token_cache_hits(), hits);
    assert!(is_known(&verifier, token.as_str()));
}

#[test]
fn verifiers_do_not_share_cached_tokens() {
    let (world, other) = (World::new(), World::new());
    let (verifier, stranger) = (world.verifier().build().unwrap(), other.verifier().build().unwrap());
    let twin = world.verifier().build().unwrap();
    let (issuer, _) = world.issuer();
    let token = mint(&issuer, "orders");
    warm(&verifier, token.as_str());
    assert!(verdict(&stranger, token.as_str()).is_some());
    assert!(!is_known(&twin, token.as_str()));
    assert!(is_known(&verifier.clone(), token.as_str()), "a clone is the same verifier");
}

#[test]
fn many_tokens_of_one_service_evict_only_its_own_tokens() {
    let world = World::new();
    let verifier = world.verifier().token_cache(16).build().unwrap();
    let (issuer, _) = world.issuer();
    let others: Vec<_> = (0..8).map(|index| mint(&issuer, &format!("service-{index}"))).collect();
    for token in &others {
        warm(&verifier, token.as_str());
    }
    for _ in 0..100 {
        warm(&verifier, mint(&issuer, "flood").as_str());
    }
    for token in &others {
        assert!(is_known(&verifier, token.as_str()));
    }
}

#[test]
fn expired_tokens_make_room_first_and_else_the_least_recently_used() {
    let world = World::new();
    let verifier = world.verifier().token_cache(3).build().unwrap();
    let (issuer, clock) = world.issuer();
    let short = issuer.token_for("orders").lifetime(Duration::from_secs(60)).mint().unwrap();
    let (first, second, third) = (mint(&issuer, "orders"), mint(&issuer, "orders"), mint(&issuer, "orders"));
    for token in [&first, &second, &short] {
        warm(&verifier, token.as_str());
    }
    clock.set(NOW + 60);
    warm(&verifier, third.as_str());
    assert!(is_known(&verifier, second.as_str()) && is_known(&verifier, first.as_str()));
    warm(&verifier, mint(&issuer, "orders").as_str());
    assert!(is_known(&verifier, first.as_str()) && is_known(&verifier, second.as_str()));
    assert!(!is_known(&verifier, third.as_str()));
}

#[test]
fn the_least_recently_used_token_is_evicted() {
    let world = World::new();
    // Each table has its own order, by which it would choose of two that it takes for equally old.
    let verifiers: Vec<_> = (0..16).map(|_| world.verifier().token_cache(2).build().unwrap()).collect();
    let (issuer, _) = world.issuer();
    for verifier in verifiers {
        let (first, second) = (mint(&issuer, "orders"), mint(&issuer, "orders"));
        for token in [&first, &second, &second, &first] {
            warm(&verifier, token.as_str());
        }
        remember(&verifier, &mint(&issuer, "orders"));
        assert!(is_known(&verifier, first.as_str()) && !is_known(&verifier, second.as_str()));
    }
}

/// Presents a token until it is remembered, and does not look whether it is.
fn remember(verifier: &Verifier, token: &MintedToken) {
    for _ in 0..2 {
        assert_eq!(verdict(verifier, token.as_str()), None);
    }
}

#[test]
fn the_oldest_unused_token_is_evicted_at_the_limit() {
    let world = World::new();
    let verifier = world.verifier().token_cache(8).build().unwrap();
    let (issuer, _) = world.issuer();
    let tokens: Vec<_> = (0..9).map(|_| mint(&issuer, "orders")).collect();
    tokens.iter().for_each(|token| remember(&verifier, token));
    // The last look makes room for what it does not find.
    let known: Vec<_> = tokens.iter().rev().map(|token| is_known(&verifier, token.as_str())).collect();
    assert_eq!(known, [true, true, true, true, true, true, true, true, false]);
}

/// What a token takes of a table, and what a table of so many tokens may hold, in bytes.
fn bytes(token: &MintedToken) -> usize {
    512 + 256 + 3 * token.as_str().len()
}

const BYTES_A_TOKEN: usize = 2_048 + 256;

#[test]
fn at_the_byte_limit_the_service_with_the_most_bytes_is_evicted_first() {
    let world = World::new();
    let verifier = world.verifier().token_cache(8).build().unwrap();
    let (issuer, _) = world.issuer();
    let big = || issuer.token_for("big").scope("y".repeat(1_300)).mint().unwrap();
    let small: Vec<_> = (0..3).map(|_| mint(&issuer, "small")).collect();
    let (first, second) = (big(), big());
    let of_small: usize = small.iter().map(bytes).sum();
    assert!(of_small < bytes(&first) && of_small + bytes(&first) < 8 * BYTES_A_TOKEN);
    assert!(of_small + bytes(&first) + bytes(&second) > 8 * BYTES_A_TOKEN);
    small.iter().chain([&first, &second]).for_each(|token| remember(&verifier, token));
    assert!(small.iter().all(|token| is_known(&verifier, token.as_str())));
    assert!(is_known(&verifier, second.as_str()) && !is_known(&verifier, first.as_str()));
}

#[test]
fn at_the_entry_limit_the_service_with_the_most_entries_is_evicted_first() {
    // The shortest tokens there are, so that places run out before bytes.
    let world = World { key: SigningKey::generate(Algorithm::HS256).unwrap(), ..World::new() };
    let verifier = world.verifier().token_cache(64).build().unwrap();
    let (issuer, _) = world.issuer();
    let small: Vec<_> = (0..34).map(|_| mint(&issuer, "s")).collect();
    let of_small: usize = small[..33].iter().map(bytes).sum();
    // As long as it takes for thirty-one to have more bytes than thirty-three.
    let big = (1..200).find_map(|length| {
        let big = || issuer.token_for("b").scope("y".repeat(length)).mint().unwrap();
        let tokens: Vec<_> = (0..31).map(|_| big()).collect();
        (tokens.iter().map(bytes).sum::<usize>() > of_small).then_some(tokens)
    });
    let big = big.unwrap();
    let all = of_small + big.iter().map(bytes).sum::<usize>() + bytes(&small[33]);
    assert!(all < 64 * BYTES_A_TOKEN, "{all} bytes run out first");
    small[..33].iter().chain(&big).chain([&small[33]]).for_each(|token| remember(&verifier, token));
    assert!(big.iter().all(|token| is_known(&verifier, token.as_str())));
    assert!(is_known(&verifier, small[33].as_str()) && !is_known(&verifier, small[0].as_str()));
}

#[test]
fn a_token_larger_than_the_cache_evicts_nothing() {
    let world = World::new();
    let verifier = world.verifier().token_cache(2).build().unwrap();
    let (issuer, _) = world.issuer();
    let small = mint(&issuer, "orders");
    warm(&verifier, small.as_str());
    let big = issuer.token_for("sales").scope("y".repeat(2_000)).mint().unwrap();
    (0..2).for_each(|_| remember(&verifier, &big));
    assert!(!is_known(&verifier, big.as_str()) && is_known(&verifier, small.as_str()));
}

#[test]
fn a_token_as_large_as_the_cache_is_cached() {
    // With a header of this length, tokens of all lengths that are wanted here can be had.
    let key = SigningKey::generate(Algorithm::HS256).unwrap().with_kid("123");
    let world = World { key, ..World::new() };
    let verifier = world.verifier().token_cache(2).build().unwrap();
    let (issuer, _) = world.issuer();
    let mut tokens =
        (500..1_000).map(|length| issuer.token_for("s").scope("y".repeat(length)).mint().unwrap());
    let exact = tokens.find(|token| bytes(token) >= 2 * BYTES_A_TOKEN).unwrap();
    assert_eq!(bytes(&exact), 2 * BYTES_A_TOKEN);
    warm(&verifier, exact.as_str());
    let longer = tokens.find(|token| bytes(token) > 2 * BYTES_A_TOKEN).unwrap();
    (0..2).for_each(|_| remember(&verifier, &longer));
    assert!(!is_known(&verifier, longer.as_str()));
}

#[test]
fn the_configured_number_of_tokens_is_bounded_and_may_be_zero() {
    let world = World::new();
    let without = world.verifier().without_token_cache().build().unwrap();
    let with = world.verifier().token_cache(Verifier::MAX_CACHED_TOKENS).build().unwrap();
    let refused = world.verifier().token_cache(Verifier::MAX_CACHED_TOKENS + 1).build().unwrap_err();
    assert_eq!(refused, BuildError::TokenCache(Verifier::MAX_CACHED_TOKENS + 1));
    let (issuer, _) = world.issuer();
    let token = mint(&issuer, "orders");
    warm(&with, token.as_str());
    for _ in 0..4 {
        assert!(!is_known(&without, token.as_str()));
    }
}

#[test]
fn each_thread_has_its_own_cache_and_hits_are_counted_together() {
    let world = World::new();
    let verifier = world.verifier().build().unwrap();
    let (issuer, _) = world.issuer();
    let token = mint(&issuer, "orders");
    warm(&verifier, token.as_str());
    std::thread::scope(|scope| {
        scope.spawn(|| warm(&verifier, token.as_str()));
    });
    assert_eq!(verifier.token_cache_hits(), 2);
}

#[test]
fn the_token_cache_is_bounded_in_bytes() {
    let world = World::new();
    let verifier = world.verifier().token_cache(16).build().unwrap();
    let (issuer, _) = world.issuer();
    // Room for sixteen usual tokens is room for few of these, and the last ones have it.
    let long = |index: usize| {
        let name = format!("{index:02}-{}", "x".repeat(200));
        issuer.token_for(&name).scope("y".repeat(1_500)).mint().unwrap()
    };
    let tokens: Vec<_> = (0..16).map(long).collect();
    for token in &tokens {
        warm(&verifier, token.as_str());
    }
    let known = tokens.iter().rev().take_while(|token| is_known(&verifier, token.as_str())).count();
    assert!((2..10).contains(&known), "{known} are known");
}

#[test]
fn the_longest_cached_token_has_eight_kibibytes() {
    // With one of these headers there is a token of every length.
    let found = ["1", "12", "123"].into_iter().find_map(|kid| {
        let world =
            World { key: SigningKey::generate(Algorithm::HS256).unwrap().with_kid(kid), ..World::new() };
        let verifier = world.verifier().token_cache(64).build().unwrap();
        let (issuer, _) = world.issuer();
        let mut tokens =
            (5_500..6_000).map(|length| issuer.token_for("s").scope("y".repeat(length)).mint().unwrap());
        let longest = tokens.find(|token| token.as_str().len() >= 8 * 1_024).unwrap();
        let longer = tokens.next().unwrap();
        (longest.as_str().len() == 8 * 1_024).then_some((verifier, longest, longer))
    });
    let (verifier, longest, longer) = found.unwrap();
    warm(&verifier, longest.as_str());
    (0..2).for_each(|_| remember(&verifier, &longer));
    assert!(!is_known(&verifier, longer.as_str()));
}

#[test]
fn a_very_long_token_is_not_cached() {
    let world = World::new();
    let verifier = world.verifier().build().unwrap();
    let (issuer, _) = world.issuer();
    let scope = |length: usize| issuer.token_for("orders").scope("y".repeat(length)).mint().unwrap();
    let (long, short) = (scope(7_000), scope(4_000));
    assert!(long.as_str().len() > 8 * 1_024 && short.as_str().len() < 8 * 1_024);
    warm(&verifier, short.as_str());
    for _ in 0..4 {
        assert!(!is_known(&verifier, long.as_str()));
    }
}
