//! A run as it is seen on a terminal of 80 columns.

use crate::program::halfopen;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::thread;
use std::time::Duration;

const COLUMNS: u16 = 80;

/// The two ends of a terminal of so many rows.
fn terminal(rows: u16) -> (File, File) {
    let ours: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let size = Winsize { ws_row: rows, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&ours, size).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let theirs = OpenOptions::new().read(true).write(true).open(name).unwrap();
    (ours.into(), theirs)
}

/// What a terminal makes of what is written to it; of the sequences it knows those that are used.
#[derive(Default)]
struct Glass {
    lines: Vec<String>,
    row: usize,
    /// Each state of the whole that was there before something was wiped.
    wiped: Vec<String>,
    /// Sequences that change more than the place and the colour of what follows.
    unknown: Vec<String>,
}

impl Glass {
    fn of(text: &str) -> Self {
        let mut glass = Self { lines: vec![String::new()], ..Self::default() };
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            match c {
                '\n' => glass.down(),
                '\r' => {}
                '\u{1b}' => glass.sequence(&mut rest),
                c => glass.lines[glass.row].push(c),
            }
        }
        glass
    }

    fn down(&mut self) {
        self.row += 1;
        if self.row == self.lines.len() {
            self.lines.push(String::new());
        }
    }

    fn sequence(&mut self, rest: &mut std::str::Chars<'_>) {
        let body: String = rest.by_ref().take(1).collect();
        let mut sequence = body.clone();
        let last = loop {
            let c = rest.next().unwrap_or('?');
            sequence.push(c);
            if c.is_ascii_alphabetic() {
                break c;
            }
        };
        let number = sequence[1..sequence.len() - 1].parse().unwrap_or(1);
        match (body.as_str(), last) {
            ("[", 'm') => {}
            ("[", 'A') => self.row -= number,
            ("[", 'J') => {
                self.wiped.push(self.lines.join("\n"));
                self.lines.truncate(self.row);
                self.lines.push(String::new());
            }
            _ => self.unknown.push(sequence),
        }
    }
}

/// Runs it on a terminal; it is told to end after `interrupted`, if at all.
fn seen(command: &mut Command, rows: u16, interrupted: Option<Duration>) -> (Option<i32>, Glass) {
    let (mut ours, theirs) = terminal(rows);
    let modes = format!("{:?}", tcgetattr(&theirs).unwrap());
    let mut child =
        command.env("TERM", "xterm").env_remove("NO_COLOR").stderr(theirs).spawn().unwrap();
    let reader = thread::spawn(move || {
        let mut bytes = Vec::new();
        // The last writer's end is an error here.
        let _ = ours.read_to_end(&mut bytes);
        (String::from_utf8(bytes).unwrap(), ours)
    });
    if let Some(after) = interrupted {
        thread::sleep(after);
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    }
    let status = child.wait().unwrap().code();
    // Our own copy of their end went with the command's.
    *command = Command::new("true");
    let (text, ours) = reader.join().unwrap();
    assert_eq!(format!("{:?}", tcgetattr(&ours).unwrap()), modes, "its modes are as before");
    (status, Glass::of(&text))
}

fn lab(rows: u16, interrupted: Option<Duration>) -> (Option<i32>, Glass) {
    let folder = tempfile::tempdir().unwrap();
    let out = format!("--out={}", folder.path().display());
    let mut command = halfopen(&["lab", "--quick", "--message-rate=2k/s", &out]);
    seen(&mut command, rows, interrupted)
}

#[test]
fn a_run_is_drawn_and_leaves_the_terminal_as_it_was() {
    let (status, glass) = lab(40, None);
    assert_eq!(status, Some(0), "{:?}", glass.lines);
    assert!(glass.unknown.is_empty(), "{:?}", glass.unknown);
    let frames = glass.wiped.join("\n");
    for told in
        ["connections  ", "messages/s ", "latency p50 ", "killed, ", "detected, ", "own sends"]
    {
        assert!(frames.contains(told), "no {told:?} in {frames}");
    }
    for line in frames.lines() {
        assert!(line.chars().count() < COLUMNS.into(), "too wide: {line}");
    }
    let left = glass.lines.join("\n");
    assert!(!left.contains("own sends"), "the picture is gone: {left}");
}

#[test]
fn an_interrupted_run_takes_its_picture_away() {
    let (status, glass) = lab(40, Some(Duration::from_millis(1_500)));
    assert_eq!(status, Some(130), "{:?}", glass.lines);
    assert!(glass.unknown.is_empty(), "{:?}", glass.unknown);
    assert!(!glass.lines.join("\n").contains("connections  "), "{:?}", glass.lines);
}

#[test]
fn a_low_terminal_gets_a_few_lines() {
    let (status, glass) = lab(12, None);
    assert_eq!(status, Some(0), "{:?}", glass.lines);
    let frames = glass.wiped.join("\n");
    assert!(frames.contains("connections") && !frames.contains("own sends"), "{frames}");
}
