//! Chat rooms: a room is a topic, its name is the path, and its guests may be on any shard.
//!
//! ```sh
//! cargo run --release -p halfopen-server --example chat            # then open http://127.0.0.1:9002
//! ```

use halfopen_server::{
    Accept, Answer, App, CloseCode, Context, End, Handshake, Message, Peer, PeerId, PlainRequest,
    Rejection, Server, ServerConfig,
};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::error::Error;
use std::thread;
use std::time::Duration;

struct Chat;

/// Who a connection is.
struct Guest {
    room: String,
    name: String,
}

impl App for Chat {
    type State = Guest;

    fn on_request(&mut self, request: &Handshake<'_>) -> Result<Accept<Guest>, Rejection> {
        // Browsers tell whose page it is that connects: only ours may.
        let ours = format!("http://{}", request.host());
        request.check_origin(&[&ours])?;
        let room = word(request.path().trim_start_matches('/'))
            .ok_or_else(|| Rejection::new(404, "a room is a word: connect to /kitchen, say"))?;
        let name = request.query().and_then(|query| query.strip_prefix("name=")).and_then(word);
        let name = name.ok_or_else(|| Rejection::new(400, "who are you? add ?name=…"))?;
        Ok(Accept::new(Guest { room: room.into(), name: name.into() }))
    }

    fn on_open(&mut self, peer: &mut Peer<'_>, guest: &mut Guest) {
        if peer.subscribe(&guest.room).is_err() {
            return peer.close(CloseCode::TRY_AGAIN, "the room cannot be entered");
        }
        let text = format!("* {} has come", guest.name);
        say(&peer.shard(), guest, &text);
    }

    fn on_message(&mut self, peer: &mut Peer<'_>, guest: &mut Guest, message: Message<'_>) {
        let Message::Text(text) = message else {
            return peer.close(CloseCode::UNSUPPORTED, "say it in words");
        };
        let text = format!("{}: {text}", guest.name);
        if !say(&peer.shard(), guest, &text) {
            peer.send(Message::Text("* it is too loud in here: that was not heard"));
        }
    }

    fn on_close(&mut self, shard: &mut Context<'_>, _id: PeerId, guest: Guest, _end: End) {
        say(shard, &guest, &format!("* {} has left", guest.name));
    }

    fn on_http(&mut self, request: &PlainRequest<'_>) -> Option<Answer> {
        let page = Answer::new(200, PAGE).with_header("Content-Type", "text/html; charset=utf-8");
        page.ok().filter(|_| request.path() == "/")
    }
}

/// Says something in the guest's room; whether there was room for it.
fn say(shard: &Context<'_>, guest: &Guest, text: &str) -> bool {
    shard.publish(&guest.room, Message::Text(text)).is_ok()
}

fn word(text: &str) -> Option<&str> {
    let is_word = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    is_word.then_some(text)
}

const PAGE: &str = r#"<!doctype html><title>chat</title>
<pre id=log></pre><form><input id=text autofocus placeholder="say something"></form>
<script>
  const name = prompt("your name (letters and digits)"), room = prompt("room", "kitchen");
  const ws = new WebSocket(`ws://${location.host}/${room}?name=${name}`);
  ws.onmessage = m => log.textContent += m.data + "\n";
  ws.onclose = c => log.textContent += `* closed: ${c.code} ${c.reason}\n`;
  document.forms[0].onsubmit = e => { e.preventDefault(); ws.send(text.value); text.value = ""; };
</script>
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let listen = std::env::args().nth(1).unwrap_or("127.0.0.1:9002".into()).parse()?;
    let config = ServerConfig { listen, shards: Some(2), ..Default::default() };
    let server = Server::start(&config, |_shard| Chat)?;
    // Before anybody can know that it listens: until here Ctrl-C ends it without a word.
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    println!("listening on ws://{}", server.local_addr());

    let handle = server.handle();
    thread::spawn(move || {
        signals.forever().next();
        handle.drain(Duration::from_secs(1));
    });
    server.join().error.map_or(Ok(()), |error| Err(error.into()))
}
