use super::env::What;
use super::host::{Ready, Sending};
use super::{Connect, World};
use halfopen_driver::{Cause, Chunk, ConnId, Ends, Op, Severance, Token};
use halfopen_wheel::Instant;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

impl World<'_> {
    pub(super) fn carry_out(&mut self, host: usize, op: Op) {
        match op {
            Op::Accept(accept) => self.accept(host, accept),
            Op::Connect { token, to, from, deadline } => {
                self.connect(host, token, to, from, deadline);
            }
            Op::Cancel(token) => self.cancel(host, token),
            Op::Send { id, chunk } => self.send(host, id, chunk),
            Op::Pause { id } => {
                if let Some(slot) = self.hosts[host].live(id) {
                    slot.paused = true;
                }
            }
            Op::Resume { id } => self.resume(host, id),
            Op::Probe { id } => self.probe(host, id),
            Op::Locate { id } => self.locate(host, id),
            Op::Shutdown { id } => self.shutdown(host, id),
            Op::Abort { id } => self.abort(host, id),
            Op::Sever { id, how } => self.sever(host, id, how),
            Op::Stop => self.stop(host),
        }
    }

    fn accept(&mut self, host: usize, accept: bool) {
        self.hosts[host].accepting = accept;
        if let Some(listener) = self.hosts[host].listener {
            self.offer(listener);
        }
    }

    fn connect(
        &mut self,
        host: usize,
        token: Token,
        to: SocketAddr,
        from: Option<IpAddr>,
        deadline: Instant,
    ) {
        let Some(id) = self.hosts[host].take_slot() else {
            return self.ready(host, Ready::Refused(token, Cause::NoDescriptors));
        };
        self.connects_made += 1;
        let connect = self.connects_made;
        let port = 1024 + (connect % 60_000) as u16;
        let from = SocketAddr::new(from.unwrap_or(Ipv4Addr::LOCALHOST.into()), port);
        self.connects.insert(connect, Connect { host, id, token, from, to });
        let wait = self.env.delay();
        self.env.after(wait, What::Syn { connect, tries: 0 });
        self.env.at(deadline, What::ConnectDeadline { connect });
    }

    fn cancel(&mut self, host: usize, token: Token) {
        let is_it = |connect: &Connect| connect.host == host && connect.token == token;
        let found = self.connects.iter().find(|(_, connect)| is_it(connect));
        if let Some(connect) = found.map(|(&connect, _)| connect) {
            self.refuse(connect, Cause::Cancelled);
        }
    }

    fn send(&mut self, host: usize, id: ConnId, chunk: Chunk) {
        let now = self.env.now;
        let stalled = self.env.chance(self.env.faults.stalled_sends);
        let Some(slot) = self.hosts[host].live(id) else { return };
        assert!(slot.sending.is_none(), "one send in flight for each connection");
        slot.sending = Some(Sending { chunk, taken: 0, at: now, stalled });
        match slot.sock.filter(|_| stalled) {
            Some(sock) => {
                let wait = self.env.up_to(self.env.faults.stalled_max);
                self.env.after(wait, What::SendMore { sock });
            }
            None => self.go_on_sending(host, id),
        }
    }

    pub(super) fn on_send_more(&mut self, sock: u64) {
        let Some((host, id)) = self.owner(sock) else { return };
        if let Some(sending) = self.hosts[host].slot(id).and_then(|slot| slot.sending.as_mut()) {
            sending.stalled = false;
        }
        self.go_on_sending(host, id);
    }

    /// The kernel takes what it has room for; the driver finishes short sends.
    pub(super) fn go_on_sending(&mut self, host: usize, id: ConnId) {
        let Some(slot) = self.hosts[host].slot(id) else { return };
        let (Some(sock), Some(sending)) = (slot.sock, slot.sending.as_mut()) else { return };
        if sending.is_done() || sending.stalled {
            return;
        }
        let rest = &sending.chunk.as_bytes()[sending.taken..];
        let short = self.env.chance(self.env.faults.short_sends);
        let most = if short { self.env.rng.usize(1..=rest.len()) } else { rest.len() };
        let taken = self.net.send(&mut self.env, sock, rest, most);
        sending.taken += taken;
        if sending.is_done() {
            self.ready(host, Ready::SendDone(id));
        } else if short && taken == most {
            sending.stalled = true;
            let wait = self.env.delay();
            self.env.after(wait, What::SendMore { sock });
        }
    }

    fn resume(&mut self, host: usize, id: ConnId) {
        let Some(slot) = self.hosts[host].live(id) else { return };
        slot.paused = false;
        if self.hosts[host].mark_readable(id) {
            self.schedule(host, self.env.now);
        }
    }

    fn probe(&mut self, host: usize, id: ConnId) {
        let Some(sock) = self.hosts[host].live(id).and_then(|slot| slot.sock) else { return };
        let queued = self.net.socks.get(&sock).map_or(0, |sock| sock.queued() as u32);
        self.ready(host, Ready::Probed(id, queued));
    }

    fn locate(&mut self, host: usize, id: ConnId) {
        let Some(sock) = self.hosts[host].live(id).and_then(|slot| slot.sock) else { return };
        let sock = self.net.socks.get(&sock);
        let ends = sock.map(|sock| Ends { local: sock.local, peer: sock.remote });
        self.ready(host, Ready::Located(id, ends));
    }

    fn shutdown(&mut self, host: usize, id: ConnId) {
        let Some(slot) = self.hosts[host].live(id) else { return };
        slot.shutdown = true;
        let idle = slot.sending.is_none();
        if let Some(sock) = slot.sock.filter(|_| idle) {
            self.net.shutdown(&mut self.env, sock);
        }
    }

    /// RST goes out and the memory comes back now; that it is closed is told in the next turn.
    fn abort(&mut self, host: usize, id: ConnId) {
        // While a FIN waits for the send in flight, that send may be given up.
        let ended = |cause| matches!(cause, None | Some(Cause::Fin));
        let slot = self.hosts[host].slot(id).filter(|slot| slot.open && ended(slot.ending));
        let Some(slot) = slot else { return };
        slot.ending = Some(Cause::Aborted);
        if let Some(sock) = slot.sock.take() {
            self.net.abort(&mut self.env, sock);
        }
        self.ready(host, Ready::Ended(id));
    }

    fn sever(&mut self, host: usize, id: ConnId, how: Severance) {
        let Some(sock) = self.hosts[host].live(id).and_then(|slot| slot.sock) else { return };
        if how == Severance::Vanish {
            self.net.vanish(sock);
            return self.abort(host, id);
        }
        self.net.set_deaf(sock, how == Severance::Drop);
    }

    /// Sockets are closed, those too that wait at a listener where nobody is left.
    fn stop(&mut self, host: usize) {
        self.hosts[host].stopped = true;
        self.connects.retain(|_, connect| connect.host != host);
        let slots = &self.hosts[host].slots;
        let socks: Vec<_> = slots.iter().filter(|s| s.used).filter_map(|slot| slot.sock).collect();
        socks.into_iter().for_each(|sock| self.net.close(&mut self.env, sock));
        let Some(listener) = self.hosts[host].listener else { return };
        if !self.is_heard(listener) {
            let waiting = std::mem::take(&mut self.listeners[listener].queue);
            waiting.into_iter().for_each(|sock| self.net.abort(&mut self.env, sock));
        }
    }
}
