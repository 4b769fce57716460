//! SPIFFE IDs: the names of workloads in URI SANs of certificates.

use std::{borrow::Borrow, error::Error, fmt, str::FromStr};

/// The name of a workload, such as `spiffe://bakery.example/orders`. It has a path, because a certificate of a
/// workload needs one (X509-SVID section 2).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    text: String,
    domain: TrustDomain,
}

/// The name of a trust domain, such as `bakery.example`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrustDomain(String);

/// Why a text is not a SPIFFE ID or a trust domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidSpiffeId(&'static str);

const SCHEME: &str = "spiffe://";

impl SpiffeId {
    /// The maximum length, in bytes (SPIFFE-ID section 2.3).
    pub const MAX_LENGTH: usize = 2_048;

    /// The trust domain of the ID. Its roots verify the certificate.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// The whole ID.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl TrustDomain {
    /// The maximum length, in bytes (SPIFFE-ID section 2.3).
    pub const MAX_LENGTH: usize = 255;

    /// The name without the scheme.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SpiffeId {
    type Err = InvalidSpiffeId;

    fn from_str(text: &str) -> Result<Self, InvalidSpiffeId> {
        if text.len() > Self::MAX_LENGTH {
            return Err(InvalidSpiffeId("it is longer than 2048 bytes"));
        }
        let rest = text.strip_prefix(SCHEME).ok_or(InvalidSpiffeId("it does not begin with `spiffe://`"))?;
        let (domain, path) = rest.split_once('/').ok_or(InvalidSpiffeId("it has no path"))?;
        let domain = domain.parse()?;
        if !path.split('/').all(is_segment) {
            return Err(InvalidSpiffeId(
                "a segment of its path is empty, `.` or `..`, or has a character that is not allowed",
            ));
        }
        Ok(Self { text: text.to_owned(), domain })
    }
}

fn is_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

impl FromStr for TrustDomain {
    type Err = InvalidSpiffeId;

    fn from_str(text: &str) -> Result<Self, InvalidSpiffeId> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        if text.is_empty() || text.len() > Self::MAX_LENGTH || !text.bytes().all(allowed) {
            return Err(InvalidSpiffeId(
                "its trust domain needs 1 to 255 lower-case letters, digits, `-`, `_` or `.`",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Borrow<str> for TrustDomain {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for InvalidSpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for InvalidSpiffeId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spiffe_id_has_a_lower_case_trust_domain_and_a_path_of_plain_segments() {
        for text in ["spiffe://bakery.example/orders", "spiffe://a/b/C_d-e.f/0"] {
            let id: SpiffeId = text.parse().unwrap();
            assert_eq!(id.to_string(), text);
        }
        for text in [
            "",
            "orders",
            "SPIFFE://bakery.example/orders",
            "spiffe:/bakery.example/orders",
            "spiffe://bakery.example",
            "spiffe://bakery.example/",
            "spiffe:///orders",
            "spiffe://Bakery.example/orders",
            "spiffe://bakery.example:443/orders",
            "spiffe://user@bakery.example/orders",
            "spiffe://bakery.example//orders",
            "spiffe://bakery.example/orders/",
            "spiffe://bakery.example/../orders",
            "spiffe://bakery.example/./orders",
            "spiffe://bakery.example/orders?x",
            "spiffe://bakery.example/orders#x",
            "spiffe://bakery.example/%6frders",
            "spiffe://bakery.example/ordérs",
            "spiffe://bakery.example/orders\0",
        ] {
            assert!(text.parse::<SpiffeId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_lengths_of_an_id_and_of_a_trust_domain_are_bounded() {
        let of = |domain: usize, whole: usize| {
            let start = format!("spiffe://{}/", "a".repeat(domain));
            format!("{start}{}", "b".repeat(whole - start.len())).parse::<SpiffeId>().is_ok()
        };
        assert!(of(TrustDomain::MAX_LENGTH, SpiffeId::MAX_LENGTH));
        assert!(!of(TrustDomain::MAX_LENGTH + 1, 400) && !of(9, SpiffeId::MAX_LENGTH + 1));
    }
}
