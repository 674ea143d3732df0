//! What a run uses: CPU, memory, packets, read now and then from the kernel's own accounts.
//!
//! Every figure counts up from some zero of its own; a use is the difference of two [`Point`]s.

pub mod cpu;
pub mod hiccup;
pub mod proc;

use halfopen_wheel::{Instant, clock};
use hdrhistogram::Histogram;
use hiccup::Hiccups;
use proc::{Carried, MachineTicks, Memory, TcpCounters};
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the sampler cannot know itself: asked at every point, on the sampler's thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gauges {
    /// Connections that are open.
    pub connections: u64,
    /// Heartbeats that have come so far: pings of the server, and answers to the client's own.
    pub heartbeats: u64,
    /// CPU time that other watching in this process has cost, such as the observer's.
    pub watching: Duration,
}

/// The state of the accounts at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// When.
    pub at: Instant,
    /// What the caller's gauges showed.
    pub gauges: Gauges,
    /// CPU time of this process, without what watching cost.
    pub client_cpu: Duration,
    /// CPU time of watching: sampler, hiccups and [`Gauges::watching`].
    pub watching_cpu: Duration,
    /// CPU time of the server's processes and their children.
    pub server_cpu: Option<Duration>,
    /// Memory of the server's processes and their children.
    pub server_memory: Option<Memory>,
    /// Memory of this process.
    pub client_memory: Option<Memory>,
    /// Where the whole machine's time went.
    pub machine: Option<MachineTicks>,
    /// Memory of the kernel, bytes.
    pub kernel_memory: Option<u64>,
    /// What the loopback interface carried.
    pub loopback: Option<Carried>,
    /// TCP's counters.
    pub tcp: Option<TcpCounters>,
}

impl Point {
    /// CPU time that the whole machine has used between `earlier` and here, by whomever: cores ×
    /// wall − idle. Steal is in it. Exact to some ticks of 10 ms.
    pub fn machine_cpu_since(&self, earlier: &Self) -> Option<Duration> {
        let (before, after) = (earlier.machine?, self.machine?);
        let wall = self.at.saturating_since(earlier.at) * after.cores;
        Some(wall.saturating_sub(ticks(after.idle.saturating_sub(before.idle))))
    }

    /// Time that the hypervisor gave to others between `earlier` and here, over all cores.
    pub fn steal_since(&self, earlier: &Self) -> Option<Duration> {
        let (before, after) = (earlier.machine?, self.machine?);
        Some(ticks(after.steal.saturating_sub(before.steal)))
    }
}

fn ticks(count: u64) -> Duration {
    Duration::from_secs(count) / rustix::param::clock_ticks_per_second() as u32
}

/// What was sampled in a run.
#[derive(Clone, Debug)]
pub struct Samples {
    /// In the order of time; the first when sampling began, the last when it ended.
    pub points: Vec<Point>,
    /// By how much a sleep of 1 ms was overslept, ns, over all cores.
    pub hiccups_ns: Histogram<u64>,
}

/// A thread that reads the accounts.
#[derive(Debug)]
pub struct Sampler {
    thread: JoinHandle<Vec<Point>>,
    wake: Sender<()>,
    hiccups: Hiccups,
}

impl Sampler {
    /// Reads now, then every `period`, and ten times as often while connections come and go.
    /// `server` are the processes of the server, if it runs on this
    /// machine and they are known. The machine's hiccups are counted on so many `cores`, which costs
    /// each of them some per cent.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        period: Duration,
        server: Vec<u32>,
        cores: usize,
        gauges: impl FnMut() -> Gauges + Send + 'static,
    ) -> io::Result<Self> {
        let hiccups = Hiccups::start(cores)?;
        let (wake, woken) = channel();
        let mut reader = Reader { tree: cpu::Tree::new(server), gauges, hiccups: hiccups.meter() };
        let thread = std::thread::Builder::new()
            .name("sampler".into())
            .spawn(move || sample(period, &woken, || reader.read()))?;
        Ok(Self { thread, wake, hiccups })
    }

    /// Reads once more right now, because something begins or ends here.
    pub fn mark(&self) {
        self.wake.send(()).expect("the sampler runs until it is finished");
    }

    /// Reads a last time.
    pub fn finish(self) -> Samples {
        drop(self.wake);
        let points = self.thread.join().expect("sampling does not panic");
        Samples { points, hiccups_ns: self.hiccups.finish() }
    }
}

fn sample(period: Duration, woken: &Receiver<()>, mut read: impl FnMut() -> Point) -> Vec<Point> {
    let mut points = vec![read()];
    loop {
        let due = points[points.len() - 1].at + pause(period, &points);
        match woken.recv_timeout(due.saturating_since(clock::now())) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => points.push(read()),
            Err(RecvTimeoutError::Disconnected) => {
                points.push(read());
                return points;
            }
        }
    }
}

/// Ten times as often while connections come and go: a ramp may be over in half a second.
fn pause(period: Duration, points: &[Point]) -> Duration {
    match points {
        [.., before, last] if before.gauges.connections == last.gauges.connections => period,
        _ => period / 10,
    }
}

struct Reader<G> {
    tree: cpu::Tree,
    gauges: G,
    hiccups: hiccup::Meter,
}

impl<G: FnMut() -> Gauges> Reader<G> {
    fn read(&mut self) -> Point {
        let living = self.tree.living();
        let memory = living.iter().filter_map(|&pid| proc::memory(pid));
        let gauges = (self.gauges)();
        let watching_cpu = gauges.watching + self.hiccups.cpu() + cpu::thread();
        Point {
            at: clock::now(),
            gauges,
            client_cpu: cpu::own().saturating_sub(watching_cpu),
            watching_cpu,
            server_cpu: self.tree.cpu(&living),
            server_memory: memory
                .reduce(|all, one| Memory { rss: all.rss + one.rss, anon: all.anon + one.anon }),
            client_memory: proc::memory(std::process::id()),
            machine: proc::machine(),
            kernel_memory: proc::kernel_memory(),
            loopback: proc::loopback(),
            tcp: proc::tcp(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_has_a_first_a_marked_and_a_last_point() {
        let me = std::process::id();
        let gauges = || Gauges { connections: 7, ..Gauges::default() };
        let sampler = Sampler::start(Duration::from_secs(3600), vec![me], 1, gauges).unwrap();
        sampler.mark();
        let samples = sampler.finish();
        assert_eq!(samples.points.len(), 3);
        let (first, last) = (&samples.points[0], &samples.points[2]);
        assert!(first.at < last.at && last.gauges.connections == 7);
        assert!(last.server_cpu.unwrap() >= first.server_cpu.unwrap());
        assert!(last.server_memory.unwrap().anon > 0);
        let cores = last.machine.unwrap().cores;
        let wall = last.at.saturating_since(first.at);
        assert!(last.machine_cpu_since(first).unwrap() <= wall * cores);
    }

    #[test]
    fn points_are_dense_while_connections_come() {
        let point = |connections| {
            let gauges = move || Gauges { connections, ..Gauges::default() };
            let sampler = Sampler::start(Duration::from_secs(3600), Vec::new(), 0, gauges);
            sampler.unwrap().finish().points[0]
        };
        let period = Duration::from_secs(1);
        assert_eq!(pause(period, &[point(5), point(7)]), period / 10);
        assert_eq!(pause(period, &[point(5), point(7), point(7)]), period);
        assert_eq!(pause(period, &[point(0)]), period / 10);
    }

    #[test]
    fn without_a_server_on_this_machine_its_figures_are_none() {
        let sampler = Sampler::start(Duration::from_secs(3600), Vec::new(), 0, Gauges::default);
        let samples = sampler.unwrap().finish();
        assert!(samples.hiccups_ns.is_empty());
        let point = samples.points[0];
        assert!(point.server_cpu.is_none() && point.server_memory.is_none());
    }
}
