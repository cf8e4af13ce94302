//! Which environment variables hold secrets.

/// Variables whose value is shorter are not treated as secrets: too many innocent matches.
const MIN_VALUE: usize = 8;

/// Whether a variable of this name usually holds a secret.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    const PARTS: [&str; 7] = [
        "KEY",
        "TOKEN",
        "SECRET",
        "PASSWORD",
        "PASSWD",
        "PASSPHRASE",
        "CREDENTIAL",
    ];
    // `PWD` alone is the working directory.
    const LAST: [&str; 4] = ["_PASS", "_PWD", "_PAT", "_PSK"];
    const ENDINGS: [&str; 7] = ["_PATH", "_FILE", "_DIR", "_SOCK", "_HOME", "_URL", "_URI"];
    const INNOCENT: [&str; 4] = ["KEYBOARD", "KEYMAP", "KEYRING", "TOKENIZERS_"];
    let name = name.to_ascii_uppercase();
    let is_secret = PARTS.iter().any(|part| name.contains(part))
        || LAST.iter().any(|ending| name.ends_with(ending));
    is_secret
        && !ENDINGS.iter().any(|ending| name.ends_with(ending))
        && !INNOCENT.iter().any(|part| name.contains(part))
}

pub(super) fn is_secret_value(value: &str) -> bool {
    let bytes = value.as_bytes();
    let path = value.starts_with('/')
        || value.starts_with("~/")
        || value.starts_with("./")
        || value.starts_with("\\\\")
        || matches!(bytes, [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic());
    // A base64 secret may start with a slash; a path has no `=`, `+` and has short parts.
    let looks_base64 = value.len() >= 20
        && value.bytes().any(|byte| byte == b'+' || byte == b'=')
        && !value.contains('.');
    value.chars().count() >= MIN_VALUE && (!path || looks_base64)
}

/// The value as it stands, and as it stands inside a JSON string.
pub(super) fn written_forms(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned()];
    if let Ok(quoted) = serde_json::to_string(value) {
        let inner = &quoted[1..quoted.len() - 1];
        if inner != value {
            forms.push(inner.to_owned());
        }
    }
    forms
}

/// A variable's name as it may stand in a placeholder.
pub(super) fn tidy_name(name: &str) -> String {
    let keep = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' {
            c
        } else {
            '-'
        }
    };
    name.chars().take(64).map(keep).collect()
}
