//! Limits the hosts that an attack may reach: this machine, or the one host that the operator names.

use std::net::IpAddr;

use crate::problem::{Outcome, Problem};

/// Refuses a host that is neither. It does not resolve names: only `localhost` is this machine (RFC 6761
/// section 6.3), even if another name resolves to it.
pub(crate) fn check(url: &str, allowed: Option<&str>) -> Outcome<()> {
    let host = host(url);
    if let Some(allowed) = allowed.filter(|allowed| *allowed != host) {
        return Err(Problem::usage(format!(
            "`--allow-host` names `{allowed}`, and `--url` the host `{host}`"
        ))
        .help("name the host of `--url`, or leave `--allow-host` out for this machine"));
    }
    if is_loopback(host) || allowed.is_some_and(|allowed| !host.is_empty() && allowed == host) {
        return Ok(());
    }
    Err(Problem::usage(format!("`{host}` is not this machine"))
        .help("attack only your own services; confirm the host with `--allow-host HOST`"))
}

fn host(url: &str) -> &str {
    let rest = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme)).unwrap_or(url);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_attacked_unless_the_host_is_named() {
        for url in ["http://127.0.0.1:8000", "https://127.9.9.9", "https://localhost/api", "http://[::1]:80/"]
        {
            assert!(check(url, None).is_ok(), "{url}");
        }
        for url in [
            "http://orders:8000",
            "https://orders:8443",
            "http://10.0.0.1",
            "http://127.0.0.1.example",
            "http://localhost.example",
            "http://127.0.0.1@orders",
            "http://[::2]",
            "http://0.0.0.0",
            "http://",
        ] {
            assert!(check(url, None).is_err(), "{url}");
        }
        assert!(check("http://orders:8000", Some("orders")).is_ok());
        assert!(check("http://orders.example:8000", Some("orders")).is_err());
        assert!(check("http://", Some("")).is_err());
    }
}
