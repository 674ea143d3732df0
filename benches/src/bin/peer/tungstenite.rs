//! tokio-tungstenite: it answers pings and has no heartbeat.

use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;

pub(super) async fn echo(stream: TcpStream) -> anyhow::Result<()> {
    let mut connection = tokio_tungstenite::accept_async(stream).await?;
    while let Some(message) = connection.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            connection.send(message).await?;
        }
    }
    Ok(())
}
