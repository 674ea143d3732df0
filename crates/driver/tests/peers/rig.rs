//! An engine that a test drives by hand, on a driver with a thread of its own.

use crate::drivers::Driver;
use bytes::BytesMut;
use halfopen_driver::ring::Features;
use halfopen_driver::{
    Cause, Chunk, Config, ConnId, Counters, Engine, Error, Event, Heard, Op, Opening, Token, Waker,
};
use halfopen_wheel::{Instant, clock};
use socket2::{Domain, SockRef, Socket, Type};
use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How long a test looks at what must not come.
pub(crate) const A_WHILE: Duration = Duration::from_millis(50);

/// An event that can be sent to another thread.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    Started,
    Opened(ConnId, Opening),
    Refused(Token, Cause),
    Received(ConnId, Vec<u8>),
    Sent(ConnId, usize),
    Probed(ConnId, u32),
    Located(ConnId, SocketAddr, SocketAddr),
    Closed(ConnId, Cause),
}

/// An engine that tells a test what happens, and does what the test wants.
pub(crate) struct Relay {
    pub(crate) seen: Sender<Seen>,
    pub(crate) wishes: Arc<Mutex<VecDeque<Op>>>,
    pub(crate) last: Instant,
}

impl Engine for Relay {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        assert!(now >= self.last, "time runs forward");
        self.last = now;
        let seen = match event {
            Event::Started => Seen::Started,
            Event::Opened { id, by } => Seen::Opened(id, by),
            Event::Refused { token, cause } => Seen::Refused(token, cause),
            Event::Received { id, bytes } => Seen::Received(id, bytes.to_vec()),
            Event::Sent { id, chunk, at } => {
                assert!(at <= now);
                Seen::Sent(id, chunk.as_bytes().len())
            }
            Event::Probed { id, queued } => Seen::Probed(id, queued),
            Event::Located { id, ends } => {
                let ends = ends.expect("the kernel knows the ends");
                Seen::Located(id, ends.local, ends.peer)
            }
            Event::Closed { id, cause } => Seen::Closed(id, cause),
            Event::Woken => return ops.extend(self.wishes.lock().unwrap().drain(..)),
        };
        self.seen.send(seen).expect("the test is there");
    }

    fn on_deadline(&mut self, _now: Instant, _heard: Heard, _ops: &mut Vec<Op>) {
        unreachable!("it has no deadline")
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }
}

/// A driver that runs a [`Relay`] on a thread of its own.
pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    pub(crate) counters: Arc<Counters>,
    pub(crate) seen: Receiver<Seen>,
    wishes: Arc<Mutex<VecDeque<Op>>>,
    waker: Waker,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Rig {
    pub(crate) fn new(driver: Driver, connections_max: u32) -> Self {
        Self::with(connections_max, move |relay, config| driver.run(relay, config))
    }

    /// A rig on a driver of any kind.
    pub(crate) fn with(
        connections_max: u32,
        run: impl FnOnce(&mut Relay, Config) -> Result<(), Error> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (waker, config) = config(connections_max, Some(Arc::new(listener)));
        Self::on(waker, config, run)
    }

    /// A rig on a listener that there is already.
    pub(crate) fn on(
        waker: Waker,
        config: Config,
        run: impl FnOnce(&mut Relay, Config) -> Result<(), Error> + Send + 'static,
    ) -> Self {
        let address = config.listener.as_ref().expect("a listener").local_addr().unwrap();
        let counters = config.counters.clone();
        let (sender, seen) = channel();
        let wishes = Arc::new(Mutex::new(VecDeque::new()));
        let mut relay =
            Relay { seen: sender, wishes: wishes.clone(), last: Instant::from_nanos(0) };
        let thread = Some(std::thread::spawn(move || run(&mut relay, config)));
        let rig = Self { address, counters, seen, wishes, waker, thread };
        assert_eq!(rig.next(), Seen::Started);
        rig
    }

    pub(crate) fn wish(&self, ops: impl IntoIterator<Item = Op>) {
        self.wishes.lock().unwrap().extend(ops);
        self.waker.wake();
    }

    /// Does something while the driver's thread stands still in the engine.
    pub(crate) fn amid_a_call(&self, act: impl FnOnce()) {
        let _held = self.wishes.lock().unwrap();
        self.waker.wake();
        std::thread::sleep(A_WHILE);
        act();
    }

    pub(crate) fn next(&self) -> Seen {
        self.seen.recv_timeout(PATIENCE).expect("an event")
    }

    pub(crate) fn nothing_for_a_while(&self) {
        assert_eq!(self.seen.recv_timeout(A_WHILE), Err(RecvTimeoutError::Timeout));
    }

    /// A peer that came through the listener.
    pub(crate) fn peer(&self) -> (TcpStream, ConnId) {
        self.wish([Op::Accept(true)]);
        let peer = TcpStream::connect(self.address).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        let Seen::Opened(id, Opening::Accepted) = self.next() else { panic!("not opened") };
        (peer, id)
    }

    pub(crate) fn received(&self, id: ConnId, length: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < length {
            let Seen::Received(from, bytes) = self.next() else { panic!("not received") };
            assert_eq!(from, id);
            all.extend(bytes);
        }
        all
    }

    pub(crate) fn stop(mut self) {
        self.wish([Op::Stop]);
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

pub(crate) fn config(connections_max: u32, listener: Option<Arc<TcpListener>>) -> (Waker, Config) {
    let (waker, wake) = Waker::new().unwrap();
    (
        waker,
        Config {
            listener,
            listener_shared: false,
            wake,
            connections_max,
            counters: Arc::default(),
            without: Features::NONE,
        },
    )
}

pub(crate) fn own(bytes: &[u8]) -> Chunk {
    Chunk::Own(BytesMut::from(bytes))
}

pub(crate) fn reset(peer: TcpStream) {
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
}

pub(crate) fn connect(token: u32, to: SocketAddr, patience: Duration) -> Op {
    Op::Connect { token: Token(token), to, from: None, deadline: clock::now() + patience }
}

/// A listener that answers no SYN any more, and what fills it.
pub(crate) fn unanswering() -> (Socket, Vec<Socket>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let crowd = (0..4).map(|_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address);
        socket
    });
    let crowd = crowd.collect();
    (listener, crowd)
}

/// Sends until a chunk does not come home, because the peer does not read.
pub(crate) fn fill(rig: &Rig, id: ConnId) {
    let chunk = vec![7; halfopen_driver::CHUNK_MAX];
    loop {
        rig.wish([Op::Send { id, chunk: own(&chunk) }]);
        match rig.seen.recv_timeout(A_WHILE * 4) {
            Ok(seen) => assert_eq!(seen, Seen::Sent(id, chunk.len())),
            Err(_) => return,
        }
    }
}

const CHILD: &str = "HALFOPEN_PROCESS_OF_ITS_OWN";

/// Has the test that calls it run once more, alone in a process, and there does `run`.
pub(crate) fn in_a_process_of_its_own(run: impl FnOnce()) {
    if std::env::var_os(CHILD).is_some() {
        return run();
    }
    // The harness names a test's thread after it.
    let thread = std::thread::current();
    let name = thread.name().expect("a test has a name");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{child:?}");
    eprint!("{}", String::from_utf8_lossy(&child.stderr));
}
