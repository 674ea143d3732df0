//! One run of a server and a load generator in one world.

use crate::identity;
use crate::relay::Relay;
use crate::spy::{Seen, Sleepy, Spoil, Spy};
use fastrand::Rng;
use halfopen_driver::{Engine, WakeSource, Waker};
use halfopen_loadgen::death::{Death, DeathWatch};
use halfopen_loadgen::pacing::Share;
use halfopen_loadgen::plan::{Amount, Asked, KillAt, Plan, resolve};
use halfopen_loadgen::record::Tally;
use halfopen_loadgen::swarm::{Links, Meter, Order, Orders, Snapshot, Swarm};
use halfopen_server::{Admission, Config, Echo, Heartbeat, Policy, Shard, Stats};
use halfopen_sim::{Checker, Faults, Site, Stall, World};
use halfopen_tls::Tls;
use halfopen_wheel::Instant;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The shard's tick.
pub(crate) const TICK: Duration = Duration::from_millis(8);
/// A connection is open and its handshake done within that time.
pub(crate) const RAMP: Duration = Duration::from_secs(3);
/// What a long run lasts, from the end of its ramp.
const DAY: Duration = Duration::from_secs(24 * 3600);
const LISTEN: &str = "127.0.0.1:9001";
const BEHIND: &str = "127.0.0.1:9002";

/// What is played.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) seed: u64,
    pub(crate) faults: Faults,
    pub(crate) heartbeat: Option<Heartbeat>,
    pub(crate) connections: u32,
    pub(crate) kills: Vec<(Death, u32)>,
    pub(crate) kill_over: Duration,
    /// From the ramp to the first death.
    pub(crate) peace: Duration,
    /// From the last death to the end.
    pub(crate) watch: Duration,
    pub(crate) messages: Option<f64>,
    pub(crate) size: usize,
    pub(crate) client_ping: Option<Duration>,
    pub(crate) spoil: Spoil,
    /// The load generator reaches the server through a proxy of layer 7.
    pub(crate) proxied: bool,
    /// Both speak TLS.
    pub(crate) tls: bool,
}

/// What came of it.
pub(crate) struct Played {
    pub(crate) hash: u64,
    /// Before the load generator took its leave.
    pub(crate) end: Instant,
    pub(crate) seen: Vec<Seen>,
    pub(crate) stats: Stats,
    pub(crate) tally: Tally,
}

impl Case {
    /// A calm world: `connections` pinged each `interval`, with `timeout` to answer, in ms.
    pub(crate) fn calm(connections: u32, interval: u64, timeout: u64) -> Self {
        let (interval, timeout) = (Duration::from_millis(interval), Duration::from_millis(timeout));
        let heartbeat = Heartbeat { policy: Policy::Periodic, interval, timeout };
        Self {
            seed: 1,
            faults: Faults::none(),
            heartbeat: Some(heartbeat),
            connections,
            kills: Vec::new(),
            kill_over: Duration::ZERO,
            peace: interval * 2,
            watch: interval + timeout + Duration::from_secs(1),
            messages: None,
            size: 64,
            client_ping: None,
            spoil: Spoil::default(),
            proxied: false,
            tls: false,
        }
    }

    /// Everything drawn from the seed.
    pub(crate) fn seeded(seed: u64) -> Self {
        let rng = &mut Rng::with_seed(seed);
        let mut faults = Faults::survivable(rng);
        // A lost packet comes after 200 ms, or 600, or 1,400: peers need the time to answer.
        let slowest = if faults.lost > 0.0 { 8_000 } else { 500 };
        faults.receive_buffer = faults.receive_buffer.max(16 * 1024);
        let interval = Duration::from_millis(rng.u64(400..8_000));
        let timeout = Duration::from_millis(rng.u64(slowest..slowest + 8_000));
        let policy = if rng.u8(0..4) == 0 { Policy::Idle } else { Policy::Periodic };
        let connections = rng.u32(1..=40);
        let mut left = connections;
        let kills = Death::DEADLY.map(|death| {
            let count = rng.u32(0..=left / 3);
            left -= count;
            (death, count)
        });
        Self {
            seed,
            faults,
            heartbeat: Some(Heartbeat { policy, interval, timeout }),
            connections,
            kills: kills.into_iter().filter(|&(_, count)| count > 0).collect(),
            kill_over: Duration::from_millis(rng.choice([0, 700]).unwrap_or(0)),
            peace: Duration::from_millis(rng.u64(0..10_000)),
            messages: rng.bool().then(|| rng.f64() * 10.0 + 1.0),
            size: rng.usize(1..200),
            client_ping: rng.bool().then(|| Duration::from_millis(rng.u64(300..5_000))),
            watch: interval + timeout + Duration::from_secs(3),
            spoil: Spoil::default(),
            proxied: false,
            tls: false,
        }
    }

    /// A day of a thousand connections, of which some die now and then, in all ways; everything
    /// drawn from the seed.
    pub(crate) fn day(seed: u64) -> Self {
        let short = Self::seeded(seed);
        let rng = &mut Rng::with_seed(!seed);
        let heartbeat = short.heartbeat.map(|drawn| Heartbeat {
            interval: drawn.interval + Duration::from_secs(rng.u64(15..45)),
            ..drawn
        });
        let watch = heartbeat.map_or(Duration::ZERO, |drawn| drawn.interval + drawn.timeout);
        let watch = watch + Duration::from_secs(3);
        let peace = Duration::from_secs(rng.u64(0..600));
        Self {
            heartbeat,
            connections: 1_000,
            kills: Death::DEADLY.map(|death| (death, rng.u32(5..80))).to_vec(),
            kill_over: DAY.saturating_sub(peace + watch),
            peace,
            watch,
            messages: short.messages.map(|rate| rate / 5.0),
            client_ping: short.client_ping.map(|every| every + Duration::from_secs(300)),
            ..short
        }
    }

    /// The same with fewer connections, and over in `time`.
    pub(crate) fn cut_to(self, connections: u32, time: Duration) -> Self {
        let kill_over = time.saturating_sub(self.peace + self.watch);
        let share = |count| count * connections / self.connections;
        let kills = self.kills.iter().map(|&(death, count)| (death, share(count))).collect();
        Self { connections, kills, kill_over, ..self }
    }

    /// The table of the server, with room for those that come before others have gone.
    fn room(&self) -> u32 {
        self.connections + 24
    }

    fn plan(&self) -> Plan {
        let asked = Asked {
            connections: self.connections,
            connect_rate: f64::from(self.connections) * 2.0,
            message_rate: self.messages.map(Into::into),
            size: self.size.into(),
            client_ping: self.client_ping,
            kills: self.kills.iter().map(|&(death, n)| (death, Amount::Count(n))).collect(),
            kill_at: KillAt::After(self.peace),
            kill_over: self.kill_over,
            shards: Some(1),
            seed: self.seed,
            ..Asked::new("ws://127.0.0.1:9001/")
        };
        resolve(&asked).expect("the plan is sound")
    }

    fn shard_config(&self) -> Config {
        let (heartbeat, connections_max) = (self.heartbeat, self.room());
        Config { heartbeat, tick: TICK, connections_max, seed: self.seed, ..Config::default() }
    }

    /// Runs it.
    pub(crate) fn play(&self) -> Played {
        let (server_waker, server_wake) = Waker::new().expect("an eventfd is free");
        let (client_waker, client_wake) = Waker::new().expect("an eventfd is free");
        let stall = Stall::default();
        let (room, table) = (self.room(), self.room() + 64);
        let admission = Arc::new(Admission::new(room.into()));
        let (shard, handle) = Shard::new(self.shard_config(), admission, server_waker, Echo);
        let spy = Spy::new(shard, self.spoil, stall.clone());
        let mut server = self.checker("server", table, spy);

        let plan = Arc::new(self.plan());
        let (orders, meter) = (Orders::new(client_waker), Arc::<Meter>::default());
        let links = Links { orders: orders.clone(), meter: meter.clone(), watch: Arc::new(Nobody) };
        let world = World::new(self.seed, self.faults.clone()).with_stall(stall.clone());
        let swarm = Swarm::new(plan.clone(), Share::WHOLE, world.now(), links);
        let swarm = Sleepy::new(swarm, world.now(), self.spoil, stall);
        let mut client = self.checker("client", room, swarm);

        let (relay_waker, relay_wake) = Waker::new().expect("an eventfd is free");
        let mut relay = Checker::new("relay", 2 * room, Relay::new(address(BEHIND)));
        let wakes = [server_wake, relay_wake, client_wake];
        let stage = Stage {
            plan: &plan,
            orders: &orders,
            meter: &meter,
            stop: &|| {
                handle.stop();
                relay_waker.wake();
            },
            wakes,
        };
        let (hash, end) = if self.tls {
            let (tls_of_server, tls_of_client) = identity::both();
            let layer = Tls::server(&mut server, tls_of_server);
            let mut server = Checker::new("the server's layer", table, layer);
            let layer = Tls::client(&mut client, tls_of_client).telling(|client, id, notice| {
                client.engine_mut().swarm.heed(id, notice);
            });
            let mut client = Checker::new("the client's layer", room, layer);
            let played = self.play_in(world, stage, [&mut server, &mut relay, &mut client]);
            let left = [server.engine().sessions(), client.engine().sessions()];
            assert_eq!(left, [0, 0], "sessions are left");
            played
        } else {
            self.play_in(world, stage, [&mut server, &mut relay, &mut client])
        };
        server.finish();
        client.finish();
        let (stats, seen) = (server.engine().stats(), server.into_engine().seen);
        Played { hash, end, seen, stats, tally: client.into_engine().swarm.into_tally() }
    }

    fn checker<E: Engine>(&self, name: &'static str, table: u32, engine: E) -> Checker<E> {
        let checker = Checker::new(name, table, engine);
        if self.tls { checker.behind_a_layer() } else { checker }
    }

    /// Has both play in `world`. The number that is made of all that happened, and when the load
    /// generator was about to take its leave.
    fn play_in<'a>(
        &self,
        mut world: World<'a>,
        stage: Stage<'_>,
        [server, relay, client]: [&'a mut dyn Engine; 3],
    ) -> (u64, Instant) {
        let Stage { plan, orders, meter, stop, wakes } = stage;
        let [server_wake, relay_wake, client_wake] = wakes;
        let (room, table) = (self.room(), self.room() + 64);
        let listener = Some(address(if self.proxied { BEHIND } else { LISTEN }));
        world.add(
            server,
            Site { listener, connections_max: table, wake: Some(server_wake), steady: false },
        );
        let listener = self.proxied.then(|| address(LISTEN));
        world.add(
            relay,
            Site { listener, connections_max: 2 * room, wake: Some(relay_wake), steady: true },
        );
        world.add(
            client,
            Site {
                connections_max: room,
                wake: Some(client_wake),
                steady: true,
                ..Site::default()
            },
        );
        self.conduct(&mut world, orders, meter, plan.kills_total());
        let end = world.now();
        orders.send(Order::Hush);
        orders.send(Order::Leave);
        world.run_for(Duration::from_secs(10));
        stop();
        world.run_for(Duration::from_secs(10));
        assert!(world.is_over(), "server and client stop");
        (world.hash(), end)
    }

    /// The way of a run: ramp, peace, deaths, watch.
    fn conduct(&self, world: &mut World<'_>, orders: &Orders, meter: &Meter, kills: u64) {
        wait_for(world, meter, |now| now.opened + now.failed == u64::from(self.connections));
        if self.messages.is_some() {
            orders.send(Order::Traffic { from: world.now() });
        }
        world.run_for(self.peace);
        orders.send(Order::Choose);
        wait_for(world, meter, |now| now.ready_to_die == kills);
        orders.send(Order::Kill { from: world.now() });
        world.run_for(self.kill_over + self.watch);
    }
}

fn wait_for(world: &mut World<'_>, meter: &Meter, held: impl Fn(Snapshot) -> bool) {
    for _ in 0..1_000 {
        if held(Snapshot::of([meter])) {
            return;
        }
        world.run_for(Duration::from_millis(50));
    }
    panic!("it never comes: {:?}", Snapshot::of([meter]));
}

/// What both have to do with each other beside the network.
struct Stage<'a> {
    plan: &'a Plan,
    orders: &'a Orders,
    meter: &'a Meter,
    /// Ends the server and the proxy.
    stop: &'a dyn Fn(),
    /// Of the server, the proxy and the load generator.
    wakes: [WakeSource; 3],
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Watches no socket: the spy sees all.
struct Nobody;

impl DeathWatch for Nobody {
    fn map(&self) -> std::io::Result<usize> {
        Ok(0)
    }

    fn watch(&self, _client: SocketAddr, _server: SocketAddr) {}

    fn all_found(&self) -> bool {
        true
    }
}
