//! Writes a report as CSV (RFC 4180).

use std::fmt::Write as _;

/// Adds one row. A cell that a spreadsheet would calculate begins with an apostrophe, so that it stays text.
pub(super) fn row<'a>(text: &mut String, cells: impl IntoIterator<Item = &'a str>) {
    for (number, cell) in cells.into_iter().enumerate() {
        if number > 0 {
            text.push(',');
        }
        let calculates = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let cell = if calculates { format!("'{cell}") } else { cell.to_owned() };
        if cell.contains([',', '"', '\n', '\r']) {
            // Writing to a String cannot fail.
            let _ = write!(text, "\"{}\"", cell.replace('"', "\"\""));
        } else {
            text.push_str(&cell);
        }
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    #[test]
    fn cells_are_quoted_and_not_calculated() {
        let mut text = String::new();
        super::row(&mut text, ["a", "b,c", "d\"e", "=1+1"]);
        assert_eq!(text, "a,\"b,c\",\"d\"\"e\",'=1+1\r\n");
    }
}
