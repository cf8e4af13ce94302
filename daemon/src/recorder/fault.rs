//! Ends at a chosen step, as a kill would: for tests.

use super::RecordError;

/// Counts steps; ends at one when it was told to.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Steps until the end; none: never.
    pub(super) left: Option<u32>,
    /// Steps so far.
    pub(super) steps: u32,
}

impl Faults {
    pub(super) fn step(&mut self, place: &'static str) -> Result<(), RecordError> {
        self.steps += 1;
        match &mut self.left {
            Some(0) => Err(RecordError::Killed(place)),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}
