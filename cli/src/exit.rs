//! The exit codes of the program.

/// How the program ends. The numbers are part of the contract.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    /// Accepted, or done.
    Done,
    /// Not authentic: 401.
    NotAuthentic,
    /// Usage or configuration.
    Misuse,
    /// Authentic but forbidden: 403.
    Forbidden,
    /// Refused, because verifiers would refuse a valid token.
    WouldBreak,
    /// The signing key is revoked, retired or not published.
    KeyRefused,
    /// A rotation is overdue or unfinished.
    Overdue,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::NotAuthentic => 1,
            Self::Misuse => 2,
            Self::Forbidden => 3,
            Self::WouldBreak => 6,
            Self::KeyRefused => 7,
            Self::Overdue => 8,
        }
    }
}
