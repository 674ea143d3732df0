//! What is shown on stderr while a command works: a block of a few lines that is refreshed on a
//! terminal, plain lines otherwise, nothing with `--quiet`.

use console::{Term, truncate_str};
use std::io;
use std::time::{Duration, Instant};

/// The place on stderr where a command tells how far it is.
pub(crate) struct Screen {
    /// The refreshed block; none where stderr is no terminal.
    block: Option<Block>,
    quiet: bool,
    began: Instant,
    shown: Option<(String, Instant)>,
}

/// How far a command is.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// What it is doing: `connecting`, `watching`.
    pub phase: String,
    /// What is counted, and how it stands: short enough for 80 columns.
    pub lines: Vec<(&'static str, String)>,
}

impl Screen {
    /// A screen on stderr.
    pub(crate) fn new(quiet: bool) -> Self {
        let term = Term::buffered_stderr();
        let dumb = std::env::var_os("TERM").is_none_or(|kind| kind == "dumb");
        let refreshed = !quiet && !dumb && term.features().is_attended();
        let block = refreshed.then_some(Block { term, height: 0 });
        Self { block, quiet, began: Instant::now(), shown: None }
    }

    /// Tells how far the command is: refreshes the block, or says a line when the phase has changed
    /// or some seconds have passed.
    pub(crate) fn show(&mut self, progress: &Progress) {
        let seconds = self.began.elapsed().as_secs();
        self.show_drawn(progress, |_| one_below_the_other(progress, seconds));
    }

    /// Whether there is a terminal with room for a picture.
    pub(crate) fn has_room(&self) -> bool {
        let size = self.block.as_ref().map(|block| block.term.size());
        size.is_some_and(|(rows, columns)| rows > PICTURE_ROWS && columns >= PICTURE_COLUMNS)
    }

    /// As [`show`](Self::show), where the block is a picture: `draw` is told how wide it may be.
    pub(crate) fn show_drawn(
        &mut self,
        progress: &Progress,
        draw: impl FnOnce(u16) -> Vec<String>,
    ) {
        let pause = if self.block.is_some() { REFRESH_EVERY } else { SAY_EVERY };
        let due = self
            .shown
            .as_ref()
            .is_none_or(|(phase, at)| *phase != progress.phase || at.elapsed() >= pause);
        if self.quiet || !due {
            return;
        }
        self.shown = Some((progress.phase.clone(), Instant::now()));
        match &mut self.block {
            // A terminal that is gone is nobody's loss.
            Some(block) => drop(block.draw(&draw(block.width()))),
            None => eprintln!("{}", in_a_row(progress, self.began.elapsed().as_secs())),
        }
    }

    /// Says something that stays, above the block.
    pub(crate) fn note(&mut self, line: &str) {
        self.clear();
        if !self.quiet {
            eprintln!("{line}");
        }
    }

    /// Takes the block away.
    pub(crate) fn clear(&mut self) {
        if let Some(block) = &mut self.block {
            let _ = block.draw(&[]);
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Lines that are written again and again in the same place.
///
/// The cursor rests at the beginning of the line below them: what the terminal echoes meanwhile
/// (`^C`) stands there, moves nothing, and is wiped with the rest.
struct Block {
    term: Term,
    height: usize,
}

impl Block {
    /// How wide a line may be: the cursor has to find room behind it.
    fn width(&self) -> u16 {
        self.term.size().1.saturating_sub(1)
    }

    fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        if self.height > 0 {
            self.term.move_cursor_up(self.height)?;
            self.term.write_str("\r")?;
            self.term.clear_to_end_of_screen()?;
        }
        for line in lines {
            // A line that is broken by the terminal would be two.
            self.term.write_line(&truncate_str(line, self.width().into(), "…"))?;
        }
        self.height = lines.len();
        self.term.flush()
    }
}

fn one_below_the_other(progress: &Progress, seconds: u64) -> Vec<String> {
    let head = format!("{seconds:>3} s  {}", progress.phase);
    let lines = progress.lines.iter().map(|(name, how)| format!("       {name:<15} {how}"));
    [head].into_iter().chain(lines).collect()
}

fn in_a_row(progress: &Progress, seconds: u64) -> String {
    let all: Vec<_> = progress.lines.iter().map(|(name, how)| format!("{name} {how}")).collect();
    format!("{seconds} s {}: {}", progress.phase, all.join("; "))
}

/// The least that a picture wants.
const PICTURE_ROWS: u16 = 16;
const PICTURE_COLUMNS: u16 = 60;

const REFRESH_EVERY: Duration = Duration::from_millis(200);
const SAY_EVERY: Duration = Duration::from_secs(5);
