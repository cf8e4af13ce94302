//! Where everything lives: data folder, configuration file, socket, lock, log.

use std::{
    env,
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use directories::ProjectDirs;
use sha2::{Digest, Sha256};

/// The longest path that a Unix socket address holds everywhere (macOS: 104 bytes with the NUL).
const SOCKET_PATH_LIMIT: usize = 100;

/// Why no place was found.
#[derive(Debug, thiserror::Error)]
pub enum PathsError {
    /// The system names no home folder.
    #[error(
        "no home folder is known, so there is no place for SpecTask's data; set SPECTASK_DATA_DIR and SPECTASK_CONFIG"
    )]
    NoHome,
    /// A variable holds a relative path.
    #[error("{variable} must be an absolute path, not {value:?}")]
    Relative {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: PathBuf,
    },
}

/// The places of one daemon. `SPECTASK_DATA_DIR` and `SPECTASK_CONFIG` move them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The folder that only the daemon writes.
    pub data_dir: PathBuf,
    /// The person's configuration, TOML.
    pub config_file: PathBuf,
}

impl Paths {
    /// The places that the environment names.
    ///
    /// # Errors
    /// When there is no home folder, or a variable holds a relative path.
    pub fn from_env() -> Result<Self, PathsError> {
        let dirs = || ProjectDirs::from("dev", "SpecTask", "spectask").ok_or(PathsError::NoHome);
        let data_dir = match variable("SPECTASK_DATA_DIR")? {
            Some(path) => path,
            None => dirs()?.data_local_dir().to_owned(),
        };
        let config_file = match variable("SPECTASK_CONFIG")? {
            Some(path) => path,
            None => dirs()?.config_dir().join("config.toml"),
        };
        Ok(Self {
            data_dir,
            config_file,
        })
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.data_dir.join("spectask.db")
    }

    /// The file whose lock makes the daemon the only one of this data folder.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.data_dir.join("daemon.lock")
    }

    /// Whether a daemon has the data folder, though it may answer no more.
    #[must_use]
    pub fn are_in_use(&self) -> bool {
        File::open(self.lock_file())
            .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// The daemon's log.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.data_dir.join("daemon.log")
    }

    /// Address and token of the HTTP service on loopback, as JSON with `url`, `token` and `pid`; there
    /// while the daemon runs, for its user alone.
    #[must_use]
    pub fn http_file(&self) -> PathBuf {
        self.data_dir.join("http.json")
    }

    /// The folder of the worktrees.
    #[must_use]
    pub fn worktrees(&self) -> PathBuf {
        self.data_dir.join("worktrees")
    }

    /// The folder of a person's own prompt templates.
    #[must_use]
    pub fn prompts(&self) -> PathBuf {
        self.config_file
            .parent()
            .unwrap_or(Path::new(""))
            .join("prompts")
    }

    /// The local socket: a path on Unix, a pipe name on Windows. A data folder whose path is too long
    /// for a socket address gets one in the temporary folder, named by a digest.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        if cfg!(windows) {
            return PathBuf::from(format!(r"\\.\pipe\spectask-{}", self.short_digest()));
        }
        let inside = self.data_dir.join("daemon.sock");
        if inside.as_os_str().len() <= SOCKET_PATH_LIMIT {
            return inside;
        }
        env::temp_dir()
            .join(format!("spectask-{}", self.short_digest()))
            .join("daemon.sock")
    }

    fn short_digest(&self) -> String {
        let digest = Sha256::digest(self.data_dir.as_os_str().as_encoded_bytes());
        digest
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

fn variable(name: &'static str) -> Result<Option<PathBuf>, PathsError> {
    match env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
    {
        Some(value) if value.is_absolute() => Ok(Some(value)),
        Some(value) => Err(PathsError::Relative {
            variable: name,
            value,
        }),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn a_deep_data_folder_still_gets_a_socket() {
        let deep = PathBuf::from("/").join("x".repeat(300));
        let paths = Paths {
            data_dir: deep,
            config_file: "/c".into(),
        };
        assert!(
            paths.socket().as_os_str().len() <= SOCKET_PATH_LIMIT,
            "{:?}",
            paths.socket()
        );
        let near = Paths {
            data_dir: "/d".into(),
            config_file: "/c".into(),
        };
        assert_eq!(near.socket(), PathBuf::from("/d/daemon.sock"));
    }
}
