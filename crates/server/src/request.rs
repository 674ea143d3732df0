//! The opening handshake: a request is gathered, held against the rules, and put to the app.
//!
//! ```text
//!   bytes ──▶ a whole head ──▶ valid? ──▶ (where from?) ──▶ App::on_request ──▶ 101, Open
//!                                 │                              └────────────▶ its refusal
//!                                 └──▶ App::on_http, if it is plain HTTP; else 4xx
//! ```

use crate::handshake::Whence;
use crate::heartbeat::Beat;
use crate::hosted::Hosted;
use crate::session::Phase;
use crate::{App, End, Handshake, Peer, Refusal};
use halfopen_driver::{CHUNK_MAX, Ends, Op};
use halfopen_proto::handshake::{Answer, PlainRequest, Rejection, Request};
use halfopen_wheel::Instant;
use std::mem::take;

impl Peer<'_> {
    /// Gathers a request until its head is whole. What follows the head are frames already.
    pub(crate) fn request<A: App>(&mut self, hosted: &mut Hosted<A>, bytes: &mut [u8]) {
        let work = self.session.work(&mut self.shared.pool);
        if work.locating {
            return self.gather_more(bytes);
        }
        let (mut head, mut progress) = (take(&mut work.head), take(&mut work.progress));
        let is_split = !head.is_empty();
        if is_split {
            head.extend_from_slice(bytes);
        }
        let input = if is_split { &mut head[..] } else { &mut bytes[..] };
        // One that comes byte by byte is not read anew for each byte.
        let is_due = progress.is_due(input, &self.shared.config.head);
        let read = if is_due { self.answer(hosted, input, Whence::Unasked) } else { None };
        match read {
            Some(used) => {
                self.frames_or_hold(hosted, &mut input[used..]);
                self.shared.pool.give(head);
            }
            None if self.session.phase == Phase::Ending => self.shared.pool.give(head),
            None => {
                if !is_split {
                    head = self.shared.pool.lend();
                    head.extend_from_slice(bytes);
                }
                let work = self.session.work(&mut self.shared.pool);
                (work.head, work.progress) = (head, progress);
            }
        }
    }

    /// The request is whole, and what follows it waits until we know where it comes from. No client
    /// may send before it is answered (RFC 6455 §4.1), so there is not much of it.
    fn gather_more(&mut self, bytes: &[u8]) {
        let work = self.session.work(&mut self.shared.pool);
        work.head.extend_from_slice(bytes);
        if work.head.len() > self.shared.config.head.bytes_max + CHUNK_MAX {
            work.locating = false;
            let rejection = Rejection::new(400, "wait for the answer before you send more");
            self.refuse(Refusal::Request, End::Refused, &rejection);
        }
    }

    /// The kernel has said where the peer comes from; the request is answered.
    pub(crate) fn located<A: App>(&mut self, hosted: &mut Hosted<A>, ends: Option<Ends>) {
        let work = self.session.work.as_mut().filter(|_| self.session.phase == Phase::Handshake);
        let Some(work) = work.filter(|work| work.locating) else { return };
        work.locating = false;
        let mut head = take(&mut work.head);
        if let Some(used) = self.answer(hosted, &head, Whence::Told(ends)) {
            self.frames_or_hold(hosted, &mut head[used..]);
        }
        self.shared.pool.give(head);
    }

    /// Answers the request in `input`, if its head is whole. How long the head is, if it opened the
    /// connection.
    fn answer<A: App>(
        &mut self,
        hosted: &mut Hosted<A>,
        input: &[u8],
        whence: Whence,
    ) -> Option<usize> {
        let is_refusing = self.session.phase == Phase::Refusing;
        match Request::parse(input, &self.shared.config.head) {
            Ok(None) => None,
            Ok(Some(_)) if is_refusing || self.shared.draining => {
                self.refuse_for_now();
                None
            }
            Ok(Some((request, used))) => match whence {
                Whence::Unasked if A::WANTS_PEER_ADDR => {
                    self.locate();
                    None
                }
                Whence::Unasked => self.decide(hosted, &request, None).map(|()| used),
                Whence::Told(ends) => self.decide(hosted, &request, ends).map(|()| used),
            },
            Err(rejection) => {
                self.turn_down(hosted, input, &rejection);
                None
            }
        }
    }

    /// Asks where the peer comes from.
    fn locate(&mut self) {
        self.session.work(&mut self.shared.pool).locating = true;
        self.ops.push(Op::Locate { id: self.id });
    }

    /// The request opens no connection. If it is one of plain HTTP, the app may have an answer.
    fn turn_down<A: App>(&mut self, hosted: &mut Hosted<A>, input: &[u8], rejection: &Rejection) {
        if rejection.status() != 426 {
            return self.refuse(Refusal::Request, End::Refused, rejection);
        }
        let plain = PlainRequest::parse(input, &self.shared.config.head);
        match plain.and_then(|plain| hosted.app.on_http(&plain)) {
            Some(answer) => self.answer_in_http(&answer),
            None => self.refuse(Refusal::Upgrade, End::Refused, rejection),
        }
    }

    fn answer_in_http(&mut self, answer: &Answer) {
        self.shared.stats.http_answers += 1;
        let pool = &mut self.shared.pool;
        let work = self.session.work.get_or_insert_with(|| pool.lend_work());
        pool.give(take(&mut work.head));
        work.head_of_http(pool, |out| answer.encode_head(out));
        work.body_of_http(answer.body().clone());
        self.end(End::Answered);
    }

    /// The request is valid, and the app's to grant.
    fn decide<A: App>(
        &mut self,
        hosted: &mut Hosted<A>,
        request: &Request<'_>,
        ends: Option<Ends>,
    ) -> Option<()> {
        let accept = match hosted.app.on_request(&Handshake::new(request, ends)) {
            Ok(accept) => accept,
            Err(rejection) => {
                self.refuse(Refusal::Declined, End::Refused, &rejection);
                return None;
            }
        };
        let pool = &mut self.shared.pool;
        let work = self.session.work.get_or_insert_with(|| pool.lend_work());
        let made = work.head_of_http(pool, |out| accept.encode(request, out));
        if !made || work.queued() > CHUNK_MAX {
            work.clear_output(pool);
            let fault = Rejection::new(500, "the server made an answer that cannot be sent");
            self.refuse(Refusal::Fault, End::Refused, &fault);
            return None;
        }
        hosted.keep(self.id.index, accept.state);
        // Whole and at once, for control frames jump the queue.
        self.flush();
        self.open(hosted);
        Some(())
    }

    /// The server has no place, or drains: a client may try again.
    pub(crate) fn refuse_for_now(&mut self) {
        let (refusal, end, reason) = if self.shared.draining {
            (Refusal::Draining, End::Drained, "the server is going away")
        } else {
            (Refusal::Full, End::Refused, "the server is full; try again later")
        };
        self.refuse(refusal, end, &Rejection::new(503, reason));
    }

    fn open<A: App>(&mut self, hosted: &mut Hosted<A>) {
        let config = &self.shared.config;
        self.session.phase = Phase::Open;
        self.session.opened = true;
        self.session.until = config.idle_timeout.map_or(Instant::FAR, |idle| self.now + idle);
        if let Some(heartbeat) = &config.heartbeat {
            self.session.beat = Beat::start(self.now, heartbeat, &mut self.shared.rng);
        }
        self.shared.stats.opened += 1;
        if let Some(roll) = self.shared.inbox.post().roll() {
            roll.enter(self.id);
        }
        hosted.tell(self.id.index, |app, state| app.on_open(self, state));
    }
}
