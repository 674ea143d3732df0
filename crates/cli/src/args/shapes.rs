//! Values that are a shape and not a number: rates that change, sizes that differ.

use crate::units::{rate, size};
use halfopen_loadgen::pacing::Rate;
use halfopen_loadgen::plan::{SIZE_MAX, Size, Weighted};

/// `1k/s`; `1k/s..10k/s`, which changes evenly; `1k/s,2k/s,5k/s`, one after the other.
pub(super) fn message_rate(text: &str) -> Result<Rate, String> {
    let with_shapes = |error: String| {
        format!("{error}; a ramp is written as 1k/s..10k/s, steps as 1k/s,2k/s,5k/s")
    };
    if let Some((from, to)) = text.split_once("..") {
        let (from, to) = rate(from).and_then(|from| Ok((from, rate(to)?))).map_err(with_shapes)?;
        return Ok(Rate::Ramp { from, to });
    }
    let mut steps =
        text.split(',').map(rate).collect::<Result<Vec<_>, _>>().map_err(with_shapes)?;
    Ok(if steps.len() == 1 { Rate::Constant(steps.remove(0)) } else { Rate::Steps(steps) })
}

/// `64`; `64..1KiB`, each as often; `64*0.9,16KiB*0.1`, as often as its weight says.
pub(super) fn message_size(text: &str) -> Result<Size, String> {
    if let Some((min, max)) = text.split_once("..") {
        let (min, max) = (bytes(min)?, bytes(max)?);
        if min > max {
            return Err("a range goes from the least to the most, such as 64..1KiB".into());
        }
        return Ok(Size::Uniform { min, max });
    }
    if !text.contains([',', '*']) {
        return bytes(text).map(Size::Fixed);
    }
    text.split(',').map(weighted).collect::<Result<_, _>>().map(Size::Weighted)
}

fn weighted(text: &str) -> Result<Weighted, String> {
    let (size, weight) = text.split_once('*').unwrap_or((text, "1"));
    let weight = weight.parse().ok().filter(|&w: &f64| w > 0.0 && w.is_finite());
    let weight = weight.ok_or("weights are numbers above zero, such as 64*0.9,16KiB*0.1")?;
    Ok(Weighted { bytes: bytes(size)?, weight })
}

fn bytes(text: &str) -> Result<usize, String> {
    let words = "a range is written as 64..1KiB, weights as 64*0.9,16KiB*0.1";
    match size(text).map_err(|error| format!("{error}; {words}"))? {
        bytes if bytes <= SIZE_MAX as u64 => Ok(bytes as usize),
        _ => Err("allowed are 0 to 16MiB".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_numbers_ramps_and_steps() {
        let cases = [
            ("5k/s", Rate::Constant(5_000.0)),
            ("60/min..10k", Rate::Ramp { from: 1.0, to: 10_000.0 }),
            ("1k/s,2k/s,5k/s", Rate::Steps(vec![1_000.0, 2_000.0, 5_000.0])),
        ];
        for (text, expected) in cases {
            assert_eq!(message_rate(text), Ok(expected), "{text}");
        }
        for wrong in ["", "1k/s..", "..5", "1k/s,,2k/s", "0/s..1/s", "fast", "1,2..3"] {
            let error = message_rate(wrong).unwrap_err();
            assert!(error.contains("1k/s..10k/s"), "{wrong}: {error}");
        }
    }

    #[test]
    fn sizes_are_numbers_ranges_and_weights() {
        let weighted = |bytes, weight| Weighted { bytes, weight };
        let cases = [
            ("64", Size::Fixed(64)),
            ("64..1KiB", Size::Uniform { min: 64, max: 1_024 }),
            ("64*0.9,16KiB*0.1", Size::Weighted(vec![weighted(64, 0.9), weighted(16_384, 0.1)])),
            ("64,128", Size::Weighted(vec![weighted(64, 1.0), weighted(128, 1.0)])),
        ];
        for (text, expected) in cases {
            assert_eq!(message_size(text), Ok(expected), "{text}");
        }
        for (wrong, words) in [
            ("17MiB", "16MiB"),
            ("1KiB..64", "from the least"),
            ("64*0", "above zero"),
            ("64*x,1*1", "above zero"),
            ("x", "64..1KiB"),
            ("64,", "64*0.9"),
        ] {
            let error = message_size(wrong).unwrap_err();
            assert!(error.contains(words), "{wrong}: {error}");
        }
    }
}
