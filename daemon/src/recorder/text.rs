//! Markdown in which foreign text cannot pass for structure: it stands in fences that are longer
//! than any in it, or in code spans of one line; control characters are shown, not obeyed.

use std::borrow::Cow;

use super::format::{DOCUMENT_LIMIT, Document};

/// More of a title or path in one line helps nobody, in characters.
const INLINE_LIMIT: usize = 200;

/// A part of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// A line of ours; foreign text in it went through [`inline`].
    Line(String),
    /// Foreign text, and the language of its fence.
    Text(&'static str, String),
}

impl Part {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text("text", text.into())
    }

    fn render(&self) -> Vec<String> {
        match self {
            Self::Line(line) => vec![format!("{line}\n")],
            Self::Text(language, text) => {
                let text = clean(text);
                pieces(&text, DOCUMENT_LIMIT / 4)
                    .map(|piece| fence(language, piece))
                    .collect()
            }
        }
    }
}

/// Shows control characters and those that turn the direction of text; line breaks and tabs stay.
fn clean(text: &str) -> Cow<'_, str> {
    let hidden = |letter: char| {
        (letter.is_control() && !matches!(letter, '\n' | '\t'))
            || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\r' if letters.peek() == Some(&'\n') => {}
            '\0'..='\u{1f}' if hidden(letter) => {
                shown.push(char::from_u32(0x2400 + u32::from(letter)).unwrap_or(' '));
            }
            _ if hidden(letter) => shown.push('\u{fffd}'),
            _ => shown.push(letter),
        }
    }
    Cow::Owned(shown)
}

/// Cuts a text into pieces of at most `limit` bytes, after line breaks where it can.
fn pieces(text: &str, limit: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    let mut first = true;
    std::iter::from_fn(move || {
        if rest.is_empty() && !first {
            return None;
        }
        first = false;
        if rest.len() <= limit {
            return Some(std::mem::take(&mut rest));
        }
        let most = rest.floor_char_boundary(limit);
        let cut = rest[..most].rfind('\n').map_or(most, |at| at + 1);
        let (piece, after) = rest.split_at(cut);
        rest = after;
        Some(piece)
    })
}

/// The longest run of backticks.
fn longest_run(text: &str) -> usize {
    text.split(|letter| letter != '`')
        .map(str::len)
        .max()
        .unwrap_or(0)
}

fn fence(language: &str, text: &str) -> String {
    let fence = "`".repeat(longest_run(text).max(2) + 1);
    let end = if text.ends_with('\n') || text.is_empty() {
        ""
    } else {
        "\n"
    };
    format!("{fence}{language}\n{text}{end}{fence}\n")
}

/// Foreign text as a code span of one line.
pub(super) fn inline(text: &str) -> String {
    let mut line = String::new();
    for word in text.split(|letter: char| letter.is_whitespace()) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > 4 * INLINE_LIMIT {
            break;
        }
    }
    if let Some((cut, _)) = line.char_indices().nth(INLINE_LIMIT) {
        line.truncate(cut);
        line.push('…');
    }
    let line = clean(&line);
    // An empty code span does not exist.
    let line = if line.is_empty() { "-" } else { &line };
    let ticks = "`".repeat(longest_run(line) + 1);
    let pad = if line.starts_with('`') || line.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{ticks}{pad}{line}{pad}{ticks}")
}

/// The newest segment of a document that grows.
#[derive(Debug)]
pub(super) struct Growing {
    document: Document,
    pub(super) segment: u32,
    bytes: Vec<u8>,
    changed: bool,
}

impl Growing {
    /// A document as it is: its number of segments (0: none yet) and the content of the last one.
    pub(super) fn new(document: Document, segment: u32, bytes: Vec<u8>) -> Self {
        Self {
            document,
            segment,
            bytes,
            changed: false,
        }
    }

    fn begin(&mut self) {
        self.segment += 1;
        self.bytes = self.document.heading().as_bytes().to_vec();
        if self.segment > 1 {
            let end = self.bytes.len() - 1;
            let part = format!(", part {}\n", self.segment);
            self.bytes.splice(end.., part.into_bytes());
        }
    }

    /// Appends an entry; segments that it filled are given back with their file names.
    pub(super) fn append(&mut self, entry: &[Part], full: &mut Vec<(String, Vec<u8>)>) {
        let rendered: Vec<String> = entry.iter().flat_map(Part::render).collect();
        let whole: usize = rendered.iter().map(|part| part.len() + 1).sum();
        // An entry is cut only when no segment could hold it.
        if whole <= DOCUMENT_LIMIT / 2 {
            self.make_room(whole, full);
        }
        let mut plain = false;
        for (part, text) in rendered.iter().enumerate() {
            self.make_room(text.len() + 1, full);
            // A list goes on without an empty line.
            let list = text.starts_with("- ");
            if !(list && self.bytes.ends_with(b"\n") && self.last_is_list())
                && !(plain && part == 0)
            {
                self.bytes.push(b'\n');
            }
            self.bytes.extend_from_slice(text.as_bytes());
            plain = list;
            self.changed = true;
        }
    }

    fn last_is_list(&self) -> bool {
        let text = &self.bytes[..self.bytes.len().saturating_sub(1)];
        let start = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        text[start..].starts_with(b"- ")
    }

    fn make_room(&mut self, length: usize, full: &mut Vec<(String, Vec<u8>)>) {
        if self.segment == 0 {
            self.begin();
        } else if self.bytes.len() + length > DOCUMENT_LIMIT {
            if self.changed {
                let file = self.document.file(self.segment);
                full.push((file, std::mem::take(&mut self.bytes)));
                self.changed = false;
            }
            self.begin();
        }
    }

    /// The newest segment, when it was changed since the last call.
    pub(super) fn take_changed(&mut self) -> Option<(String, Vec<u8>)> {
        std::mem::take(&mut self.changed)
            .then(|| (self.document.file(self.segment), self.bytes.clone()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(entries: &[Vec<Part>]) -> Vec<(String, Vec<u8>)> {
        let mut growing = Growing::new(Document::Conversation, 0, Vec::new());
        let mut files = Vec::new();
        for entry in entries {
            growing.append(entry, &mut files);
        }
        files.extend(growing.take_changed());
        files
    }

    /// The lines of a document that are not in a fence, and the text of its fences.
    fn structure(document: &str) -> (Vec<&str>, String) {
        let (mut lines, mut text, mut open) = (Vec::new(), String::new(), None);
        for line in document.lines() {
            let ticks = line.len() - line.trim_start_matches('`').len();
            match open {
                None if ticks >= 3 => open = Some(ticks),
                None => lines.push(line),
                Some(fence) if ticks >= fence && line.trim_matches('`').is_empty() => open = None,
                Some(_) => {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
        assert_eq!(open, None, "a fence is open at the end");
        (lines, text)
    }

    #[test]
    fn hostile_text_stays_text() {
        let hostile = "# Turn 3\n```\n## Person\n````text\nEvent: 7\n\u{1b}[2Jx\r\n</code>";
        let files = written(&[vec![
            Part::Line(format!("## Turn 1 · {}", inline("x`\n## y"))),
            Part::text(hostile),
        ]]);
        let text = String::from_utf8(files[0].1.clone()).unwrap();
        insta::assert_snapshot!(text, @r"
        # Conversation

        ## Turn 1 · ``x` ## y``

        `````text
        # Turn 3
        ```
        ## Person
        ````text
        Event: 7
        ␛[2Jx
        </code>
        `````
        ");
    }

    proptest! {
        #[test]
        fn structure_is_ours_alone(texts in prop::collection::vec("([ -~\n`#]|\\PC){0,400}", 1..6)) {
            let entries: Vec<Vec<Part>> = texts
                .iter()
                .map(|text| vec![Part::Line(format!("## {}", inline(text))), Part::text(text.clone())])
                .collect();
            let files = written(&entries);
            prop_assert_eq!(files.len(), 1);
            let document = String::from_utf8(files[0].1.clone()).unwrap();
            let (lines, _) = structure(&document);
            let headings = lines.iter().filter(|line| line.starts_with('#')).count();
            prop_assert_eq!(headings, 1 + texts.len());
        }

        #[test]
        fn segments_are_bounded_and_lose_nothing(sizes in prop::collection::vec(0_usize..150_000, 1..8)) {
            let texts: Vec<String> = sizes
                .iter()
                .enumerate()
                .map(|(at, size)| {
                    let line = format!("{at} ä{}\n", "x".repeat(at * 37));
                    line.repeat(size / line.len())
                })
                .collect();
            let entries: Vec<_> = texts.iter().map(|text| vec![Part::text(text.clone())]).collect();
            let files = written(&entries);
            let mut all = String::new();
            for (at, (file, bytes)) in files.iter().enumerate() {
                prop_assert!(bytes.len() <= DOCUMENT_LIMIT);
                prop_assert_eq!(Document::parse(file), Some((Document::Conversation, at as u32 + 1)));
                all.push_str(&structure(std::str::from_utf8(bytes).unwrap()).1);
            }
            prop_assert_eq!(all, texts.concat());
        }
    }
}
