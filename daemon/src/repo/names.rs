//! Names that become branches, refs, folders and paths inside a tree.

use sha2::{Digest, Sha256};

use super::{RepoError, Result};

const SLUG_MAX: usize = 40;
const SEGMENT_MAX: usize = 100;

/// Names that Windows keeps for devices, whatever their extension.
const DEVICES: &[&str] = &[
    "con", "prn", "aux", "nul", "com0", "com1", "com2", "com3", "com4", "com5", "com6", "com7",
    "com8", "com9", "lpt0", "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

/// Makes a short name for a branch or folder from any text: ASCII lower case letters, digits and
/// single inner hyphens, 1 to 40 bytes. Text without a Latin letter or digit gives `task-` and a
/// hash of it, so that equal texts give equal names.
#[must_use]
pub fn slug(text: &str) -> String {
    let mut slug = String::new();
    for letter in text.chars().flat_map(char::to_lowercase) {
        let plain = match letter {
            'a'..='z' | '0'..='9' => {
                slug.push(letter);
                continue;
            }
            'à'..='å' | 'ā' | 'ă' | 'ą' => "a",
            'æ' => "ae",
            'ç' | 'ć' | 'č' => "c",
            'ď' | 'đ' => "d",
            'è'..='ë' | 'ē' | 'ė' | 'ę' | 'ě' => "e",
            'ğ' => "g",
            'ì'..='ï' | 'ī' | 'ı' => "i",
            'ł' => "l",
            'ñ' | 'ń' | 'ň' => "n",
            'ò'..='ö' | 'ø' | 'ō' | 'ő' => "o",
            'œ' => "oe",
            'ř' => "r",
            'ś' | 'š' | 'ş' | 'ș' => "s",
            'ß' => "ss",
            'ť' | 'ţ' | 'ț' => "t",
            'ù'..='ü' | 'ū' | 'ů' | 'ű' => "u",
            'ý' | 'ÿ' => "y",
            'ź' | 'ż' | 'ž' => "z",
            // Apostrophes and the combining marks of decomposed letters join what they stand in.
            '\'' | '\u{2019}' | '\u{300}'..='\u{36f}' => continue,
            _ => "-",
        };
        if plain != "-" || !(slug.is_empty() || slug.ends_with('-')) {
            slug.push_str(plain);
        }
        if slug.len() > 4 * SLUG_MAX {
            break;
        }
    }
    if slug.len() > SLUG_MAX {
        let cut = if slug.as_bytes()[SLUG_MAX] == b'-' {
            SLUG_MAX
        } else {
            // A word is only dropped when what stays still says something.
            slug[..SLUG_MAX]
                .rfind('-')
                .filter(|at| *at >= SLUG_MAX / 2)
                .unwrap_or(SLUG_MAX)
        };
        slug.truncate(cut);
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() {
        let digest = Sha256::digest(text.as_bytes());
        return format!(
            "task-{:02x}{:02x}{:02x}{:02x}",
            digest[0], digest[1], digest[2], digest[3]
        );
    }
    if DEVICES.contains(&slug) {
        format!("{slug}-task")
    } else {
        slug.to_owned()
    }
}

/// Checks that a text can be one segment of a ref and one folder name on every system.
///
/// # Errors
/// [`RepoError::InvalidName`] with the rule it breaks.
pub fn check_ref_segment(segment: &str) -> Result<()> {
    let why = if segment.is_empty() {
        "it is empty"
    } else if segment.len() > SEGMENT_MAX {
        "it is longer than 100 bytes"
    } else if segment.starts_with(['.', '-']) {
        "it starts with `.` or `-`"
    } else if segment.ends_with('.') || ends_with_ignoring_case(segment, ".lock") {
        "it ends with `.` or `.lock`"
    } else if segment.contains("..") || segment.contains("@{") || segment == "@" {
        "`..`, `@{` and a lone `@` mean something else to git"
    } else if segment.chars().any(|letter| {
        letter.is_control() || letter.is_whitespace() || "/\\~^:?*[<>|\"".contains(letter)
    }) {
        "it contains a blank or one of / \\ ~ ^ : ? * [ < > | \""
    } else if DEVICES.contains(
        &segment
            .split('.')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase()
            .as_str(),
    ) {
        "it is the name of a device on Windows"
    } else {
        return Ok(());
    };
    Err(RepoError::InvalidName {
        what: "part of a branch name",
        name: segment.escape_debug().to_string(),
        why,
    })
}

fn ends_with_ignoring_case(text: &str, end: &str) -> bool {
    text.len() >= end.len()
        && text.as_bytes()[text.len() - end.len()..].eq_ignore_ascii_case(end.as_bytes())
}

/// Checks a branch name without `refs/heads/` and gives the full ref name.
pub(super) fn branch_ref(branch: &str) -> Result<String> {
    let full = format!("refs/heads/{branch}");
    let why = if branch.starts_with('-') {
        "it starts with `-`"
    } else if branch == "HEAD" {
        "it means the current commit"
    } else if !git2::Reference::is_valid_name(&full) {
        "git does not allow it"
    } else {
        return Ok(full);
    };
    Err(RepoError::InvalidName {
        what: "a branch name",
        name: branch.escape_debug().to_string(),
        why,
    })
}

/// Checks a full ref name.
pub(super) fn check_ref(name: &str) -> Result<()> {
    if name.starts_with("refs/") && git2::Reference::is_valid_name(name) {
        return Ok(());
    }
    Err(RepoError::InvalidName {
        what: "a ref",
        name: name.escape_debug().to_string(),
        why: "it must start with `refs/` and be a name that git allows",
    })
}

/// Checks a path inside a tree: relative, `/` between its parts, nothing that leaves the root or
/// reaches into `.git`.
pub(super) fn check_tree_path(path: &str) -> Result<()> {
    let why = if path.is_empty() {
        "it is empty"
    } else if path.starts_with('/') || path.contains('\\') || path.contains('\0') {
        "it must be relative, with `/` between its parts"
    } else if path
        .split('/')
        .any(|part| part.is_empty() || part == "." || part == "..")
    {
        "it has an empty part, `.` or `..`"
    } else if path.split('/').any(is_dot_git) {
        "it reaches into `.git`"
    } else {
        return Ok(());
    };
    Err(RepoError::InvalidPath {
        path: path.escape_debug().to_string(),
        why,
    })
}

/// Whether some file system takes this name for `.git`: case, trailing dots and blanks, streams
/// and short names of Windows, and ignorable letters of macOS.
fn is_dot_git(part: &str) -> bool {
    let visible: String =
        part.chars().filter(|c| !matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')).collect();
    let name = visible
        .split(':')
        .next()
        .unwrap_or_default()
        .trim_end_matches(['.', ' ']);
    name.eq_ignore_ascii_case(".git") || name.eq_ignore_ascii_case("git~1")
}

/// The first part of a message in single quotes.
pub(super) fn quoted(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once('\'')?;
    rest.split_once('\'').map(|(path, _)| path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn slugs_say_what_the_text_says() {
        let cases = [
            (
                "Implement user authentication",
                "implement-user-authentication",
            ),
            ("  Don't -- break/../it!  ", "dont-break-it"),
            ("Größe der Übersicht ändern", "grosse-der-ubersicht-andern"),
            ("添加 login 页面", "login"),
            (
                "Add rate limiting to every public endpoint of the API",
                "add-rate-limiting-to-every-public",
            ),
            ("NUL", "nul-task"),
        ];
        for (text, expected) in cases {
            assert_eq!(slug(text), expected);
        }
        assert!(slug("添加登录").starts_with("task-"));
        assert_ne!(slug("添加登录"), slug("删除登录"));
        assert_eq!(slug(""), slug(""));
    }

    #[test]
    fn hostile_segments_are_refused() {
        for bad in [
            "", ".", "..", "a..b", "-x", ".hidden", "a.lock", "a.LOCK", "a b", "a/b", "a\\b",
            "a\nb", "@", "a@{1}", "a~1", "a^", "a:b", "nul", "NUL.txt", "x.", "a\u{a0}b",
        ] {
            assert!(check_ref_segment(bad).is_err(), "{bad:?} was accepted");
        }
        for good in ["7-user-auth", "a", "größe", "v1.2"] {
            check_ref_segment(good).unwrap();
        }
    }

    #[test]
    fn hostile_paths_are_refused() {
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a//b",
            "./a",
            "a/",
            ".git/config",
            "a/.GIT/x",
            ".git./x",
            "git~1/x",
            ".g\u{200c}it/x",
            ".git:x",
            "a\\b",
            "a\0b",
        ] {
            assert!(check_tree_path(bad).is_err(), "{bad:?} was accepted");
        }
        for good in [
            "a",
            "specs/7-x/tasks.md",
            ".gitignore",
            "a b/ü\n.txt",
            "...x",
        ] {
            check_tree_path(good).unwrap();
        }
    }

    proptest! {
        #[test]
        fn a_slug_is_always_a_safe_segment(text in any::<String>()) {
            let slug = slug(&text);
            prop_assert!(check_ref_segment(&slug).is_ok(), "{slug:?}");
            prop_assert!(slug.len() <= SLUG_MAX);
            prop_assert!(slug.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-')));
            prop_assert!(!slug.starts_with('-') && !slug.ends_with('-') && !slug.contains("--"));
        }

        #[test]
        fn a_slug_is_its_own_slug(text in "[ -~]{0,120}") {
            let once = slug(&text);
            prop_assert_eq!(slug(&once), once);
        }

        #[test]
        fn an_accepted_segment_is_a_branch_for_git(text in "[ -~äß\\PC]{0,20}") {
            if check_ref_segment(&text).is_ok() {
                prop_assert!(branch_ref(&text).is_ok() || text == "HEAD");
            }
        }
    }
}
