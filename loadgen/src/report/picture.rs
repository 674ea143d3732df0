//! The pictures of a run, as SVG: round trips by percentile, how soon the dead were found, and
//! connections and CPU over time.
//!
//! Each is drawn twice, for wide and for narrow pages, because text that shrinks with its picture
//! cannot be read.

mod axis;
mod canvas;
mod choice;
mod percentiles;
mod servers;

use super::hgrm::Row;
use super::number::{count, significant};
use super::prediction::Prediction;
use super::schema::{DeathBlock, PredictedBlock, Report, ZombiePoint};
use crate::death::Death;
use crate::plan::ServerPing;
use axis::Axis;
use canvas::{Area, BLUE, Canvas, Drawn, Entry, GREY, ORANGE, Size, series_color};
use plotters::prelude::*;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

pub use canvas::dark_rules;
pub use choice::choice;
pub use percentiles::overlays;

/// The rows of each `.hgrm` file of a run, by its name without the ending.
pub type Curves = BTreeMap<String, Vec<Row>>;

/// One picture.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The name of its file, without the ending.
    pub name: Cow<'static, str>,
    /// What it shows; loopback and VM are named.
    pub title: String,
    /// For pages from 640 px on, and for its file.
    pub wide: String,
    /// For narrower pages.
    pub narrow: String,
}

impl Picture {
    /// As a file of its own, with its colours by night.
    pub fn file(&self) -> String {
        let night = dark_rules("svg");
        let style = format!("</title><style>@media (prefers-color-scheme:dark){{{night}}}</style>");
        self.wide.replacen("</title>", &style, 1)
    }
}

/// Those for which there is something to show.
pub fn all(report: &Report, curves: &Curves) -> Vec<Picture> {
    if !report.servers.is_empty() {
        return servers::all(report, curves);
    }
    let pictures = [
        percentiles::rtt(report, curves),
        percentiles::latency(report, curves),
        detection(report, curves),
        zombies(report),
        timeline(report),
    ];
    pictures.into_iter().flatten().collect()
}

fn picture(
    name: impl Into<Cow<'static, str>>,
    title: String,
    legend: &[Entry],
    paint: impl Fn(&Area<'_>, Size) -> Drawn,
) -> Picture {
    let draw = |size| Canvas { size, title: &title, legend }.draw(|area| paint(area, size));
    let (wide, narrow) = (draw(Size::Wide), draw(Size::Narrow));
    Picture { name: name.into(), title, wide, narrow }
}

fn detection(report: &Report, curves: &Curves) -> Option<Picture> {
    let deaths = &report.figures.deaths;
    if deaths.is_empty() {
        return None;
    }
    let mut lines = Vec::new();
    for (&death, block) in deaths {
        let share = block.detected as f64 / block.killed.max(1) as f64;
        let rows = curves.get(&format!("detection-{}", death.name()));
        let points = match revived_curve(block) {
            Some(points) => points,
            None => found_curve(rows.map_or(&[], Vec::as_slice), share, block.watched_s),
        };
        let label =
            format!("{}: {} of {}", death.name(), count(block.detected), count(block.killed));
        lines.push((Entry::line(label, series_color(death_index(death))), points));
    }
    let end = horizon(report);
    for (_, points) in &mut lines {
        let last = points.last().map_or(0.0, |point| point.1);
        if points.last().is_some_and(|point| point.0 < end) {
            points.push((end, last));
        }
    }
    let (mut legend, lines): (Vec<_>, Vec<_>) = lines.into_iter().unzip();
    let predicted = deaths.values().find_map(|block| block.predicted.as_ref());
    let predicted = predicted.and_then(|block| prediction_curve(report, block));
    if predicted.is_some() {
        legend.push(Entry::dashes("predicted from interval and timeout".into(), GREY));
    }
    let found = Axis::marked(-2.0..102.0, [0.0, 25.0, 50.0, 75.0, 100.0].to_vec());
    let title = format!("Found how long after death ({})", report.env.label());
    Some(picture("detection", title, &legend, |area, size| {
        let mut chart = size.chart(area).build_cartesian_2d(size.time_axis(end), found.clone())?;
        let seconds = |x: &f64| format!("{} s", significant(*x));
        size.mesh(&mut chart, "since death", &seconds, "", &|y| format!("{y:.0} %"))?;
        for (line, entry) in lines.iter().zip(&legend) {
            chart
                .draw_series(LineSeries::new(line.iter().copied(), entry.color.stroke_width(2)))?;
        }
        if let Some(curve) = &predicted {
            let dashes = GREY.stroke_width(2);
            chart.draw_series(DashedLineSeries::new(curve.iter().copied(), 6, 5, dashes))?;
        }
        Ok(())
    }))
}

fn death_index(death: Death) -> usize {
    Death::ALL.iter().position(|&other| other == death).expect("all are there")
}

/// Seconds after death, and the percentage of all victims that had been found then.
fn found_curve(rows: &[Row], share: f64, watched_s: f64) -> Vec<(f64, f64)> {
    let Some(first) = rows.first() else { return vec![(0.0, 0.0), (watched_s, 0.0)] };
    let start = [(0.0, 0.0), (first.value / 1e3, 0.0)];
    let rest = rows.iter().map(|row| (row.value / 1e3, 100.0 * share * row.quantile));
    start.into_iter().chain(rest).collect()
}

/// Where nobody saw when they were found: the share that had been by each age of those who came back.
fn revived_curve(block: &DeathBlock) -> Option<Vec<(f64, f64)>> {
    if block.detection_ms.count > 0 || block.revivals.is_empty() {
        return None;
    }
    let share = |found: u64, of: u64| 100.0 * found as f64 / of.max(1) as f64;
    let points = block.revivals.iter().map(|at| (at.age_ms / 1e3, share(at.found, at.revived)));
    Some(std::iter::once((0.0, 0.0)).chain(points).collect())
}

/// The last second to show: everything that was found or predicted, or else the whole watch.
fn horizon(report: &Report) -> f64 {
    let blocks = report.figures.deaths.values();
    let ends = blocks.clone().flat_map(|block| {
        let predicted = block.predicted.as_ref().map(|predicted| predicted.max_ms);
        [block.detection_ms.max, predicted]
    });
    let found = ends.flatten().fold(0.0, f64::max) / 1e3 * 1.08;
    let silent = blocks.filter(|block| block.pending > 0).map(|block| block.watched_s);
    silent.fold(found, f64::max).max(0.1)
}

fn prediction_curve(report: &Report, block: &PredictedBlock) -> Option<Vec<(f64, f64)>> {
    let (interval, _) = report.ping_ms()?;
    let ms = |ms: f64| Duration::from_secs_f64(ms / 1e3);
    // The soonest is the timeout, where the death has to wait for that.
    let ping = ServerPing { interval: Some(ms(interval)), timeout: ms(block.min_ms) };
    let prediction = Prediction::with_median(ping, block.p50_ms)?;
    let steps = 0..=100;
    let curve = steps.map(|step| {
        let at = block.min_ms + (block.max_ms - block.min_ms) * f64::from(step) / 100.0;
        (at / 1e3, 100.0 * prediction.cdf(at))
    });
    Some(curve.collect())
}

/// The dead that the server still holds.
fn zombies(report: &Report) -> Option<Picture> {
    let points = &report.zombies;
    let (first, last) = (points.first()?, points.last()?);
    let line = |value: fn(&ZombiePoint) -> Option<f64>| -> Vec<(f64, f64)> {
        points.iter().filter_map(|p| Some((p.at_s - first.at_s, value(p)?))).collect()
    };
    let unreclaimed = line(|point| Some(point.unreclaimed as f64));
    let held = line(|point| Some(point.held as f64));
    let predicted = line(|point| point.predicted);
    let mut legend = vec![
        Entry::line("not reclaimed: the kernel still has the socket".into(), ORANGE),
        Entry::line("held: the server has not let go".into(), BLUE),
    ];
    if !predicted.is_empty() {
        legend.push(Entry::dashes("held, as interval and timeout predict".into(), GREY));
    }
    let end = (last.at_s - first.at_s).max(0.1);
    let most = points.iter().map(|point| point.dead).max().unwrap_or(0).max(1) as f64 * 1.05;
    let title = format!("Silent dead that the server still holds ({})", report.env.label());
    Some(picture("zombies", title, &legend, |area, size| {
        let dead = Axis::linear(most, 4);
        let mut chart = size.chart(area).build_cartesian_2d(size.time_axis(end), dead)?;
        let seconds = |x: &f64| format!("{} s", significant(*x));
        size.mesh(&mut chart, "since the first death", &seconds, "", &|y| count(*y as u64))?;
        for (points, entry) in [&unreclaimed, &held].into_iter().zip(&legend) {
            let line = entry.color.stroke_width(2);
            chart.draw_series(LineSeries::new(points.iter().copied(), line))?;
        }
        if !predicted.is_empty() {
            let dashes = GREY.stroke_width(2);
            chart.draw_series(DashedLineSeries::new(predicted.iter().copied(), 6, 5, dashes))?;
        }
        Ok(())
    }))
}

fn timeline(report: &Report) -> Option<Picture> {
    let points = &report.timeline;
    let last = points.last()?;
    if points.len() < 3 {
        return None;
    }
    let connections = points.iter().map(|point| (point.at_s, point.connections as f64));
    let connections: Vec<_> = connections.collect();
    let cpu = |value: fn(&super::schema::TimelinePoint) -> Option<f64>| -> Vec<(f64, f64)> {
        points.iter().filter_map(|point| Some((point.at_s, value(point)?))).collect()
    };
    let cpus = [
        ("server", cpu(|point| point.server_cpu_percent), BLUE),
        ("client", cpu(|point| point.client_cpu_percent), ORANGE),
        ("whole machine", cpu(|point| point.machine_cpu_percent), GREY),
    ];
    let cpus: Vec<_> = cpus.into_iter().filter(|(_, line, _)| !line.is_empty()).collect();
    let legend: Vec<_> = cpus
        .iter()
        .map(|(who, _, color)| Entry::line(format!("CPU of the {who}, 100 % is one core"), *color))
        .collect();
    let end = last.at_s.max(0.1);
    let title = format!("Connections and CPU over time ({})", report.env.label());
    Some(picture("timeline", title, &legend, |area, size| {
        let (upper, lower) = area.split_vertically(area.dim_in_pixel().1 * 45 / 100);
        let most = connections.iter().map(|point| point.1).fold(1.0, f64::max) * 1.15;
        let mut chart =
            size.chart(&upper).build_cartesian_2d(size.time_axis(end), Axis::linear(most, 4))?;
        let seconds = |x: &f64| format!("{} s", significant(*x));
        size.mesh(&mut chart, "", &seconds, "open", &|y| count(*y as u64))?;
        let green = canvas::GREEN;
        chart.draw_series(AreaSeries::new(connections.iter().copied(), 0.0, green.mix(0.15)))?;
        chart.draw_series(LineSeries::new(connections.iter().copied(), green.stroke_width(2)))?;
        for phase in &report.phases {
            let line = [(phase.start_s, 0.0), (phase.start_s, most)];
            chart.draw_series(LineSeries::new(line, GREY.stroke_width(1)))?;
            let at = (phase.start_s, most * 0.98);
            let room = chart.backend_coord(&(phase.end_s, 0.0)).0 - chart.backend_coord(&at).0;
            if room > 8 * phase.name.len() as i32 {
                let name = format!(" {}", phase.name);
                chart.draw_series([Text::new(name, at, size.small_text())])?;
            }
        }
        let values = cpus.iter().flat_map(|(_, line, _)| line).map(|point| point.1);
        let top = values.fold(10.0, f64::max) * 1.1;
        let mut chart =
            size.chart(&lower).build_cartesian_2d(size.time_axis(end), Axis::linear(top, 5))?;
        size.mesh(&mut chart, "since the run began", &seconds, "CPU", &|y| format!("{y:.0} %"))?;
        for (_, line, color) in &cpus {
            chart.draw_series(LineSeries::new(line.iter().copied(), color.stroke_width(2)))?;
        }
        Ok(())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_found_is_of_all_who_died() {
        let rows = [Row { value: 2000.0, quantile: 1.0, count: 5 }];
        assert_eq!(found_curve(&rows, 0.5, 9.0), [(0.0, 0.0), (2.0, 0.0), (2.0, 50.0)]);
        assert_eq!(found_curve(&[], 0.0, 9.0), [(0.0, 0.0), (9.0, 0.0)]);
    }
}
