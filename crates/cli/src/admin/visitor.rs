//! One connection to the admin listener.

use super::Stage;
use super::request::{HEAD_MAX, Request, parse, unavailable};
use rustix::event::PollFlags;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// How far a visitor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its request is on its way.
    Asking,
    /// It waits for a page, which is not asked for yet.
    Queued,
    /// It waits for the page that the shards are being asked for.
    Waiting,
    /// Its answer is on its way.
    Answered,
    /// All is said. What it still sends is read and dropped, because an RST could overtake the
    /// answer.
    Leaving,
    Gone,
}

pub(super) struct Visitor {
    stream: TcpStream,
    phase: Phase,
    pub(super) until: Instant,
    head: Vec<u8>,
    request: Option<Request>,
    answer: Vec<u8>,
    written: usize,
    dropped: usize,
}

impl Visitor {
    /// # Errors
    /// The connection is gone already.
    pub(super) fn new(stream: TcpStream, now: Instant) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            phase: Phase::Asking,
            until: now + PATIENCE,
            head: Vec::new(),
            request: None,
            answer: Vec::new(),
            written: 0,
            dropped: 0,
        })
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// What it waits for.
    pub(super) fn interest(&self) -> PollFlags {
        match self.phase {
            Phase::Asking | Phase::Leaving => PollFlags::IN,
            Phase::Answered => PollFlags::OUT,
            Phase::Queued | Phase::Waiting | Phase::Gone => PollFlags::empty(),
        }
    }

    /// Something has come of what it waits for, or the connection has broken.
    pub(super) fn step(&mut self, now: Instant, stage: Stage) {
        let done = match self.phase {
            Phase::Asking => self.listen(now, stage),
            Phase::Answered => self.speak(now),
            Phase::Leaving => self.see_off(),
            // It is polled for nothing, so this is the end of it.
            Phase::Queued | Phase::Waiting | Phase::Gone => Ok(Phase::Gone),
        };
        match done {
            Ok(phase) => self.phase = phase,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => self.phase = Phase::Gone,
        }
    }

    /// The shards are being asked.
    pub(super) fn wait(&mut self) {
        self.phase = Phase::Waiting;
    }

    /// The page has come.
    pub(super) fn hand(&mut self, page: &str, now: Instant) {
        if let Some(request) = self.request {
            self.answer(request.page(page), now);
            self.step(now, Stage::Ready);
        }
    }

    /// Its time is over.
    pub(super) fn expire(&mut self, now: Instant) {
        match self.phase {
            Phase::Queued | Phase::Waiting => {
                self.answer(unavailable("the shards cannot be asked"), now);
            }
            _ => self.phase = Phase::Gone,
        }
    }

    fn answer(&mut self, answer: Vec<u8>, now: Instant) {
        self.answer = answer;
        self.until = now + PATIENCE;
        self.phase = Phase::Answered;
    }

    fn listen(&mut self, now: Instant, stage: Stage) -> io::Result<Phase> {
        let mut bytes = [0; 1024];
        let room = bytes.len().min(HEAD_MAX - self.head.len());
        let count = self.stream.read(&mut bytes[..room])?;
        if count == 0 {
            return Ok(Phase::Gone);
        }
        self.head.extend_from_slice(&bytes[..count]);
        let answer = match parse(&self.head) {
            Ok(None) => return Ok(Phase::Asking),
            Ok(Some(request)) => {
                self.request = Some(request);
                request.answer(stage)
            }
            Err(answer) => Some(answer),
        };
        let Some(answer) = answer else {
            return Ok(Phase::Queued);
        };
        self.answer(answer, now);
        self.speak(now).or_else(|error| match error.kind() {
            ErrorKind::WouldBlock => Ok(Phase::Answered),
            _ => Err(error),
        })
    }

    fn speak(&mut self, now: Instant) -> io::Result<Phase> {
        while self.written < self.answer.len() {
            self.written += self.stream.write(&self.answer[self.written..])?;
        }
        self.stream.shutdown(Shutdown::Write)?;
        self.until = now + FAREWELL;
        Ok(Phase::Leaving)
    }

    fn see_off(&mut self) -> io::Result<Phase> {
        let mut bytes = [0; 4096];
        let count = self.stream.read(&mut bytes)?;
        self.dropped += count;
        let is_over = count == 0 || self.dropped > DROPPED_MAX;
        Ok(if is_over { Phase::Gone } else { Phase::Leaving })
    }
}

/// How long a request may take, and an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a visitor may stay when all is said.
const FAREWELL: Duration = Duration::from_secs(1);
/// What is read of one that goes on talking.
const DROPPED_MAX: usize = 64 * 1024;
