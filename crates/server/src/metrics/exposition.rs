use super::buckets::{Buckets, RTT_NS};
use hdrhistogram::Histogram;
use std::fmt::{Display, Write};

/// The media type of what [`Exposition`] writes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Writes metrics as Prometheus reads them: text format 0.0.4.
///
/// Names and label names are the caller's and valid (`[a-z_:]+`); values of labels may be anything.
#[derive(Clone, Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// A number that only grows, and is named `…_total`.
    pub fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "counter");
        self.sample(name, &[], value);
    }

    /// Numbers that only grow, told apart by one label.
    pub fn counters<L: AsRef<str>>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) {
        self.head(name, help, "counter");
        for (of, value) in values {
            self.sample(name, &[(label, of.as_ref())], value);
        }
    }

    /// A number that rises and falls.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "gauge");
        self.sample(name, &[], value);
    }

    /// Numbers that rise and fall, told apart by one label.
    pub fn gauges<L: AsRef<str>>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) {
        self.head(name, help, "gauge");
        for (of, value) in values {
            self.sample(name, &[(label, of.as_ref())], value);
        }
    }

    /// Words about the server, as the labels of a gauge that is always 1.
    pub fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) {
        self.head(name, help, "gauge");
        self.sample(name, labels, 1);
    }

    /// Times of nanoseconds, in seconds, with bounds from 100 µs to 30 s.
    pub fn times(&mut self, name: &str, help: &str, times_ns: &Histogram<u64>) {
        self.histogram(name, help, &Buckets::of(times_ns, &RTT_NS));
    }

    /// Times, in seconds.
    pub(super) fn histogram(&mut self, name: &str, help: &str, times: &Buckets) {
        self.head(name, help, "histogram");
        let bucket = format!("{name}_bucket");
        for (bound, count) in times.cumulative() {
            self.sample(&bucket, &[("le", &bound.to_string())], count);
        }
        self.sample(&bucket, &[("le", "+Inf")], times.count());
        self.sample(&format!("{name}_sum"), &[], times.sum());
        self.sample(&format!("{name}_count"), &[], times.count());
    }

    /// What was written.
    pub fn into_text(self) -> String {
        self.0
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        self.0.extend(["# HELP ", name, " "]);
        self.escaped(help, false);
        self.0.extend(["\n# TYPE ", name, " ", kind, "\n"]);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, of)) in labels.iter().enumerate() {
            let before = if index == 0 { "{" } else { "," };
            self.0.extend([before, label, "=\""]);
            self.escaped(of, true);
            self.0.push('"');
        }
        let after = if labels.is_empty() { "" } else { "}" };
        writeln!(self.0, "{after} {value}").expect("a string takes everything");
    }

    /// Backslash and line feed, and quotes where they would end the text, need a backslash.
    fn escaped(&mut self, text: &str, quoted: bool) {
        for c in text.chars() {
            match c {
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                '"' if quoted => self.0.push_str("\\\""),
                c => self.0.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::buckets::LATENESS_NS;

    #[test]
    fn each_metric_has_its_help_its_type_and_its_samples() {
        let mut text = Exposition::default();
        text.counter("a_total", "Things.", 3);
        text.gauges("b", "More\nthings \\ \"here\".", "of", [("x\"y\\z\n", 1), ("", 0)]);
        text.info("c_info", "Words.", &[("v", "1"), ("w", "2")]);
        let expected = "# HELP a_total Things.\n# TYPE a_total counter\na_total 3\n\
            # HELP b More\\nthings \\\\ \"here\".\n# TYPE b gauge\n\
            b{of=\"x\\\"y\\\\z\\n\"} 1\nb{of=\"\"} 0\n\
            # HELP c_info Words.\n# TYPE c_info gauge\nc_info{v=\"1\",w=\"2\"} 1\n";
        assert_eq!(text.into_text(), expected);
    }

    #[test]
    fn a_histogram_ends_with_infinity_sum_and_count() {
        let mut text = Exposition::default();
        text.histogram("late_seconds", "Times.", &Buckets::new(&LATENESS_NS));
        let text = text.into_text();
        assert!(text.contains("\nlate_seconds_bucket{le=\"0.001\"} 0\n"), "{text}");
        assert!(
            text.ends_with(
                "\nlate_seconds_bucket{le=\"+Inf\"} 0\nlate_seconds_sum 0\nlate_seconds_count 0\n"
            ),
            "{text}"
        );
    }
}
