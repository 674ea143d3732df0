//! `intervals.hlog`: HdrHistogram's interval log, version 1.3, each line tagged with what it holds.
//!
//! The histograms hold nanoseconds, as such logs do; the column Interval_Max is in milliseconds.

use super::input::Interval;
use crate::stats::MS;
use halfopen_wheel::Instant;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{
    IntervalLogWriterBuilder, IntervalLogWriterError, Tag,
};
use jiff::Timestamp;
use std::io::{self, Write};

/// Writes `intervals` of a run that began at `began`, which was `started` by the time of day.
///
/// # Errors
/// Those of `to`.
pub fn write(
    mut to: impl Write,
    began: Instant,
    started: Timestamp,
    intervals: &[Interval],
) -> io::Result<()> {
    let epoch = started.as_duration().as_secs_f64();
    writeln!(to, "#[Histogram log format version 1.3]")?;
    writeln!(to, "#[StartTime: {epoch:.3} (seconds since epoch), {started}]")?;
    writeln!(to, "#[BaseTime: {epoch:.3} (seconds since epoch)]")?;
    writeln!(to, "#[Histograms hold nanoseconds, Interval_Max is in milliseconds]")?;
    writeln!(to, "{LEGEND}")?;
    let mut sorted: Vec<&Interval> = intervals.iter().collect();
    sorted.sort_by(|a, b| (a.start, &a.tag).cmp(&(b.start, &b.tag)));
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .with_max_value_divisor(MS)
        .begin_log_with(&mut to, &mut serializer)?;
    for interval in sorted {
        let start = interval.start.saturating_since(began);
        let tag = Tag::new(&interval.tag);
        log.write_histogram(&interval.histogram, start, interval.length, tag).map_err(cause)?;
    }
    Ok(())
}

const LEGEND: &str =
    r#""StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram""#;

fn cause<E: std::fmt::Debug>(error: IntervalLogWriterError<E>) -> io::Error {
    match error {
        IntervalLogWriterError::IoError(error) => error,
        IntervalLogWriterError::SerializeError(error) => io::Error::other(format!("{error:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
    use std::time::Duration;

    fn interval(tag: &str, second: u64, value: u64) -> Interval {
        let mut histogram = Histogram::new(3).unwrap();
        histogram.record(value).unwrap();
        let start = Instant::from_nanos(second * 1_000_000_000);
        Interval { tag: tag.into(), start, length: Duration::from_secs(1), histogram }
    }

    #[test]
    fn a_log_is_in_order_and_reads_back() {
        let intervals = [interval("b", 12, 5_000_000), interval("a", 12, 7), interval("b", 11, 9)];
        let mut log = Vec::new();
        let started = Timestamp::from_second(1_700_000_000).unwrap();
        write(&mut log, Instant::from_nanos(10_000_000_000), started, &intervals).unwrap();
        let text = String::from_utf8(log.clone()).unwrap();
        assert!(
            text.starts_with("#[Histogram log format version 1.3]\n#[StartTime: 1700000000.000")
        );
        assert!(text.contains(&format!("\n{LEGEND}\n")));
        assert!(text.contains("\nTag=b,2.000,1.000,5."), "{text}");
        // The legend is not known to this reader.
        let log = text.replace(LEGEND, "#");
        let read: Vec<(String, f64, u64)> = IntervalLogIterator::new(log.as_bytes())
            .filter_map(|entry| match entry.unwrap() {
                LogEntry::Interval(read) => Some(read),
                _ => None,
            })
            .map(|read| {
                let bytes = base64::Engine::decode(
                    &base64::engine::general_purpose::STANDARD,
                    read.encoded_histogram(),
                );
                let histogram: Histogram<u64> =
                    Deserializer::new().deserialize(&mut bytes.unwrap().as_slice()).unwrap();
                let tag = read.tag().unwrap().as_str().to_owned();
                (tag, read.start_timestamp().as_secs_f64(), histogram.min())
            })
            .collect();
        let names: Vec<_> = read.iter().map(|(tag, at, _)| (tag.as_str(), *at)).collect();
        assert_eq!(names, [("b", 1.0), ("a", 2.0), ("b", 2.0)]);
        assert_eq!((read[0].2, read[1].2), (9, 7));
    }
}
