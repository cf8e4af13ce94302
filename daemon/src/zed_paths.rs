//! Where Zed keeps its settings and data, and how it is started, on each system.
//!
//! Everything but [`Machine::here`] is pure: the system, the home folder and the variables come in a
//! [`Machine`], so that each system's rules are tested on any. Nothing here looks whether a path exists.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The id of SpecTask's extension in Zed, and of its context server.
pub const EXTENSION: &str = "mcp-server-spectask";

/// Which system Zed runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// Linux and the BSDs.
    Linux,
    /// macOS.
    Macos,
    /// Windows.
    Windows,
}

impl System {
    /// The system that this program was built for.
    #[must_use]
    pub const fn here() -> Self {
        if cfg!(windows) {
            Self::Windows
        } else if cfg!(target_os = "macos") {
            Self::Macos
        } else {
            Self::Linux
        }
    }
}

/// A release channel of Zed. Each has a database of its own; settings are shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// What most people run.
    Stable,
    /// A week ahead.
    Preview,
    /// Built each night.
    Nightly,
    /// Built by oneself.
    Dev,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 4] = [Self::Stable, Self::Preview, Self::Nightly, Self::Dev];

    /// The name that Zed uses in paths.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Preview => "preview",
            Self::Nightly => "nightly",
            Self::Dev => "dev",
        }
    }

    /// The name of the application, such as `Zed Preview`.
    #[must_use]
    pub const fn application(self) -> &'static str {
        match self {
            Self::Stable => "Zed",
            Self::Preview => "Zed Preview",
            Self::Nightly => "Zed Nightly",
            Self::Dev => "Zed Dev",
        }
    }

    /// The id of its Flatpak.
    #[must_use]
    pub const fn flatpak(self) -> &'static str {
        match self {
            Self::Stable => "dev.zed.Zed",
            Self::Preview => "dev.zed.ZedPreview",
            Self::Nightly => "dev.zed.ZedNightly",
            Self::Dev => "dev.zed.ZedDev",
        }
    }
}

/// What the paths depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// The system.
    pub system: System,
    /// The person's home folder.
    pub home: PathBuf,
    /// Variables; only those that [`VARIABLES`] names are read.
    pub variables: BTreeMap<String, OsString>,
}

/// The variables that decide about Zed's paths.
pub const VARIABLES: &[&str] = &[
    "APPDATA",
    "FLATPAK_XDG_CONFIG_HOME",
    "FLATPAK_XDG_DATA_HOME",
    "LOCALAPPDATA",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
];

/// How an installation of Zed keeps its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// In the usual folders of the person.
    Usual,
    /// In the folders of this channel's Flatpak.
    Flatpak(Channel),
    /// Where `--user-data-dir` says.
    UserDataDir,
}

/// The folders of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// How it was chosen.
    pub kind: Kind,
    /// The folder of `settings.json`.
    pub config: PathBuf,
    /// The folder of databases, extensions and agents.
    pub data: PathBuf,
}

impl Place {
    /// The person's settings, JSON with comments.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.config.join("settings.json")
    }

    /// The database of a channel, in which `sidebar_threads` is.
    #[must_use]
    pub fn database(&self, channel: Channel) -> PathBuf {
        let folder = format!("0-{}", channel.as_str());
        self.data.join("db").join(folder).join("db.sqlite")
    }

    /// The databases of all channels.
    #[must_use]
    pub fn databases(&self) -> Vec<(Channel, PathBuf)> {
        let all = Channel::ALL.into_iter();
        all.map(|channel| (channel, self.database(channel)))
            .collect()
    }

    /// The folder, or the link to it, of an installed extension.
    #[must_use]
    pub fn extension(&self, id: &str) -> PathBuf {
        self.data.join("extensions").join("installed").join(id)
    }

    /// The list of installed extensions, JSON.
    #[must_use]
    pub fn extension_index(&self) -> PathBuf {
        self.data.join("extensions").join("index.json")
    }
}

/// A way to start Zed's command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    /// A name to be looked up on PATH, or an absolute path.
    pub program: PathBuf,
    /// Arguments before those for Zed.
    pub args: Vec<String>,
    /// Paths of which one must exist for the launcher to be there; none if the program is enough.
    pub needs: Vec<PathBuf>,
    /// The channel it starts; none where only its version tells.
    pub channel: Option<Channel>,
}

impl Launcher {
    fn program(program: impl Into<PathBuf>, channel: Option<Channel>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            needs: Vec::new(),
            channel,
        }
    }
}

impl Machine {
    /// This machine as this process sees it; none without a home folder.
    #[must_use]
    pub fn here() -> Option<Self> {
        let home = directories::BaseDirs::new()?.home_dir().to_owned();
        let variables = VARIABLES
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var_os(name)?)));
        Some(Self {
            system: System::here(),
            home,
            variables: variables.collect(),
        })
    }

    /// Where Zed may keep its files, the likeliest first: only there if a folder is named as
    /// `--user-data-dir` does it, else the usual folders, then those of the Flatpaks.
    #[must_use]
    pub fn places(&self, user_data_dir: Option<&Path>) -> Vec<Place> {
        if let Some(data) = user_data_dir {
            return vec![Place {
                kind: Kind::UserDataDir,
                config: data.join("config"),
                data: data.to_owned(),
            }];
        }
        let mut places = vec![Place {
            kind: Kind::Usual,
            config: self.config(),
            data: self.data(),
        }];
        if self.system == System::Linux {
            for channel in Channel::ALL {
                let folder = self.home.join(".var/app").join(channel.flatpak());
                places.push(Place {
                    kind: Kind::Flatpak(channel),
                    config: folder.join("config/zed"),
                    data: folder.join("data/zed"),
                });
            }
        }
        places
    }

    /// The ways to start Zed's command line, the likeliest first; of one channel if it is named.
    #[must_use]
    pub fn launchers(&self, channel: Option<Channel>) -> Vec<Launcher> {
        let channels = || {
            Channel::ALL
                .into_iter()
                .filter(move |one| channel.is_none_or(|it| it == *one))
        };
        // Every channel's command is called the same; distributions call it otherwise.
        let mut all: Vec<Launcher> = ["zed", "zeditor", "zedit", "zed-editor", "zed-cli"]
            .into_iter()
            .map(|name| Launcher::program(name, None))
            .collect();
        match self.system {
            System::Linux => {
                for channel in channels() {
                    let suffix = match channel {
                        Channel::Stable => String::new(),
                        other => format!("-{}", other.as_str()),
                    };
                    let folder = self.home.join(format!(".local/zed{suffix}.app"));
                    all.push(Launcher::program(folder.join("bin/zed"), Some(channel)));
                }
                all.push(Launcher::program(self.home.join(".local/bin/zed"), None));
                for channel in channels() {
                    let id = channel.flatpak();
                    all.push(Launcher {
                        program: "flatpak".into(),
                        args: vec!["run".into(), id.into()],
                        needs: vec![
                            self.data_home().join("flatpak/app").join(id),
                            Path::new("/var/lib/flatpak/app").join(id),
                        ],
                        channel: Some(channel),
                    });
                }
            }
            System::Macos => {
                for channel in channels() {
                    for folder in [
                        PathBuf::from("/Applications"),
                        self.home.join("Applications"),
                    ] {
                        let bundle = folder.join(format!("{}.app", channel.application()));
                        let program = bundle.join("Contents/MacOS/cli");
                        all.push(Launcher::program(program, Some(channel)));
                    }
                }
            }
            System::Windows => {
                for channel in channels() {
                    let folder = self.local_app_data().join("Programs");
                    let program = folder.join(channel.application()).join("bin/zed.exe");
                    all.push(Launcher::program(program, Some(channel)));
                }
            }
        }
        all
    }

    fn config(&self) -> PathBuf {
        match self.system {
            System::Windows => {
                let roaming = self.variable("APPDATA");
                roaming
                    .unwrap_or_else(|| self.home.join("AppData/Roaming"))
                    .join("Zed")
            }
            // Zed does not follow the custom of macOS here.
            System::Macos => self.home.join(".config/zed"),
            System::Linux => {
                let named = self
                    .variable("FLATPAK_XDG_CONFIG_HOME")
                    .or_else(|| self.variable("XDG_CONFIG_HOME"));
                named
                    .unwrap_or_else(|| self.home.join(".config"))
                    .join("zed")
            }
        }
    }

    fn data(&self) -> PathBuf {
        match self.system {
            System::Windows => self.local_app_data().join("Zed"),
            System::Macos => self.home.join("Library/Application Support/Zed"),
            System::Linux => {
                let named = self.variable("FLATPAK_XDG_DATA_HOME");
                named.unwrap_or_else(|| self.data_home()).join("zed")
            }
        }
    }

    fn data_home(&self) -> PathBuf {
        self.variable("XDG_DATA_HOME")
            .unwrap_or_else(|| self.home.join(".local/share"))
    }

    fn local_app_data(&self) -> PathBuf {
        self.variable("LOCALAPPDATA")
            .unwrap_or_else(|| self.home.join("AppData/Local"))
    }

    /// A folder that a variable names; a relative one counts as none, as the XDG rules say.
    fn variable(&self, name: &str) -> Option<PathBuf> {
        let value = self.variables.get(name)?;
        let absolute = match self.system {
            // By its text: the system of the machine is not always that of this process.
            System::Windows => value.to_string_lossy().chars().nth(1) == Some(':'),
            System::Linux | System::Macos => value.as_encoded_bytes().first() == Some(&b'/'),
        };
        absolute.then(|| PathBuf::from(value))
    }
}

/// Where Zed's `settings.json` may be on this machine, whether or not it is there.
#[must_use]
pub fn settings_files() -> Vec<PathBuf> {
    places().iter().map(Place::settings).collect()
}

/// Where Zed may keep its data on this machine, whether or not it is there.
#[must_use]
pub fn data_folders() -> Vec<PathBuf> {
    places().into_iter().map(|place| place.data).collect()
}

/// Where Zed may keep its files on this machine, the likeliest first.
#[must_use]
pub fn places() -> Vec<Place> {
    Machine::here().map_or_else(Vec::new, |machine| machine.places(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(system: System, home: &str, variables: &[(&str, &str)]) -> Machine {
        Machine {
            system,
            home: home.into(),
            variables: variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), OsString::from(value)))
                .collect(),
        }
    }

    fn text(path: &Path) -> String {
        path.to_string_lossy().replace('\\', "/")
    }

    fn first(machine: &Machine) -> [String; 3] {
        let place = &machine.places(None)[0];
        assert_eq!(place.kind, Kind::Usual);
        [
            text(&place.settings()),
            text(&place.database(Channel::Preview)),
            text(&place.extension(EXTENSION)),
        ]
    }

    #[test]
    fn linux_follows_the_xdg_folders() {
        assert_eq!(
            first(&machine(System::Linux, "/home/ada", &[])),
            [
                "/home/ada/.config/zed/settings.json",
                "/home/ada/.local/share/zed/db/0-preview/db.sqlite",
                "/home/ada/.local/share/zed/extensions/installed/mcp-server-spectask",
            ]
        );
        let named = [
            ("XDG_CONFIG_HOME", "/x/config"),
            ("XDG_DATA_HOME", "/x/data"),
        ];
        let [settings, database, _] = first(&machine(System::Linux, "/home/ada", &named));
        assert_eq!(settings, "/x/config/zed/settings.json");
        assert_eq!(database, "/x/data/zed/db/0-preview/db.sqlite");
        let inside = [
            named[0],
            named[1],
            ("FLATPAK_XDG_CONFIG_HOME", "/f/config"),
            ("FLATPAK_XDG_DATA_HOME", "/f/data"),
        ];
        let [settings, database, _] = first(&machine(System::Linux, "/home/ada", &inside));
        assert_eq!(settings, "/f/config/zed/settings.json");
        assert_eq!(database, "/f/data/zed/db/0-preview/db.sqlite");
        for bad in ["", "relative/folder", "C:\\x"] {
            let named = [("XDG_CONFIG_HOME", bad), ("XDG_DATA_HOME", bad)];
            let odd = machine(System::Linux, "/home/ada", &named);
            assert_eq!(
                first(&odd)[0],
                "/home/ada/.config/zed/settings.json",
                "{bad:?}"
            );
        }
    }

    #[test]
    fn flatpaks_come_after_the_usual_folders() {
        let places = machine(System::Linux, "/home/ada", &[]).places(None);
        assert_eq!(places.len(), 5);
        assert_eq!(places[1].kind, Kind::Flatpak(Channel::Stable));
        assert_eq!(
            text(&places[1].settings()),
            "/home/ada/.var/app/dev.zed.Zed/config/zed/settings.json"
        );
        assert_eq!(
            text(&places[2].data),
            "/home/ada/.var/app/dev.zed.ZedPreview/data/zed"
        );
    }

    #[test]
    fn macos_has_its_settings_beside_its_data() {
        let named = [("XDG_CONFIG_HOME", "/x"), ("XDG_DATA_HOME", "/x")];
        assert_eq!(
            first(&machine(System::Macos, "/Users/ada", &named)),
            [
                "/Users/ada/.config/zed/settings.json",
                "/Users/ada/Library/Application Support/Zed/db/0-preview/db.sqlite",
                "/Users/ada/Library/Application Support/Zed/extensions/installed/mcp-server-spectask",
            ]
        );
        assert_eq!(
            machine(System::Macos, "/Users/ada", &[]).places(None).len(),
            1
        );
    }

    #[test]
    fn windows_has_roaming_settings_and_local_data() {
        let plain = first(&machine(System::Windows, "C:/Users/ada", &[]));
        let named = [
            ("APPDATA", "D:/Roaming"),
            ("LOCALAPPDATA", "D:/Local"),
            ("XDG_CONFIG_HOME", "/x"),
        ];
        let moved = first(&machine(System::Windows, "C:/Users/ada", &named));
        assert_eq!(plain[0], "C:/Users/ada/AppData/Roaming/Zed/settings.json");
        assert_eq!(
            plain[1],
            "C:/Users/ada/AppData/Local/Zed/db/0-preview/db.sqlite"
        );
        assert_eq!(moved[0], "D:/Roaming/Zed/settings.json");
        assert_eq!(moved[1], "D:/Local/Zed/db/0-preview/db.sqlite");
    }

    #[test]
    fn a_named_data_folder_is_the_only_place() {
        for system in [System::Linux, System::Macos, System::Windows] {
            let places = machine(system, "/home/ada", &[]).places(Some(Path::new("/tmp/zed")));
            assert_eq!(places.len(), 1);
            assert_eq!(text(&places[0].settings()), "/tmp/zed/config/settings.json");
            assert_eq!(
                text(&places[0].database(Channel::Dev)),
                "/tmp/zed/db/0-dev/db.sqlite"
            );
            assert_eq!(
                text(&places[0].extension_index()),
                "/tmp/zed/extensions/index.json"
            );
        }
    }

    #[test]
    fn the_command_line_has_many_names() {
        let shown = |machine: &Machine, channel| -> Vec<String> {
            let all = machine.launchers(channel);
            let lines = all.iter().map(|one| {
                let words = [text(&one.program)];
                words
                    .iter()
                    .chain(&one.args)
                    .cloned()
                    .collect::<Vec<_>>()
                    .join(" ")
            });
            lines.collect()
        };
        let linux = shown(&machine(System::Linux, "/home/ada", &[]), None);
        for name in [
            "zed",
            "zeditor",
            "zedit",
            "/home/ada/.local/bin/zed",
            "/home/ada/.local/zed-preview.app/bin/zed",
            "flatpak run dev.zed.Zed",
        ] {
            assert!(linux.iter().any(|one| one == name), "{name}: {linux:#?}");
        }
        let nightly = shown(
            &machine(System::Linux, "/home/ada", &[]),
            Some(Channel::Nightly),
        );
        assert!(nightly.contains(&"flatpak run dev.zed.ZedNightly".to_owned()));
        assert!(!nightly.contains(&"flatpak run dev.zed.Zed".to_owned()));
        let mac = shown(
            &machine(System::Macos, "/Users/ada", &[]),
            Some(Channel::Preview),
        );
        assert!(mac.contains(&"/Applications/Zed Preview.app/Contents/MacOS/cli".to_owned()));
        assert!(
            mac.contains(&"/Users/ada/Applications/Zed Preview.app/Contents/MacOS/cli".to_owned())
        );
        let windows = shown(
            &machine(System::Windows, "C:/Users/ada", &[]),
            Some(Channel::Stable),
        );
        assert!(
            windows.contains(&"C:/Users/ada/AppData/Local/Programs/Zed/bin/zed.exe".to_owned()),
            "{windows:?}"
        );
    }
}
