//! The dead of several servers over time: who still keeps them, and whose kernel still holds their
//! sockets. A line a server.

use super::axis::Axis;
use super::canvas::{Area, Drawn, Entry, Size, series_color};
use super::{Curves, Picture, found_curve, picture};
use crate::death::Death;
use crate::report::number::{count, significant};
use crate::report::schema::{DeathBlock, Report, ServerRun};
use crate::report::servers::curve_name;
use plotters::prelude::*;

/// One for each silent death that somebody died.
pub(super) fn all(report: &Report, curves: &Curves) -> Vec<Picture> {
    let silent = Death::ALL.into_iter().filter(|death| death.is_silent());
    silent.filter_map(|death| zombies(report, curves, death)).collect()
}

/// What is left of a server's dead.
struct Left {
    entry: Entry,
    dashed: bool,
    /// Of the line. The first are broader, so that they show below those that run over them.
    width: u32,
    /// Seconds since death, and the percentage of the dead that the server still keeps.
    kept: Vec<(f64, f64)>,
    /// The same, whose sockets its kernel still holds.
    held: Vec<(f64, f64)>,
}

/// There are as many colours; the lines after them are dashed.
const COLORS: usize = 6;

impl Left {
    fn of(server: &ServerRun, number: usize, death: Death, curves: &Curves) -> Option<Self> {
        let block = server.figures.deaths.get(&death).filter(|block| block.killed > 0)?;
        let label = format!(
            "{}: {} of {} let go, {} reclaimed",
            server.name,
            count(block.detected),
            count(block.killed),
            count(block.reclaimed)
        );
        let dashed = number / COLORS % 2 == 1;
        let entry = if dashed { Entry::dashes } else { Entry::line };
        let rest = |what: &str, found: u64| {
            let rows = curves.get(&curve_name(&server.name, &format!("{what}-{}", death.name())));
            left(rows.map_or(&[], Vec::as_slice), found, block)
        };
        Some(Self {
            entry: entry(label, series_color(number)),
            dashed,
            width: 4u32.saturating_sub(number as u32).max(2),
            kept: rest("detection", block.detected),
            held: rest("reclaim", block.reclaimed),
        })
    }

    /// Who was watched until nothing was left has nothing left later on; of the others it is not
    /// known.
    fn go_on(&mut self, end: f64) {
        for line in [&mut self.kept, &mut self.held] {
            if line.last().is_some_and(|last| last.1 < 1e-6) {
                line.push((end, 0.0));
            }
        }
    }

    fn draw<'a, DB: DrawingBackend + 'a>(
        &self,
        chart: &mut ChartContext<'a, DB, Cartesian2d<Axis, Axis>>,
        line: &[(f64, f64)],
    ) -> Result<(), DrawingAreaErrorKind<DB::ErrorType>> {
        let (points, style) = (line.iter().copied(), self.entry.color.stroke_width(self.width));
        if self.dashed {
            chart.draw_series(DashedLineSeries::new(points, 6, 5, style))?;
        } else {
            chart.draw_series(LineSeries::new(points, style))?;
        }
        Ok(())
    }
}

/// The percentage of the dead that is left, up to the end of the watch.
fn left(rows: &[super::Row], found: u64, block: &DeathBlock) -> Vec<(f64, f64)> {
    let share = found as f64 / block.killed as f64;
    let mut points = found_curve(rows, share, block.watched_s);
    let last = points.last().map_or(0.0, |point| point.1);
    if points.last().is_some_and(|point| point.0 < block.watched_s) {
        points.push((block.watched_s, last));
    }
    points.into_iter().map(|(at, found)| (at, 100.0 - found)).collect()
}

fn zombies(report: &Report, curves: &Curves, death: Death) -> Option<Picture> {
    let servers = report.servers.iter().enumerate();
    let mut lines: Vec<Left> =
        servers.filter_map(|(number, server)| Left::of(server, number, death, curves)).collect();
    let ends = lines.iter().flat_map(|line| line.kept.last().into_iter().chain(line.held.last()));
    let end = ends.map(|point| point.0).fold(0.1, f64::max);
    lines.iter_mut().for_each(|line| line.go_on(end));
    let legend: Vec<Entry> = lines.iter().map(|line| line.entry.clone()).collect();
    if lines.is_empty() {
        return None;
    }
    let title = format!(
        "Connections of the dead ({}): kept by the server, and held by its kernel ({})",
        death.name(),
        report.env.label()
    );
    Some(picture(format!("zombies-{}", death.name()), title, &legend, |area, size| {
        let (upper, lower) = area.split_vertically(area.dim_in_pixel().1 / 2);
        panel(&upper, size, end, "kept", &lines, |line| &line.kept)?;
        panel(&lower, size, end, "held", &lines, |line| &line.held)
    }))
}

fn panel(
    area: &Area<'_>,
    size: Size,
    end: f64,
    name: &str,
    lines: &[Left],
    of: impl Fn(&Left) -> &[(f64, f64)],
) -> Drawn {
    let percent = Axis::marked(-3.0..103.0, [0.0, 50.0, 100.0].to_vec());
    let mut chart = size.chart(area).build_cartesian_2d(size.time_axis(end), percent)?;
    let seconds = |x: &f64| format!("{} s", significant(*x));
    let below = if name == "held" { "since death" } else { "" };
    size.mesh(&mut chart, below, &seconds, name, &|y| format!("{y:.0} %"))?;
    lines.iter().try_for_each(|line| line.draw(&mut chart, of(line)))
}

#[cfg(test)]
mod tests {
    use super::super::super::servers::tests::contest;
    use super::*;

    #[test]
    fn a_line_a_server_falls_as_its_dead_are_found() {
        let (report, histograms) = contest();
        let curves = histograms.curves();
        let of = |number: usize| {
            Left::of(&report.servers[number], number, Death::Freeze, &curves).unwrap()
        };
        let (mut pings, silent) = (of(0), of(1));
        assert_eq!(pings.kept.first(), Some(&(0.0, 100.0)));
        assert!(pings.kept.last().unwrap().1 < 1e-9);
        pings.go_on(60.0);
        assert_eq!(pings.held.last(), Some(&(60.0, 0.0)));
        assert!(silent.kept.iter().all(|point| point.1 == 100.0), "{:?}", silent.kept);
        assert!((silent.held.last().unwrap().0 - 9.5).abs() < 1e-9, "as long as it was watched");
        let names: Vec<_> = all(&report, &curves).into_iter().map(|one| one.name).collect();
        assert_eq!(names, ["zombies-freeze", "zombies-blackhole"]);
    }
}
