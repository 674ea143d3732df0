//! A plan in TOML: the flags' names without their dashes, and `url`.

use super::{NOT_PLANNED, Planned, URL};
use crate::exit::Failure;
use crate::units::nearest;
use clap::{Arg, ArgAction, Command};
use toml::{Table, Value};

/// The flags that stand in `text`.
pub(super) fn flags(text: &str, command: &Command) -> Result<Vec<Planned>, Failure> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        Failure::usage(format!("not TOML: {}", error.to_string().trim_end()))
            .next("write a flag a line, such as connections = \"10k\"")
    })?;
    let mut planned = Vec::new();
    for (key, value) in &table {
        planned.extend(flag(find(key, command)?, key, value)?);
    }
    Ok(planned)
}

fn find<'a>(key: &str, command: &'a Command) -> Result<&'a Arg, Failure> {
    let named = |arg: &&Arg| name(arg) == key && !NOT_PLANNED.contains(&arg.get_id().as_str());
    command.get_arguments().find(named).ok_or_else(|| {
        let names = command.get_arguments().map(name);
        let meant = nearest(key, names).map(|near| format!("; is '{near}' meant?"));
        Failure::usage(format!("no flag is called '{key}'{}", meant.unwrap_or_default())).next(
            format!(
                "keys are the flags of `halfopen {}` without their dashes, and url",
                command.get_name()
            ),
        )
    })
}

fn name(arg: &Arg) -> &str {
    arg.get_long().unwrap_or(URL)
}

/// None: a switch that is off.
fn flag(arg: &Arg, key: &str, value: &Value) -> Result<Option<Planned>, Failure> {
    let id = arg.get_id().to_string();
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let takes_several = matches!(arg.get_action(), ArgAction::Append);
    let wrong = |wanted: &str| {
        Err(Failure::usage(format!("{key} wants {wanted}, and not a {}", value.type_str())))
    };
    let values = match value {
        Value::Boolean(on) if is_switch => {
            return Ok(on.then_some(Planned { id, values: Vec::new() }));
        }
        _ if is_switch => return wrong("true or false"),
        Value::Array(list) if takes_several => list.iter().map(scalar).collect(),
        Value::Table(table) if takes_several => {
            table.iter().map(|(key, value)| Some(format!("{key}={}", scalar(value)?))).collect()
        }
        one => scalar(one).map(|one| vec![one]),
    };
    match values {
        Some(values) => Ok(Some(Planned { id, values })),
        None if takes_several => wrong("a text, a list of them, or a table"),
        None => wrong("a text or a number"),
    }
}

/// As it would be typed.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::line;

    #[test]
    fn texts_numbers_switches_lists_and_tables_are_flags() {
        let plan = "
            url = 'ws://h/{n}'
            seed = 7
            closed-loop = true
            header = ['A: 1', 'B: 2']
            [kill]
            blackhole = '10%'
            freeze = 5
        ";
        let line = line(plan, "halfopen load -q").unwrap();
        for words in ["ws://h/{n}", "--seed=7", "--closed-loop", "--header=A: 1", "--header=B: 2"] {
            assert!(line.contains(words), "{line}");
        }
        assert!(line.contains("--kill=blackhole=10% --kill=freeze=5"), "{line}");
        assert_eq!(
            super::super::tests::line("closed-loop = false", "halfopen load").unwrap(),
            "halfopen load"
        );
    }

    #[test]
    fn an_unknown_key_is_answered_with_the_nearest() {
        let told = |plan: &str| line(plan, "halfopen load ws://h").unwrap_err();
        assert!(told("connection = 5").contains("is 'connections' meant?"));
        assert!(told("connect_rate = '1k'").contains("is 'connect-rate' meant?"));
        assert!(told("out = 'x'").contains("no flag is called 'out'"));
        assert!(told("seed = [1]").contains("a text or a number"));
        assert!(told("closed-loop = 1").contains("true or false"));
        assert!(told("= 5").contains("not TOML"));
        let lab = line("subprotocol = 'x'", "halfopen lab").unwrap_err();
        assert!(lab.contains("halfopen lab"), "{lab}");
    }
}
