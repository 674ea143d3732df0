//! Where a result is written: a folder of its own, named by its date.

use anyhow::Context;
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};

/// Makes the folder `<date>-<name>` in `out` with `<name>.json` and the page as `README.md`, and
/// prints where it is. Without `out` it prints the JSON document. `started` is RFC 3339.
///
/// # Errors
/// The folder or a file cannot be written.
pub fn publish(
    out: Option<&Path>,
    started: &str,
    name: &str,
    document: &impl Serialize,
    page: &str,
) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(document)?;
    let Some(out) = out else {
        println!("{json}");
        return Ok(());
    };
    let folder = make(out, started, name)?;
    fs::write(folder.join(format!("{name}.json")), json + "\n")?;
    fs::write(folder.join("README.md"), page)?;
    println!("{}", folder.display());
    Ok(())
}

/// Makes the folder, with a number behind its name if there is one already.
fn make(out: &Path, started: &str, name: &str) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
    let date = started.split('T').next().unwrap_or_default();
    let names = (1..).map(|n| match n {
        1 => format!("{date}-{name}"),
        n => format!("{date}-{name}-{n}"),
    });
    for folder in names.map(|name| out.join(name)) {
        if !folder.exists() {
            fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
            return Ok(folder);
        }
    }
    unreachable!("there is always another number")
}

/// What to type to measure the same with the program `name` of these benches, as it is built by
/// `cargo build --release -p halfopen -p halfopen-benches`. Where the result went is left out, and
/// what lies below the present folder is told from there.
pub fn command(name: &str) -> Vec<String> {
    let program = format!("./target/release/{name}");
    let here = std::env::current_dir().unwrap_or_default();
    let args = without_out(std::env::args().skip(1));
    [program].into_iter().chain(args.into_iter().map(|arg| from(&here, arg))).collect()
}

fn from(here: &Path, arg: String) -> String {
    match Path::new(&arg).strip_prefix(here) {
        Ok(rest) if !here.as_os_str().is_empty() => format!("./{}", rest.display()),
        _ => arg,
    }
}

fn without_out(args: impl Iterator<Item = String>) -> Vec<String> {
    let mut is_folder = false;
    let stays = |arg: &String| {
        let drop = std::mem::take(&mut is_folder) || arg == "--out" || arg.starts_with("--out=");
        is_folder = arg == "--out";
        !drop
    };
    args.filter(stays).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_does_not_tell_where_the_result_went() {
        let left = |line: &str| without_out(line.split(' ').map(str::to_owned)).join(" ");
        assert_eq!(left("--quiet 5 --out here --driver=epoll"), "--quiet 5 --driver=epoll");
        assert_eq!(left("--out=here --json"), "--json");
        assert_eq!(left("--victims 5"), "--victims 5");
    }

    #[test]
    fn the_command_does_not_tell_where_it_was_given() {
        let there = |arg: &str| from(Path::new("/somewhere/halfopen"), arg.to_owned());
        assert_eq!(
            there("/somewhere/halfopen/target/release/halfopen"),
            "./target/release/halfopen"
        );
        assert_eq!(there("--driver"), "--driver");
        assert_eq!(there("/elsewhere/x"), "/elsewhere/x");
        assert_eq!(from(Path::new(""), "--json".into()), "--json");
    }
}
