//! What was measured, as one table.

use std::fmt;

/// Rows of least, middle and most.
#[derive(Default)]
pub struct Table {
    rows: Vec<[String; 6]>,
}

impl Table {
    pub fn new() -> Self {
        Self::default()
    }

    /// One figure over all its rounds; also printed at once, since the whole run takes minutes.
    pub fn add(&mut self, figure: &str, unit: &str, rounds: &[f64], aim: &str) {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let show = |value: f64| if value >= 1_000.0 { format!("{value:.0}") } else { format!("{value:.2}") };
        let last = sorted.len().checked_sub(1).expect("a figure has rounds");
        let values = [sorted[0], median(&sorted), sorted[last]].map(show);
        println!(
            "{figure}: {} {} {} {unit} (least, median, most of {})",
            values[0],
            values[1],
            values[2],
            rounds.len()
        );
        let [least, middle, most] = values;
        self.rows.push([format!("{figure} ({unit})"), least, middle, most, rounds.len().to_string(), aim.to_owned()]);
    }
}

/// The middle of these, in any order.
pub fn median_of(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    median(&sorted)
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["figure", "min", "median", "max", "rounds", "aim"].map(str::to_owned);
        let width = |column: usize| self.rows.iter().chain([&head]).map(|row| row[column].len()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let line = |f: &mut fmt::Formatter<'_>, row: &[String; 6]| {
            write!(f, "| {:<width$} ", row[0], width = widths[0])?;
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                write!(f, "| {cell:>width$} ")?;
            }
            writeln!(f, "|")
        };
        line(f, &head)?;
        for (column, width) in widths.iter().enumerate() {
            write!(f, "|{}{}", "-".repeat(width + 1), if column == 0 { "-" } else { ":" })?;
        }
        writeln!(f, "|")?;
        self.rows.iter().try_for_each(|row| line(f, row))
    }
}
