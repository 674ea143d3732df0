//! Numbers for people.

/// `10000` as `10,000`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Milliseconds in the unit that suits them: `5 s`, `7.97 s`, `50 ms`, `64.2 µs`.
pub fn millis(ms: f64) -> String {
    match ms.abs() {
        size if size >= 1000.0 => format!("{} s", significant(ms / 1000.0)),
        size if size >= 1.0 || size == 0.0 => format!("{} ms", significant(ms)),
        _ => format!("{} µs", significant(ms * 1000.0)),
    }
}

/// Three digits that count, never fewer than stand before the point, without trailing zeros.
pub fn significant(x: f64) -> String {
    let before = if x == 0.0 { 1 } else { (x.abs().log10().floor() as i32 + 1).max(-2) };
    let text = format!("{x:.*}", (3 - before).max(0) as usize);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// A figure of a table: `–` where it was not measured.
pub fn or_dash(x: Option<f64>) -> String {
    x.map_or_else(|| "–".to_owned(), significant)
}

/// Bytes in the unit that suits them.
pub fn bytes(n: f64) -> String {
    let (mut n, mut unit) = (n, "B");
    for greater in ["KiB", "MiB", "GiB", "TiB"] {
        if n.abs() < 1024.0 {
            break;
        }
        (n, unit) = (n / 1024.0, greater);
    }
    format!("{} {unit}", significant(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn three_digits_count() {
        let cases = [(0.0, "0"), (5.0, "5"), (7.9712, "7.97"), (64.25, "64.2"), (1234.5, "1234")];
        for (x, text) in cases {
            assert_eq!(significant(x), text);
        }
        assert_eq!(significant(-0.5), "-0.5");
        assert_eq!(significant(0.001_234), "0.00123");
    }

    #[test]
    fn times_and_sizes_find_their_unit() {
        assert_eq!(millis(5000.0), "5 s");
        assert_eq!(millis(50.0), "50 ms");
        assert_eq!(millis(0.0642), "64.2 µs");
        assert_eq!(bytes(200.0), "200 B");
        assert_eq!(bytes(3.0 * 1024.0 * 1024.0), "3 MiB");
    }
}
