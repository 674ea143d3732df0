use super::super::input::Input;
use super::super::transport::{Transport, ready};
use super::Acceptor;
use bytes::{Bytes, BytesMut};
use soketto::handshake::server::Response;
use std::sync::Arc;
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, create_response, write_response};

/// sockudo-ws: its public functions.
pub(super) struct Sockudo {
    request: &'static [u8],
    out: Bytes,
}

impl Acceptor for Sockudo {
    const NAME: &'static str = "sockudo-ws";

    fn new(request: &'static [u8]) -> Self {
        Self { request, out: Bytes::new() }
    }

    #[inline]
    fn accept(&mut self) -> &[u8] {
        let parsed = sockudo_ws::handshake::parse_request(self.request).expect("a good request");
        let (request, _) = parsed.expect("a whole head");
        let key = sockudo_ws::handshake::generate_accept_key(request.key);
        self.out = sockudo_ws::handshake::build_response(&key, None, None);
        &self.out
    }
}

/// soketto: from a transport, into a buffer that is used again.
pub(super) struct Soketto {
    transport: Transport,
    buffer: BytesMut,
}

impl Acceptor for Soketto {
    const NAME: &'static str = "soketto";

    fn new(request: &'static [u8]) -> Self {
        let transport = Transport::new(Arc::new(Input::raw(request)));
        Self { transport, buffer: BytesMut::new() }
    }

    #[inline]
    fn accept(&mut self) -> &[u8] {
        self.transport.clear_written();
        let mut server = soketto::handshake::Server::new(&mut self.transport);
        server.set_buffer(std::mem::take(&mut self.buffer));
        let key = ready(server.receive_request()).expect("a good request").key();
        let answer = Response::Accept { key, protocol: None };
        ready(server.send_response(&answer)).expect("an open connection");
        self.buffer = server.take_buffer();
        self.transport.written()
    }
}

/// tokio-websockets: from a transport.
pub(super) struct TokioWebsockets {
    transport: Transport,
    builder: tokio_websockets::ServerBuilder,
}

impl Acceptor for TokioWebsockets {
    const NAME: &'static str = "tokio-websockets";

    fn new(request: &'static [u8]) -> Self {
        let transport = Transport::new(Arc::new(Input::raw(request)));
        Self { transport, builder: tokio_websockets::ServerBuilder::new() }
    }

    #[inline]
    fn accept(&mut self) -> &[u8] {
        self.transport.clear_written();
        ready(self.builder.accept(&mut self.transport)).expect("a good request");
        self.transport.written()
    }
}

/// tungstenite: its public functions.
pub(super) struct Tungstenite {
    request: &'static [u8],
    out: Vec<u8>,
}

impl Acceptor for Tungstenite {
    const NAME: &'static str = "tungstenite";

    fn new(request: &'static [u8]) -> Self {
        Self { request, out: Vec::new() }
    }

    #[inline]
    fn accept(&mut self) -> &[u8] {
        self.out.clear();
        let parsed = Request::try_parse(self.request).expect("a good request");
        let (_, request) = parsed.expect("a whole head");
        let response = create_response(&request).expect("a good request");
        write_response(&mut self.out, &response).expect("memory is there");
        &self.out
    }
}
