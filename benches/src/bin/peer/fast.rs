//! fastwebsockets: it answers pings and has no heartbeat.

use super::upgrade;
use fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket};
use tokio::net::TcpStream;

pub(super) async fn echo(mut stream: TcpStream) -> anyhow::Result<()> {
    upgrade::accept(&mut stream).await?;
    let mut connection = FragmentCollector::new(WebSocket::after_handshake(stream, Role::Server));
    loop {
        let frame = connection.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => connection.write_frame(frame).await?,
            _ => {}
        }
    }
}
