//! The command line as a report shows it: it reproduces the run, and tells no secret.

use halfopen_loadgen::plan::Header;
use std::ffi::OsString;
use std::sync::OnceLock;

/// The line with the flags of a plan in it, so that whoever reads a report needs no other file.
static PLANNED: OnceLock<Vec<String>> = OnceLock::new();

/// This process is to be done again by another line than the one that was typed.
pub(crate) fn replace(line: &[OsString]) {
    let words = line.iter().map(|word| word.to_string_lossy().into_owned());
    PLANNED.set(words.collect()).expect("the command line is read once");
}

/// What does this run again.
pub(crate) fn line() -> Vec<String> {
    PLANNED.get().cloned().unwrap_or_else(|| std::env::args().collect())
}

/// `args` with the values of secret fields left out.
pub(crate) fn published(args: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut after_flag = false;
    let hide = |arg: String| {
        let was_flag = std::mem::replace(&mut after_flag, FLAGS.contains(&arg.as_str()));
        let prefixes = if was_flag { &[""][..] } else { &PREFIXES };
        let Some((prefix, field)) = prefixes.iter().find_map(|&p| Some((p, arg.strip_prefix(p)?)))
        else {
            return arg;
        };
        match field.parse::<Header>() {
            Ok(header) => format!("{prefix}{}", header.published()),
            Err(_) => arg,
        }
    };
    args.into_iter().map(hide).collect()
}

/// Ways to write a field: behind the flag, or as one word with it.
const FLAGS: [&str; 2] = ["-H", "--header"];
const PREFIXES: [&str; 3] = ["--header=", "-H=", "-H"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out_however_the_flag_is_written() {
        let cases = [
            ("load ws://h -H Cookie:a", "load ws://h -H Cookie: ***"),
            ("load --header Cookie:a ws://h", "load --header Cookie: *** ws://h"),
            ("load --header=authorization:a", "load --header=authorization: ***"),
            ("load -HCookie:a -HX:b", "load -HCookie: *** -HX: b"),
            ("load -H=Cookie:a", "load -H=Cookie: ***"),
            ("load ws://h:80/ -c5", "load ws://h:80/ -c5"),
        ];
        for (typed, shown) in cases {
            let shown_as = published(typed.split(' ').map(String::from));
            assert_eq!(shown_as.join(" "), shown, "{typed}");
        }
    }
}
