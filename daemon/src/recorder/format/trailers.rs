//! The last lines of every commit on a ref of recorded history.

use super::Cursor;
use crate::repo::CommitMessage;

/// What the trailers of a commit say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trailers {
    /// `Spec-Task:` the name of the SpecTask.
    pub task: Option<String>,
    /// `Work-Session:` the name of the session, as `{task}/{session}`.
    pub session: Option<String>,
    /// `Turn:` the turn, from 1.
    pub turn: Option<u32>,
    /// `Requirements:` numbers of requirements, with commas between them.
    pub requirements: Vec<String>,
    /// `Event:` and `Entries:`, how far the sources were read.
    pub cursor: Cursor,
}

impl Trailers {
    /// A message of one line with these trailers.
    #[must_use]
    pub fn message(&self, subject: &str) -> String {
        let mut message = CommitMessage::new(subject);
        if let Some(task) = &self.task {
            message = message.trailer("Spec-Task", task);
        }
        if let Some(session) = &self.session {
            message = message.trailer("Work-Session", session);
        }
        if let Some(turn) = self.turn {
            message = message.trailer("Turn", turn.to_string());
        }
        if !self.requirements.is_empty() {
            message = message.trailer("Requirements", self.requirements.join(", "));
        }
        message
            .trailer("Event", self.cursor.event.to_string())
            .trailer("Entries", self.cursor.entries.to_string())
            .text()
    }

    /// Reads the trailers of a message: the lines after its last empty line. None when there is no
    /// `Event:`, which every commit of the recorder has.
    #[must_use]
    pub fn parse(message: &str) -> Option<Self> {
        let (_, last) = message.trim_end().rsplit_once("\n\n")?;
        let mut found = Self::default();
        let mut event = None;
        for line in last.lines() {
            let Some((key, value)) = line.split_once(": ") else {
                continue;
            };
            match key {
                "Spec-Task" => found.task = Some(value.to_owned()),
                "Work-Session" => found.session = Some(value.to_owned()),
                "Turn" => found.turn = value.parse().ok(),
                "Requirements" => {
                    found.requirements = value.split(", ").map(str::to_owned).collect();
                }
                "Event" => event = value.parse().ok(),
                "Entries" => found.cursor.entries = value.parse().unwrap_or(0),
                _ => {}
            }
        }
        found.cursor.event = event?;
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_reads_well() {
        let trailers = Trailers {
            task: Some("7-user-auth".into()),
            session: Some("7-user-auth/02-backend".into()),
            turn: Some(3),
            requirements: vec!["1.2".into(), "2.1".into()],
            cursor: Cursor {
                event: 812,
                entries: 96,
            },
        };
        insta::assert_snapshot!(trailers.message("Turn 3 ended"), @r"
        Turn 3 ended

        Spec-Task: 7-user-auth
        Work-Session: 7-user-auth/02-backend
        Turn: 3
        Requirements: 1.2, 2.1
        Event: 812
        Entries: 96
        ");
        assert_eq!(Trailers::parse("Turn 3\n\nno trailers here\n"), None);
        assert_eq!(Trailers::parse("Event: 3"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            subject in "\\PC{0,60}|[ -~\n]{0,60}|Event: 7|\n\nEvent: 7",
            task in proptest::option::of("[0-9]{1,3}-[a-z-]{1,20}"),
            turn in proptest::option::of(1_u32..10_000),
            requirements in prop::collection::vec("[0-9]{1,2}\\.[0-9]{1,2}", 0..4),
            event in any::<u64>(),
            entries in any::<u64>(),
        ) {
            let session = task.as_ref().map(|task| format!("{task}/01-x"));
            let cursor = Cursor { event, entries };
            let trailers = Trailers { task, session, turn, requirements, cursor };
            prop_assert_eq!(Trailers::parse(&trailers.message(&subject)), Some(trailers));
        }

        #[test]
        fn anything_is_read_without_a_fault(message in "(?s).{0,200}") {
            let _trailers = Trailers::parse(&message);
        }
    }
}
