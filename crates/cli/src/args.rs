//! The command line: commands, flags, defaults and help.
//!
//! Values become types here ([`crate::units`]); what depends on several flags together is decided
//! by the command that they belong to.

mod calibrate;
mod deaths;
mod expand;
mod foreign;
mod messages;
mod probe;
mod returning;
mod script;
mod serve;
mod shapes;
mod trust;
mod tune;

pub(crate) use calibrate::{Calibrate, Reference};
pub(crate) use deaths::{DeathFlags, Revival, kills};
pub(crate) use expand::expand;
pub(crate) use foreign::{Foreign, ForeignFlags, with_port};
pub(crate) use messages::MessageFlags;
pub(crate) use probe::Probe;
pub(crate) use returning::ReturningFlags;
pub(crate) use script::ScriptFlags;
pub(crate) use serve::{App, LimitFlags, Policy, Serve, TcpFlags};
pub(crate) use trust::TrustFlags;
pub(crate) use tune::Tune;

use crate::search::{Search, factor, search};
use crate::units::{
    OrAuto, OrOff, count, cpu_list, duration_or_off, positive_duration, rate, shards,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use halfopen_loadgen::pacing::Share;
use halfopen_loadgen::plan::{Header, ServerPing};
use halfopen_server::DriverKind;
use halfopen_server::io_uring::Feature;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// What WebSocket connections cost to keep alive, and how fast the dead ones are found.
#[derive(Debug, Parser)]
#[command(name = "halfopen", version, max_term_width = 80, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// Print one JSON document on stdout, and nothing else there
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
    /// Say nothing on stderr while it works
    #[arg(short, long, global = true, help_heading = "Output")]
    pub quiet: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Three clients die before your eyes: 20 seconds, nothing to set up
    ///
    /// One program is killed, and its kernel says goodbye for it. One client is behind a network
    /// that fails, and its server never pings. One is behind the same network, and its server
    /// pings. Only the last one is noticed by the server's own doing.
    Demo(Demo),
    /// The main job: run server and load together, kill connections, publish
    ///
    /// Starts a server as a process of its own, opens connections to it, kills some of them in
    /// several ways, and measures how soon the server finds the dead and what its heartbeats cost.
    /// Writes a report with pictures into a folder of its own. With --server it starts others
    /// instead, in turns, and writes one comparison.
    Lab(Box<Lab>),
    /// Open many connections to any WebSocket server, and measure
    ///
    /// Opens connections, holds them, answers the server's pings, sends messages and pings if
    /// asked to, and can kill some of the connections. Writes files only with --out.
    Load(Box<Load>),
    /// Find out what heartbeat a server has
    ///
    /// Tells who pings, how often, how long the server waits for an answer, whether traffic
    /// suppresses pings, when the idle are ended, and how soon a silent death is found. Eight
    /// connections, safe on a server in use: a word a second at most (or three an interval), and a
    /// Close frame at the end. Ends as soon as everything is known.
    Probe(Probe),
    /// Run the WebSocket server
    ///
    /// Prints one line on stdout when it listens. Ctrl-C or SIGTERM drains it: no new connections,
    /// a Close frame for everyone, spread over a while. A second one ends it at once.
    Serve(Box<Serve>),
    /// Which interval? What heartbeats cost and find, and which one to take
    ///
    /// From the number of connections, the time within which a silent death is to be found, and
    /// what stands in the way: a table of heartbeats that keep to it, with their pings, packets,
    /// cores, detection, zombies and false kills; one that is recommended; and how servers and
    /// proxies spell it. Nothing is measured, but with --verify.
    Tune(Tune),
    /// Is the load generator to be trusted here?
    ///
    /// Measures a reference server whose answers are late by known times, which that server writes
    /// down itself, at several rates, and puts the percentiles that a report would publish beside
    /// the record: they have to agree within 1 % or 50 µs. In one more run the generator is made to
    /// stall, which has to show in latency and not in service time. Exits 3 if it is not to be
    /// trusted. Wants two cores.
    Calibrate(Calibrate),
    /// What `calibrate` starts.
    #[command(hide = true)]
    Reference(Reference),
    /// Show, convert and compare the reports of earlier runs
    ///
    /// Prints a report in another format. Several runs are laid over each other; with --baseline
    /// they are judged beside others, figure by figure: better, same, worse, or no verdict. The page
    /// of one run is written anew into its folder if stdout is a terminal, and else printed.
    Report(Report),
    /// Tell what this machine allows, and how to allow more
    ///
    /// Looks at limits and settings, tries the drivers and every death, and names the command that
    /// changes what is too little. Exits 1 if something is.
    Doctor,
}

/// Flags of `demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Go on until Ctrl-C, so that you can look at the sockets (`ss -tn`)
    #[arg(long)]
    pub keep: bool,
}

/// Flags of `lab`.
#[derive(Debug, Args)]
pub(crate) struct Lab {
    /// How many connections [default: 10k]
    #[arg(short, long, value_name = "COUNT", value_parser = count::<1>)]
    pub connections: Option<u32>,
    /// New connections a second
    #[arg(long, value_name = "RATE", default_value = "20k/s", value_parser = rate)]
    pub connect_rate: f64,
    /// How long a connect and its handshake may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = positive_duration)]
    pub connect_timeout: Duration,
    /// Take flags out of a file: TOML with their names, or the report.json of a run
    ///
    /// What is typed goes before what stands there.
    #[arg(long = "plan", id = "plan", value_name = "FILE")]
    pub _plan: Option<PathBuf>,
    /// A short run, under 15 seconds: interval 1s, timeout 600ms, 2,000 connections, 200 victims
    /// of each death
    #[arg(long)]
    pub quick: bool,
    /// How often the same is done, each time with a report of its own; several servers take turns
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = count::<1>)]
    pub repeat: u32,
    /// Seeds every random choice of the load
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub seed: u64,

    /// How often the server pings each connection, or off [default: 5s]
    #[arg(long, value_name = "TIME", help_heading = "Heartbeat of the server", value_parser = duration_or_off)]
    pub ping_interval: Option<OrOff>,
    /// How long the server waits for the answer [default: 3s]
    #[arg(long, value_name = "TIME", help_heading = "Heartbeat of the server", value_parser = positive_duration)]
    pub ping_timeout: Option<Duration>,
    /// Ping always, or only those who were silent for an interval
    #[arg(
        long,
        value_name = "POLICY",
        default_value = "periodic",
        help_heading = "Heartbeat of the server"
    )]
    pub ping_policy: Policy,

    #[command(flatten)]
    pub deaths: DeathFlags,
    #[command(flatten)]
    pub messages: MessageFlags,

    /// What the server runs on: auto, io-uring, tokio-uring, epoll
    #[arg(long, value_name = "DRIVER", default_value = "auto", help_heading = "Server", value_parser = serve::driver)]
    pub driver: DriverKind,
    /// What io_uring is to do without, though the kernel has it, such as defer-taskrun,direct
    #[arg(
        long,
        value_name = "FEATURE,…",
        value_delimiter = ',',
        hide_short_help = true,
        help_heading = "Server"
    )]
    pub io_uring_without: Vec<Feature>,
    /// Threads of the server, or auto
    #[arg(long, value_name = "COUNT", default_value = "auto", help_heading = "Server", value_parser = shards)]
    pub shards: OrAuto<u16>,
    /// Over TLS, with a certificate made for this run
    #[arg(long, help_heading = "Server")]
    pub tls: bool,
    /// Where the server answers /metrics, /livez and /readyz; nowhere if not given
    #[arg(long, value_name = "ADDR", help_heading = "Server", value_parser = serve::address)]
    pub admin: Option<SocketAddr>,
    #[command(flatten)]
    pub tcp: TcpFlags,
    #[command(flatten)]
    pub limits: LimitFlags,

    #[command(flatten)]
    pub foreign: ForeignFlags,

    /// The folder in which each run makes one of its own
    #[arg(short, long, value_name = "DIR", default_value = "results", help_heading = "Output")]
    pub out: PathBuf,
    /// What the run is called [default: lab]
    #[arg(long, value_name = "TEXT", help_heading = "Output")]
    pub name: Option<String>,
    #[command(flatten)]
    pub thresholds: ThresholdFlags,
}

/// Flags of `load`.
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// The server, as ws://host:port/path, or wss:// for TLS; an n in braces stands for the
    /// connection's number
    pub url: String,
    /// Take flags out of a file: TOML with their names, or the report.json of a run
    ///
    /// What is typed goes before what stands there. The URL may stand in it, too.
    #[arg(long = "plan", id = "plan", value_name = "FILE")]
    pub _plan: Option<PathBuf>,
    /// How many connections
    #[arg(short, long, value_name = "COUNT", default_value = "1k", value_parser = count::<1>)]
    pub connections: u32,
    /// New connections a second
    #[arg(long, value_name = "RATE", default_value = "5k/s", value_parser = rate)]
    pub connect_rate: f64,
    /// How long a connect and its handshake may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = positive_duration)]
    pub connect_timeout: Duration,
    /// Addresses to connect from, used in turn
    #[arg(long, value_name = "ADDR,…", value_delimiter = ',')]
    pub source: Vec<IpAddr>,
    /// The subprotocol to ask for
    #[arg(long, value_name = "NAME", value_parser = token)]
    pub subprotocol: Option<String>,
    /// The Origin to send, as a browser would
    #[arg(long, value_name = "ORIGIN", value_parser = field_value)]
    pub origin: Option<String>,
    /// A field of the request, as 'Authorization: Bearer x'; may be given several times
    ///
    /// An n in braces stands for the connection's number. Reports leave out the values of
    /// Authorization, Proxy-Authorization and Cookie.
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    pub header: Vec<Header>,
    #[command(flatten)]
    pub trust: TrustFlags,
    /// What it runs on: auto, io-uring, tokio-uring, epoll
    #[arg(long, value_name = "DRIVER", default_value = "auto", value_parser = serve::driver)]
    pub driver: DriverKind,
    /// Do one of several equal parts of all this, as 1/4; other processes do the others
    ///
    /// `halfopen report` puts the runs of all slices together. job/4: in an indexed Job of
    /// Kubernetes, the part of this pod (JOB_COMPLETION_INDEX).
    #[arg(long, value_name = "PART/PARTS", default_value = "1/1", value_parser = slice)]
    pub slice: Share,
    /// Threads, or auto
    #[arg(long, value_name = "COUNT", default_value = "auto", value_parser = shards)]
    pub shards: OrAuto<u16>,
    /// The cores to run on, such as 0,2 or 0-3
    #[arg(long, value_name = "LIST", value_parser = cpus)]
    pub cpu: Option<Cpus>,
    /// Seeds every random choice
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub seed: u64,

    #[command(flatten)]
    pub messages: MessageFlags,
    /// Do it again and again with more each time, until --fail-if breaks: message-rate=1k/s..64k/s
    ///
    /// Or connections=1k..100k. Each step is a run of its own; the last that held is reported.
    #[arg(long, value_name = "WHAT=FROM..TO", help_heading = "Messages", value_parser = search)]
    pub search: Option<Search>,
    /// By how much each step of the search is more than the one before
    #[arg(long, value_name = "FACTOR", default_value = "1.5", requires = "search", help_heading = "Messages", value_parser = factor)]
    pub search_factor: f64,
    #[command(flatten)]
    pub script: ScriptFlags,
    #[command(flatten)]
    pub returning: ReturningFlags,
    #[command(flatten)]
    pub deaths: DeathFlags,

    /// Processes of the server, to measure their CPU and memory
    #[arg(long, value_name = "PID", help_heading = "Server")]
    pub server_pid: Vec<u32>,
    /// The server's heartbeat as interval/timeout, to predict with (20s/20s), or off
    #[arg(long, value_name = "TIME/TIME", help_heading = "Server", value_parser = heartbeat)]
    pub server_ping: Option<Heartbeat>,

    /// Where /metrics tells Prometheus of the run while it goes on; nowhere if not given
    #[arg(long, value_name = "ADDR", help_heading = "Output", value_parser = serve::address)]
    pub admin: Option<SocketAddr>,
    /// The folder in which the run makes one of its own
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    pub out: Option<PathBuf>,
    /// What the run is called [default: load]
    #[arg(long, value_name = "TEXT", help_heading = "Output")]
    pub name: Option<String>,
    #[command(flatten)]
    pub thresholds: ThresholdFlags,

    /// Count no stops of the machine: whoever started this does it, and wants no thread of ours on
    /// the cores.
    #[arg(long, hide = true)]
    pub no_hiccups: bool,
}

/// Flags of `report`.
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// Folders of runs, each with a report.json
    #[arg(value_name = "DIR", required_unless_present = "list_metrics")]
    pub dirs: Vec<PathBuf>,
    /// The folder in which slices of a plan that are put together, or a page of several runs, get
    /// one of their own
    ///
    /// Runs that did a part of their plan each (--slice) are shown as the one run that they are.
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// The runs to compare with: of each side three at the least, for a verdict (lab --repeat)
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub baseline: Vec<PathBuf>,
    /// Compare runs of other machines and of other plans all the same
    #[arg(long, requires = "baseline")]
    pub anyway: bool,
    /// Print the names of all figures, for --fail-if: which way is better, and in what it is counted
    #[arg(long)]
    pub list_metrics: bool,
    /// How to print it
    #[arg(long, value_name = "FORMAT", default_value = "html")]
    pub format: Format,
    #[command(flatten)]
    pub thresholds: ThresholdFlags,
}

/// How `report` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A page with pictures.
    Html,
    /// Tables in Markdown.
    Md,
    /// The reports as they are.
    Json,
    /// One line a figure.
    Csv,
    /// What tools that draw figures over time want: name, unit, value, range.
    Trend,
}

/// What must hold, or else the exit status is 3.
#[derive(Debug, Args)]
pub(crate) struct ThresholdFlags {
    /// Exit 3 if this holds: 'pings.client.rtt_us.p99 > 2ms'
    #[arg(long, value_name = "EXPR", help_heading = "Output")]
    pub fail_if: Vec<String>,
}

/// The heartbeat that a server is known to have; none if it does not ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heartbeat(pub Option<(Duration, Duration)>);

/// Cores to run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cpus(pub Vec<usize>);

pub(crate) fn cpus(text: &str) -> Result<Cpus, String> {
    cpu_list(text).map(Cpus)
}

impl From<Heartbeat> for ServerPing {
    fn from(heartbeat: Heartbeat) -> Self {
        match heartbeat.0 {
            Some((interval, timeout)) => Self { interval: Some(interval), timeout },
            None => Self { interval: None, timeout: Duration::ZERO },
        }
    }
}

fn heartbeat(text: &str) -> Result<Heartbeat, String> {
    if text == "off" {
        return Ok(Heartbeat(None));
    }
    let (interval, timeout) =
        text.split_once('/').ok_or("allowed are interval/timeout, such as 20s/20s, or off")?;
    Ok(Heartbeat(Some((positive_duration(interval)?, positive_duration(timeout)?))))
}

/// A part of a plan; in an indexed Job of Kubernetes the number of the part is that of the pod.
fn slice(text: &str) -> Result<Share, String> {
    let share = |text: &str| text.parse::<Share>();
    let Some(parts) = text.strip_prefix("job/") else { return share(text) };
    let index = std::env::var(JOB_INDEX).ok().and_then(|index| index.parse::<u32>().ok());
    let part = index.and_then(|index| index.checked_add(1));
    let part =
        part.ok_or(format!("job wants a number in {JOB_INDEX}, as pods of a Job have it"))?;
    share(&format!("{part}/{parts}"))
}

/// Where Kubernetes tells a pod its number, from 0 on.
const JOB_INDEX: &str = "JOB_COMPLETION_INDEX";

/// A token of RFC 9110 §5.6.2, as subprotocols are.
pub(crate) fn token(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~, ".contains(c);
    if text.is_empty() || !text.chars().all(allowed) {
        return Err("allowed are names of letters, digits and !#$%&'*+-.^_`|~".into());
    }
    Ok(text.into())
}

/// A field value that cannot smuggle in another field.
pub(crate) fn field_value(text: &str) -> Result<String, String> {
    if text.is_empty() || !text.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
        return Err("allowed are visible ASCII characters".into());
    }
    Ok(text.into())
}

const AFTER_HELP: &str = "\
Begin with:  halfopen demo
             halfopen lab --quick

Values carry units: times 500ms 20s 2m, sizes 125 16KiB 1MiB, rates 5k/s,
counts and shares 10k 1M 10%.

Exit status: 0 done, 1 the run failed, 2 wrong use, 3 a threshold was missed,
4 no verdict, 130 interrupted (what was measured is kept).";
