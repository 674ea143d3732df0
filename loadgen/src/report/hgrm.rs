//! `.hgrm`: a percentile distribution as HdrHistogram's own tools print it, in milliseconds.
//!
//! The footers are always there, because readers insist on them.

use crate::stats::MS;
use hdrhistogram::Histogram;
use std::fmt::Write;

/// Rows for each halving of what remains: fine enough to draw the body of a distribution too.
const STEPS: u32 = 20;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// The value, ms.
    pub value: f64,
    /// The share of samples that are at most it.
    pub quantile: f64,
    /// Samples that are at most it.
    pub count: u64,
}

/// The rows of a histogram of nanoseconds.
pub fn rows(histogram: &Histogram<u64>) -> Vec<Row> {
    let steps = histogram.iter_quantiles(STEPS);
    let mut counted = 0;
    let row = |step: hdrhistogram::iterators::IterationValue<u64>| {
        counted += step.count_since_last_iteration();
        let value = step.value_iterated_to() as f64 / MS;
        Row { value, quantile: step.quantile_iterated_to(), count: counted }
    };
    steps.map(row).collect()
}

/// A histogram of nanoseconds as the text of an `.hgrm` file.
pub fn write(histogram: &Histogram<u64>) -> String {
    let mut text = format!(
        "{:>14} {:>16} {:>10} {:>16}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut line = |row: Row| {
        let Row { value, quantile, count } = row;
        let inverse = 1.0 / (1.0 - quantile);
        writeln!(text, "{value:>14.6} {quantile:>16.12} {count:>10} {inverse:>16.2}")
    };
    let mut written = Ok(());
    for row in rows(histogram) {
        written = written.and(line(row));
    }
    written
        .and_then(|()| {
            let (mean, deviation) = (histogram.mean() / MS, histogram.stdev() / MS);
            writeln!(text, "#[Mean    = {mean:>14.6}, StdDeviation   = {deviation:>14.6}]")?;
            let (max, total) = (histogram.max() as f64 / MS, histogram.len());
            writeln!(text, "#[Max     = {max:>14.6}, Total count    = {total:>14}]")?;
            let (buckets, sub) = (histogram.buckets(), sub_buckets(histogram));
            writeln!(text, "#[Buckets = {buckets:>14}, SubBuckets     = {sub:>14}]")
        })
        .expect("a string takes everything");
    text
}

/// The rows of the text of an `.hgrm` file; a line that is none is passed over.
pub fn read(text: &str) -> Vec<Row> {
    let row = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [value, quantile, count, _] = columns[..] else { return None };
        let (value, quantile) = (value.parse().ok()?, quantile.parse().ok()?);
        Some(Row { value, quantile, count: count.parse().ok()? })
    };
    text.lines().filter_map(row).collect()
}

/// Twice the values that the digits must tell apart, rounded up to a power of two.
fn sub_buckets(histogram: &Histogram<u64>) -> u64 {
    (2 * 10u64.pow(u32::from(histogram.sigfig()))).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thousand() -> Histogram<u64> {
        let mut histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3).unwrap();
        (1..=1000).for_each(|ms| histogram.record(ms * 1_000_000).unwrap());
        histogram
    }

    #[test]
    fn every_row_has_four_numbers_and_the_last_is_infinite() {
        let text = write(&thousand());
        let mut lines = text.lines();
        let header: Vec<_> = lines.next().unwrap().split_whitespace().collect();
        assert_eq!(header, ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"]);
        assert_eq!(lines.next(), Some(""));
        let (rows, footers): (Vec<_>, Vec<_>) = lines.partition(|line| !line.starts_with("#["));
        for row in &rows {
            let numbers: Vec<f64> = row.split_whitespace().map(|n| n.parse().unwrap()).collect();
            assert_eq!(numbers.len(), 4, "{row}");
        }
        let last: Vec<_> = rows.last().unwrap().split_whitespace().collect();
        assert_eq!((last[1], last[2], last[3]), ("1.000000000000", "1000", "inf"));
        let names = ["#[Mean ", "#[Max ", "#[Buckets "];
        assert!(footers.iter().zip(names).all(|(line, name)| line.starts_with(name)));
        assert_eq!(footers.len(), 3);
        assert!(footers[2].ends_with("2048]"));
    }

    #[test]
    fn what_was_written_is_read_back() {
        let (written, read) = (rows(&thousand()), read(&write(&thousand())));
        assert_eq!(written.len(), read.len());
        for (a, b) in written.iter().zip(&read) {
            assert!((a.value - b.value).abs() < 1e-5 && (a.quantile - b.quantile).abs() < 1e-9);
            assert_eq!(a.count, b.count);
        }
    }

    #[test]
    fn an_empty_histogram_has_footers_all_the_same() {
        let text = write(&Histogram::<u64>::new(3).unwrap());
        assert_eq!(text.lines().filter(|line| line.starts_with("#[")).count(), 3);
        assert!(!text.contains("NaN"), "{text}");
    }
}
