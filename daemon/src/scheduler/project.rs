//! `.spectask.toml`: what a repository says about itself. Its commands run only after a person
//! trusted exactly its text.

use std::{fs, io, path::Path};

use serde::{Deserialize, Deserializer};
use spectask_protocol::{ProjectId, TrustView};

use crate::{
    spec,
    store::{Read, StoreError},
};

/// The file's name in the root of a repository.
pub const FILE_NAME: &str = ".spectask.toml";

/// More is no configuration.
const SIZE_LIMIT: u64 = 256 * 1024;

/// What `.spectask.toml` may say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProjectFile {
    /// Commands that run in each new worktree before the agent.
    #[serde(deserialize_with = "one_or_many")]
    pub setup: Vec<String>,
    /// Untracked files that are copied into each worktree, such as `.env`.
    #[serde(deserialize_with = "one_or_many")]
    pub copy: Vec<String>,
    /// Commands that decide whether work counts.
    #[serde(deserialize_with = "one_or_many")]
    pub verify: Vec<String>,
    /// Names of resources that `_Resources:_` may use; informative.
    #[serde(deserialize_with = "one_or_many")]
    pub resources: Vec<String>,
    /// The branch or revision that SpecTasks start from; HEAD when absent.
    pub base: Option<String>,
}

/// Whether a path is not plainly inside.
fn leaves(pattern: &str) -> bool {
    let inside = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(_));
    pattern.is_empty() || !Path::new(pattern).components().all(inside)
}

fn one_or_many<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(input)? {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    })
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// It cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It does not fit.
    #[error("{path}: {reason}")]
    Syntax {
        /// The file.
        path: String,
        /// What is wrong, with its place.
        reason: String,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A repository's file, read and held against what a person trusts.
#[derive(Debug, Clone, Default)]
pub struct Project {
    /// What it says.
    pub file: ProjectFile,
    /// SHA-256 of its text, hex; none when there is no file.
    pub digest: Option<String>,
    /// Whether a person trusts exactly this text, or it has no commands.
    pub trusted: bool,
}

impl Project {
    /// Reads the file in the root of a repository.
    ///
    /// # Errors
    /// When it cannot be read or does not fit.
    pub fn load(
        root: &Path,
        trusted: impl FnOnce(&str) -> Result<bool, StoreError>,
    ) -> Result<Self, ProjectError> {
        let path = root.join(FILE_NAME);
        let shown = || path.display().to_string();
        let failed = |source| ProjectError::Read {
            path: shown(),
            source,
        };
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self {
                    trusted: true,
                    ..Self::default()
                });
            }
            Err(error) => return Err(failed(error)),
            Ok(about) if !about.is_file() || about.len() > SIZE_LIMIT => {
                let reason = format!("it is not a plain file of at most {SIZE_LIMIT} bytes");
                return Err(ProjectError::Syntax {
                    path: shown(),
                    reason,
                });
            }
            Ok(_) => {}
        }
        let text = fs::read_to_string(&path).map_err(failed)?;
        let file: ProjectFile =
            toml_edit::de::from_str(&text).map_err(|error| ProjectError::Syntax {
                path: shown(),
                reason: error.to_string(),
            })?;
        if let Some(pattern) = file.copy.iter().find(|pattern| leaves(pattern)) {
            let reason =
                format!("copy = {pattern:?} leaves the repository; only paths inside are copied");
            return Err(ProjectError::Syntax {
                path: shown(),
                reason,
            });
        }
        let digest = spec::digest(&text);
        let harmless = file.setup.is_empty() && file.verify.is_empty() && file.copy.is_empty();
        let trusted = harmless || trusted(&digest)?;
        Ok(Self {
            file,
            digest: Some(digest),
            trusted,
        })
    }

    /// Reads the file of a kept project.
    ///
    /// # Errors
    /// When it cannot be read or does not fit.
    pub fn of(read: &Read<'_>, id: Option<&ProjectId>, root: &Path) -> Result<Self, ProjectError> {
        Self::load(root, |digest| match id {
            Some(id) => read.trusted(id, digest),
            None => Ok(false),
        })
    }

    /// As a person sees it.
    #[must_use]
    pub fn view(&self, root: &Path) -> TrustView {
        TrustView {
            project: root.display().to_string(),
            file: self
                .digest
                .as_ref()
                .map(|_| root.join(FILE_NAME).display().to_string()),
            digest: self.digest.clone(),
            setup: self.file.setup.clone(),
            copy: self.file.copy.clone(),
            verify: self.file.verify.clone(),
            trusted: self.trusted,
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn load(text: &str) -> Result<Project, ProjectError> {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join(FILE_NAME), text).unwrap();
        Project::load(folder.path(), |_| Ok(false))
    }

    #[test]
    fn commands_need_trust_and_nothing_else_does() {
        assert!(load("base = 'main'").unwrap().trusted);
        assert!(!load("verify = 'cargo test'").unwrap().trusted);
        assert!(!load("copy = ['.env']").unwrap().trusted);
        assert_eq!(load("verify = 'a'").unwrap().file.verify, ["a"]);
        assert_eq!(load("setup = ['a', 'b']").unwrap().file.setup, ["a", "b"]);
        let nothing = Project::load(Path::new("/nowhere"), |_| Ok(false)).unwrap();
        assert!(nothing.trusted && nothing.digest.is_none());
    }

    #[test]
    fn nonsense_is_named() {
        assert!(
            load("verfy = 'x'")
                .unwrap_err()
                .to_string()
                .contains("verfy")
        );
        assert!(load("verify = 3").is_err());
        for path in ["../x", "/etc/passwd", "a/../../b", ""] {
            let error = load(&format!("copy = [{path:?}]")).unwrap_err().to_string();
            assert!(
                error.contains(FILE_NAME) && error.contains("copy"),
                "{error}"
            );
        }
        assert!(load("copy = ['.env', 'config/local*']").is_ok());
    }
}
