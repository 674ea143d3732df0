//! sockudo-ws: it pings after silence, and closes who does not answer with the right pong.

use super::Ping;
use futures::{SinkExt, StreamExt};
use sockudo_ws::handshake::server_handshake;
use sockudo_ws::protocol::Message;
use sockudo_ws::{Config, WebSocketStream};
use tokio::net::TcpStream;

pub(super) async fn echo(mut stream: TcpStream, ping: Option<Ping>) -> anyhow::Result<()> {
    server_handshake(&mut stream).await?;
    let mut connection = WebSocketStream::server(stream, config(ping));
    while let Some(message) = connection.next().await {
        let message = message?;
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            connection.send(message).await?;
        }
    }
    Ok(())
}

/// Its own limit of idleness is off: the heartbeat is what is measured.
fn config(ping: Option<Ping>) -> Config {
    let quiet = Config::builder().idle_timeout(0);
    match ping {
        None => quiet.auto_ping(false).build(),
        Some(Ping { interval, timeout }) => {
            quiet.auto_ping(true).ping_interval(interval).pong_timeout(timeout).build()
        }
    }
}
