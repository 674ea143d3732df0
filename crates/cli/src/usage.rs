//! Wrong use, answered in words: what is not there yet, what is allowed, what may be meant.

use crate::args::{Cli, expand};
use crate::exit::{Exit, Failure};
use crate::units::nearest;
use crate::{argv, plan_file};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};

/// Reads the command line of this process.
///
/// # Errors
/// The exit status, when all is said: help was asked for, or the use was wrong.
pub(crate) fn parse() -> Result<Cli, Exit> {
    let typed = expand(std::env::args_os());
    let planned = plan_file::expand(&typed).map_err(|failure| {
        eprintln!("{failure}");
        failure.exit
    })?;
    if let Some(line) = &planned {
        argv::replace(line);
    }
    Cli::try_parse_from(planned.unwrap_or(typed)).map_err(|error| answer(&error))
}

fn answer(error: &clap::Error) -> Exit {
    if let Some(failure) = explain(error) {
        eprintln!("{failure}");
        return Exit::Usage;
    }
    // If the terminal is gone there is nobody left to tell.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Done,
        _ => Exit::Usage,
    }
}

/// Where we have more to say than the parser of the command line.
fn explain(error: &clap::Error) -> Option<Failure> {
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            Some(unknown_command(named(error, ContextKind::InvalidSubcommand)?))
        }
        _ => None,
    }
}

fn unknown_command(typed: &str) -> Failure {
    let command = Cli::command();
    let told = command.get_subcommands().filter(|command| !command.is_hide_set());
    let names: Vec<&str> = told.map(clap::Command::get_name).collect();
    let all = format!("the commands are: {}", names.join(" "));
    match nearest(typed, names.iter().copied()) {
        Some(near) => Failure::usage(format!("no command is called '{typed}'; is '{near}' meant?")),
        None => Failure::usage(format!("no command is called '{typed}'")),
    }
    .next(all)
}

fn named(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(name) => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(line: &str) -> String {
        let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
        explain(&error).map_or(String::new(), |failure| failure.to_string())
    }

    #[test]
    fn an_unknown_command_is_answered_with_the_nearest_and_with_all() {
        let answer = explained("halfopen laod ws://h");
        assert!(answer.contains("is 'load' meant?"), "{answer}");
        assert!(
            answer.contains("demo lab load probe serve tune calibrate report doctor"),
            "{answer}"
        );
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
