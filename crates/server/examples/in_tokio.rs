//! A server inside a tokio program: its shards run on threads of their own, what takes long is done by
//! tasks, and these answer through the mailbox.
//!
//! ```sh
//! cargo run --release -p halfopen-server --example in_tokio        # or: … in_tokio 0.0.0.0:9003
//! ```

use halfopen_server::{
    Accept, App, Delivery, Handshake, Mailbox, Message, Peer, PeerId, Rejection, SendError, Server,
    ServerConfig,
};
use std::error::Error;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::{self, JoinSet};
use tokio::time;

/// Somebody asks something that takes long.
struct Question {
    from: PeerId,
    text: String,
}

/// Questions that may wait for a task.
const QUESTIONS_MAX: usize = 1024;

/// Tasks that work at one time.
const WORKERS: usize = 64;

/// The app of a shard. A handler must not wait, so it only hands on.
struct Front {
    questions: mpsc::Sender<Question>,
}

impl App for Front {
    type State = ();

    fn on_request(&mut self, _request: &Handshake<'_>) -> Result<Accept<()>, Rejection> {
        Ok(Accept::new(()))
    }

    fn on_message(&mut self, peer: &mut Peer<'_>, _state: &mut (), message: Message<'_>) {
        let Message::Text(text) = message else { return };
        if text == "time" {
            // It is allowed so many subscriptions, and this is the only one.
            let _ = peer.subscribe("time");
            return;
        }
        let question = Question { from: peer.id(), text: text.to_owned() };
        if self.questions.try_send(question).is_err() {
            let told = peer.send(Message::Text("too many ask at once: try again"));
            debug_assert!(told != Delivery::Closing, "it has just spoken");
        }
    }
}

/// Takes questions one after the other, until there are no more.
async fn work(questions: mpsc::Receiver<Question>, mailbox: Mailbox) {
    let mut questions = questions;
    let mut tasks = JoinSet::new();
    while let Some(question) = questions.recv().await {
        if tasks.len() >= WORKERS {
            tasks.join_next().await;
        }
        tasks.spawn(answer(question, mailbox.clone()));
    }
    while tasks.join_next().await.is_some() {}
}

/// Stands for a query to somewhere else.
async fn answer(question: Question, mailbox: Mailbox) {
    time::sleep(Duration::from_millis(10)).await;
    let answer = question.text.chars().rev().collect::<String>();
    match mailbox.send(question.from, Message::Text(&answer)).await {
        // Who asked did not wait for the answer.
        Ok(()) | Err(SendError::Gone) => {}
        Err(error) => eprintln!("{}: {error}", question.from),
    }
}

/// Tells the time to all who want it, until the server has ended.
async fn tell_the_time(mailbox: Mailbox) {
    let mut seconds = time::interval(Duration::from_secs(1));
    let mut second = 0;
    while mailbox.publish("time", Message::Text(&second.to_string())).await.is_ok() {
        seconds.tick().await;
        second += 1;
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listen = std::env::args().nth(1).unwrap_or("127.0.0.1:9003".into()).parse()?;
    let config = ServerConfig { listen, ..Default::default() };
    let (sender, questions) = mpsc::channel(QUESTIONS_MAX);
    // Starting waits until all shards have answered, which is no work for a task.
    let starting = task::spawn_blocking(move || {
        Server::start(&config, |_shard| Front { questions: sender.clone() })
    });
    let server = starting.await??;
    // Before anybody can know that it listens: until here Ctrl-C ends it without a word.
    let mut interrupt = signal(SignalKind::interrupt())?;
    println!("listening on ws://{}", server.local_addr());

    let workers = tokio::spawn(work(questions, server.mailbox()));
    let clock = tokio::spawn(tell_the_time(server.mailbox()));

    interrupt.recv().await;
    server.handle().drain(Duration::from_secs(1));
    let outcome = task::spawn_blocking(|| server.join()).await?;
    // The shards have gone, and their apps with the last ends of the channel.
    workers.await?;
    clock.await?;
    println!("served {} messages", outcome.stats.messages_received);
    outcome.error.map_or(Ok(()), |error| Err(error.into()))
}
