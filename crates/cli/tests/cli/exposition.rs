//! A strict reader of Prometheus' text format 0.0.4: what is allowed but careless, it refuses too.

use std::collections::{BTreeMap, HashSet};

/// A page, read: families by name.
#[derive(Debug)]
pub(crate) struct Page(BTreeMap<String, Family>);

#[derive(Debug)]
struct Family {
    kind: String,
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Page {
    /// Reads a page, and panics at the first thing that is not as it should be.
    pub(crate) fn read(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line ends, too");
        let mut families = BTreeMap::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let (name, help) = words(line.strip_prefix("# HELP ").expect(line), line);
            assert!(is_name(name) && help.len() > 3, "{line}");
            let line = lines.next().expect("a type follows the help");
            let (of, kind) = words(line.strip_prefix("# TYPE ").expect(line), line);
            assert_eq!(of, name, "{line}");
            let mut samples = Vec::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                samples.push(sample(line));
            }
            let family = Family { kind: kind.to_owned(), samples };
            check(name, &family);
            let before = families.insert(name.to_owned(), family);
            assert!(before.is_none(), "{name} comes twice");
        }
        Self(families)
    }

    /// The value of a sample without labels.
    pub(crate) fn value(&self, name: &str) -> f64 {
        self.of(name, &[])
    }

    /// The value of the sample with these labels.
    pub(crate) fn of(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let found = self.samples().find(|sample| {
            let is_same = sample.labels.iter().map(|(k, v)| (k.as_str(), v.as_str()));
            sample.name == name && is_same.eq(labels.iter().copied())
        });
        found.unwrap_or_else(|| panic!("no {name} {labels:?} in {:?}", self.0.keys())).value
    }

    /// The sum over all labels.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.samples().filter(|sample| sample.name == name).map(|sample| sample.value).sum()
    }

    /// Every name that a query could ask for.
    pub(crate) fn names(&self) -> HashSet<&str> {
        self.samples().map(|sample| sample.name.as_str()).collect()
    }

    /// The families, by which a manual would list them.
    pub(crate) fn families(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The values of a label.
    pub(crate) fn label(&self, name: &str, label: &str) -> HashSet<&str> {
        let of = self.samples().filter(|sample| sample.name == name);
        let pairs = of.flat_map(|sample| &sample.labels);
        pairs.filter(|(key, _)| key == label).map(|(_, value)| value.as_str()).collect()
    }

    /// How many samples there are.
    pub(crate) fn len(&self) -> usize {
        self.samples().count()
    }

    fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.0.values().flat_map(|family| &family.samples)
    }
}

fn words<'a>(text: &'a str, line: &str) -> (&'a str, &'a str) {
    text.split_once(' ').unwrap_or_else(|| panic!("{line}"))
}

fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(allowed)
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
    let (name, labels) = match series.split_once('{') {
        None => (series, Vec::new()),
        Some((name, rest)) => (name, labels(rest.strip_suffix('}').expect(line), line)),
    };
    assert!(is_name(name), "{line}");
    Sample { name: name.into(), labels, value: number(value) }
}

fn labels(mut text: &str, line: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
        assert!(is_name(name), "{line}");
        let (value, rest) = quoted(rest, line);
        labels.push((name.to_owned(), value));
        text = rest.strip_prefix(',').unwrap_or(rest);
    }
    labels
}

fn quoted<'a>(text: &'a str, line: &str) -> (String, &'a str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    loop {
        match chars.next().unwrap_or_else(|| panic!("{line}")) {
            (at, '"') => return (value, &text[at + 1..]),
            (_, '\\') => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, c @ ('"' | '\\'))) => c,
                _ => panic!("{line}"),
            }),
            (_, c) => value.push(c),
        }
    }
}

fn number(text: &str) -> f64 {
    match text {
        "+Inf" => f64::INFINITY,
        _ => {
            let value = text.parse().unwrap_or_else(|_| panic!("{text}"));
            assert!(f64::is_finite(value), "{text}");
            value
        }
    }
}

fn check(name: &str, family: &Family) {
    assert!(!family.samples.is_empty(), "{name} has no sample");
    let series: HashSet<_> = family.samples.iter().map(|s| (&s.name, &s.labels)).collect();
    assert_eq!(series.len(), family.samples.len(), "{name} has a series twice");
    let is_plain = family.samples.iter().all(|sample| sample.name == name);
    let counted = family.samples.iter().all(|sample| sample.value >= 0.0);
    match family.kind.as_str() {
        "counter" => assert!(is_plain && counted && name.ends_with("_total"), "{name}"),
        "gauge" => assert!(is_plain && !name.ends_with("_total"), "{name}"),
        "histogram" => check_histogram(name, &family.samples),
        kind => panic!("{name} is a {kind}"),
    }
    check_units(name);
}

/// Base units, written out.
fn check_units(name: &str) {
    let wrong = ["ms", "us", "ns", "s", "milliseconds", "kib", "mib", "bits", "percent", "minutes"];
    assert!(!name.split('_').any(|word| wrong.contains(&word)), "{name}");
}

fn check_histogram(name: &str, samples: &[Sample]) {
    let [buckets @ .., sum, count] = samples else { panic!("{name}") };
    assert_eq!((&sum.name, &count.name), (&format!("{name}_sum"), &format!("{name}_count")));
    let rows: Vec<(f64, f64)> = buckets.iter().map(|bucket| row(name, bucket)).collect();
    assert!(rows.windows(2).all(|two| two[0].0 < two[1].0), "{name}: bounds rise");
    assert!(rows.windows(2).all(|two| two[0].1 <= two[1].1), "{name}: counts never fall");
    assert_eq!(rows.last(), Some(&(f64::INFINITY, count.value)), "{name}: all are below infinity");
    assert!(sum.value >= 0.0 && (count.value > 0.0 || sum.value == 0.0), "{name}: {sum:?}");
}

fn row(name: &str, bucket: &Sample) -> (f64, f64) {
    assert_eq!(bucket.name, format!("{name}_bucket"));
    let [(label, bound)] = &bucket.labels[..] else { panic!("{bucket:?}") };
    assert_eq!(label, "le");
    (number(bound), bucket.value)
}

#[test]
fn what_a_careless_server_would_write_is_refused() {
    let histogram =
        |rows: &str| format!("# HELP h_seconds Help.\n# TYPE h_seconds histogram\n{rows}");
    let good = "h_seconds_bucket{le=\"1\"} 1\nh_seconds_bucket{le=\"+Inf\"} 2\nh_seconds_sum 3\nh_seconds_count 2\n";
    assert_eq!(Page::read(&histogram(good)).value("h_seconds_count"), 2.0);
    let wrong = [
        "# HELP a_total Help.\n# TYPE a_total counter\na_total 1".to_owned(),
        "# HELP a Help.\n# TYPE a counter\na 1\n".into(),
        "# HELP a Help.\n# TYPE a gauge\n".into(),
        "# HELP a Help.\n# TYPE a gauge\na 1\na 2\n".into(),
        "# HELP a Help.\n# TYPE a gauge\na{x=\"1} 1\n".into(),
        "# HELP a Help.\n# TYPE a gauge\na NaN\n".into(),
        "# HELP a_ms Help.\n# TYPE a_ms gauge\na_ms 1\n".into(),
        histogram(&good.replace("} 2", "} 0")),
        histogram(&good.replace("count 2", "count 3")),
        histogram(&good.replace("+Inf", "0.5")),
    ];
    for page in wrong {
        assert!(std::panic::catch_unwind(|| Page::read(&page)).is_err(), "{page}");
    }
}
