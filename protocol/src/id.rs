//! Ids as newtypes. Every id that could become a path or ref segment is checked here, at the boundary.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct IdError {
    text: String,
    expected: &'static str,
}

impl IdError {
    fn new(text: &str, expected: &'static str) -> Self {
        Self {
            text: text.chars().take(80).collect(),
            expected,
        }
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_digit() || (b'a'..=b'f').contains(&b),
        })
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(String);

        impl $name {
            /// The UUID in lower-case hyphenated form.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                if is_uuid(&text) { Ok(Self(text)) } else { Err(IdError::new(&text, $what)) }
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::try_from(text.to_owned())
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

uuid_id! {
    /// A project: one git repository (its common directory), a UUIDv7.
    ProjectId, "a project id (UUID)"
}
uuid_id! {
    /// A SpecTask, a UUIDv7. People use its name, for example `7-user-auth`.
    SpecTaskId, "a SpecTask id (UUID)"
}
uuid_id! {
    /// A work session: one agent thread and one Helix session, a UUIDv7.
    WorkSessionId, "a work session id (UUID)"
}
uuid_id! {
    /// A permission request that waits for a person, a UUIDv7.
    PermissionId, "a permission id (UUID)"
}

uuid_id! {
    /// A message from one session, or a person, to a session, a UUIDv7.
    MessageId, "a message id (UUID)"
}

macro_rules! reference {
    ($(#[$doc:meta])* $name:ident, $max:literal, $allowed:expr, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(String);

        impl $name {
            /// The reference as the person wrote it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                let allowed: fn(char) -> bool = $allowed;
                if !text.is_empty()
                    && text.len() <= $max
                    && !text.contains("..")
                    && !text.starts_with(['-', '.', '/'])
                    && text.chars().all(allowed)
                {
                    Ok(Self(text))
                } else {
                    Err(IdError::new(&text, $what))
                }
            }
        }
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::try_from(text.to_owned())
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
        impl From<SpecTaskId> for $name {
            fn from(id: SpecTaskId) -> Self {
                Self(id.into())
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

reference! {
    /// What a person calls a SpecTask: its name `7-user-auth`, its number `7`, or its id.
    TaskRef, 64, |c| c.is_ascii_alphanumeric() || c == '-',
    "a SpecTask (its name such as 7-user-auth, its number, or its id)"
}
reference! {
    /// What a person calls a work session: `7-user-auth/02-api`, `7/2`, or its id.
    SessionRef, 130, |c| c.is_ascii_alphanumeric() || c == '-' || c == '/',
    "a work session (such as 7/2, 7-user-auth/02-api, or its id)"
}
reference! {
    /// The name of an agent profile: lower-case letters, digits, `-`.
    AgentName, 40, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-',
    "an agent name (lower-case letters, digits and -)"
}

impl From<WorkSessionId> for SessionRef {
    fn from(id: WorkSessionId) -> Self {
        Self(id.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_that_could_escape_are_refused() {
        for bad in ["", "../x", "a/..", "-x", "/etc", "a b", "a\n", "é", "7;rm"] {
            assert!(bad.parse::<SessionRef>().is_err(), "{bad:?}");
            assert!(bad.parse::<TaskRef>().is_err(), "{bad:?}");
        }
        for good in ["7", "7-user-auth", "01890a5d-ac96-774b-bcce-b302099a8057"] {
            assert!(good.parse::<TaskRef>().is_ok(), "{good:?}");
        }
        assert!("7/2".parse::<SessionRef>().is_ok());
    }

    #[test]
    fn an_id_is_a_lower_case_uuid() {
        assert!(
            "01890a5d-ac96-774b-bcce-b302099a8057"
                .parse::<SpecTaskId>()
                .is_ok()
        );
        assert!(
            "01890A5D-ac96-774b-bcce-b302099a8057"
                .parse::<SpecTaskId>()
                .is_err()
        );
        assert!(serde_json::from_str::<SpecTaskId>("\"../../etc\"").is_err());
    }
}
