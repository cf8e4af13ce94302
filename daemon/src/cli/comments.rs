//! Line comments of a review: on the command line and in the editor.

use spectask_protocol::{Document, DocumentKind, LineComment};

/// Reads `DOCUMENT:LINE:TEXT` or `DOCUMENT:TEXT`.
///
/// # Errors
/// A sentence for the person when the document is unknown, the line is 0 or the text is empty.
pub(super) fn parse_line_comment(argument: &str) -> Result<LineComment, String> {
    let (name, rest) = argument
        .split_once(':')
        .ok_or("expected DOCUMENT:LINE:TEXT, such as requirements:12:\"Which users?\"")?;
    let document = document(name)?;
    let (line, text) = match rest.split_once(':') {
        Some((number, text)) if number.trim().chars().all(|char| char.is_ascii_digit()) => {
            let number = number.trim();
            match number.parse::<u32>() {
                Ok(line) if line > 0 => (Some(line), text),
                _ => return Err(format!("{number:?} is no line; lines count from 1")),
            }
        }
        _ => (None, rest),
    };
    let text = text.trim();
    if text.is_empty() {
        return Err("the comment has no text".to_owned());
    }
    Ok(LineComment {
        document,
        line,
        text: text.to_owned(),
    })
}

fn document(name: &str) -> Result<DocumentKind, String> {
    let name = name.trim();
    DocumentKind::from_file_name(name)
        .or_else(|| DocumentKind::from_file_name(&format!("{name}.md")))
        .ok_or_else(|| format!("{name:?} is no document; there are requirements, design and tasks"))
}

const SCISSORS: &str = "# ---- comments above, documents below ----";

/// What the editor shows: room for comments, then the documents with line numbers.
pub(super) fn template(name: &str, revision: u32, documents: &[Document]) -> String {
    let mut text = format!(
        "

# What should be different in {name}, revision {revision}? Write it above.
# A comment on a line starts with its document and number:
#   > requirements:12 Which users?
# Lines that start with # are ignored. An empty text cancels.
{SCISSORS}
"
    );
    for document in documents {
        let file = document.kind.file_name();
        let short = file.trim_end_matches(".md");
        text.push_str(&format!("\n# {file}\n"));
        for (index, line) in document.text.lines().enumerate() {
            text.push_str(&format!("{short}:{} {line}\n", index + 1));
        }
    }
    text
}

/// Reads what a person wrote into the template.
///
/// # Errors
/// A sentence for the person when a comment names no document or line.
pub(super) fn parse_template(text: &str) -> Result<(Option<String>, Vec<LineComment>), String> {
    let mut general: Vec<&str> = Vec::new();
    let mut comments: Vec<LineComment> = Vec::new();
    let written = text.split(SCISSORS).next().unwrap_or_default();
    let mut in_comment = false;
    for line in written.lines() {
        if line.starts_with('#') {
            continue;
        }
        if let Some(comment) = line.strip_prefix('>') {
            let comment = match comment.trim().split_once(' ') {
                Some((place, text)) => {
                    parse_line_comment(&format!("{}:{text}", place.trim_end_matches(':')))
                }
                None => Err("the comment has no text".to_owned()),
            };
            let comment = comment.map_err(|error| format!("{line:?}: {error}"))?;
            comments.push(comment);
            in_comment = true;
        } else if line.trim().is_empty() {
            in_comment = false;
            general.push("");
        } else if let (true, Some(comment)) = (in_comment, comments.last_mut()) {
            comment.text.push('\n');
            comment.text.push_str(line.trim());
        } else {
            general.push(line.trim_end());
        }
    }
    let general = general.join("\n").trim().to_owned();
    Ok(((!general.is_empty()).then_some(general), comments))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comment(document: DocumentKind, line: Option<u32>, text: &str) -> LineComment {
        LineComment {
            document,
            line,
            text: text.into(),
        }
    }

    #[test]
    fn a_line_comment_names_document_line_and_text() {
        let parse = parse_line_comment;
        assert_eq!(
            parse("requirements:12: Which users?"),
            Ok(comment(
                DocumentKind::Requirements,
                Some(12),
                "Which users?"
            ))
        );
        assert_eq!(
            parse("tasks.md:3:a:b"),
            Ok(comment(DocumentKind::Tasks, Some(3), "a:b"))
        );
        assert_eq!(
            parse("design:no: too vague"),
            Ok(comment(DocumentKind::Design, None, "no: too vague"))
        );
        for bad in [
            "",
            "tasks",
            "tasks:",
            "tasks:0:x",
            "tasks:1:",
            "readme:1:x",
            "tasks:99999999999:x",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_untouched_template_says_nothing() {
        let documents = [Document {
            kind: DocumentKind::Tasks,
            text: "> quoted\n- [ ] 1. Do\n".into(),
        }];
        let text = template("7-x", 2, &documents);
        assert!(text.contains("tasks:2 - [ ] 1. Do"), "{text}");
        assert_eq!(parse_template(&text), Ok((None, vec![])));
        let filled = format!("Use tokens.\n> tasks:2 Split\n  this\n\nAnd tests.\n{text}");
        assert_eq!(
            parse_template(&filled),
            Ok((
                Some("Use tokens.\n\nAnd tests.".into()),
                vec![comment(DocumentKind::Tasks, Some(2), "Split\nthis")]
            ))
        );
        assert!(parse_template("> nowhere:1 x\n").is_err());
        assert!(parse_template("> tasks:2\n").is_err());
    }
}
