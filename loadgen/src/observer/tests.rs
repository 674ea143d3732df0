use super::*;
use rustix::net::sockopt;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::{Shutdown, TcpListener, TcpStream};

/// One connection: the client's end and the server's.
struct Pair {
    client: TcpStream,
    server: TcpStream,
}

impl Pair {
    fn open(listener: &TcpListener, to: SocketAddr) -> Self {
        let client = TcpStream::connect(to).unwrap();
        Self { client, server: listener.accept().unwrap().0 }
    }

    fn ends(&self) -> (SocketAddr, SocketAddr) {
        (self.client.local_addr().unwrap(), self.client.peer_addr().unwrap())
    }

    /// The server aborts; the client stays.
    fn abort(self) -> TcpStream {
        sockopt::set_socket_linger(&self.server, Some(Duration::ZERO)).unwrap();
        self.client
    }
}

fn listen(address: &str) -> TcpListener {
    TcpListener::bind(address).unwrap()
}

fn open(listener: &TcpListener, count: usize) -> Vec<Pair> {
    let to = listener.local_addr().unwrap();
    (0..count).map(|_| Pair::open(listener, to)).collect()
}

fn observe(listener: &TcpListener, pairs: &[Pair]) -> Observer {
    let observer = Observer::start(listener.local_addr().unwrap().port()).unwrap();
    assert_eq!(observer.map().unwrap(), pairs.len());
    for pair in pairs {
        let (client, server) = pair.ends();
        observer.watch(client, server);
    }
    observer
}

/// The kernel tells of deaths in its own time.
fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let give_up = clock::now() + Duration::from_secs(20);
    while !done() {
        assert!(clock::now() < give_up, "never came: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_aborted_socket_is_detected_and_reclaimed_by_its_cookie() {
    let listener = listen("127.0.0.1:0");
    let mut pairs = open(&listener, 3);
    let observer = observe(&listener, &pairs);
    let killed = clock::now();
    let (victim, _) = pairs[1].ends();
    let _client = pairs.remove(1).abort();
    wait_for("the destroy event", || observer.progress() == (3, 1, 1));
    let sightings = observer.finish().unwrap();
    let seen = sightings.iter().find(|seen| seen.client == victim).unwrap();
    assert!(seen.observable && !seen.doubtful);
    assert!(seen.detected.unwrap() >= killed && seen.reclaimed.unwrap() <= clock::now());
    assert_eq!(sightings.iter().filter(|seen| seen.detected.is_some()).count(), 1);
}

#[test]
fn a_polite_close_is_detected_before_the_memory_comes_back() {
    let listener = listen("127.0.0.1:0");
    let pairs = open(&listener, 2);
    let observer = observe(&listener, &pairs);
    pairs[0].server.shutdown(Shutdown::Write).unwrap();
    wait_for("FIN-WAIT in a dump", || observer.progress() == (2, 1, 0));
    assert!(observer.finish().unwrap()[0].reclaimed.is_none());
}

#[test]
fn a_server_that_holds_on_after_fin_has_detected_nothing() {
    let listener = listen("127.0.0.1:0");
    let mut pairs = open(&listener, 2);
    let observer = observe(&listener, &pairs);
    let (client, _) = pairs[0].ends();
    pairs[0].client.shutdown(Shutdown::Both).unwrap();
    let ends = (pairs[0].server.local_addr().unwrap(), client);
    wait_for("CLOSE-WAIT", || {
        find_socket(ends.0, ends.1).unwrap().is_some_and(|row| row.state.name() == "CLOSE-WAIT")
    });
    // The dump that shows the second one would show the first one too.
    pairs[1].server.shutdown(Shutdown::Write).unwrap();
    wait_for("FIN-WAIT of the other", || observer.progress().1 > 0);
    assert_eq!(observer.progress(), (2, 1, 0));
    drop(pairs.remove(0).server);
    wait_for("the close", || observer.progress() == (2, 2, 1));
}

#[test]
fn thousands_that_die_at_once_are_all_found() {
    const COUNT: usize = 3000;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let listener = listen("127.0.0.1:0");
    let pairs = open(&listener, COUNT);
    let observer = observe(&listener, &pairs);
    let clients: Vec<_> = pairs.into_iter().map(Pair::abort).collect();
    wait_for("all events", || observer.progress() == (COUNT, COUNT, COUNT));
    assert_eq!(observer.gaps(), 0);
    drop(clients);
}

#[test]
fn ipv6_and_mapped_ipv4_are_watched_as_well() {
    let listener = listen("[::]:0");
    let port = listener.local_addr().unwrap().port();
    let pairs = ["[::1]", "127.0.0.1"]
        .map(|host| Pair::open(&listener, format!("{host}:{port}").parse().unwrap()));
    let observer = observe(&listener, &pairs);
    let clients = pairs.map(Pair::abort);
    wait_for("both", || observer.progress() == (2, 2, 2));
    assert!(observer.finish().unwrap().iter().all(|seen| seen.observable));
    drop(clients);
}

#[test]
fn what_an_overflow_hid_is_found_by_a_recount_and_marked() {
    const COUNT: usize = 200;
    let listener = listen("127.0.0.1:0");
    let port = listener.local_addr().unwrap().port();
    let mut pairs = open(&listener, COUNT + 1);
    let survivor = pairs.pop().unwrap();
    let shared = Arc::<Shared>::default();
    // Nobody reads this short queue while they die.
    let short = Funerals::open(4096).unwrap();
    let mut watch = Watch::open(port, short, Arc::clone(&shared)).unwrap();
    let observer = Observer { shared: Arc::clone(&shared), port, thread: None };
    observer.map().unwrap();
    for pair in pairs.iter().chain([&survivor]) {
        let (client, server) = pair.ends();
        observer.watch(client, server);
    }
    let rows: Vec<_> = pairs.iter().map(Pair::ends).collect();
    let clients: Vec<_> = pairs.into_iter().map(Pair::abort).collect();
    wait_for("the end of all", || {
        rows.iter().all(|(client, server)| find_socket(*server, *client).unwrap().is_none())
    });
    wait_for("the overflow", || {
        watch.hear().unwrap();
        observer.gaps() > 0
    });
    wait_for("the last of the news", || {
        watch.hear().unwrap();
        observer.progress() == (COUNT + 1, COUNT, COUNT)
    });
    let (survived, died): (Vec<_>, Vec<_>) =
        observer.finish().unwrap().into_iter().partition(|seen| seen.client == survivor.ends().0);
    assert!(died.iter().any(|seen| seen.doubtful));
    assert!(!survived[0].doubtful && survived[0].detected.is_none());
    drop(clients);
}

#[test]
fn a_row_shows_what_the_kernel_knows() {
    let listener = listen("127.0.0.1:0");
    let pair = open(&listener, 1).remove(0);
    let (client, server) = pair.ends();
    std::io::Write::write_all(&mut (&pair.client), b"unread").unwrap();
    wait_for("the bytes", || find_socket(server, client).unwrap().unwrap().recv_queue == 6);
    let row = find_socket(server, client).unwrap().unwrap();
    assert_eq!(row.state, TcpState::ESTABLISHED);
    assert_eq!((row.local, row.peer, row.send_queue), (server, client, 0));
    let line = row.to_string();
    assert_eq!(line.split_whitespace().collect::<Vec<_>>()[..3], ["ESTAB", "6", "0"]);
    assert!(line.ends_with(&format!("{client}")), "{line}");
    assert_eq!(line.len(), SocketRow::HEADER.len());
    // Where no such connection is, the listener of the port does not stand in for it.
    assert_eq!(find_socket(server, "127.0.0.1:1".parse().unwrap()).unwrap(), None);
}
