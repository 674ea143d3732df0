//! The units of figures, told by the names of their fields.

/// What a figure is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Time; nanoseconds in one.
    Time(u64),
    Bytes,
    Percent,
    PerSecond,
    /// Things, or a bare ratio.
    Plain,
}

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

impl Unit {
    /// The unit of a path: the innermost name that tells one, but a count is a count anywhere.
    pub(super) fn of_path<'a>(mut segments: impl DoubleEndedIterator<Item = &'a str>) -> Self {
        let last = segments.next_back().unwrap_or_default();
        if last == "count" {
            return Self::Plain;
        }
        std::iter::once(last).chain(segments.rev()).find_map(Self::of_name).unwrap_or(Self::Plain)
    }

    fn of_name(name: &str) -> Option<Self> {
        // What it is counted per is not what it is counted in.
        if name.ends_with("_per_s") {
            return Some(Self::PerSecond);
        }
        let name = name.split("_per_").next()?;
        let has = |unit: &str| name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_'));
        match () {
            () if has("us") => Some(Self::Time(MICROSECOND)),
            () if has("ms") => Some(Self::Time(MILLISECOND)),
            () if has("s") => Some(Self::Time(SECOND)),
            () if has("bytes") => Some(Self::Bytes),
            () if has("percent") => Some(Self::Percent),
            () => None,
        }
    }

    /// As it is written behind a number.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Time(MICROSECOND) => "µs",
            Self::Time(MILLISECOND) => "ms",
            Self::Time(_) => "s",
            Self::Bytes => "B",
            Self::Percent => "%",
            Self::PerSecond => "/s",
            Self::Plain => "",
        }
    }

    /// A value in this unit; none if it is of another kind.
    pub(super) fn parse(self, text: &str) -> Option<f64> {
        let end = text.find(|c: char| c.is_alphabetic() || c == '%' || c == '/');
        let (number, suffix) = text.split_at(end.unwrap_or(text.len()));
        let number: f64 = number.trim().parse().ok()?;
        let suffix = suffix.trim();
        if suffix.is_empty() {
            return Some(number);
        }
        Some(number * self.factor(suffix)?)
    }

    fn factor(self, suffix: &str) -> Option<f64> {
        let find = |table: &[(&str, f64)]| {
            table.iter().find(|(name, _)| *name == suffix).map(|(_, factor)| *factor)
        };
        match self {
            Self::Time(nanoseconds) => {
                let second = SECOND as f64;
                let table = [
                    ("ns", 1.0),
                    ("us", MICROSECOND as f64),
                    ("µs", MICROSECOND as f64),
                    ("ms", MILLISECOND as f64),
                    ("s", second),
                    ("m", 60.0 * second),
                    ("h", 3600.0 * second),
                ];
                Some(find(&table)? / nanoseconds as f64)
            }
            Self::Bytes => find(&[
                ("B", 1.0),
                ("kB", 1e3),
                ("MB", 1e6),
                ("GB", 1e9),
                ("KiB", 1024.0),
                ("MiB", 1024.0 * 1024.0),
                ("GiB", 1024.0 * 1024.0 * 1024.0),
            ]),
            Self::Percent => find(&[("%", 1.0)]),
            Self::PerSecond => {
                find(&[("/s", 1.0), ("k/s", 1e3), ("M/s", 1e6), ("k", 1e3), ("M", 1e6)])
            }
            Self::Plain => find(&[("k", 1e3), ("M", 1e6)]),
        }
    }

    /// What may be written, in words.
    pub(super) const fn allowed(self) -> &'static str {
        match self {
            Self::Time(_) => "times such as 500us, 2ms, 1.5s, 1m",
            Self::Bytes => "sizes such as 200, 16KiB, 1MiB",
            Self::Percent => "shares such as 50%",
            Self::PerSecond => "rates such as 5k/s",
            Self::Plain => "numbers such as 0, 0.5, 10k",
        }
    }
}
