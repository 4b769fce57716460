//! Everything that is measured against other crates: `peers all`, which the benchmark `versus` of
//! service-only runs. A crate of its own, so that nobody who tests service-only builds its peers.

// `runtime/benches/common` speaks of service-only's lints.
#![allow(unknown_lints, reason = "shared with the benchmarks of service-only")]

#[path = "../../common/mod.rs"]
mod common;

mod caches;
mod compile;
mod endpoints;
mod keys;
mod latency;
mod load;
mod plot;
mod races;
mod results;
mod servers;
mod verifiers;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["all"] => {
            races::run();
            caches::run();
            endpoints::run();
            load::run();
            compile::run();
            results::write();
        }
        ["races"] => races::run(),
        ["caches"] => caches::run(),
        ["endpoints"] => endpoints::run(),
        ["load"] => load::run(),
        ["compile"] => compile::run(),
        ["results"] => results::write(),
        // A child of `load`.
        ["serve", name, keys, audit] => servers::serve(name, &keys::Keys::read(keys), audit),
        ["latency", token, servers @ ..] => latency::run(token, servers),
        _ => eprintln!("peers all|races|caches|endpoints|load|compile|results"),
    }
}
