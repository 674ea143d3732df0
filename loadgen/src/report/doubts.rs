//! Reasons not to trust a run, each with what to try.

use super::input::{Input, Phase};
use super::schema::{Doubt, Figures, MachineBlock};
use crate::observer::RESOLUTION;
use crate::sample::Point;
use crate::stats::is_supported;
use std::time::Duration;

/// The one doubt after which nothing can be said of the server.
pub const CLIENT_SATURATED: &str = "client_saturated";

/// A client that uses more than this share of its threads has no room for what comes in bursts.
const SATURATED: f64 = 0.9;
/// For so long, in all.
const SATURATED_FOR: Duration = Duration::from_secs(2);
/// A send is late when the tail of sends is later than this.
const LATE_SEND: Duration = Duration::from_millis(1);
/// A machine that stops for longer than this disturbs what is measured in milliseconds.
const HICCUP_MS: f64 = 20.0;
/// A server that keeps to its own clock lets nobody go that much before the deadline.
const EARLY_MS: f64 = -1.0;
/// More than this of the machine taken by others disturbs.
const STEAL_PERCENT: f64 = 1.0;
const FOREIGN_PERCENT: f64 = 10.0;

pub(super) fn all(input: &Input<'_>, figures: &Figures, machine: &MachineBlock) -> Vec<Doubt> {
    let found = [
        saturated(input),
        late_sends(input),
        hiccups(machine),
        steal(machine),
        foreign_cpu(machine),
        shared_cores(input),
        lost_news(input),
        seldom_looks(input),
        no_observer(figures),
        late_pings(figures),
        failed(figures, "descriptor", OUT_OF_DESCRIPTORS),
        failed(figures, "port", OUT_OF_PORTS),
    ];
    input.doubts.iter().cloned().chain(found.into_iter().flatten()).collect()
}

fn doubt(code: &str, message: String, hint: &str) -> Option<Doubt> {
    Some(Doubt { code: code.into(), message, hint: hint.into() })
}

fn saturated(input: &Input<'_>) -> Option<Doubt> {
    let room = SATURATED * f64::from(input.plan.shards.max(1));
    let busy = input.samples.points.windows(2).filter_map(|pair| {
        let wall = pair[1].at.saturating_since(pair[0].at);
        let used = pair[1].client_cpu.saturating_sub(pair[0].client_cpu);
        let full = used.as_secs_f64() > room * wall.as_secs_f64();
        (full && !in_ramp(input, &pair[1])).then_some(wall)
    });
    let busy: Duration = busy.sum();
    if busy < SATURATED_FOR {
        return None;
    }
    let message = format!(
        "the client used more than {:.0} % of its {} threads for {:.1} s after the ramp, so it \
         measured itself as well",
        SATURATED * 100.0,
        input.plan.shards,
        busy.as_secs_f64()
    );
    doubt(CLIENT_SATURATED, message, "more --shards, fewer connections, or a lower rate")
}

fn in_ramp(input: &Input<'_>, point: &Point) -> bool {
    let ramps = input.phases.iter().filter(|phase| phase.name == Phase::RAMP);
    ramps.into_iter().any(|phase| phase.start <= point.at && point.at <= phase.end)
}

fn late_sends(input: &Input<'_>) -> Option<Doubt> {
    let late = &input.tally.send_late_ns;
    let p99 = Duration::from_nanos(late.value_at_quantile(0.99));
    if !is_supported(late.len(), 0.99) || p99 <= LATE_SEND {
        return None;
    }
    let message = format!(
        "1 % of {} sends were more than {:.1} ms later than intended; their latency counts from \
         the intention, so part of it is the client's",
        late.len(),
        p99.as_secs_f64() * 1e3
    );
    doubt("late_sends", message, "more --shards, or a lower --message-rate")
}

fn hiccups(machine: &MachineBlock) -> Option<Doubt> {
    let worst = machine.hiccups_ms.max.filter(|&worst| worst > HICCUP_MS)?;
    let p99_9 = machine.hiccups_ms.p99_9.map_or(String::new(), |ms| format!(", p99.9 {ms:.2} ms"));
    let message = format!(
        "the machine itself stood still for up to {worst:.1} ms{p99_9}; a tail below that is not \
         the server's"
    );
    doubt("hiccups", message, "a quieter machine, or more runs (--repeat)")
}

fn steal(machine: &MachineBlock) -> Option<Doubt> {
    let percent = machine.steal_percent.filter(|&percent| percent > STEAL_PERCENT)?;
    let message = format!("the hypervisor gave {percent:.1} % of the cores' time to others");
    doubt("steal", message, "another time, or a machine of your own")
}

fn foreign_cpu(machine: &MachineBlock) -> Option<Doubt> {
    let percent = machine.foreign_cpu_percent.filter(|&percent| percent > FOREIGN_PERCENT)?;
    let message = format!(
        "{percent:.0} % of the machine's CPU time was neither the client's nor that of a server \
         that was watched"
    );
    doubt("foreign_cpu", message, "stop what else runs; with load, name the server by --server-pid")
}

/// Only of a server whose processes are known to be here.
fn shared_cores(input: &Input<'_>) -> Option<Doubt> {
    input.samples.points.first()?.server_cpu?;
    let (ours, theirs) = (&input.plan.cpus, &input.server_cpus);
    let apart =
        !ours.is_empty() && !theirs.is_empty() && ours.iter().all(|core| !theirs.contains(core));
    if apart {
        return None;
    }
    let message = "generator and server may run on the same cores and take time from each other";
    doubt("shared_cores", message.into(), "give each its own: --cpu of load and of serve")
}

fn lost_news(input: &Input<'_>) -> Option<Doubt> {
    let doubtful = input.observed.sightings.iter().filter(|seen| seen.doubtful).count();
    if input.observed.gaps == 0 {
        return None;
    }
    let message = format!(
        "the kernel's queue of destroyed sockets overflowed {} times; of {doubtful} victims the \
         time of reclaim may be late",
        input.observed.gaps
    );
    doubt("observer_lost_events", message, "sysctl -w net.core.rmem_max=67108864")
}

/// Beyond twice the usual time between two looks.
fn seldom_looks(input: &Input<'_>) -> Option<Doubt> {
    let resolution = Some(input.observed.resolution).filter(|&time| time > 2 * RESOLUTION)?;
    let message = format!(
        "the server has so many sockets that they were looked at every {:.1} s only, so a detection \
         that no destroyed socket announced may be seen as late as that",
        resolution.as_secs_f64()
    );
    doubt("seldom_looks", message, "fewer connections; what the server aborts is seen at once")
}

fn no_observer(figures: &Figures) -> Option<Doubt> {
    let unobservable: u64 = figures.deaths.values().map(|death| death.unobservable).sum();
    if unobservable == 0 {
        return None;
    }
    let message = format!(
        "nobody could see what became of {unobservable} victims: their sockets at the server were \
         not found"
    );
    doubt("unobservable", message, "run the client where the server runs, in its network namespace")
}

/// Only of a server whose own clock is known: another may have another interval or timeout.
fn late_pings(figures: &Figures) -> Option<Doubt> {
    let known = figures.deaths.values().filter(|death| death.lateness_ms.is_some());
    let residuals = known.filter_map(|death| death.residual_ms.as_ref()?.min);
    let least = residuals.filter(|&least| least < EARLY_MS).reduce(f64::min)?;
    let message = format!(
        "the client's loop saw a ping up to {:.1} ms late, so the least residual is too small by as \
         much",
        -least
    );
    doubt("pings_seen_late", message, "a quieter machine, or fewer connections")
}

/// The code, what was exhausted, what to try.
const OUT_OF_DESCRIPTORS: (&str, &str, &str) =
    ("out_of_descriptors", "descriptors", "ulimit -n with a greater number, or fewer connections");
const OUT_OF_PORTS: (&str, &str, &str) = (
    "out_of_ports",
    "local ports",
    "more --source addresses, or sysctl -w net.ipv4.ip_local_port_range='1024 65535'",
);

fn failed(figures: &Figures, word: &str, (code, what, hint): (&str, &str, &str)) -> Option<Doubt> {
    let reasons = figures.connections.failed.iter().filter(|(reason, _)| reason.contains(word));
    let count: u64 = reasons.map(|(_, count)| count).sum();
    if count == 0 {
        return None;
    }
    doubt(code, format!("{count} connections were not opened for want of {what}"), hint)
}
