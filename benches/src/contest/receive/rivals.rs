use super::super::transport::{Transport, now, ready};
use super::{Input, Receiver};
use bytes::BytesMut;
use futures::Stream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

/// What a message may take: that of all who are asked to name it.
const MESSAGE_MAX: usize = 64 << 20;

/// Room for the whole of an input, and not less than the 8 KiB that most begin with.
fn room(input: &Input) -> usize {
    input.stream.len().max(8 * 1024)
}

/// fastwebsockets: frames, because the collector of fragments does more. It begins with 8 KiB and
/// grows by itself.
pub(super) struct Fastwebsockets {
    socket: fastwebsockets::WebSocket<Transport>,
    messages: usize,
}

impl Receiver for Fastwebsockets {
    const NAME: &'static str = "fastwebsockets";

    fn new(input: Arc<Input>) -> Self {
        let messages = input.messages;
        let transport = Transport::new(input);
        let role = fastwebsockets::Role::Server;
        Self { socket: fastwebsockets::WebSocket::after_handshake(transport, role), messages }
    }

    #[inline]
    fn receive(&mut self, mut each: impl FnMut(&[u8])) {
        for _ in 0..self.messages {
            let frame = ready(self.socket.read_frame()).expect("valid frames");
            assert!(frame.fin);
            each(&frame.payload);
        }
    }
}

/// sockudo-ws: its protocol without a transport, into a vector that is used again.
pub(super) struct Sockudo {
    protocol: sockudo_ws::protocol::Protocol,
    buffer: BytesMut,
    messages: Vec<sockudo_ws::Message>,
    input: Arc<Input>,
}

impl Receiver for Sockudo {
    const NAME: &'static str = "sockudo-ws";

    fn new(input: Arc<Input>) -> Self {
        let role = sockudo_ws::Role::Server;
        Self {
            protocol: sockudo_ws::protocol::Protocol::new(role, MESSAGE_MAX, MESSAGE_MAX),
            buffer: BytesMut::with_capacity(room(&input)),
            messages: Vec::with_capacity(input.messages),
            input,
        }
    }

    #[inline]
    fn receive(&mut self, mut each: impl FnMut(&[u8])) {
        for read in self.input.reads() {
            self.buffer.extend_from_slice(read);
            self.protocol.process_into(&mut self.buffer, &mut self.messages).expect("valid frames");
            for message in self.messages.drain(..) {
                each(message.as_bytes());
            }
        }
    }
}

/// soketto: into a vector that is used again. It leaves checking of text to its user, who has nothing
/// faster than simdutf8.
pub(super) struct Soketto {
    // The sending half, without which the other would be closed.
    _sender: soketto::Sender<Transport>,
    receiver: soketto::Receiver<Transport>,
    message: Vec<u8>,
    messages: usize,
}

impl Receiver for Soketto {
    const NAME: &'static str = "soketto";

    fn new(input: Arc<Input>) -> Self {
        let messages = input.messages;
        let transport = Transport::new(input);
        let builder = soketto::connection::Builder::new(transport, soketto::Mode::Server);
        let (sender, receiver) = builder.finish();
        Self { _sender: sender, receiver, message: Vec::new(), messages }
    }

    #[inline]
    fn receive(&mut self, mut each: impl FnMut(&[u8])) {
        for _ in 0..self.messages {
            self.message.clear();
            let data = ready(self.receiver.receive_data(&mut self.message)).expect("valid frames");
            if data.is_text() {
                simdutf8::basic::from_utf8(&self.message).expect("valid text");
            }
            each(&self.message);
        }
    }
}

/// tokio-websockets: messages. It begins with 8 KiB and grows by itself.
pub(super) struct TokioWebsockets {
    socket: tokio_websockets::WebSocketStream<Transport>,
    messages: usize,
}

impl Receiver for TokioWebsockets {
    const NAME: &'static str = "tokio-websockets";

    fn new(input: Arc<Input>) -> Self {
        let messages = input.messages;
        Self {
            socket: tokio_websockets::ServerBuilder::new().serve(Transport::new(input)),
            messages,
        }
    }

    #[inline]
    fn receive(&mut self, mut each: impl FnMut(&[u8])) {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..self.messages {
            let message = now(Pin::new(&mut self.socket).poll_next(&mut context));
            let message = message.expect("the stream is endless").expect("valid frames");
            assert!(message.is_binary() || message.is_text());
            each(message.as_payload());
        }
    }
}

/// tungstenite: messages. It clears as much of its buffer as it reads into, so that gets no larger
/// than needed.
pub(super) struct Tungstenite {
    socket: tungstenite::WebSocket<Transport>,
    messages: usize,
}

impl Receiver for Tungstenite {
    const NAME: &'static str = "tungstenite";

    fn new(input: Arc<Input>) -> Self {
        let messages = input.messages;
        let config = tungstenite::protocol::WebSocketConfig::default();
        let config = config.read_buffer_size(input.stream.len().min(config.read_buffer_size));
        let (role, transport) = (tungstenite::protocol::Role::Server, Transport::new(input));
        Self {
            socket: tungstenite::WebSocket::from_raw_socket(transport, role, Some(config)),
            messages,
        }
    }

    #[inline]
    fn receive(&mut self, mut each: impl FnMut(&[u8])) {
        for _ in 0..self.messages {
            match self.socket.read().expect("valid frames") {
                tungstenite::Message::Binary(payload) => each(&payload),
                tungstenite::Message::Text(text) => each(text.as_bytes()),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// yawc: messages, checked to be UTF-8 where they are text, from a buffer that holds the input.
pub(super) struct Yawc {
    socket: yawc::WebSocket<Transport>,
    messages: usize,
}

impl Receiver for Yawc {
    const NAME: &'static str = "yawc";

    fn new(input: Arc<Input>) -> Self {
        let options = yawc::Options::default()
            .with_utf8()
            .with_limits(MESSAGE_MAX, MESSAGE_MAX)
            .with_read_buffer_capacity(room(&input));
        let messages = input.messages;
        let socket =
            yawc::WebSocket::from_stream(Transport::new(input), yawc::Role::Server, options);
        Self { socket: socket.expect("valid options"), messages }
    }

    #[inline]
    fn receive(&mut self, mut each: impl FnMut(&[u8])) {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..self.messages {
            let frame = now(self.socket.poll_next_frame(&mut context)).expect("valid frames");
            each(frame.payload());
        }
    }
}
