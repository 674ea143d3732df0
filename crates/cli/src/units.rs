//! Values with units, as they are typed: durations `500ms 20s 2m off`, sizes `125 16KiB 1MiB`,
//! rates `5k/s`, counts and shares `10k 1M 10%`.
//!
//! Each parser answers a wrong value with what is allowed, and with the nearest thing that is.

use halfopen_loadgen::plan::Amount;
use std::fmt;
use std::time::Duration;

/// A duration, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OrOff(pub Option<Duration>);

/// A duration, or `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrAuto<T> {
    /// To be chosen by the program.
    Auto,
    /// As given.
    Given(T),
}

/// A duration with its unit; several may follow each other (`1m30s`).
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (number, tail) = split_number(rest).ok_or_else(|| no_duration(text))?;
        let length = tail.find(|c: char| !c.is_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(length);
        let seconds = number * seconds_in(unit).ok_or_else(|| no_unit(number, unit))?;
        let part = Duration::try_from_secs_f64(seconds).map_err(|_| too_large(text))?;
        total = total.checked_add(part).ok_or_else(|| too_large(text))?;
        rest = tail;
    }
    match total {
        _ if text.is_empty() => Err(no_duration(text)),
        // Instants are nanoseconds in 64 bits; a year is beyond any use and far from the end.
        _ if total > Duration::from_secs(366 * 86_400) => Err(too_large(text)),
        total => Ok(total),
    }
}

/// A duration that is not zero.
pub(crate) fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it must be more than zero".into()),
        duration => Ok(duration),
    }
}

/// A duration that is not zero, or `off`.
pub(crate) fn duration_or_off(text: &str) -> Result<OrOff, String> {
    match text {
        "off" => Ok(OrOff(None)),
        "0" | "0s" => Err("it must be more than zero; to switch it off write 'off'".into()),
        _ => positive_duration(text).map(|d| OrOff(Some(d))).map_err(|e| format!("{e}, or off")),
    }
}

/// A duration, or `auto`.
pub(crate) fn duration_or_auto(text: &str) -> Result<OrAuto<Duration>, String> {
    match text {
        "auto" => Ok(OrAuto::Auto),
        _ => duration(text).map(OrAuto::Given).map_err(|e| format!("{e}, or auto")),
    }
}

/// A count from `MIN` to 16,777,215, the most that a run can name.
pub(crate) fn count<const MIN: u32>(text: &str) -> Result<u32, String> {
    let value = scaled(text)
        .ok_or_else(|| format!("not a count: allowed are numbers with k or M{}", such_as(text)))?;
    if value.fract() != 0.0 {
        return Err("a count is a whole number".into());
    }
    if value < f64::from(MIN) || value > f64::from(COUNT_MAX) {
        return Err(format!("allowed are {MIN} to {COUNT_MAX}"));
    }
    Ok(value as u32)
}

/// A count of connections that nobody has to open: up to 100G.
pub(crate) fn fleet(text: &str) -> Result<u64, String> {
    match scaled(text) {
        Some(value) if value.fract() == 0.0 && (1.0..=1e11).contains(&value) => Ok(value as u64),
        Some(_) => Err("allowed are whole numbers, 1 to 100G".into()),
        None => Err(format!("not a count: allowed are numbers with k, M or G{}", such_as(text))),
    }
}

/// A share: `0.1%`.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').and_then(|percent| percent.parse::<f64>().ok());
    match percent {
        Some(percent) if (0.0..100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err("a share is 0% to less than 100%".into()),
    }
}

/// A count, or `auto`.
pub(crate) fn count_or_auto(text: &str) -> Result<OrAuto<u32>, String> {
    match text {
        "auto" => Ok(OrAuto::Auto),
        _ => count::<1>(text).map(OrAuto::Given).map_err(|e| format!("{e}, or auto")),
    }
}

/// Threads: a small count, or `auto`.
pub(crate) fn shards(text: &str) -> Result<OrAuto<u16>, String> {
    match count_or_auto(text)? {
        OrAuto::Auto => Ok(OrAuto::Auto),
        OrAuto::Given(n) if n <= 1024 => Ok(OrAuto::Given(n as u16)),
        OrAuto::Given(_) => Err("allowed are 1 to 1024, or auto".into()),
    }
}

/// A count, or a share such as `10%`.
pub(crate) fn amount(text: &str) -> Result<Amount, String> {
    let Some(percent) = text.strip_suffix('%') else {
        return count::<0>(text).map(Amount::Count).map_err(|e| format!("{e}, or a share as 10%"));
    };
    match percent.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(Amount::Share(percent / 100.0)),
        _ => Err("a share is 0% to 100%".into()),
    }
}

/// So many a second: `5k/s`, `300/min`; without a unit of time, a second is meant.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let wrong = || "not a rate: allowed are numbers a second, minute or hour, such as 5k/s 300/min";
    let (number, per) = text.split_once('/').unwrap_or((text, "s"));
    let value = scaled(number).ok_or_else(wrong)?;
    let seconds = seconds_in(per).ok_or_else(wrong)?;
    let rate = value / seconds;
    if rate > 0.0 && rate <= 1e9 { Ok(rate) } else { Err("it must be more than zero".into()) }
}

/// Bytes: `125`, `16KiB`, `1MiB`; `kB` and `MB` are powers of ten.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split_number(text).ok_or_else(|| no_size(text))?;
    let factor = SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| no_size(text))?.1;
    let bytes = number * factor as f64;
    if bytes.fract() != 0.0 || bytes > (1u64 << 40) as f64 {
        return Err("a size is a whole number of bytes, at most 1024GiB".into());
    }
    Ok(bytes as u64)
}

/// Cores: `0`, `0,2`, `0-3`.
pub(crate) fn cpu_list(text: &str) -> Result<Vec<usize>, String> {
    let wrong = || "not a list of cores: allowed are numbers and ranges, such as 0,2 or 0-3";
    let number = |part: &str| part.parse::<usize>().ok().filter(|&n| n < 1024);
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = number(first).zip(number(last)).ok_or_else(wrong)?;
        cpus.extend(first..=last);
    }
    if cpus.is_empty() { Err(wrong().into()) } else { Ok(cpus) }
}

/// Of `names` the nearest to what was typed, if any is near.
pub(crate) fn nearest<'a>(
    typed: &str,
    names: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let near = |name: &&str| strsim::jaro_winkler(typed, name);
    names.into_iter().filter(|name| near(name) > 0.7).max_by(|a, b| near(a).total_cmp(&near(b)))
}

/// A duration as it would be typed: `20s`, `600ms`, `1m30s`.
pub(crate) struct Typed(pub Duration);

impl fmt::Display for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(d) = *self;
        let (seconds, nanos) = (d.as_secs(), d.subsec_nanos());
        match (seconds, nanos) {
            (_, 0) if seconds > 60 && seconds.is_multiple_of(3600) => {
                write!(f, "{}h", seconds / 3600)
            }
            (_, 0) if seconds > 60 && seconds.is_multiple_of(60) => write!(f, "{}m", seconds / 60),
            (_, 0) => write!(f, "{seconds}s"),
            (0, _) if nanos.is_multiple_of(1_000_000) => write!(f, "{}ms", nanos / 1_000_000),
            (0, _) if nanos.is_multiple_of(1_000) => write!(f, "{}us", nanos / 1_000),
            _ => write!(f, "{}s", d.as_secs_f64()),
        }
    }
}

/// The number at the beginning, and what follows it.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let length = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(length);
    Some((number.parse().ok()?, rest))
}

/// A number with `k`, `M` or `G` for thousands, millions, billions.
fn scaled(text: &str) -> Option<f64> {
    let (number, unit) = split_number(text)?;
    let factor = match unit {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        _ => return None,
    };
    // 1.1 × 1,000 is not quite 1,100 in binary.
    Some((number * factor * 1e6).round() / 1e6)
}

fn seconds_in(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return None,
    })
}

fn no_duration(text: &str) -> String {
    match nearest(text, ["off", "auto"]) {
        Some(near) => format!("not a duration (is '{near}' meant?): {DURATIONS}"),
        None => format!("not a duration: {DURATIONS}"),
    }
}

fn no_unit(number: f64, unit: &str) -> String {
    if unit.is_empty() {
        return format!("{number} of what? Write {number}s or {number}ms: {DURATIONS}");
    }
    let near = UNIT_WORDS.iter().find(|(word, _)| unit.to_lowercase().starts_with(word));
    match near {
        Some((_, near)) => format!("no unit '{unit}' (is '{number}{near}' meant?): {DURATIONS}"),
        None => format!("no unit '{unit}': {DURATIONS}"),
    }
}

fn too_large(text: &str) -> String {
    format!("{text} is more than a year")
}

fn no_size(text: &str) -> String {
    let number: String = text.chars().take_while(char::is_ascii_digit).collect();
    let unit = text[number.len()..].to_lowercase();
    let near = SIZE_UNITS
        .iter()
        .find(|(name, _)| !unit.is_empty() && name.to_lowercase().starts_with(&unit));
    match near {
        Some((near, _)) if !number.is_empty() => {
            format!("not a size (is '{number}{near}' meant?): {SIZES}")
        }
        _ => format!("not a size: {SIZES}"),
    }
}

fn such_as(text: &str) -> String {
    let plain: String = text.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    let separated = text.chars().all(|c| c.is_ascii_digit() || "_,'.".contains(c));
    if separated && !plain.is_empty() {
        format!(" (is '{plain}' meant?)")
    } else {
        ", such as 500 10k 1M".into()
    }
}

const COUNT_MAX: u32 = halfopen_loadgen::plan::CONNECTIONS_MAX;
const DURATIONS: &str = "allowed are numbers with us, ms, s, m or h, such as 500ms 20s 2m";
const SIZES: &str = "allowed are bytes or numbers with KiB, MiB or GiB, such as 125 16KiB 1MiB";
const SIZE_UNITS: [(&str, u64); 9] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];
/// How units are spelled out, and what is meant; the longer words first.
const UNIT_WORDS: [(&str, &str); 6] =
    [("mil", "ms"), ("mic", "us"), ("min", "m"), ("sec", "s"), ("ho", "h"), ("hr", "h")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        let cases = [
            ("500ms", 500_000),
            ("20s", 20_000_000),
            ("2m", 120_000_000),
            ("1h", 3_600_000_000),
            ("1.5s", 1_500_000),
            ("1m30s", 90_000_000),
            ("100us", 100),
            ("0s", 0),
            ("0", 0),
        ];
        for (text, micros) in cases {
            assert_eq!(duration(text), Ok(Duration::from_micros(micros)), "{text}");
        }
    }

    #[test]
    fn a_wrong_duration_says_what_is_allowed_and_what_may_be_meant() {
        let cases = [
            ("20", "Write 20s or 20ms"),
            ("20sec", "is '20s' meant?"),
            ("3 s", "Write 3s or 3ms"),
            ("5minutes", "no unit 'minutes' (is '5m' meant?)"),
            ("250millis", "is '250ms' meant?"),
            ("", "allowed are"),
            ("s", "not a duration"),
            ("-1s", "not a duration"),
            ("1.2.3s", "not a duration"),
            ("99999999h", "more than a year"),
            ("nan", "not a duration"),
        ];
        for (text, words) in cases {
            let error = duration(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn an_interval_can_be_off_but_not_zero() {
        assert_eq!(duration_or_off("off"), Ok(OrOff(None)));
        assert_eq!(duration_or_off("5s"), Ok(OrOff(Some(Duration::from_secs(5)))));
        assert!(duration_or_off("0s").unwrap_err().contains("write 'off'"));
        assert!(duration_or_off("of").unwrap_err().contains("'off' meant"));
    }

    #[test]
    fn counts_and_shares_are_read() {
        assert_eq!(count::<1>("10k"), Ok(10_000));
        assert_eq!(count::<1>("1M"), Ok(1_000_000));
        assert_eq!(count::<1>("1.1k"), Ok(1_100));
        assert_eq!(amount("10%"), Ok(Amount::Share(0.1)));
        assert_eq!(amount("1000"), Ok(Amount::Count(1_000)));
    }

    #[test]
    fn wrong_counts_and_shares_are_refused() {
        assert!(count::<1>("0").unwrap_err().contains("1 to"));
        assert!(count::<1>("10,000").unwrap_err().contains("'10000' meant"));
        assert!(count::<1>("1.5").unwrap_err().contains("whole"));
        assert!(count::<1>("20M").unwrap_err().contains("allowed"));
        assert!(count::<1>("many").unwrap_err().contains("such as"));
        assert!(amount("101%").unwrap_err().contains("0% to 100%"));
        assert!(amount("x%").unwrap_err().contains("0% to 100%"));
        assert!(shards("2000").unwrap_err().contains("1 to 1024"));
    }

    #[test]
    fn rates_are_a_second_if_nothing_else_is_said() {
        assert_eq!(rate("5k/s"), Ok(5_000.0));
        assert_eq!(rate("0.5/s"), Ok(0.5));
        assert_eq!(rate("300/min"), Ok(5.0));
        assert_eq!(rate("20k"), Ok(20_000.0));
        for wrong in ["5k/x", "fast", "0/s", "", "/s", "-1/s"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_bytes_and_their_powers() {
        let cases =
            [("125", 125), ("16KiB", 16_384), ("1MiB", 1 << 20), ("1MB", 1_000_000), ("0", 0)];
        for (text, bytes) in cases {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        assert!(size("16k").unwrap_err().contains("'16KiB' meant"));
        assert!(size("1mib").unwrap_err().contains("'1MiB' meant"));
        for wrong in ["", "KiB", "1.5", "9999999GiB", "x"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lists_of_cores_are_numbers_and_ranges() {
        assert_eq!(cpu_list("0"), Ok(vec![0]));
        assert_eq!(cpu_list("0,2-4"), Ok(vec![0, 2, 3, 4]));
        for wrong in ["", "a", "1-", "3-1", "99999"] {
            assert!(cpu_list(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_printed_can_be_typed_again() {
        for text in ["20s", "600ms", "2m", "1h", "100us", "90s", "1.5s", "60s", "0s"] {
            assert_eq!(Typed(duration(text).unwrap()).to_string(), text);
        }
    }
}
