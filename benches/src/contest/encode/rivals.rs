use super::super::transport::{Transport, now};
use super::{Encoder, Role};
use bytes::{Bytes, BytesMut};
use fastwebsockets::{Frame, OpCode, Payload};
use futures::Sink;
use soketto::base::{Codec, Header};
use std::pin::Pin;
use std::task::{Context, Waker};
use tokio_util::codec::Encoder as _;
use tungstenite::protocol::frame::coding;

/// fastwebsockets: a frame, masked and written into a vector that is used again.
pub(super) struct Fastwebsockets {
    role: Role,
    payload: &'static [u8],
    out: Vec<u8>,
}

impl Encoder for Fastwebsockets {
    const NAME: &'static str = "fastwebsockets";

    fn new(role: Role, payload: &'static [u8]) -> Self {
        Self { role, payload, out: Vec::new() }
    }

    #[inline]
    fn encode(&mut self, key: [u8; 4]) -> &[u8] {
        let key = (self.role == Role::Client).then_some(key);
        let mut frame = Frame::new(true, OpCode::Binary, key, Payload::Borrowed(self.payload));
        if key.is_some() {
            frame.mask();
        }
        frame.write(&mut self.out)
    }
}

/// sockudo-ws: its public function.
pub(super) struct Sockudo {
    role: Role,
    payload: &'static [u8],
    out: BytesMut,
}

impl Encoder for Sockudo {
    const NAME: &'static str = "sockudo-ws";

    fn new(role: Role, payload: &'static [u8]) -> Self {
        Self { role, payload, out: BytesMut::new() }
    }

    #[inline]
    fn encode(&mut self, key: [u8; 4]) -> &[u8] {
        let key = (self.role == Role::Client).then_some(key);
        self.out.clear();
        let binary = sockudo_ws::OpCode::Binary;
        sockudo_ws::frame::encode_frame(&mut self.out, binary, self.payload, true, key);
        &self.out
    }
}

/// soketto: its codec, which writes headers and masks, around a copy.
pub(super) struct Soketto {
    role: Role,
    payload: &'static [u8],
    codec: Codec,
    out: Vec<u8>,
}

impl Encoder for Soketto {
    const NAME: &'static str = "soketto";

    fn new(role: Role, payload: &'static [u8]) -> Self {
        Self { role, payload, codec: Codec::new(), out: Vec::new() }
    }

    #[inline]
    fn encode(&mut self, key: [u8; 4]) -> &[u8] {
        let mut header = Header::new(soketto::base::OpCode::Binary);
        header.set_payload_len(self.payload.len());
        if self.role == Role::Client {
            header.set_masked(true).set_mask(u32::from_be_bytes(key));
        }
        self.out.clear();
        self.out.extend_from_slice(self.codec.encode_header(&header));
        let start = self.out.len();
        self.out.extend_from_slice(self.payload);
        Codec::apply_mask(&header, &mut self.out[start..]);
        &self.out
    }
}

/// tokio-websockets: a sink of messages, which writes header and payload at once; it draws the key.
pub(super) struct TokioWebsockets {
    socket: tokio_websockets::WebSocketStream<Transport>,
    payload: Bytes,
}

impl Encoder for TokioWebsockets {
    const NAME: &'static str = "tokio-websockets";

    fn new(role: Role, payload: &'static [u8]) -> Self {
        let (transport, payload) = (Transport::without_input(), Bytes::from_static(payload));
        let socket = match role {
            Role::Client => tokio_websockets::ClientBuilder::new().take_over(transport),
            Role::Server => tokio_websockets::ServerBuilder::new().serve(transport),
        };
        Self { socket, payload }
    }

    #[inline]
    fn encode(&mut self, _: [u8; 4]) -> &[u8] {
        self.socket.get_mut().clear_written();
        let message = tokio_websockets::Message::binary(self.payload.clone());
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(&mut self.socket).start_send(message).expect("an open connection");
        now(Pin::new(&mut self.socket).poll_flush(&mut context)).expect("an open connection");
        self.socket.get_ref().written()
    }
}

/// tungstenite: at a server a frame, written into a vector that is used again; at a client, where that
/// would mask a copy of its own, a message, which is masked in the buffer for output. It draws the key.
pub(super) struct Tungstenite {
    role: Role,
    socket: tungstenite::WebSocket<Transport>,
    payload: Bytes,
    out: Vec<u8>,
}

impl Encoder for Tungstenite {
    const NAME: &'static str = "tungstenite";

    fn new(role: Role, payload: &'static [u8]) -> Self {
        let (transport, client) = (Transport::without_input(), tungstenite::protocol::Role::Client);
        let socket = tungstenite::WebSocket::from_raw_socket(transport, client, None);
        Self { role, socket, payload: Bytes::from_static(payload), out: Vec::new() }
    }

    #[inline]
    fn encode(&mut self, _: [u8; 4]) -> &[u8] {
        let payload = self.payload.clone();
        if self.role == Role::Server {
            self.out.clear();
            let frame = tungstenite::protocol::frame::Frame::message(payload, BINARY, true);
            frame.format(&mut self.out).expect("memory is there");
            return &self.out;
        }
        self.socket.get_mut().clear_written();
        self.socket.send(tungstenite::Message::Binary(payload)).expect("an open connection");
        self.socket.get_ref().written()
    }
}

const BINARY: coding::OpCode = coding::OpCode::Data(coding::Data::Binary);

/// yawc: its codec.
pub(super) struct Yawc {
    role: Role,
    payload: Bytes,
    codec: yawc::codec::Encoder,
    out: BytesMut,
}

impl Encoder for Yawc {
    const NAME: &'static str = "yawc";

    fn new(role: Role, payload: &'static [u8]) -> Self {
        let side = if role == Role::Client { yawc::Role::Client } else { yawc::Role::Server };
        let codec = yawc::codec::Encoder::new(side);
        Self { role, payload: Bytes::from_static(payload), codec, out: BytesMut::new() }
    }

    #[inline]
    fn encode(&mut self, key: [u8; 4]) -> &[u8] {
        let mut frame = yawc::Frame::binary(self.payload.clone());
        if self.role == Role::Client {
            frame.set_mask(Some(key));
        }
        self.out.clear();
        self.codec.encode(frame, &mut self.out).expect("a valid frame");
        &self.out
    }
}
