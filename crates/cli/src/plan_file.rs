//! `--plan FILE`: flags out of a file, as if they had been typed.
//!
//! The file is TOML with the flags' names, or the `report.json` of a run, which is done again. What
//! stands in it goes onto the command line where that does not say otherwise, before anybody reads
//! it: so values are checked, and wrong ones answered, in one place.

mod report_json;
mod toml_file;

use crate::args::Cli;
use crate::exit::Failure;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// A flag and its values; none: it is a switch.
#[derive(Debug, PartialEq, Eq)]
struct Planned {
    id: String,
    values: Vec<String>,
}

/// The command line with what the plan adds to it; none: it names no plan.
///
/// # Errors
/// The file cannot be read, or holds what is no flag of the command.
pub(crate) fn expand(args: &[OsString]) -> Result<Option<Vec<OsString>>, Failure> {
    let Some((file, without)) = take_plan(args) else { return Ok(None) };
    let lenient = lenient();
    let name = without.get(1).and_then(|name| name.to_str()).unwrap_or_default();
    let Some(command) = lenient.find_subcommand(name).filter(|command| has_plan(command)) else {
        return Ok(None);
    };
    // What is wrong on the command line itself is answered by whoever reads it.
    let Ok(given) = lenient.clone().try_get_matches_from(&without) else { return Ok(None) };
    let given = given.subcommand_matches(name).expect("it was found by that name");
    let is_given = |planned: &Planned| is_explicit(given, &planned.id);
    let mut planned = read(&file, command)?;
    planned.retain(|planned| !is_given(planned));
    report_json::refuse_hidden(&planned)?;
    let added = planned.iter().flat_map(|planned| typed(command, planned));
    let line = without.iter().cloned().chain(added.map(OsString::from));
    Ok(Some(line.collect()))
}

fn read(file: &Path, command: &Command) -> Result<Vec<Planned>, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::usage(format!("the plan {} cannot be read: {error}", file.display()))
            .next("name a TOML file with flags, or the report.json of a run")
    })?;
    let read = match text.trim_start().starts_with('{') {
        true => report_json::flags(&text, command),
        false => toml_file::flags(&text, command),
    };
    read.map_err(|failure| Failure {
        cause: format!("the plan {}: {}", file.display(), failure.cause),
        ..failure
    })
}

/// The plan's file, and the line without it.
fn take_plan(args: &[OsString]) -> Option<(PathBuf, Vec<OsString>)> {
    let at = args.iter().position(|arg| {
        arg == FLAG || arg.to_str().is_some_and(|arg| arg.starts_with("--plan="))
    })?;
    let mut without = args.to_vec();
    let flag = without.remove(at);
    let file = match flag.to_str().and_then(|flag| flag.strip_prefix("--plan=")) {
        Some(file) => file.into(),
        None if at < without.len() => without.remove(at),
        None => return None,
    };
    Some((file.into(), without))
}

/// All commands, wanting no URL: it may stand in the plan.
fn lenient() -> Command {
    Cli::command().mut_subcommand("load", |load| load.mut_arg(URL, |url| url.required(false)))
}

fn has_plan(command: &Command) -> bool {
    command.get_arguments().any(|arg| arg.get_long() == Some("plan"))
}

fn is_explicit(matches: &ArgMatches, id: &str) -> bool {
    let known = matches.ids().any(|known| known.as_str() == id);
    known && matches.value_source(id) == Some(ValueSource::CommandLine)
}

/// As it would be typed.
fn typed(command: &Command, planned: &Planned) -> Vec<String> {
    let arg = command.get_arguments().find(|arg| arg.get_id() == planned.id.as_str());
    let Some(flag) = arg.and_then(|arg| arg.get_long()) else { return planned.values.clone() };
    match &planned.values[..] {
        [] => vec![format!("--{flag}")],
        values => values.iter().map(|value| format!("--{flag}={value}")).collect(),
    }
}

const FLAG: &str = "--plan";
const URL: &str = "url";

/// What names the run and its place, or a machine, and not what is done; and the plan itself.
const NOT_PLANNED: [&str; 4] = ["plan", "out", "server_pid", "help"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// The line that is read in place of the one that was typed.
    pub(super) fn line(plan: &str, typed: &str) -> Result<String, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), plan).unwrap();
        let plan = format!("--plan={}", file.path().display());
        let words = typed.split_whitespace().map(String::from).chain([plan]);
        let words: Vec<OsString> = words.map(OsString::from).collect();
        let expanded = expand(&words).map_err(|failure| failure.to_string())?;
        let words = expanded.expect("there is a plan").into_iter();
        Ok(words.map(|word| word.into_string().unwrap()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn what_is_typed_goes_before_what_is_planned() {
        let plan = "url = 'ws://h/'\nconnections = '1k'\nkill = ['fin=1', 'mute=2']\n";
        let alone = line(plan, "halfopen load").unwrap();
        assert_eq!(alone, "halfopen load --connections=1k --kill=fin=1 --kill=mute=2 ws://h/");
        let typed = line(plan, "halfopen load -c5 --kill=fin=7 ws://g/").unwrap();
        assert_eq!(typed, "halfopen load -c5 --kill=fin=7 ws://g/");
    }

    #[test]
    fn a_line_without_a_plan_is_left_alone() {
        let words = ["halfopen", "load", "ws://h/"].map(OsString::from);
        assert!(expand(&words).unwrap().is_none());
        let words = ["halfopen", "serve", "--plan", "x"].map(OsString::from);
        assert!(expand(&words).unwrap().is_none(), "it has none, and says so itself");
    }

    #[test]
    fn a_plan_that_is_not_there_is_named() {
        let words = ["halfopen", "load", "--plan", "/no/plan.toml"].map(OsString::from);
        let error = expand(&words).unwrap_err().to_string();
        assert!(error.contains("/no/plan.toml") && error.contains("report.json"), "{error}");
    }
}
