//! The table, and the sentences of what should have held and did not.

use crate::Outcome;

const HEAD: [&str; 4] = ["measured", "log", "figure", "remark"];

/// Rows as they come, printed at the end.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<[String; 4]>,
    failures: Vec<String>,
}

impl Table {
    /// Adds a row.
    pub(crate) fn row(&mut self, measured: &str, log: &str, figure: &str, remark: &str) {
        self.rows.push([measured, log, figure, remark].map(str::to_owned));
    }

    /// Notes what was to hold; the run fails at its end if it does not.
    pub(crate) fn check(&mut self, holds: bool, otherwise: &str) {
        if !holds {
            self.failures.push(otherwise.to_owned());
        }
    }

    /// Prints all rows, then fails if a check did.
    pub(crate) fn print(&self) -> Outcome {
        print!("{}", self.text());
        match self.failures.as_slice() {
            [] => Ok(()),
            failures => Err(failures.join("; ").into()),
        }
    }

    /// As Markdown has it, in columns.
    fn text(&self) -> String {
        let head = HEAD.map(str::to_owned);
        let width = |column: usize| {
            let cells = self.rows.iter().chain([&head]).map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths = [0, 1, 2, 3].map(width);
        let rule = widths.map(|width| "-".repeat(width));
        [&head, &rule].into_iter().chain(&self.rows).map(|row| line(row, widths)).collect()
    }
}

fn line(row: &[String; 4], widths: [usize; 4]) -> String {
    let [measured, log, figure, remark] = row;
    let [a, b, c, d] = widths;
    format!("| {measured:<a$} | {log:<b$} | {figure:>c$} | {remark:<d$} |\n")
}

/// Bytes as MiB.
pub(crate) fn mib(bytes: Option<u64>) -> String {
    bytes.map_or_else(
        || "not known".to_owned(),
        |bytes| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let mut table = Table::default();
        table.row("replay", "7 events", "12 events/s", "");
        table.check(true, "not shown");
        let expected = "\
            | measured | log      |      figure | remark |\n\
            | -------- | -------- | ----------- | ------ |\n\
            | replay   | 7 events | 12 events/s |        |\n";
        assert_eq!(table.text(), expected);
        assert!(table.failures.is_empty());
    }
}
