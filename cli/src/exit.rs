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
    /// Every exit, in the order of the codes.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 7] = [
        Self::Done,
        Self::NotAuthentic,
        Self::Misuse,
        Self::Forbidden,
        Self::WouldBreak,
        Self::KeyRefused,
        Self::Overdue,
    ];

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
