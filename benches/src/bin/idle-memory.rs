//! What an idle connection holds of kernel memory, in the two ways in which the driver on io_uring
//! waits for it.

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("idle-memory: io_uring is a thing of Linux");
}

#[cfg(target_os = "linux")]
mod linux {
    use anyhow::{Context, Result};
    use bytes::BytesMut;
    use clap::Parser;
    use halfopen_benches::idle_memory::{Measured, SLAB_BYTES_MIN, page};
    use halfopen_benches::report::Report;
    use halfopen_benches::table::folder;
    use halfopen_driver::ring::{self, Features, Options};
    use halfopen_driver::{
        Chunk, Config, ConnId, Counters, Engine, Event, Heard, Op, Opening, Token, WakeSource,
        Waker,
    };
    use halfopen_wheel::{Instant, clock};
    use std::collections::BTreeMap;
    use std::fs;
    use std::net::{SocketAddr, TcpListener};
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::sync::mpsc::{Sender, channel};
    use std::thread::JoinHandle;
    use std::time::Duration;

    /// Hold connections over loopback, both ends on io_uring, and read what the kernel's slabs hold
    /// for them: polled while quiet, then with a multishot receive each.
    ///
    /// As root it also names the slabs that differ. Nothing else should open sockets meanwhile.
    #[derive(Parser)]
    #[command(version)]
    struct Cli {
        /// Connections; each ring has at most 10,000 of them.
        #[arg(long, default_value_t = 10_000)]
        connections: u32,
        /// How often both ways are measured, in turns.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
        rounds: u32,
        /// Where the folder `<date>-idle-memory` is made.
        #[arg(long, default_value = "results")]
        out: PathBuf,
        /// Print the JSON document and write no folder.
        #[arg(long)]
        json: bool,
    }

    /// Connections of one pair of rings.
    const EACH: u32 = 10_000;
    /// So many messages and answers make a connection busy where it may be.
    const MESSAGES: u32 = 6;

    pub(super) fn main() -> Result<()> {
        let cli = Cli::parse();
        let mut report = Report::begin("halfopen.idle-memory/1", "idle-memory")?;
        for round in 0..cli.rounds {
            for (way, quiet) in [("poll", Duration::ZERO), ("multishot receive", Duration::MAX)] {
                let before = Slabs::read()?;
                let held = hold(cli.connections, quiet)?;
                std::thread::sleep(Duration::from_millis(500));
                let (slab_bytes, slabs) = Slabs::read()?.since(&before, cli.connections);
                eprintln!("round {}  {way:<17}  {slab_bytes:>6.0} B a pair", round + 1);
                let connections = cli.connections;
                report.runs.push(Measured { round, way, connections, slab_bytes, slabs });
                held.into_iter().try_for_each(Pair::end)?;
                std::thread::sleep(Duration::from_secs(2));
            }
        }
        report.end(None);
        let out = (!cli.json).then_some(&*cli.out);
        folder::publish(out, &report.started, "idle-memory", &report, &page(&report))
    }

    /// Two rings with connections between them.
    struct Pair {
        wakers: [Waker; 2],
        threads: [JoinHandle<Result<(), halfopen_driver::Error>>; 2],
    }

    fn hold(connections: u32, quiet: Duration) -> Result<Vec<Pair>> {
        let pairs = connections.div_ceil(EACH);
        let counts = (0..pairs).map(|at| EACH.min(connections - at * EACH));
        counts.enumerate().map(|(at, count)| Pair::start(at as u8, count, quiet)).collect()
    }

    impl Pair {
        /// Opens connections, has each speak often enough to become busy, and lets them be.
        fn start(at: u8, count: u32, quiet: Duration) -> Result<Self> {
            let listener = Arc::new(TcpListener::bind(SocketAddr::from(([127, 0, 1, at], 0)))?);
            let to = listener.local_addr()?;
            let (done, all_done) = channel();
            let (waker, host) = start(Side::host(), Some(listener), count, quiet)?;
            let guest = Side { to: Some(to), count, done: Some(done), ..Side::host() };
            let (other, guest) = start(guest, None, count, quiet)?;
            all_done.recv().context("the connections are not opened")?;
            Ok(Self { wakers: [waker, other], threads: [host, guest] })
        }

        fn end(self) -> Result<()> {
            self.wakers.iter().for_each(Waker::wake);
            for thread in self.threads {
                thread.join().expect("a ring does not panic")?;
            }
            Ok(())
        }
    }

    fn start(
        mut side: Side,
        listener: Option<Arc<TcpListener>>,
        count: u32,
        quiet: Duration,
    ) -> Result<(Waker, JoinHandle<Result<(), halfopen_driver::Error>>)> {
        let (waker, wake): (Waker, WakeSource) = Waker::new()?;
        let config = Config {
            listener,
            listener_shared: false,
            wake,
            connections_max: count,
            counters: Arc::<Counters>::default(),
            without: Features::NONE,
        };
        let options = Options { quiet, ..Options::default() };
        let run = move || ring::run_with(&mut side, config, options);
        Ok((waker, std::thread::spawn(run)))
    }

    /// One end: the host answers every message, the guest says some and counts.
    struct Side {
        to: Option<SocketAddr>,
        count: u32,
        asked: u32,
        heard: BTreeMap<ConnId, u32>,
        finished: u32,
        done: Option<Sender<()>>,
    }

    impl Side {
        fn host() -> Self {
            Self { to: None, count: 0, asked: 0, heard: BTreeMap::new(), finished: 0, done: None }
        }

        fn connect_another(&mut self, ops: &mut Vec<Op>) {
            if let Some(to) = self.to.filter(|_| self.asked < self.count) {
                let deadline = clock::now() + Duration::from_secs(60);
                ops.push(Op::Connect { token: Token(self.asked), to, from: None, deadline });
                self.asked += 1;
            }
        }

        /// The guest has heard an answer; whether it goes on.
        fn goes_on(&mut self, id: ConnId, ops: &mut Vec<Op>) -> bool {
            let heard = self.heard.entry(id).or_default();
            *heard += 1;
            if *heard < MESSAGES {
                return true;
            }
            self.heard.remove(&id);
            self.finished += 1;
            self.connect_another(ops);
            if self.finished == self.count {
                // Whoever waited may have given up.
                let _ = self.done.take().map(|done| done.send(()));
            }
            false
        }
    }

    impl Engine for Side {
        fn on_event(&mut self, _now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
            let say = |id| Op::Send { id, chunk: Chunk::Own(BytesMut::from(&b"?"[..])) };
            match event {
                Event::Started if self.to.is_some() => {
                    (0..32).for_each(|_| self.connect_another(ops));
                }
                Event::Started => ops.push(Op::Accept(true)),
                Event::Opened { id, by: Opening::Connected(_) } => ops.push(say(id)),
                Event::Received { id, .. } if self.to.is_none() || self.goes_on(id, ops) => {
                    ops.push(say(id));
                }
                Event::Refused { cause, .. } => panic!("a connect was refused: {cause:?}"),
                Event::Woken => ops.push(Op::Stop),
                _ => {}
            }
        }

        fn on_deadline(&mut self, _now: Instant, _heard: Heard, _ops: &mut Vec<Op>) {}

        fn deadline(&self) -> Option<Instant> {
            None
        }
    }

    /// The kernel's own memory.
    struct Slabs {
        all: u64,
        /// Bytes of objects in use, by name; empty where we may not know.
        named: BTreeMap<String, u64>,
    }

    impl Slabs {
        fn read() -> Result<Self> {
            let memory = fs::read_to_string("/proc/meminfo")?;
            let line = memory.lines().find(|line| line.starts_with("Slab:")).context("no Slab")?;
            let kib: u64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
            let rows = fs::read_to_string("/proc/slabinfo").unwrap_or_default();
            let rows = rows.lines().skip(2).filter_map(|row| {
                let mut columns = row.split_whitespace();
                let name = columns.next()?.to_owned();
                let number = |text: Option<&str>| text?.parse::<u64>().ok();
                let (active, _, size) =
                    (number(columns.next())?, columns.next()?, number(columns.next())?);
                Some((name, active * size))
            });
            Ok(Self { all: kib * 1024, named: rows.collect() })
        }

        /// What has come since `before`, for each of so many: all, and by name. All is what the
        /// objects in use take, where that may be read: pages that were free before hold some.
        fn since(&self, before: &Self, count: u32) -> (f64, BTreeMap<String, f64>) {
            let count = f64::from(count);
            let per = |now: u64, then: u64| (now as f64 - then as f64) / count;
            let mut grown: BTreeMap<_, _> = self
                .named
                .iter()
                .map(|(name, &now)| (name.clone(), (now, before.named.get(name).unwrap_or(&0))))
                .map(|(name, (now, &then))| (name, per(now, then)))
                .collect();
            let all = match grown.is_empty() {
                true => per(self.all, before.all),
                false => grown.values().sum(),
            };
            grown.retain(|_, bytes| *bytes >= SLAB_BYTES_MIN);
            (all, grown)
        }
    }
}
