//! The sessions that are open in the editor: what it has of each, and what the daemon knows of that.

use std::{
    collections::BTreeMap,
    mem,
    time::{Duration, Instant},
};

use spectask_protocol::{WorkSessionId, shim::At};

/// An acknowledgement waits that long for more.
const ACK_AFTER: Duration = Duration::from_millis(20);
/// Or for that many frames.
const ACK_FRAMES: u32 = 64;

/// The open sessions, each with the index of the newest frame that went to the editor.
#[derive(Debug, Default)]
pub(super) struct Streams {
    open: BTreeMap<WorkSessionId, Option<u64>>,
}

impl Streams {
    /// A session is open; afresh when all of it comes again.
    pub(super) fn opened(&mut self, session: WorkSessionId, afresh: bool) {
        let newest = self.open.entry(session).or_default();
        if afresh {
            *newest = None;
        }
    }

    pub(super) fn closed(&mut self, session: &WorkSessionId) {
        self.open.remove(session);
    }

    /// Whether the editor does not have that frame yet; if so it has it now.
    pub(super) fn is_new(&mut self, at: &At) -> bool {
        let Some(newest) = self.open.get_mut(&at.session) else {
            return true;
        };
        if newest.is_some_and(|newest| at.index <= newest) {
            return false;
        }
        *newest = Some(at.index);
        true
    }

    /// All, for the next daemon.
    pub(super) fn all(&self) -> BTreeMap<WorkSessionId, Option<u64>> {
        self.open.clone()
    }
}

/// Acknowledgements that are due.
#[derive(Debug, Default)]
pub(super) struct Acks {
    due: BTreeMap<WorkSessionId, Due>,
    since: Option<Instant>,
    full: bool,
}

#[derive(Debug)]
struct Due {
    index: u64,
    frames: u32,
}

impl Acks {
    /// A frame was written.
    pub(super) fn written(&mut self, at: At, now: Instant) {
        let due = self.due.entry(at.session).or_insert(Due {
            index: at.index,
            frames: 0,
        });
        due.index = due.index.max(at.index);
        due.frames += 1;
        self.full |= due.frames >= ACK_FRAMES;
        self.since.get_or_insert(now);
    }

    /// When the next is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let since = self.since?;
        Some(if self.full { since } else { since + ACK_AFTER })
    }

    /// What is due: one for each session.
    pub(super) fn take(&mut self, now: Instant) -> Vec<At> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        self.clear()
    }

    /// All that waits.
    pub(super) fn clear(&mut self) -> Vec<At> {
        self.since = None;
        self.full = false;
        let due = mem::take(&mut self.due).into_iter();
        due.map(|(session, due)| At {
            session,
            index: due.index,
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(session: u8, index: u64) -> At {
        let session = format!("00000000-0000-7000-8000-0000000000{session:02}");
        At {
            session: session.parse().unwrap(),
            index,
        }
    }

    #[test]
    fn a_frame_is_written_once() {
        let mut streams = Streams::default();
        streams.opened(at(1, 0).session, true);
        let mut given = Vec::new();
        for index in [0, 1, 2, 1, 2, 3, 3] {
            if streams.is_new(&at(1, index)) {
                given.push(index);
            }
        }
        assert_eq!(given, [0, 1, 2, 3]);
        assert_eq!(streams.all().into_values().collect::<Vec<_>>(), [Some(3)]);
        // Opened by a daemon that goes on, and by a load.
        streams.opened(at(1, 0).session, false);
        assert!(!streams.is_new(&at(1, 3)));
        streams.opened(at(1, 0).session, true);
        assert!(streams.is_new(&at(1, 0)));
        streams.closed(&at(1, 0).session);
        assert!(streams.all().is_empty());
    }

    #[test]
    fn acknowledgements_are_gathered() {
        let start = Instant::now();
        let mut acks = Acks::default();
        for index in 0..10 {
            acks.written(at(1, index), start);
            acks.written(at(2, index * 2), start);
        }
        assert_eq!(acks.take(start), []);
        let due = acks.deadline().unwrap();
        assert_eq!(due, start + ACK_AFTER);
        assert_eq!(acks.take(due), [at(1, 9), at(2, 18)]);
        assert_eq!(acks.deadline(), None);
        for index in 0..u64::from(ACK_FRAMES) {
            assert_eq!(acks.take(start), [], "{index}");
            acks.written(at(1, index), start);
        }
        assert_eq!(acks.take(start), [at(1, u64::from(ACK_FRAMES) - 1)]);
    }
}
