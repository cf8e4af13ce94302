//! Markdown for threads: short, and with text of others in it that cannot become markup.

/// Characters that mean something inside a line.
const INLINE: &str = r"\`*_[]<>&|~$";

/// Text of others as one line of plain text in markdown.
pub(super) fn escape(text: &str) -> String {
    begin_line(&escape_inner(&one_line(text)))
}

/// Escapes what would make a block of a line: a heading, a list, a quote, a line below a heading.
fn begin_line(line: &str) -> String {
    let text = line.trim_start();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let at = match text.as_bytes().get(digits) {
        Some(b'#' | b'+' | b'-' | b'=') if digits == 0 => 0,
        Some(b'.' | b')') if digits > 0 => digits,
        _ => return line.to_owned(),
    };
    let at = line.len() - text.len() + at;
    format!("{}\\{}", &line[..at], &line[at..])
}

fn escape_inner(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for char in clean(text).chars() {
        if INLINE.contains(char) {
            out.push('\\');
        }
        out.push(char);
    }
    out
}

/// The same, cut after so many characters.
pub(super) fn escape_short(text: &str, limit: usize) -> String {
    escape(&short(text, limit))
}

/// A name or a command in a code span.
pub(super) fn code(text: &str) -> String {
    let line = one_line(text);
    // A table would split it at a bar, whatever stands around it.
    if line.contains('|') || line.is_empty() {
        return escape(&line);
    }
    let ticks = "`".repeat(longest_run(&line, '`') + 1);
    if line.starts_with('`') || line.ends_with('`') {
        format!("{ticks} {line} {ticks}")
    } else {
        format!("{ticks}{line}{ticks}")
    }
}

/// Text in a block of its own that nothing in it can end.
pub(super) fn fence(language: &str, text: &str) -> String {
    let text = clean(text);
    let ticks = "`".repeat((longest_run(&text, '`') + 1).max(3));
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{ticks}{language}\n{text}{end}{ticks}\n")
}

/// The same with the number of each line before it.
pub(super) fn numbered(text: &str) -> String {
    let text = clean(text);
    let width = text.lines().count().to_string().len();
    let lines: String = text
        .lines()
        .enumerate()
        .map(|(index, line)| {
            let line = format!("{:>width$}  {line}", index + 1);
            format!("{}\n", line.trim_end())
        })
        .collect();
    fence("text", &lines)
}

/// A table of cells that are markdown already.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let row = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<&str> = cells.collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let mut out = row(&mut heads.iter().copied());
    out.push_str(&row(&mut heads.iter().map(|_| "---")));
    for cells in rows {
        out.push_str(&row(&mut cells.iter().map(String::as_str)));
    }
    out
}

/// Sentences for a person in which backticks mark code: code spans stay, `change` may replace what
/// is in one, everything else is plain. Lines stay lines.
pub(super) fn prose(text: &str, change: impl Fn(&str) -> Option<String>) -> String {
    let line = |line: &str| {
        let (mut out, line) = match line.strip_prefix("- ") {
            Some(rest) => ("- ".to_owned(), rest),
            None => (String::new(), line),
        };
        let mut pieces: Vec<&str> = line.split('`').collect();
        // The last of an odd number of marks opens nothing.
        let loose = pieces
            .len()
            .is_multiple_of(2)
            .then(|| pieces.pop())
            .flatten();
        for (index, piece) in pieces.iter().enumerate() {
            match index {
                0 => out.push_str(&begin_line(&escape_inner(piece))),
                index if index % 2 == 0 => out.push_str(&escape_inner(piece)),
                _ => out.push_str(&code(&change(piece).unwrap_or_else(|| (*piece).to_owned()))),
            }
        }
        if let Some(rest) = loose {
            out.push_str("\\`");
            out.push_str(&escape_inner(rest));
        }
        out
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// One line without what a screen would not show as it is.
pub(super) fn one_line(text: &str) -> String {
    clean(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At most so many characters of one line.
pub(super) fn short(text: &str, limit: usize) -> String {
    let line = one_line(text);
    match line.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

/// Lines and tabs stay; other control characters, and those that turn the direction of text or have
/// no width, become visible.
fn clean(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    text.chars()
        .map(|char| match char {
            '\n' | '\t' => char,
            '\r' => '\n',
            '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' => '\u{fffd}',
            char if char.is_control() => '\u{fffd}',
            char => char,
        })
        .collect()
}

fn longest_run(text: &str, of: char) -> usize {
    let (mut longest, mut run) = (0, 0);
    for char in text.chars() {
        run = if char == of { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_of_others_stays_text() {
        insta::assert_snapshot!(
            escape("# <img src=x> *b* [a](http://x) `c` a|b\n- x_y & \u{1b}[2J\u{202e}"),
            @r"\# \<img src=x\> \*b\* \[a\](http://x) \`c\` a\|b - x\_y \& �\[2J�"
        );
        assert_eq!(escape("12. x"), r"12\. x");
        assert_eq!(escape("1.2 x"), r"1\.2 x");
        assert_eq!(escape("- [ ] x"), r"\- \[ \] x");
        assert_eq!(escape_short("abcdef", 3), "abc…");
    }

    #[test]
    fn code_and_fences_are_longer_than_what_they_hold() {
        assert_eq!(code("7-user-auth"), "`7-user-auth`");
        assert_eq!(code("a`b``c"), "```a`b``c```");
        assert_eq!(code("`a"), "`` `a ``");
        assert_eq!(code("a|b"), r"a\|b");
        assert_eq!(fence("diff", "+a\n"), "```diff\n+a\n```\n");
        assert_eq!(
            fence("", "```\n<script>\n````x"),
            "`````\n```\n<script>\n````x\n`````\n"
        );
        insta::assert_snapshot!(numbered("# A\n\n~~~\n"), @r"
        ```text
        1  # A
        2
        3  ~~~
        ```
        ");
    }

    #[test]
    fn prose_keeps_code_and_nothing_else() {
        let same = |_: &str| None;
        assert_eq!(
            prose("see `spectask list`, *now*", same),
            r"see `spectask list`, \*now\*"
        );
        assert_eq!(prose("a\n- `b` <c>\n- d", same), "a\n- `b` \\<c\\>\n- d");
        assert_eq!(prose("odd ` mark", same), r"odd \` mark");
        let loud = |text: &str| Some(text.to_uppercase());
        assert_eq!(prose("`a` b `c`", loud), "`A` b `C`");
    }

    /// The characters of a line that are neither escaped nor in a code span.
    fn bare(markdown: &str) -> String {
        let mut bare = String::new();
        let mut chars = markdown.chars();
        while let Some(char) = chars.next() {
            if char == '\\' {
                chars.next();
            } else {
                bare.push(char);
            }
        }
        bare
    }

    proptest! {
        #[test]
        fn nothing_escapes(text in "\\PC*|[`*_<>|~#\\-\n\\\\ a1.]{0,40}") {
            let escaped = escape(&text);
            prop_assert!(!escaped.contains('\n'));
            prop_assert!(!bare(&escaped).contains(|c| INLINE.contains(c)), "{}", escaped);
            let fenced = fence("text", &text);
            let lines: Vec<&str> = fenced.lines().collect();
            let ticks = lines[0].trim_end_matches("text");
            let ends = lines[1..].iter().filter(|line| line.trim_start().starts_with(ticks));
            prop_assert_eq!(ends.count(), 1, "{}", fenced);
            prop_assert!(!code(&text).contains('\n'));
            prop_assert!(!prose(&text, |_| None).contains('<') || text.contains('<'));
            let cell = table(&["a"], &[vec![escape(&text)], vec![code(&text)]]);
            for row in cell.lines() {
                prop_assert_eq!(bare(row).matches('|').count(), 2, "{}", cell);
            }
        }
    }
}
