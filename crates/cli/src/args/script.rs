//! What connections say in text beside their messages.

use crate::units::{nearest, positive_duration};
use clap::Args;
use halfopen_loadgen::plan::{Beat, Preset, Reply, Script};
use std::fs;
use std::time::Duration;

/// Flags of scripts, of `load`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Heartbeats in text")]
pub(crate) struct ScriptFlags {
    /// Say this once, right after the upgrade; @FILE: what stands in that file
    ///
    /// Reports show it: a token that lets somebody in belongs into a header.
    #[arg(long, value_name = "TEXT|@FILE")]
    pub hello: Option<String>,
    /// Answer a text of the server at once, as '2=3'; may be given several times
    ///
    /// WHAT has to be the whole text; WHAT*=ANSWER answers all that begins so. The first = parts
    /// the two. Such a text counts as a ping of the server, and who is frozen or mute answers none.
    #[arg(long, value_name = "WHAT=ANSWER")]
    pub reply: Vec<Reply>,
    /// Say this again and again on each connection, as '30s=TEXT'
    #[arg(long, value_name = "TIME=TEXT", value_parser = beat)]
    pub beat: Option<Beat>,
    /// The three above as a library sets them: engine.io (Socket.IO), phoenix, signalr
    ///
    /// engine.io: --hello 40 --reply 2=3, for URLs that end in
    /// /socket.io/?EIO=4&transport=websocket. phoenix: --beat 30s with the heartbeat of channels,
    /// for /socket/websocket?vsn=2.0.0. signalr: the JSON protocol's handshake, its ping answered
    /// and every 15 s. What is given beside it takes its place.
    #[arg(long, value_name = "NAME", value_parser = preset)]
    pub preset: Option<Preset>,
}

impl ScriptFlags {
    /// The preset, and in its place what was given.
    ///
    /// # Errors
    /// The file of the hello cannot be read.
    pub(crate) fn script(&self) -> Result<Script, String> {
        let preset = self.preset.map(Preset::script).unwrap_or_default();
        let given = self.hello.as_deref().map(hello).transpose()?;
        Ok(Script {
            hello: given.or(preset.hello),
            replies: if self.reply.is_empty() { preset.replies } else { self.reply.clone() },
            beat: self.beat.clone().or(preset.beat),
        })
    }
}

fn hello(text: &str) -> Result<String, String> {
    match text.strip_prefix('@') {
        None => Ok(text.into()),
        Some(file) => {
            fs::read_to_string(file).map_err(|e| format!("--hello: {file} cannot be read: {e}"))
        }
    }
}

fn beat(text: &str) -> Result<Beat, String> {
    let (every, text): (Duration, _) = match text.split_once('=') {
        Some((every, text)) => (positive_duration(every)?, text),
        None => return Err("a beat is written as TIME=TEXT, such as '30s=ping'".into()),
    };
    Ok(Beat { every, text: text.into() })
}

fn preset(name: &str) -> Result<Preset, String> {
    let found = Preset::ALL.into_iter().find(|preset| preset.name() == name);
    found.ok_or_else(|| {
        let names = Preset::ALL.map(Preset::name);
        let meant = nearest(name, names).map(|near| format!(" (is '{near}' meant?)"));
        format!(
            "no preset is called so{}: allowed are {}",
            meant.unwrap_or_default(),
            names.join(" ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags() -> ScriptFlags {
        ScriptFlags { hello: None, reply: Vec::new(), beat: None, preset: None }
    }

    #[test]
    fn what_is_given_takes_the_place_of_the_preset() {
        let engine_io = ScriptFlags { preset: Some(Preset::EngineIo), ..flags() };
        assert_eq!(engine_io.script().unwrap(), Preset::EngineIo.script());
        let changed = ScriptFlags { hello: Some("40/admin,".into()), ..engine_io };
        assert_eq!(changed.script().unwrap().hello.as_deref(), Some("40/admin,"));
        assert_eq!(changed.script().unwrap().replies, Preset::EngineIo.script().replies);
        assert!(flags().script().unwrap().is_empty());
    }

    #[test]
    fn a_beat_is_a_time_and_a_text() {
        let expected = Beat { every: Duration::from_secs(30), text: "a=b".into() };
        assert_eq!(beat("30s=a=b"), Ok(expected));
        for (wrong, words) in
            [("30s", "TIME=TEXT"), ("0s=a", "more than zero"), ("x=a", "duration")]
        {
            let error = beat(wrong).unwrap_err();
            assert!(error.contains(words), "{wrong}: {error}");
        }
    }

    #[test]
    fn an_unknown_preset_is_answered_with_the_nearest() {
        assert_eq!(preset("signalr"), Ok(Preset::SignalR));
        let error = preset("engineio").unwrap_err();
        assert!(error.contains("'engine.io' meant?"), "{error}");
    }

    #[test]
    fn a_hello_may_come_from_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "hello\u{1e}").unwrap();
        assert_eq!(hello(&format!("@{}", file.path().display())), Ok("hello\u{1e}".into()));
        assert!(hello("@/no/such/file").unwrap_err().contains("/no/such/file"));
    }
}
