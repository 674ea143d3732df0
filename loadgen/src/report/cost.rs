//! What a heartbeat costs and a connection weighs: differences of sampled accounts.
//!
//! The cost is all that was used between the ramp and the first death, over the heartbeats of that
//! time, so it holds what the processes use without any heartbeat too: an upper bound. With messages
//! on their way it would tell nothing, and is not told.

use super::input::{Input, Phase};
use super::schema::{CostBlock, MachineBlock, Measured, MemoryBlock, TimelinePoint};
use crate::sample::Point;
use crate::stats::{MS, Summary};
use std::time::Duration;

/// Bytes of the Ethernet header, which the loopback interface does not count.
const LINK_HEADER: u64 = 14;

/// Memory a connection is the slope above so many, and is told only where so many come on top.
const CROWD: u64 = 1000;

pub(super) fn cost(input: &Input<'_>, loopback: bool) -> CostBlock {
    let points = steady_points(input);
    if input.tally.messages_sent > 0 {
        return CostBlock { server_cpu_percent: server_percent(&points), ..CostBlock::default() };
    }
    let per_heartbeat =
        |how: &str, used: &dyn Fn(&Point, &Point) -> Option<f64>| measured(&points, how, used);
    let on_loopback = |how: &str, used: &dyn Fn(&Point, &Point) -> Option<f64>| {
        loopback.then(|| measured(&points, how, used)).flatten()
    };
    CostBlock {
        both_ends_cpu_us_per_heartbeat: per_heartbeat(
            "CPU accounts of the server's processes and of the client",
            &|a, b| Some(server_us(a, b)? + client_us(a, b)),
        ),
        server_cpu_us_per_heartbeat: per_heartbeat(
            "CPU accounts of the server's processes",
            &server_us,
        ),
        client_cpu_us_per_heartbeat: per_heartbeat(
            "CPU account of the client, watching not included",
            &|a, b| Some(client_us(a, b)),
        ),
        machine_cpu_us_per_heartbeat: per_heartbeat("cores × wall − idle", &|a, b| {
            Some(b.machine_cpu_since(a)?.as_nanos() as f64 / 1e3)
        }),
        packets_per_heartbeat: on_loopback("counters of lo", &|a, b| {
            Some((b.loopback?.packets - a.loopback?.packets) as f64)
        }),
        wire_bytes_per_heartbeat: on_loopback(
            "counters of lo, and 14 B of link header a packet",
            &|a, b| {
                let (a, b) = (a.loopback?, b.loopback?);
                Some((b.bytes - a.bytes + (b.packets - a.packets) * LINK_HEADER) as f64)
            },
        ),
        syscalls_per_heartbeat: None,
        server_cpu_percent: server_percent(&points),
    }
}

/// The points between the ramp and the first death.
fn steady_points<'a>(input: &Input<'a>) -> Vec<&'a Point> {
    let steady: Vec<_> = input.phases.iter().filter(|phase| phase.name == Phase::STEADY).collect();
    let within = |point: &&Point| {
        steady.iter().any(|phase| phase.start <= point.at && point.at <= phase.end)
    };
    input.samples.points.iter().filter(within).collect()
}

fn server_us(a: &Point, b: &Point) -> Option<f64> {
    Some(b.server_cpu?.saturating_sub(a.server_cpu?).as_nanos() as f64 / 1e3)
}

fn client_us(a: &Point, b: &Point) -> f64 {
    b.client_cpu.saturating_sub(a.client_cpu).as_nanos() as f64 / 1e3
}

fn server_percent(points: &[&Point]) -> Option<f64> {
    let (first, last) = (points.first()?, points.last()?);
    let wall = last.at.saturating_since(first.at).as_secs_f64() * 1e6;
    (wall > 0.0).then_some(100.0 * server_us(first, last)? / wall)
}

/// What was used over the heartbeats that came, with an interval from the windows between points.
fn measured(
    points: &[&Point],
    how: &str,
    used: &dyn Fn(&Point, &Point) -> Option<f64>,
) -> Option<Measured> {
    let windows = points.windows(2).map(|pair| {
        let beats = pair[1].gauges.heartbeats.saturating_sub(pair[0].gauges.heartbeats);
        Some((beats as f64, used(pair[0], pair[1])?))
    });
    let windows: Vec<(f64, f64)> = windows.collect::<Option<_>>()?;
    let ratio = Ratio::of(&windows)?;
    let interval = match ratio.interval {
        Some(_) => format!("interval of 95 % from {} windows", windows.len()),
        None => format!("too few windows for an interval: {}", windows.len()),
    };
    let method = format!(
        "{how}, between the ramp and the first death, over the heartbeats of that time; the idle \
         cost of the processes is in it; {interval}"
    );
    let (low, high) = ratio.interval.unzip();
    Some(Measured { value: ratio.value, low, high, method, floor: None })
}

/// A ratio of sums.
#[derive(Debug, PartialEq)]
struct Ratio {
    value: f64,
    interval: Option<(f64, f64)>,
}

impl Ratio {
    /// Of pairs of (divisor, dividend). Fewer than four tell no interval.
    fn of(windows: &[(f64, f64)]) -> Option<Self> {
        let n = windows.len() as f64;
        let beats: f64 = windows.iter().map(|window| window.0).sum();
        let used: f64 = windows.iter().map(|window| window.1).sum();
        if beats <= 0.0 {
            return None;
        }
        let value = used / beats;
        // The delta method: the spread of what each window used beyond its share.
        let residuals = windows.iter().map(|(beats, used)| (used - value * beats).powi(2));
        let error = (residuals.sum::<f64>() / (n * (n - 1.0))).sqrt() / (beats / n);
        let half = student_95(n - 1.0) * error;
        let interval = (windows.len() >= 4).then(|| ((value - half).max(0.0), value + half));
        Some(Self { value, interval })
    }
}

/// The quantile 0.975 of Student's t: the expansion of Abramowitz and Stegun 26.7.5, good to 1 %
/// from 3 degrees of freedom on.
fn student_95(freedom: f64) -> f64 {
    let z: f64 = 1.959_964;
    let terms = [
        (z.powi(3) + z) / 4.0,
        (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0,
        (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0,
    ];
    terms.iter().rev().fold(0.0, |sum, term| (sum + term) / freedom) + z
}

/// The first connections bring what is taken once; the slope begins after them.
pub(super) fn memory(input: &Input<'_>, loopback: bool) -> MemoryBlock {
    let points = &input.samples.points;
    let connections = |point: &&Point| point.gauges.connections;
    let most = points.iter().map(|point| point.gauges.connections).max().unwrap_or(0);
    let few = points.iter().find(|point| connections(point) >= CROWD);
    let full = points.iter().rev().find(|point| connections(point) == most);
    let (Some(few), Some(full)) = (few, full) else {
        return MemoryBlock {
            server_rss_bytes: full.and_then(|point| point.server_memory).map(|memory| memory.rss),
            ..MemoryBlock::default()
        };
    };
    let added = most - few.gauges.connections;
    let slope = |before: Option<u64>, after: Option<u64>| {
        let growth = after? as f64 - before? as f64;
        (added >= CROWD).then_some(growth / added as f64)
    };
    let anon = |point: &Point| point.server_memory.map(|memory| memory.anon);
    let kernel = slope(few.kernel_memory, full.kernel_memory);
    MemoryBlock {
        server_user_bytes_per_connection: slope(anon(few), anon(full)),
        server_rss_bytes: full.server_memory.map(|memory| memory.rss),
        kernel_bytes_per_connection_pair: kernel.filter(|_| loopback),
    }
}

pub(super) fn machine(input: &Input<'_>) -> MachineBlock {
    let hiccups_ms = Summary::of_histogram(&input.samples.hiccups_ns, MS);
    let points = &input.samples.points;
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return MachineBlock { hiccups_ms, ..MachineBlock::default() };
    };
    let cores = last.machine.map_or(1, |machine| machine.cores);
    let wall = last.at.saturating_since(first.at).as_secs_f64() * f64::from(cores);
    let percent = |seconds: f64| (wall > 0.0).then_some(100.0 * seconds / wall);
    let foreign = last.machine_cpu_since(first).map(|all| {
        let ours = client_us(first, last) + server_us(first, last).unwrap_or(0.0);
        let watching = last.watching_cpu.saturating_sub(first.watching_cpu);
        (all.saturating_sub(watching).as_secs_f64() - ours / 1e6).max(0.0)
    });
    let tcp = first.tcp.zip(last.tcp);
    MachineBlock {
        hiccups_ms,
        steal_percent: last.steal_since(first).and_then(|steal| percent(steal.as_secs_f64())),
        foreign_cpu_percent: foreign.and_then(percent),
        ttl_dropped: tcp.map(|(a, b)| b.ttl_dropped - a.ttl_dropped),
        retransmitted: tcp.map(|(a, b)| b.retransmitted - a.retransmitted),
    }
}

/// CPU is told over no less than this: shorter windows are all noise.
const WINDOW: Duration = Duration::from_millis(100);

pub(super) fn timeline(input: &Input<'_>) -> Vec<TimelinePoint> {
    let mut told: Option<&Point> = None;
    let moments = input.samples.points.iter().map(|point| {
        let mut moment = TimelinePoint {
            at_s: point.at.saturating_since(input.began).as_secs_f64(),
            connections: point.gauges.connections,
            ..TimelinePoint::default()
        };
        let since = *told.get_or_insert(point);
        let wall = point.at.saturating_since(since.at);
        if wall >= WINDOW {
            let percent = |us: f64| 100.0 * us / (wall.as_secs_f64() * 1e6);
            let machine = point.machine_cpu_since(since).map(|cpu| cpu.as_secs_f64() * 1e6);
            moment.server_cpu_percent = server_us(since, point).map(percent);
            moment.client_cpu_percent = Some(percent(client_us(since, point)));
            moment.machine_cpu_percent = machine.map(percent);
            told = Some(point);
        }
        moment
    });
    moments.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn students_t_is_near_its_table() {
        for (freedom, table) in [(3.0, 3.182), (5.0, 2.571), (10.0, 2.228), (30.0, 2.042)] {
            let t = student_95(freedom);
            assert!((t / table - 1.0).abs() < 0.015, "{freedom}: {t}");
        }
    }

    #[test]
    fn a_ratio_is_of_sums_and_its_interval_wants_four_windows() {
        let three = Ratio::of(&[(100.0, 1000.0), (200.0, 2000.0), (300.0, 3000.0)]).unwrap();
        assert_eq!(three, Ratio { value: 10.0, interval: None });
        let noisy = Ratio::of(&[(10.0, 90.0), (10.0, 110.0), (10.0, 95.0), (10.0, 105.0)]).unwrap();
        let (low, high) = noisy.interval.unwrap();
        // Mean 10, standard error 0.4564, t of 3 degrees 3.18.
        assert!((noisy.value - 10.0).abs() < 1e-12);
        assert!((10.0 - low - 1.452).abs() < 0.03 && (high - 10.0 - 1.452).abs() < 0.03, "{low}");
        assert_eq!(Ratio::of(&[(0.0, 5.0)]), None);
    }
}
