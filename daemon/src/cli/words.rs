//! Command lines in variables: `$EDITOR`, `$PAGER`.

/// Splits a command line into words. Blanks separate; single and double quotes hold together; a
/// backslash is an ordinary character, as Windows paths need it.
pub(super) fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for char in line.chars() {
        match (quote, char) {
            (Some(open), char) if open == char => quote = None,
            (None, '"' | '\'') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (None, char) if char.is_whitespace() => words.extend(word.take()),
            (_, char) => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(split("less -FRX"), ["less", "-FRX"]);
        assert_eq!(
            split(r#""C:\Program Files\e.exe" -w"#),
            [r"C:\Program Files\e.exe", "-w"]
        );
        assert_eq!(split("a 'b c'd ''"), ["a", "b cd", ""]);
        assert!(split("  ").is_empty());
    }
}
