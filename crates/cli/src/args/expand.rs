//! Flags that take several values, written one after the other: `--kill fin=10 freeze=10 ws://…`.
//!
//! The parser of the command line would take everything up to the next flag, the URL included. So
//! such flags are repeated before it sees them: `--kill fin=10 --kill freeze=10 ws://…`.

use std::ffi::OsString;

/// Repeats the flags of several values before each of their values.
pub(crate) fn expand(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut expanded = Vec::new();
    let mut args = args.into_iter().peekable();
    while let Some(arg) = args.next() {
        let flag = SEVERAL.iter().find(|(flag, _)| {
            arg == *flag || arg.to_str().is_some_and(|a| a.starts_with(&format!("{flag}=")))
        });
        let alone = flag.is_some_and(|(flag, _)| arg == *flag);
        expanded.push(arg);
        let Some((flag, belongs)) = flag else { continue };
        if alone && let Some(first) = args.next() {
            expanded.push(first);
        }
        while let Some(value) = args.next_if(|value| value.to_str().is_some_and(belongs)) {
            expanded.extend([OsString::from(flag), value]);
        }
    }
    expanded
}

/// `fin=10`, but no URL with a query.
fn is_kill(text: &str) -> bool {
    text.split_once('=')
        .is_some_and(|(kind, _)| !kind.is_empty() && kind.chars().all(|c| c.is_ascii_lowercase()))
}

fn is_pid(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

/// `NAME=CMD`, where no flag begins.
fn is_server(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| name.starts_with(char::is_alphanumeric))
}

/// A flag of several values, and which of the words that follow belong to it.
type Several = (&'static str, fn(&str) -> bool);

const SEVERAL: [Several; 3] =
    [("--kill", is_kill), ("--server-pid", is_pid), ("--server", is_server)];

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(line: &str) -> String {
        let words = expand(line.split(' ').map(OsString::from));
        words.join(" ".as_ref()).into_string().unwrap()
    }

    #[test]
    fn each_value_gets_its_own_flag() {
        let cases = [
            ("lab --kill fin=1 mute=10% -q", "lab --kill fin=1 --kill mute=10% -q"),
            ("load --kill fin=1 ws://h/?a=b", "load --kill fin=1 ws://h/?a=b"),
            ("load --kill=fin=1 mute=2 ws://h", "load --kill=fin=1 --kill mute=2 ws://h"),
            ("load --server-pid 1 2 ws://h", "load --server-pid 1 --server-pid 2 ws://h"),
            ("lab --server a=x b=y -c1", "lab --server a=x --server b=y -c1"),
            ("lab --server-ping a=1s/1s b=c", "lab --server-ping a=1s/1s b=c"),
            ("lab --kill", "lab --kill"),
            ("lab --seed 1", "lab --seed 1"),
        ];
        for (typed, seen) in cases {
            assert_eq!(expanded(typed), seen);
        }
    }
}
