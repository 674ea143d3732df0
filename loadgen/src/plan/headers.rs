//! Fields that a run adds to the opening handshake.

use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// A field of the request, and what it holds; `{n}` in the value stands for the connection's number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Its name, a token of RFC 9110 §5.6.2.
    pub name: String,
    /// Its value, which ends no line.
    pub value: String,
}

/// What stands in a report for a value that is nobody's business.
const HIDDEN: &str = "***";

/// Fields that let their holder in.
const SECRETS: [&str; 3] = ["Authorization", "Proxy-Authorization", "Cookie"];

/// Whether the value of a field of that name is left out of reports.
pub fn is_secret(name: &str) -> bool {
    SECRETS.iter().any(|secret| secret.eq_ignore_ascii_case(name))
}

impl Header {
    /// Leaves out the value if it is a secret.
    pub fn hide(&mut self) {
        if is_secret(&self.name) {
            self.value = HIDDEN.into();
        }
    }

    /// As it stands in a report: a secret without its value.
    pub fn published(&self) -> String {
        let mut shown = self.clone();
        shown.hide();
        format!("{}: {}", shown.name, shown.value)
    }

    /// Whether a report has left out its value.
    pub fn is_hidden(&self) -> bool {
        is_secret(&self.name) && self.value == HIDDEN
    }
}

/// `Name: value`; blanks around the value do not belong to it (RFC 9110 §5.5).
impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((name, value)) = text.split_once(':') else {
            return Err("a field is written as 'NAME: VALUE', such as 'Cookie: user={n}'".into());
        };
        let in_name = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || !name.chars().all(in_name) {
            return Err("a field's name is made of letters, digits and !#$%&'*+-.^_`|~".into());
        }
        let value = value.trim_matches([' ', '\t']);
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err("a field's value holds no line break and no other control character".into());
        }
        Ok(Self { name: name.into(), value: value.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_a_name_and_what_stands_behind_the_colon() {
        for (text, name, value) in [
            ("X-One: 1", "X-One", "1"),
            ("Cookie:a=b; c=d ", "Cookie", "a=b; c=d"),
            ("Time: 10:30", "Time", "10:30"),
            ("Empty:", "Empty", ""),
        ] {
            let header: Header = text.parse().unwrap();
            assert_eq!((header.name.as_str(), header.value.as_str()), (name, value), "{text}");
        }
    }

    #[test]
    fn what_could_be_another_field_is_refused() {
        for text in ["", "X", ": x", "A B: x", "A: x\r\nB: y", "A: x\ny", "Ä: x", "A : x", "A: \0"]
        {
            assert!(text.parse::<Header>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_secret_is_published_without_its_value() {
        let published = |text: &str| text.parse::<Header>().unwrap().published();
        assert_eq!(published("authorization: Bearer x"), "authorization: ***");
        assert_eq!(published("Cookie: a=b"), "Cookie: ***");
        assert_eq!(published("X-One: 1"), "X-One: 1");
        assert!(published("Cookie: a").parse::<Header>().unwrap().is_hidden());
    }
}
