//! The exit codes of the program: one table, which the guide and `--help` repeat.

/// How the program ends. The numbers are part of the contract, and the same in every command.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    /// Accepted, or done.
    Done,
    /// Not authentic (401), or a check found something.
    Found,
    /// Usage or configuration.
    Misuse,
    /// Authentic but forbidden: 403.
    Forbidden,
    /// The store, a file system or the service under attack cannot be used now.
    Unavailable,
    /// Another run holds the lock, or changed the same thing first.
    Busy,
    /// Refused, because it would break what works.
    WouldBreak,
    /// The signing key is revoked, retired or not published.
    KeyRefused,
    /// A rotation is overdue or unfinished.
    Overdue,
    /// A name matches nothing.
    NotFound,
    /// A rule of the new table admits callers that the old one refused.
    Loosened,
}

impl Exit {
    /// Every exit, in the order of the codes.
    pub(crate) const ALL: [Self; 11] = [
        Self::Done,
        Self::Found,
        Self::Misuse,
        Self::Forbidden,
        Self::Unavailable,
        Self::Busy,
        Self::WouldBreak,
        Self::KeyRefused,
        Self::Overdue,
        Self::NotFound,
        Self::Loosened,
    ];

    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Found => 1,
            Self::Misuse => 2,
            Self::Forbidden => 3,
            Self::Unavailable => 4,
            Self::Busy => 5,
            Self::WouldBreak => 6,
            Self::KeyRefused => 7,
            Self::Overdue => 8,
            Self::NotFound => 9,
            Self::Loosened => 10,
        }
    }

    /// The name in the guide.
    #[cfg(test)]
    const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Found => "found",
            Self::Misuse => "misuse",
            Self::Forbidden => "forbidden",
            Self::Unavailable => "unavailable",
            Self::Busy => "busy",
            Self::WouldBreak => "would break",
            Self::KeyRefused => "key refused",
            Self::Overdue => "overdue",
            Self::NotFound => "not found",
            Self::Loosened => "loosened",
        }
    }

    const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "accepted, or done",
            Self::Found => "not authentic (HTTP 401), or a check such as `expiring` found something",
            Self::Misuse => "usage or configuration; nothing was written",
            Self::Forbidden => "authentic and forbidden (HTTP 403)",
            Self::Unavailable => "the store, a file system or the attacked service cannot be used now",
            Self::Busy => "another run is active, or was faster",
            Self::WouldBreak => "refused: verifiers would refuse a valid token, or the clock is wrong",
            Self::KeyRefused => "the signing key is revoked, retired or not published",
            Self::Overdue => "`rotate --plan` found an overdue step, a key past its life, an unfinished run",
            Self::NotFound => {
                "a name that matches nothing: a token, service, key, issuer, revocation, record or handler"
            }
            Self::Loosened => "`endpoints --diff` found a rule that admits more callers",
        }
    }

    /// The table for `--help`.
    pub(crate) fn help() -> String {
        let lines = Self::ALL.map(|exit| format!("  {:>2}  {}\n", exit.code(), exit.meaning()));
        format!("Exit codes:\n{}", lines.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUIDE: &str = include_str!("../docs/exit-codes.md");

    fn rows(heading: &str) -> impl Iterator<Item = Vec<&'static str>> {
        let (_, table) = GUIDE.split_once(&format!("\n| {heading} | ")).unwrap();
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
        rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect())
    }

    #[test]
    fn table_of_the_guide_has_each_exit_code_and_no_others() {
        let shown = rows("code").map(|row| (row[0].parse().unwrap(), row[2])).collect::<Vec<(u8, _)>>();
        assert_eq!(shown, Exit::ALL.map(|exit| (exit.code(), exit.name())));
    }

    #[test]
    fn table_of_the_guide_has_each_code_of_a_problem_and_its_exit() {
        use crate::problem::ProblemCode;
        let shown: Vec<_> = rows("error").map(|row| (row[0].trim_matches('`'), row[1].to_owned())).collect();
        let known = ProblemCode::ALL.map(|code| (code.as_str(), code.exit().code().to_string()));
        assert_eq!(shown, known);
    }
}
