//! What is claimed of the contests, held against the table.

use super::{Bench, Row, spread::Spread};
use serde::Serialize;

/// One claim and its outcome.
#[derive(Debug, PartialEq, Serialize)]
pub struct Claim {
    /// What is claimed.
    pub claim: String,
    /// The least that the ratio must be.
    pub least: f64,
    /// In how many rows it was held against a ratio; 0: it was not measured.
    pub rows: usize,
    /// The row that comes closest to breaking it, or breaks it most.
    pub worst_row: Option<String>,
    /// The ratio there.
    pub worst: Option<Spread>,
    /// Whether the median is enough in every row.
    pub held: bool,
}

/// A claim of every row of a bench.
struct Every {
    claim: &'static str,
    bench: &'static str,
    of: fn(&Row) -> bool,
    ratio: fn(&Row) -> Option<Spread>,
    least: f64,
}

/// What a short frame carries at most: its header has no more length than the seven bits.
const SHORT_MAX: f64 = 125.0;

const EVERY: [Every; 6] = [
    Every {
        claim: "unmasking, of the best rival",
        bench: "mask",
        of: |_| true,
        ratio: |row| row.ratio,
        least: 0.97,
    },
    Every {
        claim: "unmasking with AVX2, of the best rival with whatever it has",
        bench: "mask",
        of: |_| true,
        ratio: |row| row.ratio_avx2,
        least: 0.97,
    },
    Every {
        claim: "unmasking from 4 KiB up, of a loop over whole cache lines",
        bench: "mask",
        of: |_| true,
        ratio: |row| row.ratio_floor,
        least: 0.9,
    },
    Every {
        claim: "text from 64 B up beyond ASCII, times the best rival",
        bench: "text",
        of: |row| row.element_bytes() >= 64.0 && !row.name.starts_with("ascii"),
        ratio: |row| row.ratio,
        least: 2.0,
    },
    Every {
        claim: "text from 64 B up in ASCII, times the best rival",
        bench: "text",
        of: |row| row.element_bytes() >= 64.0 && row.name.starts_with("ascii"),
        ratio: |row| row.ratio,
        least: 1.5,
    },
    Every {
        claim: "100 short masked frames in a buffer, times the best rival",
        bench: "decode",
        of: |row| {
            row.elements == 100
                && row.element_bytes() <= SHORT_MAX
                && !row.name.contains("segments")
        },
        ratio: |row| row.ratio,
        least: 2.0,
    },
];

/// All claims.
pub fn all(benches: &[Bench]) -> Vec<Claim> {
    let mut claims: Vec<_> = EVERY.iter().map(|every| every.held_against(benches)).collect();
    claims.insert(2, mean_of_masks(benches));
    claims
}

impl Every {
    fn held_against(&self, benches: &[Bench]) -> Claim {
        let rows =
            benches.iter().filter(|bench| bench.name == self.bench).flat_map(|bench| &bench.rows);
        let ratios: Vec<_> = rows
            .filter(|row| (self.of)(row))
            .filter_map(|row| Some((row, (self.ratio)(row)?)))
            .collect();
        let worst = ratios.iter().min_by(|a, b| a.1.median.total_cmp(&b.1.median));
        Claim {
            claim: self.claim.to_owned(),
            least: self.least,
            rows: ratios.len(),
            worst_row: worst.map(|(row, _)| row.name.clone()),
            worst: worst.map(|(_, ratio)| *ratio),
            held: worst.is_some_and(|(_, ratio)| ratio.median >= self.least),
        }
    }
}

fn mean_of_masks(benches: &[Bench]) -> Claim {
    let mask = benches.iter().find(|bench| bench.name == "mask");
    let mean = mask.and_then(|bench| bench.ratio);
    Claim {
        claim: "unmasking, the geometric mean over all rows, of the best rival".to_owned(),
        least: 1.0,
        rows: mean.and(mask).map_or(0, |bench| bench.rows.len()),
        worst_row: None,
        worst: mean,
        held: mean.is_some_and(|mean| mean.median > 1.0),
    }
}
