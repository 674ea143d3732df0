//! `demo`: three clients die before your eyes. Real sockets, told as they are.

mod cast;

use crate::args::Demo;
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::publish::print;
use crate::units::Typed;
use crate::words::wrapped;
use cast::{Patient, Program, Stage};
use halfopen_loadgen::observer::{SocketRow, TcpState};
use halfopen_loadgen::report::number::millis;
use serde_json::json;
use std::time::{Duration, Instant};

/// Plays the demo.
pub(crate) fn run(flags: &Demo, json: bool, quiet: bool) -> Outcome {
    let interrupt = Interrupt::or_leave()?;
    let voice = Voice { begun: Instant::now(), json, quiet };
    let play = Play::begin(&voice, &interrupt)?;
    let found = match play {
        Some(mut play) => play.go_on(flags.keep)?,
        None => return Ok(Exit::Interrupted),
    };
    if json {
        print(&found.document().to_string())?;
    }
    match found.ends_well {
        Some(true) => Ok(Exit::Done),
        Some(false) => Err(Failure::run("the demo did not go as it should")
            .next("is the machine overloaded? Try again, or `halfopen doctor`")),
        None => Ok(Exit::Interrupted),
    }
}

/// The servers, the clients, and what is known of them.
struct Play<'a> {
    voice: &'a Voice,
    interrupt: &'a Interrupt,
    silent: Stage,
    pinging: Stage,
    program: Program,
    forgotten: Patient,
    found: Patient,
}

/// What was seen.
#[derive(Default)]
struct Found {
    /// From the kill to when the server knew.
    program: Option<Duration>,
    /// From the cut to the server's abort.
    pinged: Option<Duration>,
    /// The socket that nobody ever asked about.
    forgotten: Option<SocketRow>,
    /// Whether all was as it should be; none: it was interrupted.
    ends_well: Option<bool>,
}

impl<'a> Play<'a> {
    /// Opens the servers and connects the clients; none if that was interrupted.
    fn begin(voice: &'a Voice, interrupt: &'a Interrupt) -> Result<Option<Self>, Failure> {
        let ping = (INTERVAL, TIMEOUT);
        let (silent, pinging) = (Stage::open(None)?, Stage::open(Some(ping))?);
        let (interval, timeout) = (Typed(INTERVAL), Typed(TIMEOUT));
        voice.title("Three clients die. Which server notices?");
        voice.say(&format!("Server A listens on {} and never pings.", silent.addr));
        voice.say(&format!(
            "Server B listens on {}, pings every {interval} and waits {timeout} for the answer.",
            pinging.addr
        ));
        let program = Program::start(silent.addr)?;
        let cut = CUT.saturating_sub(voice.begun.elapsed());
        let forgotten = Patient::start(silent.addr, None, cut)?;
        let found = Patient::start(pinging.addr, Some(ping), cut)?;
        let play = Self { voice, interrupt, silent, pinging, program, forgotten, found };
        let connected = |play: &Self| {
            Ok(play.silent.open_connections() == 2 && play.pinging.open_connections() == 1)
        };
        if !play.wait_until(Duration::from_secs(10), connected)? {
            if interrupt.asked() {
                return Ok(None);
            }
            return Err(Failure::run("the clients could not connect within 10 s"));
        }
        Ok(Some(play))
    }

    fn go_on(&mut self, keep: bool) -> Result<Found, Failure> {
        let mut found = Found::default();
        self.voice.say(&format!(
            "Clients 1 and 2 are connected to A, client 3 to B: ESTABLISHED. Client 1 is a program \
             of its own (process {}).",
            self.program.pid()
        ));
        found.program = self.kill_the_program()?;
        let Some(cut) = self.pull_the_cable()? else { return Ok(found) };
        found.pinged = self.watch(cut)?;
        if self.interrupt.asked() {
            return Ok(found);
        }
        found.forgotten = self.look_at_the_forgotten(cut)?;
        let all = found.program.and(found.pinged).and(found.forgotten.as_ref()).is_some();
        found.ends_well = Some(all);
        self.voice.title("That is what heartbeats are for. What they cost: halfopen lab --quick");
        if keep {
            self.keep(cut)?;
        }
        Ok(found)
    }

    /// Client 1. How long it took until the server knew.
    fn kill_the_program(&mut self) -> Result<Option<Duration>, Failure> {
        if self.interrupt.sleep(KILL.saturating_sub(self.voice.begun.elapsed())) {
            return Ok(None);
        }
        self.voice.say("Client 1: its program is killed (kill -9).");
        let killed = Instant::now();
        self.program.kill();
        if !self.wait_until(Duration::from_secs(1), |play| Ok(play.silent.was_told()))? {
            self.voice.say("Client 1: server A has not noticed within a second.");
            return Ok(None);
        }
        let after = killed.elapsed();
        self.voice.say(&format!(
            "Client 1: server A knows, after {}. A dead program leaves a living kernel behind, \
             which says goodbye for it: FIN. This connection never was half-open.",
            millis(after.as_secs_f64() * 1e3)
        ));
        Ok(Some(after))
    }

    /// Clients 2 and 3. When their cables were pulled; none if the demo was interrupted before.
    fn pull_the_cable(&mut self) -> Result<Option<Instant>, Failure> {
        let cut = |play: &Self| Ok(play.forgotten.is_cut() && play.found.is_cut());
        if !self.wait_until(CUT + Duration::from_secs(2), cut)? {
            return Ok(None);
        }
        let cut = Instant::now();
        self.voice.say(&format!(
            "Clients 2 and 3: the cable is pulled. Whatever is sent to them is lost from now on, \
             and nothing says goodbye. (Client 3 has answered every ping until now: {}.)",
            self.found.answered()
        ));
        Ok(Some(cut))
    }

    /// Until the end of the time: client 2 is looked at now and then, client 3 until it is found.
    /// How long that took.
    fn watch(&mut self, cut: Instant) -> Result<Option<Duration>, Failure> {
        let mut found = None;
        let mut asked = false;
        let mut next_look = cut + LOOK;
        while self.voice.begun.elapsed() < END && !self.interrupt.sleep(POLL) {
            if found.is_none() {
                let socket = self.found.socket_at_server()?;
                asked = self.tell_of_the_ping(socket.as_ref(), asked);
                found = self.tell_of_the_abort(socket.as_ref(), cut);
            }
            if Instant::now() >= next_look {
                next_look += LOOK;
                self.tell_of_the_forgotten(cut)?;
            }
        }
        Ok(found)
    }

    fn tell_of_the_ping(&self, socket: Option<&SocketRow>, told: bool) -> bool {
        let Some(socket) = socket.filter(|socket| !told && socket.send_queue > 0) else {
            return told;
        };
        self.voice.say(&format!(
            "Client 3: server B has sent a ping. Nobody acknowledges it: {} bytes wait in the \
             server's socket, which is {}.",
            socket.send_queue,
            socket.state.name()
        ));
        true
    }

    fn tell_of_the_abort(&self, socket: Option<&SocketRow>, cut: Instant) -> Option<Duration> {
        let gone = socket.is_none_or(|socket| socket.state != TcpState::ESTABLISHED);
        if !gone || !self.pinging.has_aborted() {
            return None;
        }
        let after = cut.elapsed();
        let (soonest, latest) = (Typed(TIMEOUT), Typed(INTERVAL + TIMEOUT));
        self.voice.say(&format!(
            "Client 3: aborted by server B, {} after its death: no answer for {soonest}. Socket \
             and memory are free again. (With these settings it takes {soonest} to {latest}, \
             by when the next ping was due.)",
            millis(after.as_secs_f64() * 1e3)
        ));
        Some(after)
    }

    fn tell_of_the_forgotten(&self, cut: Instant) -> Result<(), Failure> {
        let state = self.forgotten.socket_at_server()?.map_or("gone", |row| row.state.name());
        let after = cut.elapsed().as_secs_f64();
        self.voice.say(&format!("Client 2: dead for {after:.0} s, at server A {state}."));
        Ok(())
    }

    /// Client 2 at the end: the server's socket, if it still is open.
    fn look_at_the_forgotten(&self, cut: Instant) -> Result<Option<SocketRow>, Failure> {
        let socket = self.forgotten.socket_at_server()?;
        let socket = socket.filter(|socket| socket.state == TcpState::ESTABLISHED);
        let Some(socket) = socket else {
            self.voice.say("Client 2: server A has let go of it, which it should not be able to.");
            return Ok(None);
        };
        self.voice.say(&format!(
            "Client 2: still ESTABLISHED, {:.0} s after its death. Server A has sent nothing, so it \
             misses nothing: it keeps this connection for ever. This is half-open, and `ss -tn` \
             prints:",
            cut.elapsed().as_secs_f64()
        ));
        self.voice.quote(&format!("{}\n{socket}", SocketRow::HEADER));
        Ok(Some(socket))
    }

    /// Goes on until Ctrl-C.
    fn keep(&self, cut: Instant) -> Result<(), Failure> {
        let port = self.silent.addr.port();
        self.voice.say(&format!("Look yourself: ss -tno sport = :{port}   (Ctrl-C ends it)"));
        while !self.interrupt.sleep(LOOK_KEPT) {
            self.tell_of_the_forgotten(cut)?;
        }
        Ok(())
    }

    /// Waits until something is the case, at most for `patience`; whether it is.
    fn wait_until(
        &self,
        patience: Duration,
        is: impl Fn(&Self) -> Result<bool, Failure>,
    ) -> Result<bool, Failure> {
        let end = Instant::now() + patience;
        while !is(self)? {
            if Instant::now() >= end || self.interrupt.sleep(Duration::from_millis(1)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Found {
    fn document(&self) -> serde_json::Value {
        let ms = |time: Option<Duration>| time.map(|time| time.as_secs_f64() * 1e3);
        json!({
            "schema": "halfopen.demo/1",
            "clients": [
                { "death": "killed", "server_pings": false, "noticed_ms": ms(self.program) },
                {
                    "death": "blackhole",
                    "server_pings": false,
                    "noticed_ms": null,
                    "socket": self.forgotten.map(|socket| socket.to_string()),
                },
                { "death": "blackhole", "server_pings": true, "noticed_ms": ms(self.pinged) },
            ],
            "ping_interval_ms": INTERVAL.as_secs_f64() * 1e3,
            "ping_timeout_ms": TIMEOUT.as_secs_f64() * 1e3,
        })
    }
}

/// Tells the story on stdout; on stderr where stdout is for JSON.
struct Voice {
    begun: Instant,
    json: bool,
    quiet: bool,
}

impl Voice {
    /// Something happened now.
    fn say(&self, words: &str) {
        let time = format!("{:>5.1} s  ", self.begun.elapsed().as_secs_f64());
        let text = wrapped(words, time.len());
        self.speak(&format!("{time}{text}"));
    }

    /// A line that stands for itself.
    fn title(&self, words: &str) {
        self.speak(&format!("\n{words}"));
    }

    /// What another program would print.
    fn quote(&self, lines: &str) {
        self.speak(lines);
    }

    fn speak(&self, text: &str) {
        match (self.json, self.quiet) {
            (true, true) => {}
            (true, false) => eprintln!("{text}"),
            (false, _) => {
                // The show goes on without an audience.
                let _ = print(text);
            }
        }
    }
}

/// Server B's heartbeat.
const INTERVAL: Duration = Duration::from_secs(3);
const TIMEOUT: Duration = Duration::from_secs(2);
/// When client 1's program is killed.
const KILL: Duration = Duration::from_secs(2);
/// When the cables of clients 2 and 3 are pulled: client 3 has been pinged by then.
const CUT: Duration = Duration::from_secs(4);
/// When the demo ends.
const END: Duration = Duration::from_secs(20);
/// How often is told that nothing has changed.
const LOOK: Duration = Duration::from_secs(4);
const LOOK_KEPT: Duration = Duration::from_secs(10);
/// How often the sockets are looked at.
const POLL: Duration = Duration::from_millis(5);
