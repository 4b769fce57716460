//! Backups as JSON lines, the same for both databases.
//!
//! A backup begins with a line that names its format, has one line for each row, and ends with a line that counts the
//! rows. A file without the last line is not a backup: its writer was killed.
//!
//! Everything but the tokens is read in one transaction. The tokens follow in pages, so that no writer waits for them:
//! a token is never changed, and one that is minted during the backup may be in it or not.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, Read as _},
    time::Duration,
};

use serde_json::{Value, json};
use sqlx::Row as _;

use super::{
    Store, StoreError,
    error::Fault,
    statement::{Statement, with_arguments},
};

/// The version of the format.
const FORMAT: i64 = 1;

/// The number of rows of one query or statement. SQLite allows 32,766 arguments.
const BATCH: usize = 1_000;

/// The longest line that is read, in bytes. The longest row has a reason and some names, a few KiB.
const MAX_LINE: u64 = 1024 * 1024;

/// The timeout for all rows: ten million tokens take some minutes.
const TIMEOUT: Duration = Duration::from_secs(7_200);

/// What a backup contains, or what a store got from one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupSummary {
    /// The number of rows, by the name of their table without `service_only_`.
    pub rows: BTreeMap<String, u64>,
    /// The number of the last revocation.
    pub sequence: i64,
}

/// The values of one row, in the order of the table's columns.
type Cells = Vec<Value>;

/// A table of a backup.
struct Table {
    name: &'static str,
    columns: &'static [(&'static str, Kind)],
    /// The columns that identify a row, with which the columns begin.
    key: usize,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Number,
}

use Kind::{Number, Text};

const TOKENS: Table = Table {
    name: "tokens",
    columns: &[
        ("issuer", Text),
        ("jti", Text),
        ("service", Text),
        ("kid", Text),
        ("issued_at", Number),
        ("expires_at", Number),
        ("note", Text),
        ("minted_by", Text),
        ("minted_at", Number),
    ],
    key: 2,
};

/// The tables that are read in one transaction.
const OTHERS: [Table; 7] = [
    Table {
        name: "revocations",
        columns: &[
            ("sequence", Number),
            ("kind", Text),
            ("issuer", Text),
            ("name", Text),
            ("until", Number),
            ("revoked_at", Number),
            ("revoked_by", Text),
            ("reason", Text),
        ],
        key: 1,
    },
    Table {
        name: "past_revocations",
        columns: &[
            ("sequence", Number),
            ("kind", Text),
            ("issuer", Text),
            ("name", Text),
            ("until", Number),
            ("revoked_at", Number),
            ("revoked_by", Text),
            ("reason", Text),
            ("undone", Number),
            ("undone_at", Number),
            ("undone_by", Text),
            ("undone_reason", Text),
        ],
        key: 1,
    },
    Table {
        name: "keys",
        columns: &[
            ("issuer", Text),
            ("kid", Text),
            ("algorithm", Text),
            ("state", Text),
            ("file", Text),
            ("public_jwk", Text),
            ("prepared_at", Number),
            ("active_at", Number),
            ("retiring_at", Number),
            ("retired_at", Number),
            ("expires_at", Number),
        ],
        key: 2,
    },
    Table {
        name: "verifiers",
        columns: &[
            ("issuer", Text),
            ("id", Text),
            ("kids", Text),
            ("refresh_seconds", Number),
            ("last_seen", Number),
        ],
        key: 2,
    },
    Table {
        name: "key_use",
        columns: &[("issuer", Text), ("kid", Text), ("service", Text), ("last_seen", Number)],
        key: 3,
    },
    Table { name: "pruned", columns: &[("issuer", Text), ("tokens", Number), ("pruned_at", Number)], key: 1 },
    Table {
        name: "checkpoints",
        columns: &[("origin", Text), ("size", Number), ("note", Text), ("stored_at", Number)],
        key: 2,
    },
];

impl Table {
    fn named(name: &str) -> Option<&'static Self> {
        const ALL: &[Table] = &OTHERS;
        if name == TOKENS.name { Some(&TOKENS) } else { ALL.iter().find(|table| table.name == name) }
    }

    fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    /// The next rows behind the last one, in the order of their key.
    fn page(&self, last: Option<&[Value]>) -> Statement {
        let key: Vec<_> = self.columns.iter().take(self.key).map(|(name, _)| *name).collect();
        let mut statement =
            Statement::new(&format!("SELECT {} FROM service_only_{}", self.names(), self.name));
        if let Some(last) = last {
            statement.push(&format!(" WHERE ({}) > (", key.join(", ")));
            for (place, value) in last.iter().take(self.key).enumerate() {
                statement.push(if place == 0 { "" } else { ", " });
                match value.as_i64() {
                    Some(number) => statement.bind(number),
                    None => statement.bind(value.as_str().unwrap_or_default()),
                };
            }
            statement.push(")");
        }
        statement.push(&format!(" ORDER BY {} LIMIT {BATCH}", key.join(", ")));
        statement
    }
}

/// The rows of one query of a table, as lines of a backup.
macro_rules! rows_of {
    ($table:expr, $statement:expr, $connection:expr) => {{
        let query = with_arguments!(sqlx::query($statement.sql()), $statement);
        let mut rows = Vec::new();
        for row in query.fetch_all($connection).await? {
            let mut values = Vec::with_capacity($table.columns.len());
            for (place, (_, kind)) in $table.columns.iter().enumerate() {
                values.push(match kind {
                    Text => Value::from(row.try_get::<Option<String>, _>(place)?),
                    Number => Value::from(row.try_get::<Option<i64>, _>(place)?),
                });
            }
            rows.push(values);
        }
        rows
    }};
}

/// Writes the lines of a backup, and counts them.
struct Writer<'a> {
    write: &'a mut (dyn FnMut(&str) -> io::Result<()> + Send),
    rows: BTreeMap<String, u64>,
}

impl Writer<'_> {
    fn line(&mut self, line: &Value) -> Result<(), Fault> {
        let written = (self.write)(&format!("{line}\n"));
        written
            .map_err(|error| StoreError::Backup { reason: format!("it cannot be written: {error}") }.into())
    }

    /// Writes the rows of one page, and returns the query of the next page; `None` after the last one.
    fn page(&mut self, table: &Table, rows: &[Cells]) -> Result<Option<Statement>, Fault> {
        if !rows.is_empty() {
            let count = self.rows.entry(table.name.to_owned()).or_default();
            *count = count.saturating_add(rows.len() as u64);
        }
        rows.iter().try_for_each(|row| self.line(&json!([table.name, row])))?;
        Ok((rows.len() == BATCH).then(|| table.page(rows.last().map(Vec::as_slice))))
    }
}

impl Store {
    /// Writes a backup, line by line. Other programs can write meanwhile.
    ///
    /// # Errors
    /// When the store cannot be read, and [`StoreError::Backup`] when the lines cannot be written.
    pub async fn back_up(
        &self,
        write: &mut (dyn FnMut(&str) -> io::Result<()> + Send),
    ) -> Result<BackupSummary, StoreError> {
        const HEAD: &str = "SELECT store, value FROM service_only_sequence";
        let mut writer = Writer { write, rows: BTreeMap::new() };
        let has =
            [self.has_past_revocations().await?, self.has_pruned().await?, self.has_checkpoints().await?];
        let there = |table: &&Table| match table.name {
            "past_revocations" => has[0],
            "pruned" => has[1],
            "checkpoints" => has[2],
            _ => true,
        };
        let sequence = on_pool!(self, within TIMEOUT, pool => {
            let begin = if self.is_postgres() {
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
            } else {
                "BEGIN"
            };
            let mut tx = pool.begin_with(begin).await?;
            let (store, sequence): (String, i64) = sqlx::query_as(HEAD).fetch_one(&mut *tx).await?;
            writer.line(&json!({ "service_only_backup": FORMAT, "store": store, "sequence": sequence }))?;
            for table in OTHERS.iter().filter(there) {
                let mut next = Some(table.page(None));
                while let Some(statement) = next {
                    let rows = rows_of!(table, statement, &mut *tx);
                    next = writer.page(table, &rows)?;
                }
            }
            tx.commit().await?;
            sequence
        })?;
        let mut next = Some(TOKENS.page(None));
        while let Some(statement) = next {
            let rows = on_pool!(self, pool => rows_of!(TOKENS, statement, pool))?;
            next = writer.page(&TOKENS, &rows).map_err(|fault| fault.at(self.place(), None))?;
        }
        let end = json!({ "end": writer.rows });
        writer.line(&end).map_err(|fault| fault.at(self.place(), None))?;
        Ok(BackupSummary { rows: writer.rows, sequence })
    }

    /// Fills an empty store from the lines of a backup, completely or not at all. The store keeps its own identity,
    /// so verifiers that followed it before read everything again.
    ///
    /// # Errors
    /// [`StoreError::Backup`] if the lines are not a complete backup or the store is not empty, and when the store
    /// cannot write.
    pub async fn restore(&self, backup: &mut (dyn BufRead + Send)) -> Result<BackupSummary, StoreError> {
        self.add_past_revocations().await?;
        self.add_pruned().await?;
        self.add_checkpoints_table().await?;
        let bad = |reason: String| Fault::from(StoreError::Backup { reason });
        in_transaction!(self, within TIMEOUT, tx => {
            // Another restore waits here, and then finds a store that is not empty.
            sqlx::query(super::revoked::LOCK_SEQUENCE).execute(&mut *tx).await?;
            for table in [&TOKENS].into_iter().chain(&OTHERS) {
                let one = format!("SELECT 1 FROM service_only_{} LIMIT 1", table.name);
                let row = sqlx::query(sqlx::AssertSqlSafe(one)).fetch_optional(&mut *tx).await?;
                if row.is_some() {
                    Err(bad(format!(
                        "`{}` is not empty: it has {}; restore into a new store", self.place(), table.name
                    )))?;
                }
            }
            let mut reader = Reader::new(&mut *backup);
            let sequence = reader.begin().map_err(bad)?;
            while let Some((table, rows)) = reader.batch().map_err(bad)? {
                let mut statement = sqlx::QueryBuilder::new(format!(
                    "INSERT INTO service_only_{} ({}) ", table.name, table.names()
                ));
                statement.push_values(&rows, |mut row, values| {
                    for (value, (_, kind)) in values.iter().zip(table.columns) {
                        match kind {
                            Text => row.push_bind(value.as_str().map(str::to_owned)),
                            Number => row.push_bind(value.as_i64()),
                        };
                    }
                });
                statement.build().execute(&mut *tx).await?;
            }
            sqlx::query("UPDATE service_only_sequence SET value = $1")
                .bind(sequence).execute(&mut *tx).await?;
            BackupSummary { rows: reader.rows, sequence }
        })
    }
}

/// Reads the lines of a backup, and checks that all are there.
struct Reader<'a> {
    backup: &'a mut (dyn BufRead + Send),
    line: Vec<u8>,
    number: u64,
    rows: BTreeMap<String, u64>,
    /// The first row of the next batch.
    ahead: Option<(&'static Table, Cells)>,
    has_ended: bool,
}

impl<'a> Reader<'a> {
    fn new(backup: &'a mut (dyn BufRead + Send)) -> Self {
        Self { backup, line: Vec::new(), number: 0, rows: BTreeMap::new(), ahead: None, has_ended: false }
    }

    fn next(&mut self) -> Result<Value, String> {
        self.number += 1;
        let number = self.number;
        self.line.clear();
        let read = (&mut *self.backup).take(MAX_LINE).read_until(b'\n', &mut self.line);
        match read {
            Err(error) => return Err(format!("line {number} cannot be read: {error}")),
            Ok(0) => {
                return Err(format!("it ends before line {number}, without the line that counts its rows"));
            }
            Ok(_) if self.line.len() as u64 == MAX_LINE && !self.line.ends_with(b"\n") => {
                return Err(format!("line {number} is longer than {MAX_LINE} bytes, so it is not a backup"));
            }
            Ok(_) => {}
        }
        // Editors of Windows put a byte order mark before the first line.
        let mark: &[u8] = if number == 1 { b"\xef\xbb\xbf" } else { b"" };
        let line = self.line.strip_prefix(mark).unwrap_or(&self.line);
        // The parser's message could quote a name, and never a secret; the line number is enough.
        serde_json::from_slice(line).map_err(|_| format!("line {number} is not a line of a backup"))
    }

    /// Whether only empty lines follow.
    fn is_at_end(&mut self) -> bool {
        loop {
            match self.backup.fill_buf() {
                Ok([]) => return true,
                Ok(rest) if rest.trim_ascii().is_empty() => {
                    let length = rest.len();
                    self.backup.consume(length);
                }
                _ => return false,
            }
        }
    }

    /// Reads the first line, and returns the number of the last revocation.
    fn begin(&mut self) -> Result<i64, String> {
        let head = self.next()?;
        let number = |name: &str| head.get(name).and_then(Value::as_i64);
        match (number("service_only_backup"), number("sequence")) {
            (Some(FORMAT), Some(sequence)) => Ok(sequence),
            (Some(format), _) if format != FORMAT => {
                Err(format!("its format is {format}, this program knows {FORMAT}; use the newer program"))
            }
            _ => Err("its first line is not that of a backup".to_owned()),
        }
    }

    /// The next rows of one table; `None` after the last line.
    fn batch(&mut self) -> Result<Option<(&'static Table, Vec<Cells>)>, String> {
        let Some((table, first)) = self.ahead.take().map_or_else(|| self.next_row(), |row| Ok(Some(row)))?
        else {
            return Ok(None);
        };
        let mut rows = vec![first];
        while rows.len() < BATCH {
            match self.next_row()? {
                Some((other, row)) if other.name == table.name => rows.push(row),
                other => {
                    self.ahead = other;
                    break;
                }
            }
        }
        Ok(Some((table, rows)))
    }

    /// The next row; `None` at the last line, and behind it.
    fn next_row(&mut self) -> Result<Option<(&'static Table, Cells)>, String> {
        if self.has_ended {
            return Ok(None);
        }
        let line = self.next()?;
        if let Some(counts) = line.get("end") {
            self.has_ended = true;
            self.end(counts)?;
            // A second backup behind the first, or the rest of another one.
            return match self.is_at_end() {
                true => Ok(None),
                false => Err("it continues after the line that counts its rows".to_owned()),
            };
        }
        let (table, row) = self.row(&line)?;
        let count = self.rows.entry(table.name.to_owned()).or_default();
        *count = count.saturating_add(1);
        Ok(Some((table, row)))
    }

    fn row(&self, line: &Value) -> Result<(&'static Table, Cells), String> {
        let number = self.number;
        let unknown = || format!("line {number} is not a line of a backup that this program knows");
        let table = line.get(0).and_then(Value::as_str).and_then(Table::named).ok_or_else(unknown)?;
        let row = line
            .get(1)
            .and_then(Value::as_array)
            .filter(|row| row.len() == table.columns.len())
            .ok_or_else(unknown)?;
        let fits = row.iter().zip(table.columns).all(|(value, (_, kind))| {
            value.is_null()
                || match kind {
                    Text => value.is_string(),
                    Number => value.is_i64(),
                }
        });
        if fits { Ok((table, row.clone())) } else { Err(unknown()) }
    }

    fn end(&self, counts: &Value) -> Result<(), String> {
        if *counts == json!(self.rows) {
            Ok(())
        } else {
            Err("it has another number of rows than its last line says".to_owned())
        }
    }
}
