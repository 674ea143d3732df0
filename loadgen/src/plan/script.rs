//! What connections say in text beside the messages that are measured: a hello, the answers to a
//! server's heartbeat in text, a beat of their own.
//!
//! Many servers have a heartbeat above WebSocket's: their client libraries, not the browser, answer
//! it. A [`Preset`] is the script of such a library.

use super::PlanError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What each connection says beside its messages; `{n}` stands for the connection's number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// Said once, right after the upgrade.
    pub hello: Option<String>,
    /// What is answered at once; the first that fits a text answers it.
    pub replies: Vec<Reply>,
    /// Said again and again.
    pub beat: Option<Beat>,
}

/// A text of the server that counts as a ping of it, and the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What the server says: the whole of it, or its beginning.
    pub what: String,
    /// Whether `what` is only how it begins.
    pub begins: bool,
    /// What is answered.
    pub answer: String,
}

/// A text that each connection says on a phase of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// How often.
    pub every: Duration,
    /// What.
    pub text: String,
}

impl Script {
    /// The most answers of a script.
    pub const REPLIES_MAX: usize = 8;

    /// The most bytes of a text: all that may be owed at once fits into one chunk.
    pub const TEXT_MAX: usize = 4 * 1024;

    /// Whether nothing is ever said.
    pub fn is_empty(&self) -> bool {
        self.hello.is_none() && self.replies.is_empty() && self.beat.is_none()
    }

    /// Which of the answers `text` gets.
    pub fn reply_to(&self, text: &str) -> Option<usize> {
        self.replies.iter().position(|reply| reply.fits(text))
    }

    pub(super) fn check(&self) -> Result<(), PlanError> {
        let wrong = |what: String| Err(PlanError::Value(what));
        if self.replies.len() > Self::REPLIES_MAX {
            return wrong(format!("a script has {} replies at most", Self::REPLIES_MAX));
        }
        let replies = self.replies.iter().map(|reply| &reply.answer);
        let mut texts = self.hello.iter().chain(replies).chain(self.beat.iter().map(|b| &b.text));
        // `{n}` becomes up to eight digits.
        if texts.any(|text| text.len() + 8 * text.matches("{n}").count() > Self::TEXT_MAX) {
            return wrong(format!("a text of a script has {} bytes at most", Self::TEXT_MAX));
        }
        if self.beat.as_ref().is_some_and(|beat| beat.every.is_zero()) {
            return wrong("the beat's interval must be above zero".into());
        }
        Ok(())
    }
}

impl Reply {
    fn fits(&self, text: &str) -> bool {
        if self.begins { text.starts_with(&self.what) } else { text == self.what }
    }
}

/// `WHAT=ANSWER`, or `WHAT*=ANSWER` where WHAT is only how the text begins. The first `=` parts them.
impl FromStr for Reply {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a reply is written as WHAT=ANSWER, such as 2=3, or WHAT*=ANSWER for all that begins so";
        let (what, answer) = text.split_once('=').ok_or_else(wrong)?;
        let begins = what.ends_with('*');
        let what = what.strip_suffix('*').unwrap_or(what);
        if what.is_empty() {
            return Err(wrong().into());
        }
        Ok(Self { what: what.into(), begins, answer: answer.into() })
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}={}", self.what, if self.begins { "*" } else { "" }, self.answer)
    }
}

/// The script of a library whose servers have a heartbeat in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// engine.io 4, under Socket.IO 3 and 4: the client joins the main namespace with `40`, the
    /// server pings with `2` and is answered with `3`. The URL has to ask for it:
    /// `/socket.io/?EIO=4&transport=websocket`.
    EngineIo,
    /// Phoenix channels, serializer 2: the client beats, the server only answers. The URL has to
    /// ask for it: `/socket/websocket?vsn=2.0.0`.
    Phoenix,
    /// SignalR's JSON protocol: records that end in 0x1E; both sides ping, and neither is owed an
    /// answer. To take a ping of ours for one keeps the server's clock as an answer would.
    SignalR,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 3] = [Self::EngineIo, Self::Phoenix, Self::SignalR];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EngineIo => "engine.io",
            Self::Phoenix => "phoenix",
            Self::SignalR => "signalr",
        }
    }

    /// What it stands for.
    pub fn script(self) -> Script {
        let reply = |what: &str, answer: &str| Reply {
            what: what.into(),
            begins: false,
            answer: answer.into(),
        };
        let beat =
            |secs, text: &str| Some(Beat { every: Duration::from_secs(secs), text: text.into() });
        match self {
            Self::EngineIo => {
                Script { hello: Some("40".into()), replies: vec![reply("2", "3")], beat: None }
            }
            Self::Phoenix => Script {
                hello: None,
                replies: Vec::new(),
                beat: beat(30, r#"[null,"{n}","phoenix","heartbeat",{}]"#),
            },
            Self::SignalR => Script {
                hello: Some("{\"protocol\":\"json\",\"version\":1}\u{1e}".into()),
                replies: vec![reply(SIGNALR_PING, SIGNALR_PING)],
                beat: beat(15, SIGNALR_PING),
            },
        }
    }
}

const SIGNALR_PING: &str = "{\"type\":6}\u{1e}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_parted_at_the_first_equals_sign_and_shown_as_it_was_typed() {
        let table = [
            ("2=3", "2", false, "3"),
            ("ping=a=b", "ping", false, "a=b"),
            ("0{*=40", "0{", true, "40"),
            ("x=", "x", false, ""),
        ];
        for (typed, what, begins, answer) in table {
            let reply: Reply = typed.parse().unwrap();
            let expected = Reply { what: what.into(), begins, answer: answer.into() };
            assert_eq!((&reply, reply.to_string().as_str()), (&expected, typed));
        }
        for wrong in ["", "23", "=3", "*=3"] {
            assert!(wrong.parse::<Reply>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_first_reply_that_fits_answers() {
        let replies = ["2=3", "2*=x", "ab*=y"].map(|typed| typed.parse().unwrap()).to_vec();
        let script = Script { replies, ..Script::default() };
        for (text, reply) in [("2", Some(0)), ("21", Some(1)), ("abc", Some(2)), ("a", None)] {
            assert_eq!(script.reply_to(text), reply, "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_into_a_chunk_is_refused() {
        let of = |length: usize| Script { hello: Some("x".repeat(length)), ..Script::default() };
        assert!(of(Script::TEXT_MAX).check().is_ok());
        assert!(of(Script::TEXT_MAX + 1).check().is_err());
        let replies = vec!["a=b".parse().unwrap(); Script::REPLIES_MAX + 1];
        assert!(Script { replies, ..Script::default() }.check().is_err());
        let beat = Some(Beat { every: Duration::ZERO, text: String::new() });
        assert!(Script { beat, ..Script::default() }.check().is_err());
    }

    #[test]
    fn presets_are_scripts_that_may_be_sent() {
        for preset in Preset::ALL {
            assert!(preset.script().check().is_ok() && !preset.script().is_empty());
        }
    }
}
