//! Statements that are put together from conditions, so that each has only the conditions that it needs.
//!
//! A condition such as `$1 IS NULL OR issuer = $1` would keep the database from using an index. Values are always
//! arguments, never parts of the text.

/// The text of a statement, and the arguments of its placeholders.
#[derive(Debug, Default)]
pub(crate) struct Statement {
    sql: String,
    arguments: Vec<Argument>,
}

#[derive(Debug, Clone)]
pub(crate) enum Argument {
    Text(String),
    Number(i64),
}

impl Statement {
    pub(crate) fn new(sql: &str) -> Self {
        Self { sql: sql.to_owned(), arguments: Vec::new() }
    }

    pub(crate) fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// Appends a placeholder for this argument.
    pub(crate) fn bind(&mut self, argument: impl Into<Argument>) -> &mut Self {
        self.arguments.push(argument.into());
        self.sql.push('$');
        self.sql.push_str(&self.arguments.len().to_string());
        self
    }

    /// The text for sqlx.
    pub(crate) fn sql(&self) -> sqlx::AssertSqlSafe<String> {
        sqlx::AssertSqlSafe(self.sql.clone())
    }

    pub(crate) fn arguments(&self) -> &[Argument] {
        &self.arguments
    }
}

impl From<&str> for Argument {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&String> for Argument {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<i64> for Argument {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

/// Gives a query of sqlx the arguments of a statement.
macro_rules! with_arguments {
    ($query:expr, $statement:expr) => {
        $statement.arguments().iter().fold($query, |query, argument| match argument {
            $crate::store::statement::Argument::Text(text) => query.bind(text.clone()),
            $crate::store::statement::Argument::Number(number) => query.bind(*number),
        })
    };
}

pub(crate) use with_arguments;
