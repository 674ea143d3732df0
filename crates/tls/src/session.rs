//! One side of a TLS session, and the states of rustls' unbuffered interface, gone through in one
//! loop: what is read, what is to be sent, and where it stops.

use bytes::BytesMut;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::{CommonState, Error, ProtocolVersion};
use std::mem::replace;

/// The most plaintext in one record (RFC 8446 §5.1).
pub(crate) const RECORD_MAX: usize = 16 * 1024;

/// The most that a record adds to it, of any version and cipher that is spoken here: header, nonce,
/// content type and tag.
pub(crate) const RECORD_OVERHEAD: usize = 32;

/// A session in either role.
pub(crate) enum Session {
    Client(UnbufferedClientConnection),
    Server(UnbufferedServerConnection),
}

/// What a session is asked to do, once it has read everything.
pub(crate) enum Want<'a> {
    /// Nothing.
    Nothing,
    /// Make records of these bytes.
    Seal(&'a [u8]),
    /// Say that nothing more will be sent (close_notify, RFC 8446 §6.1).
    Goodbye,
}

/// How far a session came.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The bytes of the input that are done with. What is left belongs to a record or a handshake
    /// message that is not whole, and is to be given again with what follows it.
    pub(crate) used: usize,
    /// The peer has said close_notify: nothing that follows counts.
    pub(crate) peer_closed: bool,
    /// It has failed: nothing more can be done but to send the alert that is among the output.
    pub(crate) failed: Option<Error>,
}

/// What a handshake came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Established {
    /// The version, such as `TLS 1.3`.
    pub version: &'static str,
    /// The cipher suite, as IANA calls it.
    pub cipher: &'static str,
}

impl Session {
    fn common(&self) -> &CommonState {
        match self {
            Self::Client(connection) => connection,
            Self::Server(connection) => connection,
        }
    }

    /// What the handshake came to; none while it goes on.
    pub(crate) fn established(&self) -> Option<Established> {
        let common = self.common();
        if common.is_handshaking() {
            return None;
        }
        let version = match common.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "unknown",
        };
        let suite = common.negotiated_cipher_suite();
        let cipher = suite.and_then(|suite| suite.suite().as_str()).unwrap_or("unknown");
        Some(Established { version, cipher })
    }

    /// Reads `input`, appends what was in its records to `plain`, does what is wanted, and appends
    /// what is to be sent to `out`.
    ///
    /// `input` is always all that came and was not used before, also where nothing new did: the
    /// session remembers places in it.
    pub(crate) fn go_on(
        &mut self,
        input: &mut [u8],
        mut want: Want<'_>,
        plain: &mut BytesMut,
        out: &mut BytesMut,
    ) -> Progress {
        let mut progress = Progress::default();
        loop {
            let rest = &mut input[progress.used..];
            let (used, then) = match self {
                Self::Client(connection) => {
                    take(connection.process_tls_records(rest), &mut want, plain, out)
                }
                Self::Server(connection) => {
                    take(connection.process_tls_records(rest), &mut want, plain, out)
                }
            };
            progress.used += used;
            match then {
                Then::GoOn => {}
                Then::PeerClosed => progress.peer_closed = true,
                Then::Stop => return progress,
                Then::Fail(error) => {
                    progress.failed = Some(error);
                    self.take_alert(&mut input[progress.used..], out);
                    return progress;
                }
            }
        }
    }

    /// Appends the alert that tells the peer of a failure, if there is one. Input is not looked at
    /// any more: while there is something to be sent, that comes first.
    fn take_alert(&mut self, input: &mut [u8], out: &mut BytesMut) {
        while self.common().wants_write() {
            let goes_on = match self {
                Self::Client(connection) => take_output(connection.process_tls_records(input), out),
                Self::Server(connection) => take_output(connection.process_tls_records(input), out),
            };
            if !goes_on {
                return;
            }
        }
    }
}

/// What follows a state of the session.
enum Then {
    GoOn,
    PeerClosed,
    Stop,
    Fail(Error),
}

/// Takes one state of the session: how much of the input is done with, and what follows.
fn take<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    want: &mut Want<'_>,
    plain: &mut BytesMut,
    out: &mut BytesMut,
) -> (usize, Then) {
    let mut used = status.discard;
    let then = match status.state {
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    used += record.discard;
                    plain.extend_from_slice(record.payload);
                }
                Some(Err(error)) => break Then::Fail(error),
                None => break Then::GoOn,
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => append(out, 0, |room| data.encode(room)),
        Ok(ConnectionState::TransmitTlsData(data)) => {
            // It is in `out`, and whoever has that transmits it in its order.
            data.done();
            Then::GoOn
        }
        Ok(ConnectionState::WriteTraffic(mut traffic)) => match replace(want, Want::Nothing) {
            Want::Nothing => Then::Stop,
            Want::Seal(bytes) => {
                append(out, sealed_max(bytes.len()), |room| traffic.encrypt(bytes, room))
            }
            Want::Goodbye => append(out, 0, |room| traffic.queue_close_notify(room)),
        },
        Ok(ConnectionState::PeerClosed) => Then::PeerClosed,
        // It waits for more, or is over. (Early data is never asked for.)
        Ok(_) => Then::Stop,
        Err(error) => Then::Fail(error),
    };
    (used, then)
}

/// Takes something to be sent of a session that has failed; whether there was something.
fn take_output<Data>(status: UnbufferedStatus<'_, '_, Data>, out: &mut BytesMut) -> bool {
    match status.state {
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            matches!(append(out, 0, |room| data.encode(room)), Then::GoOn)
        }
        _ => false,
    }
}

/// The most bytes of the records of so much plaintext.
pub(crate) const fn sealed_max(plain: usize) -> usize {
    plain + plain.div_ceil(RECORD_MAX) * RECORD_OVERHEAD
}

/// Has `write` write behind what is in `out`, and once more if it says that `room` was too little.
fn append<E: Short>(
    out: &mut BytesMut,
    mut room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
) -> Then {
    let begin = out.len();
    loop {
        out.resize(begin + room, 0);
        let written = write(&mut out[begin..]);
        out.truncate(begin + *written.as_ref().unwrap_or(&0));
        match written {
            Ok(_) => return Then::GoOn,
            Err(error) => match error.needed() {
                Some(needed) if needed > room => room = needed,
                _ => return Then::Fail(Error::EncryptError),
            },
        }
    }
}

/// An error that may be no more than a want of room.
trait Short {
    /// How much room would do.
    fn needed(&self) -> Option<usize>;
}

impl Short for EncodeError {
    fn needed(&self) -> Option<usize> {
        match self {
            Self::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            Self::AlreadyEncoded => None,
        }
    }
}

impl Short for EncryptError {
    fn needed(&self) -> Option<usize> {
        match self {
            Self::InsufficientSize(InsufficientSizeError { required_size }) => Some(*required_size),
            Self::EncryptExhausted => None,
        }
    }
}
