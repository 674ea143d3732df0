//! From what was asked for to a [`Plan`] in which nothing is left open: the URL taken apart, names
//! looked up, sources and shards chosen by what the machine allows.

use super::place::Place;
use super::{
    Between, Expect, Fault, Header, Herd, Kill, KillAt, KillTimes, MessageKind, Plan, Script,
    Secure, ServerPing, Size, Watch,
};
use crate::death::Death;
use crate::pacing::{Arrivals, Rate, Share};
use bytes::BytesMut;
use halfopen_proto::handshake::InvalidHeader;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Connections from one source to one destination on loopback: past about 14,100 the kernel's
/// search for a free port turns 25 µs a connect into 670 µs.
const CHEAP_PORTS: u32 = 14_000;

/// One thread drives this many without effort; more of them are spread over the cores.
const CONNECTIONS_A_SHARD: u32 = 25_000;

/// Slots of a driver's table beyond the connections: those that are gone and not yet reclaimed.
const SLOTS_SPARE: u32 = 64;

/// The most direct descriptors that the kernel lets a ring have (IORING_MAX_FIXED_FILES).
const TABLE_MAX: u64 = 1 << 20;

/// Descriptors that are not connections: rings, logs, the observer's sockets.
const DESCRIPTORS_SPARE: u64 = 64;

/// What was asked for: a [`Plan`] with names not looked up and choices left open.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `ws://host[:port][/path][?query]`, or `wss://`; `{n}` in path and query stands for the
    /// connection's number.
    pub url: String,
    /// Of `wss://`: the PEM file of the CAs to trust; none: those of this machine.
    pub cacert: Option<PathBuf>,
    /// Of `wss://`: any certificate is accepted.
    pub insecure: bool,
    /// Subprotocols to offer.
    pub subprotocols: Vec<String>,
    /// The Origin field.
    pub origin: Option<String>,
    /// Further fields of the request; `{n}` in a value stands for the connection's number.
    pub headers: Vec<Header>,
    /// How many connections.
    pub connections: u32,
    /// New connections a second, over all.
    pub connect_rate: f64,
    /// How long a connect and its handshake may take.
    pub connect_timeout: Duration,
    /// How long it goes on after the ramp, at the least.
    pub duration: Duration,
    /// Messages a second, over all connections; open loop.
    pub message_rate: Option<Rate>,
    /// How they come.
    pub arrivals: Arrivals,
    /// Closed loop: so many messages of each connection are under way at any time.
    pub window: Option<u32>,
    /// Bytes in a message.
    pub size: Size,
    /// Text or binary.
    pub kind: MessageKind,
    /// What comes back for a message.
    pub expect: Expect,
    /// The client's own pings on each connection.
    pub client_ping: Option<Duration>,
    /// What each connection says in text beside its messages.
    pub script: Script,
    /// So many connections a second are closed politely and opened anew.
    pub churn: Option<f64>,
    /// Many are dropped at once, and come back.
    pub herd: Option<Herd>,
    /// Who dies how.
    pub kills: Vec<(Death, Amount)>,
    /// When they die.
    pub kill_at: KillAt,
    /// Over how long a time the deaths are spread.
    pub kill_over: Duration,
    /// How they lie in it.
    pub kill_times: KillTimes,
    /// How late a `slow` one answers a ping.
    pub pong_delay: Between,
    /// How long nothing arrives at a `flap`.
    pub flap_for: Duration,
    /// The age as a dead one at which each of the `blackhole` comes back; none: they stay away.
    pub revive: Option<Between>,
    /// How long the dead are watched.
    pub watch: Watch,
    /// The server's heartbeat, if known.
    pub server_ping: Option<ServerPing>,
    /// Addresses to connect from; empty: chosen.
    pub sources: Vec<IpAddr>,
    /// The part of all this that is done here.
    pub slice: Share,
    /// Threads; none: chosen.
    pub shards: Option<u16>,
    /// The cores to run on; empty: any.
    pub cpus: Vec<usize>,
    /// Seeds every random choice.
    pub seed: u64,
    /// What is done wrong, on purpose.
    pub fault: Fault,
}

/// How many of all connections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// That many.
    Count(u32),
    /// A share, 0 to 1.
    Share(f64),
}

impl Asked {
    /// What `halfopen load URL` does without a flag.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.into(),
            cacert: None,
            insecure: false,
            subprotocols: Vec::new(),
            origin: None,
            headers: Vec::new(),
            connections: 1_000,
            connect_rate: 5_000.0,
            connect_timeout: Duration::from_secs(10),
            duration: Duration::from_secs(30),
            message_rate: None,
            arrivals: Arrivals::Constant,
            window: None,
            size: Size::Fixed(64),
            kind: MessageKind::Text,
            expect: Expect::Any,
            client_ping: None,
            script: Script::default(),
            churn: None,
            herd: None,
            kills: Vec::new(),
            kill_at: KillAt::Auto,
            kill_over: Duration::ZERO,
            kill_times: KillTimes::Even,
            pong_delay: Between::always(Duration::from_millis(500)),
            flap_for: Duration::from_secs(4),
            revive: None,
            watch: Watch::Auto,
            server_ping: None,
            sources: Vec::new(),
            slice: Share::WHOLE,
            shards: None,
            cpus: Vec::new(),
            seed: 1,
            fault: Fault::NONE,
        }
    }
}

/// Why there is no plan, with what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Not a URL.
    #[error("`{url}` is not a URL: {why}; write it as ws://127.0.0.1:9001/path")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Another scheme.
    #[error("`{0}` is not a scheme for WebSocket; use ws://, or wss:// for TLS")]
    Scheme(String),
    /// TLS cannot be spoken as it was asked for.
    #[error(transparent)]
    Tls(#[from] halfopen_tls::Error),
    /// The name cannot be looked up.
    #[error("the host `{host}` is not known: {error}; check the name, or give an address")]
    UnknownHost {
        /// The name.
        host: String,
        /// The resolver's word.
        error: std::io::Error,
    },
    /// More deaths than connections.
    #[error("{kills} deaths are planned, but there are {connections} connections only")]
    TooManyKills {
        /// All deaths.
        kills: u64,
        /// All connections.
        connections: u32,
    },
    /// A value that makes no sense.
    #[error("{0}")]
    Value(String),
    /// The ports of all sources do not suffice.
    #[error(
        "{connections} connections to one address want more ports than {sources} source address(es) have ({ports} each); \
         give more with --source, or widen `sysctl net.ipv4.ip_local_port_range`"
    )]
    Ports {
        /// All connections.
        connections: u32,
        /// How many addresses to come from.
        sources: usize,
        /// Ports of each.
        ports: u32,
    },
    /// The shards' tables do not suffice.
    #[error(
        "{connections} connections do not fit into {shards} shard(s) under the descriptor limit of {limit}; \
         use --shards={needed} or more, or raise it with `ulimit -n`"
    )]
    Descriptors {
        /// All connections.
        connections: u32,
        /// The shards asked for.
        shards: u16,
        /// RLIMIT_NOFILE.
        limit: u64,
        /// How many shards would do.
        needed: u32,
    },
}

/// Makes the plan. Looks the name up, and reads this machine's limits.
///
/// # Errors
/// The URL, a value or this machine does not allow it.
pub fn resolve(asked: &Asked) -> Result<Plan, PlanError> {
    check(asked)?;
    asked.script.check()?;
    asked.herd.map_or(Ok(()), |herd| herd.check(asked.duration))?;
    let place = Place::parse(&asked.url)?;
    let targets = place.look_up()?;
    let kills = count_kills(asked)?;
    let limits = Limits::read();
    let plan = Plan {
        url: asked.url.clone(),
        tls: Secure::resolve(asked, &place)?,
        subprotocols: asked.subprotocols.clone(),
        origin: asked.origin.clone(),
        headers: asked.headers.clone(),
        sources: choose_sources(asked, &targets, limits.ports)?,
        targets,
        host: place.authority,
        path: place.path,
        connections: asked.connections,
        connect_rate: asked.connect_rate,
        connect_timeout: asked.connect_timeout,
        duration: asked.duration,
        message_rate: asked.message_rate.clone(),
        arrivals: asked.arrivals,
        window: asked.window,
        size: asked.size.clone(),
        kind: asked.kind,
        expect: asked.expect,
        client_ping: asked.client_ping,
        script: asked.script.clone(),
        churn: asked.churn,
        herd: asked.herd,
        kills,
        kill_at: asked.kill_at,
        kill_over: asked.kill_over,
        kill_times: asked.kill_times,
        pong_delay: asked.pong_delay,
        flap_for: asked.flap_for,
        revive: asked.revive,
        watch: asked.watch,
        server_ping: asked.server_ping,
        slice: asked.slice,
        shards: choose_shards(asked, &limits)?,
        cpus: asked.cpus.clone(),
        seed: asked.seed,
        fault: asked.fault,
    };
    // Once for all connections, so that none can fail by it.
    plan.with_request(0, [0; 16], |request| request.encode(&mut BytesMut::new()))
        .map_err(|error| PlanError::Value(unwritable(&error)))?;
    Ok(plan)
}

/// What is wrong with the request, and what there is instead.
fn unwritable(error: &InvalidHeader) -> String {
    format!(
        "the handshake cannot be written: {error} (subprotocols and the Origin have flags of their \
         own)"
    )
}

/// Raises the soft descriptor limit of this process to the hard one, and returns it.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(_) => limit.current.unwrap_or(u64::MAX),
    }
}

impl Plan {
    /// The size of one shard's table of connections.
    pub fn table_size(&self) -> u32 {
        self.own_connections().div_ceil(u32::from(self.shards)) + SLOTS_SPARE
    }
}

/// What this machine allows.
struct Limits {
    /// RLIMIT_NOFILE.
    descriptors: u64,
    /// Ports of one source address.
    ports: u32,
    cores: u32,
}

impl Limits {
    fn read() -> Self {
        Self {
            descriptors: raise_descriptor_limit(),
            ports: ephemeral_ports(),
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
        }
    }
}

/// How many ports the kernel hands out for outgoing connections; 28,232 if it does not say.
fn ephemeral_ports() -> u32 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
    let range = range.unwrap_or_default();
    let mut ends = range.split_whitespace().map_while(|end| end.parse::<u32>().ok());
    match (ends.next(), ends.next()) {
        (Some(low), Some(high)) if low <= high => high - low + 1,
        _ => 28_232,
    }
}

fn check(asked: &Asked) -> Result<(), PlanError> {
    let positive = |rate: f64| rate > 0.0 && rate.is_finite();
    let wrong = if asked.connections == 0 {
        "there must be at least one connection"
    } else if !positive(asked.connect_rate) {
        "the connect rate must be above zero"
    } else if asked.message_rate.as_ref().is_some_and(|rate| !rate.is_valid()) {
        "the message rate must be above zero; leave it out for none"
    } else if asked.arrivals != Arrivals::Constant && asked.message_rate.is_none() {
        "only messages with a rate can come at random"
    } else if asked.message_rate.is_some() && asked.window.is_some() {
        "a closed loop has no message rate: its next message waits for an answer"
    } else if asked.window.is_some() && asked.expect == Expect::None {
        "a closed loop waits for answers; with --expect=none there are none"
    } else if asked.churn.is_some_and(|rate| !positive(rate)) {
        "the churn must be above zero; leave it out for none"
    } else if asked.window == Some(0) {
        "the window of a closed loop holds at least one message"
    } else if !asked.size.is_valid() {
        "messages have up to 16 MiB, and weights are above zero"
    } else if asked.connect_timeout.is_zero() {
        "the connect timeout must be above zero"
    } else if asked.client_ping.is_some_and(|interval| interval.is_zero()) {
        "the client's ping interval must be above zero; leave it out for none"
    } else if asked.pong_delay.to < asked.pong_delay.from
        || asked.revive.is_some_and(|ages| ages.to < ages.from)
    {
        "a range of times goes from the lesser to the greater"
    } else if asked.slice.count(asked.connections.into()) == 0 {
        "there are fewer connections than slices"
    } else if asked.shards == Some(0) {
        "there must be at least one shard"
    } else {
        return Ok(());
    };
    Err(PlanError::Value(wrong.into()))
}

fn count_kills(asked: &Asked) -> Result<Vec<Kill>, PlanError> {
    let mut kills = Vec::new();
    for &(death, amount) in &asked.kills {
        let count = match amount {
            Amount::Count(count) => count,
            Amount::Share(share) if (0.0..=1.0).contains(&share) => {
                (f64::from(asked.connections) * share).round() as u32
            }
            Amount::Share(share) => {
                return Err(PlanError::Value(format!(
                    "{} of {}% of the connections: a share is 0% to 100%",
                    death.name(),
                    share * 100.0
                )));
            }
        };
        kills.push(Kill { death, count });
    }
    let total = kills.iter().map(|kill| u64::from(kill.count)).sum();
    if total > u64::from(asked.connections) {
        return Err(PlanError::TooManyKills { kills: total, connections: asked.connections });
    }
    Ok(kills)
}

/// The same for every slice: number by number they take the sources in turn, so that no port is
/// wanted by two. On loopback every 127.x.y.z is an address to come from; elsewhere only what is given.
fn choose_sources(
    asked: &Asked,
    targets: &[SocketAddr],
    ports: u32,
) -> Result<Vec<IpAddr>, PlanError> {
    let loopback = targets.iter().all(|target| target.is_ipv4() && target.ip().is_loopback());
    if asked.sources.is_empty() && loopback {
        let needed = asked.connections.div_ceil(CHEAP_PORTS.min(ports));
        let nth = |n: u32| IpAddr::V4(Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + n));
        return Ok(if needed <= 1 { Vec::new() } else { (0..needed).map(nth).collect() });
    }
    let sources = asked.sources.len().max(1);
    // Of a network each slice may come from a machine of its own.
    let own = asked.slice.count(asked.connections.into()) as u32;
    if u64::from(ports) * (sources as u64) < u64::from(own) {
        return Err(PlanError::Ports { connections: own, sources, ports });
    }
    Ok(asked.sources.clone())
}

/// A shard's table is bounded by the descriptor limit, but each shard has its own.
fn choose_shards(asked: &Asked, limits: &Limits) -> Result<u16, PlanError> {
    let spare = DESCRIPTORS_SPARE + u64::from(SLOTS_SPARE);
    let table = limits.descriptors.min(TABLE_MAX).saturating_sub(spare).max(1);
    let connections = asked.slice.count(asked.connections.into()) as u32;
    let needed = u64::from(connections).div_ceil(table) as u32;
    if let Some(shards) = asked.shards {
        return if u32::from(shards) >= needed {
            Ok(shards)
        } else {
            let limit = limits.descriptors;
            Err(PlanError::Descriptors { connections, shards, limit, needed })
        };
    }
    let cores = if asked.cpus.is_empty() { limits.cores } else { asked.cpus.len() as u32 };
    let wanted = connections.div_ceil(CONNECTIONS_A_SHARD).min(cores).max(needed);
    u16::try_from(wanted).map_err(|_| {
        PlanError::Value(format!(
            "{connections} connections want {wanted} shards under the descriptor limit of {}; raise it with `ulimit -n`",
            limits.descriptors
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { descriptors: 20_000, ports: 28_232, cores: 2 };

    fn asked(connections: u32) -> Asked {
        Asked { connections, ..Asked::new("ws://127.0.0.1:9001/") }
    }

    #[test]
    fn an_unknown_host_is_named() {
        let error = resolve(&Asked::new("ws://no-such-host.invalid/")).unwrap_err().to_string();
        assert!(error.contains("no-such-host.invalid"), "{error}");
    }

    #[test]
    fn tls_is_as_the_url_says_and_its_files_are_looked_at_before_the_run() {
        let asked = |url: &str| Asked { insecure: true, ..Asked::new(url) };
        let tls = resolve(&asked("wss://127.0.0.1:9001/")).unwrap().tls.unwrap();
        assert_eq!((tls.name.as_str(), tls.trusts()), ("127.0.0.1", "any"));
        assert_eq!(resolve(&Asked::new("ws://127.0.0.1:9001/")).unwrap().tls, None);
        let error = resolve(&asked("ws://127.0.0.1:9001/")).unwrap_err().to_string();
        assert!(error.contains("use wss://"), "{error}");
        let cacert = Some("/nowhere/ca.pem".into());
        let asked = Asked { cacert, ..Asked::new("wss://127.0.0.1:9001/") };
        let error = resolve(&asked).unwrap_err().to_string();
        assert!(error.contains("/nowhere/ca.pem") && error.contains("check the path"), "{error}");
    }

    #[test]
    fn many_loopback_connections_come_from_several_addresses() {
        let targets = ["127.0.0.1:9001".parse().unwrap()];
        let sources =
            |connections| choose_sources(&asked(connections), &targets, LIMITS.ports).unwrap();
        assert_eq!(sources(14_000), [] as [IpAddr; 0]);
        assert_eq!(sources(50_000).len(), 4);
        assert_eq!(sources(50_000)[3].to_string(), "127.0.0.4");
        assert_eq!(sources(1_000_000)[71].to_string(), "127.0.0.72");
    }

    #[test]
    fn too_few_ports_are_told_before_the_run() {
        let targets = ["192.0.2.1:80".parse().unwrap()];
        let error = choose_sources(&asked(30_000), &targets, LIMITS.ports).unwrap_err();
        assert!(matches!(error, PlanError::Ports { sources: 1, .. }), "{error}");
    }

    #[test]
    fn a_table_of_shards() {
        // connections, asked for, chosen (none: too few)
        let table = [
            (1, None, Some(1)),
            (10_000, None, Some(1)),
            (19_872, None, Some(1)),
            (50_000, None, Some(3)),
            (1_000_000, None, Some(51)),
            (50_000, Some(2), None),
            (50_000, Some(8), Some(8)),
        ];
        for (connections, shards, expected) in table {
            let chosen = choose_shards(&Asked { shards, ..asked(connections) }, &LIMITS);
            assert_eq!(chosen.ok(), expected, "{connections} connections, {shards:?}");
        }
    }

    #[test]
    fn slices_are_resolved_for_their_own_connections_and_share_the_sources() {
        let slice = |index| {
            let slice = Share { index, of: 3 };
            let kills = vec![(Death::Freeze, Amount::Count(10)), (Death::Fin, Amount::Count(10))];
            resolve(&Asked { slice, kills, ..asked(50_000) }).unwrap()
        };
        let slices = [slice(0), slice(1), slice(2)];
        let sum = |of: fn(&Plan) -> u64| slices.iter().map(of).sum::<u64>();
        assert_eq!(sum(|plan| plan.own_connections().into()), 50_000);
        assert_eq!(sum(Plan::own_kills), 20);
        assert!(slices.iter().all(|plan| plan.sources == slices[0].sources));
        assert!(slices.iter().all(|plan| plan.sources.len() == 4));
        assert!(u64::from(slices[0].table_size()) * u64::from(slices[0].shards) < 20_000);
        let none = Asked { slice: Share { index: 2, of: 3 }, ..asked(2) };
        assert!(matches!(resolve(&none), Err(PlanError::Value(_))));
    }

    #[test]
    fn shares_of_deaths_become_counts() {
        let kills = vec![(Death::Freeze, Amount::Share(0.1)), (Death::Reset, Amount::Count(7))];
        let kills = count_kills(&Asked { kills, ..asked(1_000) }).unwrap();
        assert_eq!(kills[0], Kill { death: Death::Freeze, count: 100 });
        assert_eq!(kills[1].count, 7);
        let kills = vec![(Death::Mute, Amount::Share(0.6)), (Death::Close, Amount::Share(0.6))];
        let error = count_kills(&Asked { kills, ..asked(10) }).unwrap_err();
        assert!(matches!(error, PlanError::TooManyKills { kills: 12, .. }), "{error}");
    }

    #[test]
    fn nonsense_values_are_refused() {
        for asked in [
            asked(0),
            Asked { connect_rate: f64::NAN, ..asked(1) },
            Asked { message_rate: Some(0.0.into()), ..asked(1) },
            Asked { message_rate: Some(1.0.into()), window: Some(1), ..asked(1) },
            Asked { window: Some(1), expect: Expect::None, ..asked(1) },
            Asked { window: Some(0), ..asked(1) },
            Asked { arrivals: Arrivals::Poisson, ..asked(1) },
            Asked { size: Size::Weighted(Vec::new()), ..asked(1) },
            Asked { connect_timeout: Duration::ZERO, ..asked(1) },
            Asked { shards: Some(0), ..asked(1) },
        ] {
            assert!(matches!(resolve(&asked), Err(PlanError::Value(_))));
        }
    }

    #[test]
    fn each_connection_asks_for_its_own_number_in_its_own_words() {
        let asked = Asked {
            subprotocols: vec!["chat".into()],
            origin: Some("https://example.org".into()),
            headers: vec!["Cookie: user={n}".parse().unwrap()],
            ..Asked::new("ws://127.0.0.1:9001/room/{n}?user={n}")
        };
        let mut request = BytesMut::new();
        resolve(&asked).unwrap().with_request(7, [0; 16], |r| r.encode(&mut request)).unwrap();
        let request = String::from_utf8(request.to_vec()).unwrap();
        assert!(request.starts_with("GET /room/7?user=7 HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("Sec-WebSocket-Protocol: chat\r\n"), "{request}");
        assert!(request.contains("Origin: https://example.org\r\n"), "{request}");
        assert!(request.contains("Cookie: user=7\r\n"), "{request}");
    }

    #[test]
    fn a_field_that_the_handshake_sets_itself_is_named_and_refused() {
        let told = |header: &str| {
            let headers = vec![header.parse().unwrap()];
            resolve(&Asked { headers, ..asked(1) }).unwrap_err().to_string()
        };
        for name in ["Host", "upgrade", "Connection", "Sec-WebSocket-Key", "Content-Length"] {
            assert!(
                told(&format!("{name}: x")).contains(&format!("{name} cannot be sent")),
                "{name}"
            );
        }
        let both = Asked {
            origin: Some("https://a.example".into()),
            headers: vec!["Origin: https://b.example".parse().unwrap()],
            ..asked(1)
        };
        assert!(matches!(resolve(&both), Err(PlanError::Value(_))));
    }

    #[test]
    fn an_origin_that_would_be_another_field_is_refused() {
        let asked = Asked { origin: Some("a\r\nCookie: b".into()), ..asked(1) };
        assert!(matches!(resolve(&asked), Err(PlanError::Value(_))));
    }
}
