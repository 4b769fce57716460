//! The names of the headers in which proxies forward client certificates. Servers remove these headers, because any client
//! can send them.

/// The beginnings of the header names in which proxies forward client certificates, without `-`, `_` and `.`. Some
/// servers treat these characters as equal (compare CVE-2026-46579), so all spellings are removed.
const FORWARDING: &[&str] = &[
    "clientcert",
    "cfcert",
    "cfclientcert",
    "proxyclientcert",
    "wlproxyclientcert",
    "xwlproxyclientcert",
    "xpeercert",
    "xclientcert",
    "xclientdn",
    "xclientcn",
    "xclientsubject",
    "xclientverify",
    "xcert",
    "sslclient",
    "xssl",
    "tlsclient",
    "xtlsclient",
    "xtlscert",
    "xforwardedclientcert",
    "xforwardedtlsclient",
    "xforwardedsslclient",
    "xarrclientcert",
    "xamznmtls",
    "xmtls",
    "xspiffe",
    "xverifiedclient",
];

/// The longest prefix above, and a few separators.
const COMPARED: usize = 40;

/// Whether a header with this name, in lower case, may claim a client certificate.
pub(crate) fn forwards(name: &str) -> bool {
    // Nearly all names are none, and this decides without an allocation.
    if !matches!(
        name.as_bytes().first(),
        Some(b'c' | b'h' | b'p' | b's' | b't' | b'w' | b'x' | b'_' | b'-' | b'.')
    ) {
        return false;
    }
    let plain = || name.bytes().filter(|byte| byte.is_ascii_alphanumeric()).take(COMPARED);
    // CGI writes a header as a variable with this prefix.
    let start = if plain().zip(*b"http").all(|(own, byte)| own == byte) { 4 } else { 0 };
    FORWARDING.iter().any(|prefix| {
        let mut plain = plain().skip(start);
        prefix.bytes().all(|byte| plain.next() == Some(byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_forward_a_certificate_are_recognized_in_every_spelling() {
        for name in [
            "client-cert",
            "client_cert",
            "client.cert",
            "clientcert",
            "_client-cert",
            "client-cert-chain",
            "client_cert-chain",
            "x-forwarded-client-cert",
            "x_forwarded_client_cert",
            "x-forwarded_client-cert",
            "x-forwarded-tls-client-cert",
            "x-forwarded-tls-client-cert-info",
            "x-ssl-client-verify",
            "x_ssl_client_s_dn",
            "ssl-client-cert",
            "x-client-cert",
            "x-client-certificate",
            "x-arr-clientcert",
            "x-amzn-mtls-clientcert",
            "x-amzn-mtls-clientcert-leaf",
            "x-tls-client-cn",
            "x-cert-subject",
            "x-ssl",
            "x-ssl-issuer",
            "cf-client-cert-der-base64",
            "cf-cert-verified",
            "wl-proxy-client-cert",
            "http_client_cert",
            "http_x_ssl_client_cert",
        ] {
            assert!(forwards(name), "{name}");
        }
        for name in [
            "content-type",
            "cookie",
            "x-request-id",
            "x-forwarded-for",
            "client-ip",
            "authorization",
            "host",
            "http",
            "h",
        ] {
            assert!(!forwards(name), "{name}");
        }
        assert!(FORWARDING.iter().all(|prefix| prefix.len() <= COMPARED));
    }
}
