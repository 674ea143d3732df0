//! What a heartbeat costs against how soon it finds the dead: a dot for each that can be chosen.

use super::axis::Axis;
use super::canvas::{BLUE, Entry, GREY, ORANGE};
use super::{Picture, picture};
use crate::death::Death;
use crate::report::number::{count, millis, significant};
use crate::tune::{Document, Row};
use plotters::prelude::*;

/// The rows of an answer, the one that is recommended, and the bound.
pub fn choice(document: &Document) -> Picture {
    let best = document.recommended.as_ref();
    let found_s = |row: &Row| match document.asked.detect_is_mean {
        true => row.detection_mean_ms / 1e3,
        false => row.detection[&Death::Blackhole].max_ms / 1e3,
    };
    let dot = |row: &Row| (found_s(row), row.pings_per_s);
    let rows = || document.rows.iter().filter(|row| best != Some(*row));
    let sound: Vec<_> = rows().filter(|row| row.breaks.is_empty()).map(dot).collect();
    let broken: Vec<_> = rows().filter(|row| !row.breaks.is_empty()).map(dot).collect();
    let taken: Vec<_> = best.into_iter().map(dot).collect();
    let take = best.map_or("none is recommended".into(), |best| {
        format!("take {} / {}", millis(best.interval_ms), millis(best.timeout_ms))
    });
    let bound_s = document.asked.detect_ms / 1e3;
    let legend = [
        Entry::line("interval and timeout that keep to all".into(), BLUE),
        Entry::line("that break something".into(), GREY),
        Entry::line(take, ORANGE),
        Entry::dashes(format!("asked for: {}", millis(document.asked.detect_ms)), GREY),
    ];
    let dots = || sound.iter().chain(&broken).chain(&taken);
    let end = dots().map(|dot| dot.0).fold(bound_s, f64::max) * 1.08;
    let least = dots().map(|dot| dot.1).fold(f64::MAX, f64::min) / 1.5;
    let most = dots().map(|dot| dot.1).fold(0.0, f64::max) * 1.5;
    let when = if document.asked.detect_is_mean { "on average" } else { "at the latest" };
    let title = format!("Pings a second against how soon a silent death is found, {when}");
    picture("tune", title, &legend, |area, size| {
        let pings = Axis::log(least..most);
        let mut chart = size.chart(area).build_cartesian_2d(size.time_axis(end), pings)?;
        let seconds = |x: &f64| format!("{} s", significant(*x));
        size.mesh(&mut chart, "found after death", &seconds, "", &|y| pings_label(*y))?;
        let bound = [(bound_s, least), (bound_s, most)];
        chart.draw_series(DashedLineSeries::new(bound, 6, 5, GREY.stroke_width(2)))?;
        for (dots, color, radius) in [(&broken, GREY, 4), (&sound, BLUE, 4), (&taken, ORANGE, 6)] {
            let circles = dots.iter().map(|&at| Circle::new(at, radius, color.filled()));
            chart.draw_series(circles)?;
        }
        Ok(())
    })
}

fn pings_label(pings: f64) -> String {
    if pings >= 1_000.0 { count(pings as u64) } else { significant(pings) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tune::{Question, tune};
    use std::time::SystemTime;

    #[test]
    fn every_row_is_a_dot_and_the_bound_a_line() {
        let asked = Question { detect_is_mean: true, ..Question::within_ms(30e3) };
        let document = tune(asked, SystemTime::UNIX_EPOCH, None);
        let svg = choice(&document).file();
        assert_eq!(svg.matches("<circle").count(), document.rows.len());
        assert_eq!([0.5, 20_000.0].map(pings_label), ["0.5", "20,000"]);
        assert!(svg.contains("asked for: 30 s") && svg.contains("take "), "{svg}");
    }
}
