//! Text for people. Whatever goes onto a sheet is made harmless first, so that no text of an agent, a
//! document or a repository can steer the terminal.

use std::borrow::Cow;

use console::measure_text_width;

/// How a piece of text looks on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it is.
    Plain,
    /// A heading.
    Strong,
    /// Less important.
    Faint,
    /// Reached.
    Good,
    /// Under way.
    Busy,
    /// Needs a person.
    Warn,
    /// Went wrong.
    Bad,
    /// A name or a command.
    Name,
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Strong => "1",
            Self::Faint => "2",
            Self::Good => "32",
            Self::Busy => "34",
            Self::Warn => "33",
            Self::Bad => "1;31",
            Self::Name => "36",
        }
    }
}

/// A growing text with or without colours.
#[derive(Debug, Clone)]
pub(super) struct Sheet {
    text: String,
    color: bool,
}

impl Sheet {
    /// An empty sheet.
    pub(super) const fn new(color: bool) -> Self {
        Self {
            text: String::new(),
            color,
        }
    }

    /// Adds text on one line: line breaks become spaces.
    pub(super) fn put(&mut self, tone: Tone, text: &str) -> &mut Self {
        let text = one_line(text);
        self.write(tone, &text)
    }

    /// Adds plain text on one line.
    pub(super) fn plain(&mut self, text: &str) -> &mut Self {
        self.put(Tone::Plain, text)
    }

    /// Adds text that may have several lines.
    pub(super) fn block(&mut self, text: &str) -> &mut Self {
        let text = sanitize(text);
        self.text.push_str(&text);
        self
    }

    /// Adds text that the caller knows to be harmless, colours included.
    pub(super) fn trusted(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Adds text on one line in a column of that width; longer text is cut.
    pub(super) fn cell(&mut self, tone: Tone, text: &str, width: usize) -> &mut Self {
        let text = fit(&one_line(text), width);
        let pad = width.saturating_sub(measure_text_width(&text));
        self.write(tone, &text);
        self.text.extend(std::iter::repeat_n(' ', pad));
        self
    }

    /// A paragraph, its lines broken between words where there is a width.
    pub(super) fn paragraph(&mut self, tone: Tone, text: &str, width: Option<usize>) -> &mut Self {
        let text = one_line(text).into_owned();
        let width = width.unwrap_or(usize::MAX);
        let mut line = String::new();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let used = measure_text_width(&line);
            if used > 0 && used.saturating_add(1 + measure_text_width(word)) > width {
                self.write(tone, &line).end();
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.write(tone, &line).end()
    }

    /// Ends the line; blanks at its end go.
    pub(super) fn end(&mut self) -> &mut Self {
        let length = self.text.trim_end_matches(' ').len();
        self.text.truncate(length);
        self.text.push('\n');
        self
    }

    /// One whole line.
    pub(super) fn line(&mut self, tone: Tone, text: &str) -> &mut Self {
        self.put(tone, text).end()
    }

    /// Whether colours are used.
    pub(super) const fn color(&self) -> bool {
        self.color
    }

    /// The text.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn write(&mut self, tone: Tone, harmless: &str) -> &mut Self {
        if self.color && tone != Tone::Plain && !harmless.is_empty() {
            self.text.push_str("\u{1b}[");
            self.text.push_str(tone.code());
            self.text.push('m');
            self.text.push_str(harmless);
            self.text.push_str("\u{1b}[0m");
        } else {
            self.text.push_str(harmless);
        }
        self
    }
}

/// Makes text harmless for a terminal. Colour codes go; every other control character is *shown*
/// (ESC as `␛`, a bidirectional override as `<U+202E>`), since what is hidden cannot be reviewed.
pub(super) fn sanitize(text: &str) -> Cow<'_, str> {
    if is_harmless(text) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        if let Some(length) = color_code(rest) {
            rest = &rest[length..];
            continue;
        }
        rest = &rest[char.len_utf8()..];
        match char {
            '\r' if rest.starts_with('\n') => {}
            char if !is_harmful(char) => clean.push(char),
            '\u{7f}' => clean.push('\u{2421}'),
            char if char < ' ' => {
                clean.push(char::from_u32(0x2400 + u32::from(char)).unwrap_or('\u{fffd}'));
            }
            char => clean.push_str(&format!("<U+{:04X}>", u32::from(char))),
        }
    }
    Cow::Owned(clean)
}

/// Whether text can be shown as it is.
pub(super) fn is_harmless(text: &str) -> bool {
    !text.chars().any(is_harmful)
}

/// Harmless text on one line.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    let text = match sanitize(text) {
        Cow::Borrowed(text) => text.to_owned(),
        Cow::Owned(text) => text,
    };
    if text.contains(['\n', '\t']) {
        let joined = text
            .split('\n')
            .map(str::trim)
            .collect::<Vec<_>>()
            .join(" ");
        return Cow::Owned(joined.replace('\t', " "));
    }
    Cow::Owned(text)
}

/// Cuts harmless text to so many columns, with `…` at its end when something went.
pub(super) fn fit(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 0;
    for char in text.chars() {
        let columns = measure_text_width(char.encode_utf8(&mut [0; 4]));
        if used + columns + 1 > width {
            break;
        }
        used += columns;
        cut.push(char);
    }
    if width > 0 {
        cut.push('…');
    }
    cut
}

/// Breaks a harmless line into pieces of at most so many columns, at blanks where there are some;
/// pieces after the first start where the line's own indent ends.
pub(super) fn wrap(line: &str, width: usize) -> Vec<String> {
    let indent = line.len() - line.trim_start_matches(' ').len();
    let indent = if indent + 10 < width { indent } else { 0 };
    let mut pieces = Vec::new();
    let mut piece = String::new();
    let mut columns = 0;
    let mut blank = None;
    for char in line.chars() {
        let wide = measure_text_width(char.encode_utf8(&mut [0; 4]));
        if columns + wide > width && columns > indent {
            let rest = match blank {
                Some(at) => piece.split_off(at).trim_start_matches(' ').to_owned(),
                None => String::new(),
            };
            pieces.push(piece.trim_end().to_owned());
            piece = " ".repeat(indent) + &rest;
            columns = measure_text_width(&piece);
            blank = None;
        }
        if char == ' ' && columns > indent {
            blank = Some(piece.len());
        }
        if !(char == ' ' && columns == indent && !pieces.is_empty()) {
            piece.push(char);
            columns += wide;
        }
    }
    pieces.push(piece);
    pieces
}

/// The JSON of a value, with those control characters escaped that JSON itself leaves alone.
pub(super) fn json_text(value: &serde_json::Value, pretty: bool) -> String {
    let text = if pretty {
        format!("{value:#}")
    } else {
        value.to_string()
    };
    if !text.chars().any(|char| char != '\n' && is_harmful(char)) {
        return text;
    }
    // Only inside strings can they be, so an escape is right wherever they are.
    text.chars()
        .fold(String::with_capacity(text.len()), |mut safe, char| {
            if char != '\n' && is_harmful(char) {
                safe.push_str(&format!("\\u{:04x}", u32::from(char)));
            } else {
                safe.push(char);
            }
            safe
        })
}

fn is_harmful(char: char) -> bool {
    match char {
        '\n' | '\t' => false,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' => true,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        char => char.is_control(),
    }
}

/// The length of a colour code (`ESC [ digits ; … m`) at the start of the text.
fn color_code(text: &str) -> Option<usize> {
    let body = text.strip_prefix("\u{1b}[")?;
    let end = body.find(|char: char| !(char.is_ascii_digit() || char == ';' || char == ':'))?;
    body[end..].starts_with('m').then_some(2 + end + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn control_characters_are_shown_and_colours_go() {
        assert_eq!(sanitize("plain ünïcode 漢字"), "plain ünïcode 漢字");
        assert_eq!(sanitize("\u{1b}[1;31mred\u{1b}[0m"), "red");
        assert_eq!(sanitize("a\u{1b}[2Jb"), "a␛[2Jb");
        assert_eq!(sanitize("\u{1b}]0;title\u{7}rest"), "␛]0;title␇rest");
        assert_eq!(sanitize("x\u{9b}31my"), "x<U+009B>31my");
        assert_eq!(sanitize("if \u{202e}txet"), "if <U+202E>txet");
        assert_eq!(sanitize("a\r\nb\rc\td"), "a\nb␍c\td");
        assert_eq!(one_line("a\n  b\tc"), "a b c");
    }

    #[test]
    fn columns_are_cut_by_width_not_by_bytes() {
        assert_eq!(fit("漢字漢字", 5), "漢字…");
        assert_eq!(fit("short", 5), "short");
        assert_eq!(fit("longer", 5), "long…");
        assert_eq!(fit("x", 0), "");
        let mut sheet = Sheet::new(false);
        sheet.cell(Tone::Good, "漢字", 6).plain("|").end();
        assert_eq!(sheet.into_text(), "漢字  |\n");
    }

    #[test]
    fn a_paragraph_is_broken_between_words() {
        let mut sheet = Sheet::new(false);
        sheet.paragraph(Tone::Plain, "one two\nthree extraordinarily", Some(9));
        assert_eq!(sheet.into_text(), "one two\nthree\nextraordinarily\n");
    }

    #[test]
    fn a_wrapped_line_keeps_its_indent() {
        assert_eq!(
            wrap("  - one two three four", 14),
            ["  - one two", "  three four"]
        );
        assert_eq!(wrap("short", 14), ["short"]);
        assert_eq!(wrap("abcdefghijklmnop", 12), ["abcdefghijkl", "mnop"]);
        assert_eq!(wrap("", 12), [""]);
    }

    #[test]
    fn only_the_sheet_colours() {
        let mut sheet = Sheet::new(true);
        sheet
            .put(Tone::Good, "a\u{1b}[31mb")
            .plain(" ")
            .put(Tone::Plain, "c")
            .end();
        assert_eq!(sheet.into_text(), "\u{1b}[32mab\u{1b}[0m c\n");
    }

    proptest! {
        #[test]
        fn nothing_harmful_gets_through(text in any::<String>()) {
            prop_assert!(!sanitize(&text).chars().any(is_harmful));
            let line = one_line(&text).into_owned();
            prop_assert!(!line.chars().any(|char| char == '\t' || char == '\n'));
            let value = serde_json::Value::String(text.clone());
            let json = json_text(&value, true);
            prop_assert!(!json.chars().any(|char| char != '\n' && is_harmful(char)));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn wrapping_loses_no_character(text in "[a-z漢 ]{0,60}", width in 12usize..30) {
            let pieces = wrap(&text, width);
            prop_assert!(pieces.iter().all(|piece| measure_text_width(piece) <= width));
            let dense = |text: &str| text.replace(' ', "");
            prop_assert_eq!(dense(&pieces.concat()), dense(&text));
        }

        #[test]
        fn a_cell_is_as_wide_as_asked(text in "\\PC{0,30}", width in 0usize..20) {
            prop_assert!(measure_text_width(&fit(&text, width)) <= width);
        }
    }
}
