//! Which dialect of the documents is checked, and how strictly.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use spectask_protocol::Severity;

use super::tasks::TaskState;

/// A dialect of the documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Kiro's format as it is found in public repositories.
    #[default]
    Kiro,
    /// The same, with every warning an error.
    KiroStrict,
    /// cc-sdd: Kiro's format with `(P)`, `_Depends:_` and `_Boundary:_`.
    CcSdd,
    /// Helix: plain checklists, mostly without EARS; `[~]` is in progress.
    Helix,
}

/// A profile name that is not known.
#[derive(Debug, thiserror::Error)]
#[error("there is no profile `{0}`; use one of kiro, kiro-strict, cc-sdd, helix")]
pub struct UnknownProfile(String);

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 4] = [Self::Kiro, Self::KiroStrict, Self::CcSdd, Self::Helix];

    /// The name used on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kiro => "kiro",
            Self::KiroStrict => "kiro-strict",
            Self::CcSdd => "cc-sdd",
            Self::Helix => "helix",
        }
    }

    /// How bad a finding of this rule is here; `None` if the rule is off.
    pub(super) fn severity(self, rule: &str, usual: Severity) -> Option<Severity> {
        match self {
            Self::Kiro | Self::CcSdd => Some(usual),
            Self::KiroStrict => Some(if usual == Severity::Warning {
                Severity::Error
            } else {
                usual
            }),
            Self::Helix => match rule {
                _ if rule.starts_with("ears-") => None,
                "missing-title"
                | "missing-section"
                | "task-unnumbered"
                | "no-dependencies"
                | "task-without-requirements" => None,
                "no-requirements"
                | "missing-story"
                | "no-criteria"
                | "no-references"
                | "uncovered-criterion" => Some(usual.min(Severity::Info)),
                _ => Some(usual),
            },
        }
    }

    /// What a state mark between the brackets means; `None` if it has no meaning here.
    pub(super) fn state(self, mark: u8) -> Option<TaskState> {
        match (mark, self) {
            (b' ', _) => Some(TaskState::Open),
            (b'x' | b'X', _) => Some(TaskState::Done),
            (b'-', Self::Kiro | Self::KiroStrict | Self::CcSdd) | (b'~', Self::Helix) => {
                Some(TaskState::InProgress)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.name() == name)
            .ok_or_else(|| UnknownProfile(name.to_owned()))
    }
}
