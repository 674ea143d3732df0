//! The opening handshake for libraries that leave it to an HTTP server: by tungstenite's functions,
//! without one.

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, create_response, write_response};

/// A head that is longer is none of ours.
const HEAD_MAX: usize = 8 << 10;

/// Reads the request and answers it. Clients send nothing before the answer.
pub(super) async fn accept(stream: &mut TcpStream) -> anyhow::Result<()> {
    let mut head = Vec::with_capacity(1 << 10);
    loop {
        ensure!(stream.read_buf(&mut head).await? > 0, "it left during the handshake");
        ensure!(head.len() <= HEAD_MAX, "the head is too long");
        if let Some((_, request)) = Request::try_parse(&head).context("no request")? {
            let mut answer = Vec::new();
            write_response(&mut answer, &create_response(&request)?)?;
            stream.write_all(&answer).await?;
            return Ok(());
        }
    }
}
