//! Text for a terminal of 80 columns.

/// Breaks `words` at blanks; the first line begins after `used` columns, the others are indented by
/// so many.
pub(crate) fn wrapped(words: &str, used: usize) -> String {
    let mut text = String::new();
    let mut column = used;
    for word in words.split_whitespace() {
        let length = word.chars().count();
        if column > used && column + 1 + length > WIDTH {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', used));
            column = used;
        } else if column > used {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text
}

const WIDTH: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_sentences_are_broken_at_blanks() {
        let text = wrapped(&"word ".repeat(40), 10);
        let mut lines = text.lines();
        assert!(lines.next().is_some_and(|line| line.len() <= WIDTH - 10));
        assert!(lines.all(|line| line.starts_with("          word") && line.len() <= WIDTH));
        assert_eq!(text.split_whitespace().count(), 40);
        assert_eq!(wrapped("a b", 2), "a b");
    }
}
