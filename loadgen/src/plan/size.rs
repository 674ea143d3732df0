//! How long messages are.

use crate::chance;
use serde::{Deserialize, Serialize};

/// Bytes in a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Size {
    /// Always as many.
    Fixed(usize),
    /// Each of these as often as every other.
    Uniform {
        /// The least.
        min: usize,
        /// The most.
        max: usize,
    },
    /// A few, each as often as its weight says.
    Weighted(Vec<Weighted>),
}

/// One of several sizes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weighted {
    /// Bytes in a message.
    pub bytes: usize,
    /// How often, beside the weights of the others.
    pub weight: f64,
}

/// The most bytes of a message.
pub const SIZE_MAX: usize = 16 << 20;

impl From<usize> for Size {
    fn from(bytes: usize) -> Self {
        Self::Fixed(bytes)
    }
}

impl Size {
    /// The longest message that may come.
    pub fn max(&self) -> usize {
        match self {
            Self::Fixed(bytes) => *bytes,
            Self::Uniform { max, .. } => *max,
            Self::Weighted(sizes) => sizes.iter().map(|size| size.bytes).max().unwrap_or(0),
        }
    }

    /// The size of the message of that moment. It is looked up and not drawn, so that nobody has to
    /// remember it until an echo comes.
    pub(crate) fn of(&self, seed: u64, moment: u64) -> usize {
        match self {
            Self::Fixed(bytes) => *bytes,
            Self::Uniform { min, max } => {
                min + chance::below((max - min) as u64 + 1, seed, moment) as usize
            }
            Self::Weighted(sizes) => {
                let all: f64 = sizes.iter().map(|size| size.weight).sum();
                let mut left = chance::unit(seed, moment) * all;
                let found = sizes.iter().find(|size| {
                    left -= size.weight;
                    left < 0.0
                });
                // Rounding may leave a rest.
                found.or(sizes.last()).map_or(0, |size| size.bytes)
            }
        }
    }

    /// Whether there is such a message at all.
    pub(crate) fn is_valid(&self) -> bool {
        let proper = match self {
            Self::Fixed(_) => true,
            Self::Uniform { min, max } => min <= max,
            Self::Weighted(sizes) => {
                let positive = |size: &Weighted| size.weight > 0.0 && size.weight.is_finite();
                !sizes.is_empty() && sizes.iter().all(positive)
            }
        };
        proper && self.max() <= SIZE_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_come_as_often_as_they_should() {
        let share = |size: &Size, of: fn(usize) -> bool| {
            (0..10_000).filter(|&moment| of(size.of(5, moment))).count() as f64 / 10_000.0
        };
        let uniform = Size::Uniform { min: 10, max: 19 };
        assert!((share(&uniform, |bytes| bytes < 15) - 0.5).abs() < 0.02);
        assert_eq!(share(&uniform, |bytes| (10..20).contains(&bytes)), 1.0);
        assert!(share(&uniform, |bytes| bytes == 10) > 0.0 && share(&uniform, |b| b == 19) > 0.0);
        let weighted = |bytes, weight| Weighted { bytes, weight };
        let mixed = Size::Weighted(vec![weighted(64, 9.0), weighted(16_384, 1.0)]);
        assert!((share(&mixed, |bytes| bytes == 64) - 0.9).abs() < 0.01);
        assert_eq!(share(&mixed, |bytes| bytes == 64 || bytes == 16_384), 1.0);
        assert_eq!(mixed.max(), 16_384);
    }

    #[test]
    fn what_no_message_can_be_is_refused() {
        for wrong in [
            Size::Fixed(SIZE_MAX + 1),
            Size::Uniform { min: 2, max: 1 },
            Size::Weighted(Vec::new()),
            Size::Weighted(vec![Weighted { bytes: 1, weight: 0.0 }]),
        ] {
            assert!(!wrong.is_valid(), "{wrong:?}");
        }
        assert!(Size::Fixed(0).is_valid() && Size::Uniform { min: 1, max: 1 }.is_valid());
    }
}
