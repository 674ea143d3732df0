//! `--admin`: what operators and their programs ask of a running server or load, over plain HTTP.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | what is counted, as Prometheus reads it |
//! | `/livez` | 200, while the process can answer at all |
//! | `/readyz` | 200 while new connections are welcome; 503 before it listens, and while it drains |
//!
//! Two threads, whatever comes: [`desk`] holds all visitors, a bounded number of them for a bounded
//! time, and never waits for anyone; [`scrape`] makes the page, and waits for a server's shards, for
//! half a second at the most.

mod desk;
pub(crate) mod load;
mod process;
mod request;
mod scrape;
pub(crate) mod server;
mod visitor;

use crate::exit::Failure;
use desk::Desk;
use halfopen_server::metrics::Exposition;
use rustix::event::{EventfdFlags, eventfd};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

/// The admin listener of a server.
pub(crate) struct Admin {
    addr: SocketAddr,
    board: Arc<Board>,
}

/// What the threads tell each other.
struct Board {
    stage: AtomicU8,
    /// Asks for a page; there is nobody to ask before the server runs.
    scraper: OnceLock<SyncSender<()>>,
    /// The page that was asked for last.
    page: Mutex<Option<Arc<str>>>,
    /// Readable when a page has come.
    bell: OwnedFd,
}

/// How far the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Starting,
    Ready,
    Draining,
}

impl Admin {
    /// Listens from now on, and says that the server is not ready.
    ///
    /// # Errors
    /// The address is refused, or the kernel has no thread or descriptor to give.
    pub(crate) fn start(addr: SocketAddr) -> Result<Self, Failure> {
        Self::listen(addr).map_err(|error| refused(addr, &error))
    }

    fn listen(addr: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(addr)?;
        let addr = listener.local_addr()?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let board = Arc::new(Board {
            stage: AtomicU8::new(Stage::Starting as u8),
            scraper: OnceLock::new(),
            page: Mutex::new(None),
            bell,
        });
        let desk = Desk::new(listener, board.clone())?;
        thread::Builder::new().name("admin".into()).spawn(move || desk.run())?;
        Ok(Self { addr, board })
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// There is something to tell from now on: `fill` writes it, on a thread of its own.
    ///
    /// # Errors
    /// The kernel has no thread to give.
    pub(crate) fn ready(
        &self,
        fill: impl FnMut(&mut Exposition) + Send + 'static,
    ) -> Result<(), Failure> {
        let (scraper, asked) = sync_channel(1);
        let board = self.board.clone();
        thread::Builder::new()
            .name("scrape".into())
            .spawn(move || scrape::run(fill, &asked, &board))
            .map_err(|error| refused(self.addr, &error))?;
        let _ = self.board.scraper.set(scraper);
        self.board.enter(Stage::Ready);
        Ok(())
    }

    /// What tells, from another thread, that the server drains.
    pub(crate) fn on_drain(&self) -> impl FnOnce() + Send + use<> {
        let board = self.board.clone();
        move || board.enter(Stage::Draining)
    }
}

impl Board {
    fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Release);
    }

    fn stage(&self) -> Stage {
        let all = [Stage::Starting, Stage::Ready, Stage::Draining];
        all[usize::from(self.stage.load(Ordering::Acquire))]
    }
}

fn refused(addr: SocketAddr, error: &io::Error) -> Failure {
    let port = addr.port();
    let failure = Failure::run(format!("--admin {addr}: {error}"));
    match error.kind() {
        ErrorKind::AddrInUse => failure.next(format!(
            "`ss -ltnp sport = :{port}` tells which program listens there; port 0 picks a free one"
        )),
        ErrorKind::AddrNotAvailable => {
            failure.next("`ip addr` lists the addresses of this machine")
        }
        ErrorKind::PermissionDenied => failure.next("use a port from 1024 up"),
        _ => failure,
    }
}
