//! Turns text from outside into parts of documents, paths and shell scripts that cannot break them.

use std::path::{Component, Path};

const MAX_TITLE: usize = 60;
const MAX_SLUG: usize = 40;
/// Longer runs of ASCII without a space are keys, hashes or addresses, never words.
const MAX_WORD: usize = 32;

/// One line without markdown syntax, control and invisible characters; at most `max` characters.
pub(super) fn line(text: &str, max: usize) -> String {
    // Bounded before the work: a prompt may be megabytes long.
    let flat: String = text
        .chars()
        .take(max.saturating_mul(16))
        .map(|c| if is_unsafe(c) { ' ' } else { c })
        .collect();
    let mut line = String::new();
    let mut length = 0;
    for word in flat.split_whitespace() {
        if word.is_ascii() && word.len() > MAX_WORD {
            continue;
        }
        let space = usize::from(!line.is_empty());
        let word_length = word.chars().count();
        if length + space + word_length > max {
            if line.is_empty() {
                // A script without spaces between its words.
                line.extend(word.chars().take(max));
            }
            break;
        }
        if space == 1 {
            line.push(' ');
        }
        line.push_str(word);
        length += space + word_length;
    }
    line
}

/// Characters that mean something to markdown, to a shell inside double quotes, or to nobody.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || "`*_#<>[]{}|\\~$\"^=@".contains(c)
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// A short title from a request; falls back to the task's short name, then to a fixed phrase.
pub(super) fn title(prompt: &str, task: &str) -> String {
    let first = prompt
        .lines()
        .map(|text| line(text, MAX_TITLE * 2))
        .find(|text| text.chars().any(char::is_alphanumeric))
        .unwrap_or_default();
    let sentence = first.split(['.', ';', '!', '?']).next().unwrap_or_default();
    let mut title = line(without_verb(sentence.trim()), MAX_TITLE);
    if !title.chars().any(char::is_alphanumeric) {
        title = line(&task_words(task), MAX_TITLE);
    }
    let title = title.trim_matches(|c: char| !c.is_alphanumeric() && !"()%".contains(c));
    let mut characters = title.chars();
    match characters.next() {
        Some(initial) if title.chars().any(char::is_alphanumeric) => {
            initial.to_uppercase().chain(characters).collect()
        }
        _ => "New feature".to_owned(),
    }
}

/// "Implement the login" is about "login".
fn without_verb(sentence: &str) -> &str {
    let mut rest = sentence;
    for group in [
        &["please"][..],
        &["implement", "add", "build", "create", "write", "make"],
        &["a", "an", "the"],
    ] {
        if let Some((word, tail)) = rest.split_once(' ')
            && group.contains(&word.to_ascii_lowercase().as_str())
        {
            rest = tail.trim_start();
        }
    }
    rest
}

fn task_words(task: &str) -> String {
    task.trim_start_matches(|c: char| c.is_ascii_digit())
        .replace('-', " ")
}

/// A folder name: lower-case ASCII words joined by `-`, from the title or else the task's name.
pub(super) fn slug(title: &str, task: &str) -> String {
    let slug = [title, &task_words(task)]
        .into_iter()
        .map(slug_of)
        .find(|slug| !slug.is_empty())
        .unwrap_or_else(|| "feature".to_owned());
    if is_device_name(&slug) {
        format!("feature-{slug}")
    } else {
        slug
    }
}

fn slug_of(text: &str) -> String {
    let mut slug = String::new();
    for word in text
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        if !slug.is_empty() && slug.len() + 1 + word.len() > MAX_SLUG {
            break;
        }
        if !slug.is_empty() {
            slug.push('-');
        }
        slug.push_str(&word.to_ascii_lowercase());
    }
    slug.truncate(MAX_SLUG);
    slug
}

/// Names that Windows gives to devices in every folder.
fn is_device_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(name.as_str(), "con" | "prn" | "aux" | "nul")
        || (name.len() == 4
            && (name.starts_with("com") || name.starts_with("lpt"))
            && name.ends_with(|c: char| c.is_ascii_digit()))
}

/// Whether a relative path may be used below the session's root: forward slashes, no `..`, no
/// absolute path, nothing of git's, nothing that a shell or another system would read differently.
pub(super) fn is_safe_path(path: &str) -> bool {
    !path.is_empty()
        && path.len() <= 240
        && path
            .chars()
            .all(|c| c.is_alphanumeric() || "/._- +".contains(c))
        && !path.starts_with(['-', ' '])
        && !path.contains("//")
        && Path::new(path).components().all(|part| match part {
            Component::Normal(name) => {
                let name = name.to_string_lossy();
                let stem = name.split('.').next().unwrap_or_default();
                !name.eq_ignore_ascii_case(".git")
                    && !is_device_name(stem)
                    && !name.ends_with(['.', ' '])
            }
            _ => false,
        })
}

/// A word for a POSIX shell, in single quotes.
pub(super) fn shell_quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_short_and_about_the_thing() {
        assert_eq!(
            title("Implement user authentication", "1-x"),
            "User authentication"
        );
        assert_eq!(title("please add a login. And more", "1-x"), "Login");
        assert_eq!(title("", "7-user-auth"), "User auth");
        assert_eq!(title("```\n# \n", ""), "New feature");
        assert_eq!(
            title("ログイン機能を追加する", "1-x"),
            "ログイン機能を追加する"
        );
        assert_eq!(title("- [ ] 1. **Boom**\n## Heading", "1-x"), "1");
        let key = format!("use {} here", "aB3".repeat(20));
        assert_eq!(title(&key, "1-x"), "Use here");
    }

    #[test]
    fn slugs_are_folder_names() {
        assert_eq!(slug("User authentication", "7-x"), "user-authentication");
        assert_eq!(slug("ログイン", "7-log-in"), "log-in");
        assert_eq!(slug("ログイン", "7"), "feature");
        assert_eq!(slug("Con", "7"), "feature-con");
        assert_eq!(slug("../../etc/passwd", "7"), "etc-passwd");
        assert!(slug(&"word ".repeat(50), "7").len() <= MAX_SLUG);
    }

    #[test]
    fn paths_stay_inside() {
        for good in [
            "specs/7-user-auth",
            "features/a/README.md",
            "a b/c.txt",
            ".github/x",
        ] {
            assert!(is_safe_path(good), "{good}");
        }
        for bad in [
            "",
            "/etc/passwd",
            "../a",
            "a/../b",
            "a//b",
            ".git/config",
            "a/.GIT/x",
            "c:/x",
            "a\\b",
            "~/x",
            "$HOME/x",
            "-rf",
            "a\nb",
            "./a",
            "nul",
            "a/con.txt",
            "a/b.",
        ] {
            assert!(!is_safe_path(bad), "{bad:?}");
        }
    }

    #[test]
    fn shell_words_hold_quotes() {
        assert_eq!(shell_quote("it's"), r"'it'\''s'");
    }
}
