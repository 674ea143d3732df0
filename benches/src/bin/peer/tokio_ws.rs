//! tokio-websockets: it answers pings and has no heartbeat.

use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_websockets::ServerBuilder;

pub(super) async fn echo(stream: TcpStream) -> anyhow::Result<()> {
    let (_, mut connection) = ServerBuilder::new().accept(stream).await?;
    while let Some(message) = connection.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            connection.send(message).await?;
        }
    }
    Ok(())
}
