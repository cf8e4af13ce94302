//! What a ref holds already, for those who would remove its sources.

use spectask_protocol::{TurnStatus, WorkSessionId};

use super::{
    RecordError,
    follow::place,
    format::{SESSION, SessionRecord, TurnRecord, turn_record_path},
};
use crate::repo::{Ledger, Repository};

/// Whether the ref of a session, by its name and id, holds its turns up to number `turns`, and that one
/// to its end.
///
/// # Errors
/// When the repository cannot be read.
pub fn holds(
    repository: &Repository,
    name: &str,
    id: &WorkSessionId,
    turns: u32,
) -> Result<bool, RecordError> {
    let ledger = Ledger::open(repository)?;
    let (_, Some(tip)) = place(&ledger, name, id)? else {
        return Ok(false);
    };
    let mut folder = ledger.folder(&tip)?;
    let record = ledger.read(&mut folder, SESSION)?;
    let Some(record) = record.as_deref().and_then(SessionRecord::parse) else {
        return Ok(false);
    };
    if record.id != *id {
        return Ok(false);
    }
    if turns == 0 {
        return Ok(true);
    }
    let last = ledger.read(&mut folder, &turn_record_path(turns))?;
    let last = last.as_deref().and_then(TurnRecord::parse);
    Ok(last.is_some_and(|turn| turn.number == turns && turn.status != TurnStatus::Running))
}
