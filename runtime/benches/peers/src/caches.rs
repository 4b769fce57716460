//! One hot token on one thread and on two: the whole of `Verifier::verify`, against nothing but the look-up
//! in caches that are keyed by the whole token and clone one shared `Arc`.

use std::{
    hash::{BuildHasher, RandomState},
    hint::black_box,
    sync::{Arc, Barrier},
};

use arc_swap::ArcSwapOption;
use nix::time::{ClockId, clock_gettime};
use service_only::{Algorithm, audit::NoAudit};

use crate::{
    common::{race::median, report::Report, tokens},
    keys::Keys,
    verifiers,
};

const COUNT: u32 = 50_000;
const ROUNDS: usize = 15;
/// What a cache of tokens would hold.
const CAPACITY: usize = 1024;

type Work<'w> = Box<dyn Fn() + Sync + 'w>;

pub fn run() {
    let key = tokens::signing_key(Algorithm::HS256);
    let keys = Keys::new(&key);
    let token = tokens::token(&tokens::issuer(key), tokens::SERVICE);
    let verifier = tokens::verifier(keys.ours(), NoAudit);
    let decode = verifiers::jsonwebtoken(&keys);
    let mut designs: Vec<(&str, Work<'_>)> = vec![
        ("service-only, all of `verify`", work(|| verifier.verify(black_box(&token)).unwrap())),
        ("jsonwebtoken::decode", work(|| decode(black_box(&token)))),
    ];
    designs.extend(caches(&token, &Arc::new(decode(&token))));
    // Nanoseconds of a look-up, a round each, on one thread and on two.
    let mut times: Vec<[Vec<f64>; 2]> = vec![Default::default(); designs.len()];
    for _ in 0..ROUNDS {
        for ((_, work), times) in designs.iter().zip(&mut times) {
            for (times, threads) in times.iter_mut().zip([1, 2]) {
                times.push(cpu_time(threads, &**work));
            }
        }
    }
    tell(&designs.iter().map(|(name, _)| *name).collect::<Vec<_>>(), &times);
}

fn tell(names: &[&str], times: &[[Vec<f64>; 2]]) {
    let report = &mut Report::new("caches");
    for (table, threads) in ["One hot token on one thread", "One hot token on two threads"].iter().zip([0, 1])
    {
        for (name, times_of) in names.iter().zip(times) {
            let pairs = times_of[threads].iter().zip(&times[0][threads]);
            let ratio = median(pairs.map(|(time, ours)| time / ours));
            report.row(table, name, "ns", median(times_of[threads].iter().copied()), ratio, None);
        }
    }
    for (name, [one, two]) in names.iter().zip(times) {
        let gain = median(one.iter().zip(two).map(|(one, two)| 2.0 * one / two));
        report.row(
            "What two threads get done with one hot token, against one",
            name,
            "times",
            gain,
            gain,
            None,
        );
    }
}

fn caches<'c, T: Clone + Send + Sync + 'static>(
    token: &'c str,
    value: &Arc<T>,
) -> Vec<(&'static str, Work<'c>)> {
    let quick = quick_cache::sync::Cache::<String, Arc<T>>::new(CAPACITY);
    quick.insert(token.to_owned(), Arc::clone(value));
    let papaya = papaya::HashMap::<String, Arc<T>>::new();
    papaya.pin().insert(token.to_owned(), Arc::clone(value));
    let moka = moka::sync::Cache::<String, Arc<T>>::new(CAPACITY as u64);
    moka.insert(token.to_owned(), Arc::clone(value));
    let dash = dashmap::DashMap::<String, Arc<T>>::new();
    dash.insert(token.to_owned(), Arc::clone(value));
    let state = RandomState::new();
    let slots: Vec<ArcSwapOption<(String, Arc<T>)>> = (0..CAPACITY).map(|_| ArcSwapOption::empty()).collect();
    let slot_of = move |token: &str| state.hash_one(token) as usize % CAPACITY;
    slots[slot_of(token)].store(Some(Arc::new((token.to_owned(), Arc::clone(value)))));
    vec![
        ("quick_cache", work(move || quick.get(black_box(token)).unwrap())),
        ("papaya", work(move || Arc::clone(papaya.pin().get(black_box(token)).unwrap()))),
        ("moka", work(move || moka.get(black_box(token)).unwrap())),
        ("dashmap", work(move || Arc::clone(&dash.get(black_box(token)).unwrap()))),
        (
            "slots of arc-swap",
            work(move || {
                let slot = slots[slot_of(black_box(token))].load();
                Arc::clone(&slot.as_ref().filter(|entry| entry.0 == token).unwrap().1)
            }),
        ),
    ]
}

fn work<'w, T>(work: impl Fn() -> T + Sync + 'w) -> Work<'w> {
    Box::new(move || drop(black_box(work())))
}

/// Nanoseconds that one look-up takes its thread: threads that wait for each other's cache lines are seen,
/// a busy machine is not.
fn cpu_time(threads: usize, work: &(dyn Fn() + Sync)) -> f64 {
    let barrier = Barrier::new(threads);
    let spent: f64 = std::thread::scope(|scope| {
        let run = || {
            (0..COUNT / 50).for_each(|_| work());
            barrier.wait();
            let start = now();
            (0..COUNT).for_each(|_| work());
            now() - start
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    spent / (f64::from(COUNT) * threads as f64)
}

fn now() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
    time.tv_sec() as f64 * 1e9 + time.tv_nsec() as f64
}
