//! What a window knows: requests, threads, permissions, and what was wrong.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use serde_json::Value;

use super::terminals::Terminals;
use super::{Checker, Frame, Thread};
use crate::schema::Side;

/// A permission that was asked.
#[derive(Clone, Debug)]
pub struct Permission {
    /// The id of the request.
    pub id: Value,
    /// The thread.
    pub session: String,
    /// The tool call and the options.
    pub params: Value,
    /// What came of it.
    pub state: PermissionState,
}

/// What came of a permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermissionState {
    /// Its card is shown.
    Shown,
    /// The person decided.
    Decided,
    /// The agent took it back.
    Withdrawn,
    /// The person stopped the turn.
    Cancelled,
}

/// An own request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) session: Option<String>,
    pub(super) answer: Option<Result<Value, Value>>,
}

/// Everything a window knows.
pub struct Desk {
    /// Every frame, in order.
    pub frames: Vec<Frame>,
    /// Open threads by session id.
    pub threads: BTreeMap<String, Thread>,
    /// Threads in the order they were last used.
    pub(super) order: Vec<String>,
    /// Updates that came for a thread before it was registered, or for none at all.
    pub lost: Vec<Value>,
    pub(super) closed: BTreeSet<String>,
    /// Permissions in the order they were asked.
    pub permissions: Vec<Permission>,
    /// Frames that break the protocol.
    pub faults: Vec<String>,
    /// Answers without an id: complaints about what this window wrote.
    pub complaints: Vec<Value>,
    /// What the agent process wrote to stderr.
    pub stderr: String,
    /// Whether the agent process closed its stdout.
    pub ended: bool,
    pub(super) asked: HashMap<String, Asked>,
    pub(super) terminals: Terminals,
    checker: Checker,
}

impl Desk {
    pub(super) fn new(project: &Path) -> Self {
        Self {
            frames: Vec::new(),
            threads: BTreeMap::new(),
            order: Vec::new(),
            lost: Vec::new(),
            closed: BTreeSet::new(),
            permissions: Vec::new(),
            faults: Vec::new(),
            complaints: Vec::new(),
            stderr: String::new(),
            ended: false,
            asked: HashMap::new(),
            terminals: Terminals::new(project),
            checker: Checker::default(),
        }
    }

    pub(super) fn sent(&mut self, frame: &Value) {
        if let Err(fault) = self.checker.check(Side::Client, frame) {
            self.faults.push(format!("this editor's own: {fault}"));
        }
        self.frames.push(Frame::Sent(frame.clone()));
    }

    pub(super) fn got(&mut self, frame: &Value) {
        if let Err(fault) = self.checker.check(Side::Agent, frame) {
            self.faults.push(fault);
        }
        self.frames.push(Frame::Received(frame.clone()));
    }

    /// Requests of a thread that wait for their answers.
    #[must_use]
    pub fn unanswered(&self) -> Vec<String> {
        let open = self.asked.values().filter(|asked| asked.answer.is_none());
        open.map(|asked| asked.method.clone()).collect()
    }

    /// Whether a prompt of the thread is open.
    #[must_use]
    pub fn is_running(&self, session: &str) -> bool {
        self.asked.values().any(|asked| {
            asked.method == "session/prompt"
                && asked.answer.is_none()
                && asked.session.as_deref() == Some(session)
        })
    }

    /// Permissions on the screen.
    #[must_use]
    pub fn shown(&self, session: &str) -> Vec<Permission> {
        let shown = self.permissions.iter().filter(|permission| {
            permission.state == PermissionState::Shown && permission.session == session
        });
        shown.cloned().collect()
    }

    pub(super) fn describe(&self) -> String {
        let from = self.frames.len().saturating_sub(12);
        let mut frames = String::new();
        for frame in &self.frames[from..] {
            let (sign, frame) = match frame {
                Frame::Sent(frame) => ("->", frame),
                Frame::Received(frame) => ("<-", frame),
            };
            let text: String = frame.to_string().chars().take(600).collect();
            frames.push_str(&format!("\n{sign} {text}"));
        }
        format!(
            "faults {:#?}; stderr {:?}; the last frames:{frames}",
            self.faults, self.stderr
        )
    }
}
