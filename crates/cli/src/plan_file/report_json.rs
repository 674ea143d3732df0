//! The plan of a run that was published: the flags that it was started with.

use super::{NOT_PLANNED, Planned, is_explicit, lenient};
use crate::args::expand;
use crate::exit::Failure;
use clap::{ArgAction, ArgMatches, Command};
use halfopen_loadgen::plan::Header;
use halfopen_loadgen::report::schema::SCHEMA;
use serde_json::Value;
use std::ffi::OsString;

/// The flags of the run whose report `text` is.
pub(super) fn flags(text: &str, command: &Command) -> Result<Vec<Planned>, Failure> {
    let no_report = |why: String| {
        Failure::usage(format!("no report of this program: {why}"))
            .next("name the report.json of a run, or a TOML file with flags")
    };
    let report: Value = serde_json::from_str(text).map_err(|error| no_report(error.to_string()))?;
    if report["schema"] != SCHEMA {
        return Err(no_report(format!("its schema is {}", report["schema"])));
    }
    let argv = report["argv"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let argv = expand(argv.map(OsString::from));
    let ran = argv.get(1).and_then(|name| name.to_str()).unwrap_or_default();
    if ran != command.get_name() {
        return Err(Failure::usage(format!("it was made by `halfopen {ran}`"))
            .next(format!("halfopen {ran} --plan FILE does it again")));
    }
    let matches = lenient().try_get_matches_from(&argv).map_err(|error| {
        no_report(format!("its command cannot be read: {}", error.to_string().trim_end()))
    })?;
    let matches = matches.subcommand_matches(ran).expect("it ran that");
    Ok(given(command, matches, &report["plan"]))
}

fn given(command: &Command, matches: &ArgMatches, plan: &Value) -> Vec<Planned> {
    let given = command.get_arguments().filter(|arg| {
        let id = arg.get_id().as_str();
        !NOT_PLANNED.contains(&id) && is_explicit(matches, id)
    });
    let planned = given.map(|arg| {
        let id = arg.get_id().to_string();
        let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
        let raw = matches.get_raw(&id).filter(|_| !is_switch);
        let text = |value: &std::ffi::OsStr| value.to_string_lossy().into_owned();
        let values = raw.into_iter().flatten().map(text);
        let values = values.map(|value| from_file(&id, value, plan)).collect();
        Planned { id, values }
    });
    planned.collect()
}

/// A hello that came from a file is told by the plan: the file is somewhere else.
fn from_file(id: &str, value: String, plan: &Value) -> String {
    match plan["hello"].as_str() {
        Some(hello) if id == "hello" && value.starts_with('@') => hello.into(),
        _ => value,
    }
}

/// A secret that the report has left out has to be given anew.
pub(super) fn refuse_hidden(planned: &[Planned]) -> Result<(), Failure> {
    let headers = planned.iter().filter(|planned| planned.id == "header");
    let mut headers = headers.flat_map(|planned| &planned.values).filter_map(|h| h.parse().ok());
    match headers.find(Header::is_hidden) {
        None => Ok(()),
        Some(Header { name, .. }) => {
            Err(Failure::usage(format!("the report leaves out the value of {name}"))
                .next(format!("give all headers with -H, among them -H '{name}: …'")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::line;
    use serde_json::json;

    fn report(argv: &str, plan: serde_json::Value) -> String {
        let argv: Vec<_> = argv.split(' ').collect();
        json!({ "schema": "halfopen.report/1", "argv": argv, "plan": plan }).to_string()
    }

    #[test]
    fn a_report_is_done_again_but_for_its_place_and_the_pids() {
        let ran =
            "/x/halfopen load -c5 --kill fin=1 mute=2 ws://h/ --out /x --server-pid 7 8 --json";
        let line = line(&report(ran, json!({})), "halfopen load --seed=3").unwrap();
        let expected = "halfopen load --seed=3 ws://h/ --connections=5 --kill=fin=1 --kill=mute=2";
        let mut words = [line.split(' ').collect::<Vec<_>>(), expected.split(' ').collect()];
        words.iter_mut().for_each(|words| words.sort_unstable());
        assert_eq!(words[0], words[1]);
    }

    #[test]
    fn a_hello_from_a_file_is_told_by_the_plan() {
        let report = report("halfopen load ws://h/ --hello=@gone", json!({ "hello": "hi" }));
        assert!(line(&report, "halfopen load").unwrap().contains("--hello=hi"));
    }

    #[test]
    fn a_secret_is_not_sent_as_stars() {
        let report = report("halfopen load ws://h/ -HCookie:***", json!({}));
        let error = line(&report, "halfopen load").unwrap_err();
        assert!(error.contains("Cookie"), "{error}");
        assert!(line(&report, "halfopen load -HCookie:a").unwrap().contains("-HCookie:a"));
    }

    #[test]
    fn other_documents_and_other_commands_are_refused() {
        let error = line("{}", "halfopen load ws://h").unwrap_err();
        assert!(error.contains("no report of this program"), "{error}");
        let error =
            line(&report("halfopen lab -c5", json!({})), "halfopen load ws://h").unwrap_err();
        assert!(error.contains("made by `halfopen lab`"), "{error}");
        assert!(
            line(&report("halfopen lab -c5", json!({})), "halfopen lab")
                .unwrap()
                .ends_with("--connections=5")
        );
    }
}
