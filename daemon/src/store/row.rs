//! Reads columns into types: names into states, JSON into lists.

use rusqlite::Row;
use serde::{Serialize, de::DeserializeOwned};
use spectask_protocol::{
    AgentName, ImplementationTaskStatus, MessageId, MessageKind, PermissionId, ProjectId,
    SessionMethod, SessionPhase, SessionStage, SessionStatus, SpecTaskId, SpecTaskStatus,
    ThreadStatus, TurnStatus, WaitKind, WorkMode, WorkSessionId,
};

use super::StoreError;

/// A type that is kept as a text column.
pub(super) trait Column: Sized {
    const WHAT: &'static str;
    fn from_text(text: &str) -> Option<Self>;
}

macro_rules! state_columns {
    ($($ty:ident: $what:literal),+) => {
        $(impl Column for $ty {
            const WHAT: &'static str = $what;
            fn from_text(text: &str) -> Option<Self> {
                Self::parse(text)
            }
        })+
    };
}
macro_rules! id_columns {
    ($($ty:ident: $what:literal),+) => {
        $(impl Column for $ty {
            const WHAT: &'static str = $what;
            fn from_text(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        })+
    };
}
state_columns!(
    SpecTaskStatus: "task status", SessionPhase: "session phase", SessionStatus: "session status",
    SessionStage: "session stage", SessionMethod: "session method", WorkMode: "work mode",
    ImplementationTaskStatus: "implementation task status", ThreadStatus: "thread status",
    TurnStatus: "turn status", WaitKind: "wait kind",
    MessageKind: "message kind"
);
id_columns!(
    ProjectId: "project id", SpecTaskId: "task id", WorkSessionId: "session id",
    PermissionId: "permission id", MessageId: "message id", AgentName: "agent name"
);

/// A typed text column.
pub(super) fn text<T: Column>(row: &Row<'_>, column: &str) -> Result<T, StoreError> {
    let value: String = row.get(column)?;
    T::from_text(&value).ok_or(StoreError::Corrupt {
        what: T::WHAT,
        value,
    })
}

/// A typed text column that may be empty.
pub(super) fn optional<T: Column>(row: &Row<'_>, column: &str) -> Result<Option<T>, StoreError> {
    let value: Option<String> = row.get(column)?;
    value
        .map(|value| {
            T::from_text(&value).ok_or(StoreError::Corrupt {
                what: T::WHAT,
                value,
            })
        })
        .transpose()
}

/// A JSON column.
pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, column: &str) -> Result<T, StoreError> {
    let value: String = row.get(column)?;
    serde_json::from_str(&value).map_err(|_| StoreError::Corrupt {
        what: "JSON column",
        value,
    })
}

/// The text of a JSON column.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::during("encode JSON", &error))
}

impl super::Read<'_> {
    /// All rows of a query, each through `read`.
    pub(super) fn rows<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self
            .0
            .prepare_cached(sql)
            .map_err(|error| StoreError::during(sql, &error))?;
        let mut rows = statement
            .query(values)
            .map_err(|error| StoreError::during(sql, &error))?;
        let mut all = Vec::new();
        while let Some(row) = rows
            .next()
            .map_err(|error| StoreError::during(sql, &error))?
        {
            all.push(read(row)?);
        }
        Ok(all)
    }

    /// The first row of a query, through `read`.
    pub(super) fn row<T>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
        read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.rows(sql, values, read)?.into_iter().next())
    }
}
