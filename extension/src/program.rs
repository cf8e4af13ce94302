//! Finding `spectask`, and asking it where the daemon is.

use serde_json::Value;
use spectask_protocol::PROTOCOL_VERSION;

use crate::{
    editor::{Editor, Ended},
    json::text,
    settings::Settings,
};

/// What the program tells: the protocol's `ZedEndpoint`, read as far as it is needed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Its own absolute path.
    pub(crate) program: String,
    /// Its version.
    pub(crate) version: String,
    /// The protocol version that it speaks.
    pub(crate) protocol: u64,
    /// Where the daemon answers.
    pub(crate) url: Option<String>,
    /// What lets this user's programs in there.
    pub(crate) token: Option<String>,
    /// Why there is no address.
    pub(crate) problem: Option<String>,
    /// How to set the context server up, Markdown.
    pub(crate) instructions: String,
    /// JSON schema of the settings; empty when it tells none.
    pub(crate) settings_schema: String,
    /// The default settings, JSON with comments; empty when it tells none.
    pub(crate) default_settings: String,
}

impl Endpoint {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut value: Value = serde_json::from_slice(bytes).ok()?;
        let protocol = value.get("protocol")?.as_u64()?;
        let mut field = |name: &str| text(&mut value, name);
        Some(Self {
            program: field("program")?,
            version: field("version")?,
            protocol,
            url: field("url"),
            token: field("token"),
            problem: field("problem"),
            instructions: field("instructions").unwrap_or_default(),
            settings_schema: field("settings_schema").unwrap_or_default(),
            default_settings: field("default_settings").unwrap_or_default(),
        })
    }
}

/// What the program is asked, word for word as the manifest allows it.
pub(crate) const ASK: [&str; 3] = ["zed", "endpoint", "--json"];

/// Where `spectask` comes from.
pub(crate) const INSTALL: &str = "\
Install it with `cargo install --path daemon --locked` in a clone of https://github.com/spectask/spectask, \
so that `spectask` is on the PATH that Zed has; or name it: \
`\"context_servers\": { \"mcp-server-spectask\": { \"enabled\": true, \"settings\": { \"path\": \"/path/to/spectask\" } } }` \
in Zed's settings. Then `spectask zed doctor` in a terminal checks the rest.";

/// Finds the program and asks it. The daemon runs afterwards, or the answer says why not.
///
/// # Errors
/// When there is no such program, or it does not fit; a text for a person.
pub(crate) fn ask(editor: &dyn Editor, settings: &Settings) -> Result<Endpoint, String> {
    let on_path = if editor.is_windows() {
        "spectask.exe"
    } else {
        "spectask"
    };
    let program = settings.path.as_deref().unwrap_or(on_path);
    let ended = editor.run(program, &ASK, &settings.env);
    let ended = ended.map_err(|error| match &settings.path {
        Some(path) => format!(
            "SpecTask's program {path:?}, which Zed's settings name, cannot be run: {error}. {INSTALL}"
        ),
        None => format!("SpecTask's program `{program}` cannot be run: {error}. {INSTALL}"),
    })?;
    read(program, &ended)
}

fn read(program: &str, ended: &Ended) -> Result<Endpoint, String> {
    let mine = env!("CARGO_PKG_VERSION");
    let Some(endpoint) = Endpoint::parse(&ended.stdout) else {
        // Not all of what a strange program says belongs into a message.
        let said = String::from_utf8_lossy(&ended.stderr);
        let said = said.lines().find(|line| !line.trim().is_empty());
        let said: String = said.unwrap_or("nothing").chars().take(200).collect();
        let code = ended
            .code
            .map_or("a signal".to_owned(), |code| format!("code {code}"));
        return Err(format!(
            "`{program} {}` is not understood: it ended with {code} and said: {}. It may be older than this \
             extension (SpecTask {mine}): update it. {INSTALL}",
            ASK.join(" "),
            said.trim().trim_end_matches('.'),
        ));
    };
    if endpoint.protocol != u64::from(PROTOCOL_VERSION) {
        let older = if endpoint.protocol < u64::from(PROTOCOL_VERSION) {
            "update `spectask`"
        } else {
            "update the extension, in `zed: extensions`"
        };
        return Err(format!(
            "`{}` is SpecTask {} and speaks protocol {}; this extension is {mine} and speaks {PROTOCOL_VERSION}: \
             {older}",
            endpoint.program, endpoint.version, endpoint.protocol,
        ));
    }
    if !is_absolute(&endpoint.program) {
        return Err(format!(
            "`{program}` tells no absolute path of itself but {:?}",
            endpoint.program
        ));
    }
    Ok(endpoint)
}

/// Whether Zed will not look for it in the extension's own folder. The component runs on no system that
/// has paths like those of Windows, so the standard library does not know them here.
fn is_absolute(path: &str) -> bool {
    let bytes = path.as_bytes();
    path.starts_with('/')
        || path.starts_with(r"\\")
        || (bytes.len() > 3
            && bytes[0].is_ascii_alphabetic()
            && bytes[1] == b':'
            && (bytes[2] == b'\\' || bytes[2] == b'/'))
}

/// What a person should know of a program of another version that fits all the same.
pub(crate) fn differs(endpoint: &Endpoint) -> Option<String> {
    let mine = env!("CARGO_PKG_VERSION");
    (endpoint.version != mine).then(|| {
        format!(
            "This extension is SpecTask {mine}, the program is {}. They fit; update the older one when you can.",
            endpoint.version
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fake, endpoint};

    #[test]
    fn the_program_is_the_setting_or_on_path() {
        let set = Settings {
            path: Some("/opt/spectask".into()),
            env: vec![("SPECTASK_DATA_DIR".into(), "/d".into())],
        };
        for (settings, windows, program) in [
            (Settings::default(), false, "spectask"),
            (Settings::default(), true, "spectask.exe"),
            (set.clone(), false, "/opt/spectask"),
            (set, true, "/opt/spectask"),
        ] {
            let fake = Fake::answering(&endpoint()).windows(windows);
            assert_eq!(ask(&fake, &settings).unwrap(), Endpoint::from(endpoint()));
            let ran = fake.ran();
            assert_eq!(ran.len(), 1);
            assert_eq!(ran[0].0, program);
            assert_eq!(ran[0].1, ASK);
            assert_eq!(ran[0].2, settings.env);
        }
    }

    #[test]
    fn a_missing_program_is_told_with_how_to_get_it() {
        let fake = Fake::missing();
        let error = ask(&fake, &Settings::default()).unwrap_err();
        assert!(
            error.starts_with("SpecTask's program `spectask` cannot be run: No such file."),
            "{error}"
        );
        assert!(error.contains("cargo install") && error.contains("\"path\""));
        let settings = Settings {
            path: Some("/gone/spectask".into()),
            env: Vec::new(),
        };
        let error = ask(&fake, &settings).unwrap_err();
        assert!(
            error.starts_with("SpecTask's program \"/gone/spectask\", which Zed's settings name"),
            "{error}"
        );
    }

    #[test]
    fn strange_answers_are_told() {
        let old = Ended {
            code: Some(2),
            stdout: Vec::new(),
            stderr: b"\nerror: unrecognized subcommand 'endpoint'\n\nUsage: x\n".to_vec(),
        };
        let error = read("spectask", &old).unwrap_err();
        assert!(
            error.starts_with(
                "`spectask zed endpoint --json` is not understood: it ended with code 2 and said: \
                 error: unrecognized subcommand 'endpoint'. It may be older"
            ),
            "{error}"
        );
        for (stdout, code) in [
            ("", None),
            ("null", Some(0)),
            ("{}", Some(0)),
            ("\u{0}\u{1}", Some(1)),
        ] {
            let odd = Ended {
                code,
                stdout: stdout.into(),
                stderr: vec![0xff; 5000],
            };
            assert!(read("spectask", &odd).unwrap_err().len() < 1500);
        }
    }

    #[test]
    fn another_protocol_is_refused_and_another_version_is_not() {
        let mut other = endpoint();
        other.version = "9.8.7".into();
        let read_other = read("x", &Fake::said(&other)).unwrap();
        assert_eq!(read_other, Endpoint::from(other.clone()));
        assert!(differs(&read_other).unwrap().contains("9.8.7"));
        assert_eq!(differs(&Endpoint::from(endpoint())), None);
        other.protocol = PROTOCOL_VERSION + 1;
        let error = read("x", &Fake::said(&other)).unwrap_err();
        assert!(error.ends_with("update the extension, in `zed: extensions`"));
        other.protocol = PROTOCOL_VERSION - 1;
        let error = read("x", &Fake::said(&other)).unwrap_err();
        assert!(error.ends_with("update `spectask`"), "{error}");
    }

    #[test]
    fn only_absolute_paths_go_to_zed() {
        for path in [
            "/bin/spectask",
            r"C:\Programs\spectask.exe",
            r"\\host\share\spectask.exe",
            "d:/x/spectask.exe",
        ] {
            assert!(is_absolute(path), "{path}");
        }
        for path in [
            "",
            "spectask",
            "./spectask",
            "bin/spectask",
            "C:spectask",
            r"C:\",
        ] {
            assert!(!is_absolute(path), "{path}");
        }
        let mut bare = endpoint();
        bare.program = "spectask".into();
        assert!(read("spectask", &Fake::said(&bare)).is_err());
    }
}
