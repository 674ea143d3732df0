//! The thread that holds all visitors: one `poll` for all of them, and nobody is waited for.

use super::Board;
use super::visitor::{Phase, Visitor};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) struct Desk {
    listener: TcpListener,
    board: Arc<Board>,
    visitors: Vec<Visitor>,
    /// A page is on its way.
    asked: bool,
    /// Until then nobody is let in: the last one could not be.
    shut_until: Option<Instant>,
}

impl Desk {
    pub(super) fn new(listener: TcpListener, board: Arc<Board>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener, board, visitors: Vec::new(), asked: false, shut_until: None })
    }

    /// Serves for ever.
    pub(super) fn run(mut self) {
        loop {
            let ready = self.wait();
            let now = Instant::now();
            if ready.page {
                self.hand_out(now);
            }
            for index in ready.visitors {
                self.visitors[index].step(now, self.board.stage());
            }
            let late = self.visitors.iter_mut().filter(|visitor| visitor.until <= now);
            late.for_each(|visitor| visitor.expire(now));
            self.visitors.retain(|visitor| visitor.phase() != Phase::Gone);
            if ready.listener {
                self.let_in(now);
            }
            self.ask_for_page();
        }
    }

    fn wait(&self) -> Ready {
        let now = Instant::now();
        let shut = self.shut_until.filter(|until| *until > now);
        let mut polled = vec![
            PollFd::new(&self.board.bell, PollFlags::IN),
            PollFd::new(
                &self.listener,
                if shut.is_some() { PollFlags::empty() } else { PollFlags::IN },
            ),
        ];
        polled.extend(self.visitors.iter().map(|v| PollFd::new(v.stream(), v.interest())));
        let next = self.visitors.iter().map(|visitor| visitor.until).chain(shut).min();
        let timeout = next.map(|next| timespec(next.saturating_duration_since(now)));
        if poll(&mut polled, timeout.as_ref()).is_err() {
            // A signal; and the kernel may be short of memory for a moment.
            return Ready::default();
        }
        let mut is_ready = polled.iter().map(|fd| !fd.revents().is_empty());
        Ready {
            page: is_ready.next().unwrap_or_default(),
            listener: is_ready.next().unwrap_or_default(),
            visitors: is_ready.enumerate().filter_map(|(i, ready)| ready.then_some(i)).collect(),
        }
    }

    fn let_in(&mut self, now: Instant) {
        for _ in 0..VISITORS_MAX {
            let visitor = self.listener.accept().and_then(|(stream, _)| Visitor::new(stream, now));
            match visitor {
                Ok(visitor) => {
                    self.make_room();
                    self.visitors.push(visitor);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(_) => {
                    // No descriptors, most likely. The listener stays readable, so it is left
                    // alone for a while.
                    self.shut_until = Some(now + SHUT);
                    return;
                }
            }
        }
    }

    /// Where all places are taken, whoever has been there longest without having asked makes room:
    /// those who ask at once are done at once.
    fn make_room(&mut self) {
        if self.visitors.len() < VISITORS_MAX {
            return;
        }
        let is_slow = |v: &Visitor| !matches!(v.phase(), Phase::Queued | Phase::Waiting);
        let slow = self.visitors.iter().position(is_slow).unwrap_or(0);
        self.visitors.remove(slow);
    }

    /// Asks for a page, if somebody waits for one and none is on its way. Those who come while one
    /// is get the next: what they read has to be younger than their question.
    fn ask_for_page(&mut self) {
        let Some(scraper) = self.board.scraper.get().filter(|_| !self.asked) else { return };
        for visitor in self.visitors.iter_mut().filter(|v| v.phase() == Phase::Queued) {
            self.asked = self.asked || scraper.try_send(()).is_ok();
            visitor.wait();
        }
    }

    fn hand_out(&mut self, now: Instant) {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.board.bell, &mut count);
        let page = self.board.page.lock().ok().and_then(|mut page| page.take());
        let Some(page) = page else { return };
        self.asked = false;
        let waiting = self.visitors.iter_mut().filter(|visitor| visitor.phase() == Phase::Waiting);
        waiting.for_each(|visitor| visitor.hand(&page, now));
    }
}

/// What has come.
#[derive(Default)]
struct Ready {
    page: bool,
    listener: bool,
    visitors: Vec<usize>,
}

fn timespec(duration: Duration) -> Timespec {
    // A moment longer, so that what was waited for is over.
    let duration = duration + Duration::from_millis(1);
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: duration.subsec_nanos().into() }
}

/// Their descriptors and bytes are all that this listener can be made to take: 32 heads of 8 KiB.
const VISITORS_MAX: usize = 32;
const SHUT: Duration = Duration::from_millis(100);
