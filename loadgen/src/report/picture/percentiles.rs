//! Times by percentile, on the scale of HdrHistogram: each nine is as wide as the one before.

use super::axis::Axis;
use super::canvas::{BLUE, Entry, ORANGE, series_color};
use super::{Curves, Picture, picture};
use crate::death::Death;
use crate::report::hgrm::Row;
use crate::report::number::{count, millis};
use crate::report::schema::Report;
use crate::stats::{SAMPLES_BEYOND, Summary};
use plotters::prelude::*;
use std::borrow::Cow;

/// Where a quantile stands: 90 % at 1, 99 % at 2, 99.9 % at 3.
fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}

/// `nines` read backwards, as a label.
fn percent_label(nines: f64) -> String {
    match nines.round() as i32 {
        0 => "0 %".into(),
        1 => "90 %".into(),
        n => format!("99{}{} %", if n > 2 { "." } else { "" }, "9".repeat((n - 2).max(0) as usize)),
    }
}

/// A line of such a picture: what it is of, and its points.
type Line = (Entry, Vec<(f64, f64)>);

fn percentiles(
    name: impl Into<Cow<'static, str>>,
    title: String,
    lines: impl IntoIterator<Item = Line>,
) -> Option<Picture> {
    let lines = lines.into_iter().filter(|(_, points)| points.len() > 1);
    let (legend, lines): (Vec<_>, Vec<_>) = lines.unzip();
    if lines.is_empty() {
        return None;
    }
    let values = || lines.iter().flatten().map(|point: &(f64, f64)| point.1);
    let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
    let deep = lines.iter().flatten().map(|point| point.0).fold(0.0, f64::max);
    Some(picture(name, title, &legend, |area, size| {
        let ticks = (0..=deep.floor() as i32).map(f64::from).collect();
        let percentiles = Axis::marked(0.0..deep, ticks);
        let times = Axis::log(low / 1.25..high * 1.25);
        let mut chart = size.chart(area).build_cartesian_2d(percentiles, times)?;
        size.mesh(&mut chart, "percentile", &|x| percent_label(*x), "", &|y| millis(*y))?;
        for (line, entry) in lines.iter().zip(&legend) {
            chart
                .draw_series(LineSeries::new(line.iter().copied(), entry.color.stroke_width(2)))?;
        }
        Ok(())
    }))
}

/// The line of what a file holds, if something was measured.
fn line(
    who: &str,
    rows: Option<&Vec<Row>>,
    summary: Option<Summary>,
    color: RGBColor,
) -> Option<Line> {
    let summary = summary.filter(|summary| summary.count > 0)?;
    let max = summary.max.map_or(String::new(), |us| format!(", max {}", millis(us / 1e3)));
    let label = format!("{who}, n = {}{max}", count(summary.count));
    Some((Entry::line(label, color), tail_curve(rows?, summary.count)))
}

/// The part of a curve that enough samples support.
fn tail_curve(rows: &[Row], samples: u64) -> Vec<(f64, f64)> {
    let deepest = 1.0 - SAMPLES_BEYOND / samples as f64;
    let supported = rows.iter().filter(|row| row.quantile <= deepest && row.value > 0.0);
    supported.map(|row| (nines(row.quantile), row.value)).collect()
}

/// Round trips of pings.
pub(super) fn rtt(report: &Report, curves: &Curves) -> Option<Picture> {
    let pings = &report.figures.pings;
    let client = pings.client.as_ref().map(|client| client.rtt_us).filter(|rtt| rtt.count > 0);
    let server_curve = if client.is_some() { "ping-rtt-server" } else { "ping-rtt" };
    let lines = [
        line("client's ping", curves.get("ping-rtt"), client, BLUE),
        line("server's ping", curves.get(server_curve), pings.server.rtt_us, ORANGE),
    ];
    let title = format!("Round trip of a ping, by percentile ({})", report.env.label());
    percentiles("rtt", title, lines.into_iter().flatten())
}

/// How late answers to messages were.
pub(super) fn latency(report: &Report, curves: &Curves) -> Option<Picture> {
    let messages = &report.figures.messages;
    let (latency, service) = (curves.get("message-latency"), curves.get("message-service"));
    let lines = [
        line("from the intended send", latency, messages.latency_us, BLUE),
        line("from the actual send", service, Some(messages.service_us), ORANGE),
    ];
    let title = format!("Latency of a message, by percentile ({})", report.env.label());
    percentiles("latency", title, lines.into_iter().flatten())
}

/// The distributions of several runs over each other, a picture for each kind that two of them have.
pub fn overlays(runs: &[(&str, &Report, &Curves)]) -> Vec<Picture> {
    let label = runs.first().map_or(String::new(), |(_, report, _)| report.env.label());
    let deaths = Death::ALL.into_iter().filter(|death| death.is_silent());
    let deaths = deaths.map(|death| {
        let (file, name) = (format!("detection-{}", death.name()), death.name());
        (file, format!("From death to detection ({name}), by percentile"))
    });
    let fixed = [
        ("ping-rtt", "Round trip of a ping, by percentile"),
        ("message-latency", "Latency of a message, from the intended send, by percentile"),
        ("message-service", "Latency of a message, from the actual send, by percentile"),
        ("connect", "From SYN to the connection, by percentile"),
    ];
    let fixed = fixed.map(|(file, title)| (file.to_owned(), title.to_owned()));
    let one = |(file, title): (String, String)| {
        let of = |(number, (name, _, curves)): (usize, &(&str, &Report, &Curves))| {
            let rows = curves.get(&file).filter(|rows| !rows.is_empty())?;
            let samples = rows.last().map_or(0, |row| row.count);
            let label = format!("{name}, n = {}", count(samples));
            Some((Entry::line(label, series_color(number)), tail_curve(rows, samples)))
        };
        let lines: Vec<Line> = runs.iter().enumerate().filter_map(of).collect();
        let enough = lines.len() > 1;
        percentiles(file, format!("{title} ({label})"), lines).filter(|_| enough)
    };
    fixed.into_iter().chain(deaths).filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_counts_nines() {
        assert!((nines(0.999) - 3.0).abs() < 1e-9);
        let labels: Vec<_> = (0..=4).map(|n| percent_label(f64::from(n))).collect();
        assert_eq!(labels, ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
    }

    #[test]
    fn a_curve_ends_where_its_samples_do() {
        let rows =
            [0.0, 0.5, 0.99, 0.995, 1.0].map(|quantile| Row { value: 1.0, quantile, count: 0 });
        assert_eq!(tail_curve(&rows, 1000).len(), 3);
    }

    #[test]
    fn what_two_runs_have_is_laid_over_each_other() {
        let (report, histograms) = crate::report::sample_run::sample();
        let (curves, none) = (histograms.curves(), Curves::new());
        let names = |runs: &[(&str, &Report, &Curves)]| {
            overlays(runs).iter().map(|picture| picture.name.to_string()).collect::<Vec<_>>()
        };
        let both = names(&[("before", &report, &curves), ("after", &report, &curves)]);
        assert!(both.contains(&"ping-rtt".into()), "{both:?}");
        assert!(both.contains(&"detection-blackhole".into()), "{both:?}");
        let page = &overlays(&[("before", &report, &curves), ("after", &report, &curves)])[0].wide;
        assert!(page.contains("before, n = ") && page.contains("after, n = "), "{page}");
        assert!(names(&[("alone", &report, &curves)]).is_empty());
        assert!(names(&[("one", &report, &curves), ("empty", &report, &none)]).is_empty());
    }
}
