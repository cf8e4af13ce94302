//! One turn as the client sees it: messages, plan, tool calls, file and terminal requests. Every
//! wait ends at once when the turn is cancelled.

use std::{future::Future, path::PathBuf, time::Duration};

use agent_client_protocol::{
    Client, Error,
    v1::{ConnectionTo, schema},
};

use super::session::{Message, Speaker, TurnGuard};

/// Output of a command that is kept for the report.
const MAX_OUTPUT: u64 = 64 * 1024;

/// What the client can do, as it said at `initialize`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Offered {
    pub(super) read: bool,
    pub(super) write: bool,
    pub(super) terminal: bool,
}

/// Why a turn ends early.
#[derive(Debug)]
pub(super) enum Stop {
    /// The client cancelled it.
    Cancelled,
    /// The agent cannot do what was asked; the text says why.
    Refused(String),
}

/// How a write went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// The file has new content.
    Changed,
    /// The file was already as it should be.
    Same,
}

/// How a command went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ran {
    /// It ended with a status, if the system gave one; the output may be shortened.
    Ended { code: Option<u32>, output: String },
    /// It did not run; the text says why.
    Not(String),
}

/// A running turn.
pub(super) struct Turn {
    pub(super) cx: ConnectionTo<Client>,
    pub(super) guard: TurnGuard,
    pub(super) offered: Offered,
    pub(super) pace: Duration,
    id: String,
    count: u64,
    plan: Vec<(String, schema::PlanEntryStatus)>,
}

impl Turn {
    pub(super) fn new(
        cx: ConnectionTo<Client>,
        guard: TurnGuard,
        offered: Offered,
        pace: Duration,
    ) -> Self {
        Self {
            cx,
            guard,
            offered,
            pace,
            id: uuid::Uuid::now_v7().to_string(),
            count: 0,
            plan: Vec::new(),
        }
    }

    fn next_id(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("{kind}-{}-{}", self.id, self.count)
    }

    /// An absolute path below the session's root.
    pub(super) fn path(&self, relative: &str) -> PathBuf {
        let mut path = self.guard.session.cwd.clone();
        path.extend(relative.split('/'));
        path
    }

    /// Records what the client sent; it is replayed on load.
    pub(super) fn record_prompt(&mut self, text: &str) {
        let id = self.next_id("user");
        self.guard.session.record(Message {
            id,
            speaker: Speaker::User,
            text: text.to_owned(),
        });
    }

    /// Says something as one message.
    pub(super) fn say(&mut self, text: &str) {
        let id = self.next_id("message");
        self.update(schema::SessionUpdate::AgentMessageChunk(
            schema::ContentChunk::new(text.into()).message_id(id.as_str()),
        ));
        self.guard.session.record(Message {
            id,
            speaker: Speaker::Agent,
            text: text.to_owned(),
        });
    }

    /// Shows what will be done; the first entry is in progress.
    pub(super) fn set_plan(&mut self, entries: impl IntoIterator<Item = String>) {
        self.plan = entries
            .into_iter()
            .map(|entry| (entry, schema::PlanEntryStatus::Pending))
            .collect();
        if let Some((_, status)) = self.plan.first_mut() {
            *status = schema::PlanEntryStatus::InProgress;
        }
        self.send_plan();
    }

    /// Moves the plan on by one entry, then waits for the pace.
    pub(super) async fn step_done(&mut self) -> Result<(), Stop> {
        let current = self
            .plan
            .iter()
            .position(|(_, status)| *status != schema::PlanEntryStatus::Completed);
        if let Some(current) = current {
            if let Some((_, status)) = self.plan.get_mut(current) {
                *status = schema::PlanEntryStatus::Completed;
            }
            if let Some((_, status)) = self.plan.get_mut(current + 1) {
                *status = schema::PlanEntryStatus::InProgress;
            }
            self.send_plan();
        }
        self.breathe().await
    }

    fn send_plan(&self) {
        let entries = self
            .plan
            .iter()
            .map(|(content, status)| {
                schema::PlanEntry::new(
                    content.clone(),
                    schema::PlanEntryPriority::Medium,
                    status.clone(),
                )
            })
            .collect();
        self.update(schema::SessionUpdate::Plan(schema::Plan::new(entries)));
    }

    /// Lets a person follow, and notices a cancel between steps.
    pub(super) async fn breathe(&self) -> Result<(), Stop> {
        if !self.pace.is_zero() {
            self.unless_cancelled(tokio::time::sleep(self.pace)).await?;
        }
        if self.guard.cancel.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        Ok(())
    }

    /// Reads a file of the session's root through the client; `None` if it cannot be read.
    pub(super) async fn read(&mut self, relative: &str) -> Result<Option<String>, Stop> {
        let call = self.next_id("call");
        let path = self.path(relative);
        self.update(schema::SessionUpdate::ToolCall(
            schema::ToolCall::new(call.clone(), format!("Read {relative}"))
                .name("read_text_file".to_owned())
                .kind(schema::ToolKind::Read)
                .status(schema::ToolCallStatus::InProgress)
                .locations(vec![schema::ToolCallLocation::new(path)]),
        ));
        let result = self.peek(relative).await?;
        let fields = schema::ToolCallUpdateFields::new().status(schema::ToolCallStatus::Completed);
        let fields = match &result {
            Some(text) => fields.content(vec![format!("{} lines", text.lines().count()).into()]),
            // Probing for a file that may be absent is not a failure.
            None => fields.content(vec!["There is no such file that can be read".into()]),
        };
        self.update_call(call, fields);
        Ok(result)
    }

    /// Like [`Turn::read`], without showing it: what a write is compared with.
    pub(super) async fn peek(&self, relative: &str) -> Result<Option<String>, Stop> {
        let path = self.path(relative);
        let request = schema::ReadTextFileRequest::new(self.guard.session.id.clone(), path);
        let response = self
            .unless_cancelled(self.cx.send_request(request).block_task())
            .await?;
        Ok(response.ok().map(|response| response.content))
    }

    /// Writes a file of the session's root through the client and shows the change as a diff.
    pub(super) async fn write(&mut self, relative: &str, text: &str) -> Result<Written, Stop> {
        let call = self.next_id("call");
        let path = self.path(relative);
        let old = self.peek(relative).await?;
        if old.as_deref() == Some(text) {
            return Ok(Written::Same);
        }
        self.update(schema::SessionUpdate::ToolCall(
            schema::ToolCall::new(call.clone(), format!("Write {relative}"))
                .name("write_text_file".to_owned())
                .kind(schema::ToolKind::Edit)
                .status(schema::ToolCallStatus::InProgress)
                .locations(vec![schema::ToolCallLocation::new(path.clone())])
                .content(vec![
                    schema::Diff::new(path.clone(), text).old_text(old).into(),
                ]),
        ));
        let request = schema::WriteTextFileRequest::new(self.guard.session.id.clone(), path, text);
        let result = self
            .unless_cancelled(self.cx.send_request(request).block_task())
            .await?;
        match result {
            Ok(_) => {
                self.update_call(
                    call,
                    schema::ToolCallUpdateFields::new().status(schema::ToolCallStatus::Completed),
                );
                Ok(Written::Changed)
            }
            Err(error) => {
                self.fail_call(call, &error.to_string());
                Err(Stop::Refused(format!(
                    "I could not write `{relative}`: {error}. The turn ends here; allow the write \
                     and ask again."
                )))
            }
        }
    }

    /// Runs `sh` with a script of the session's root in a terminal of the client, after asking.
    pub(super) async fn run(&mut self, relative: &str) -> Result<Ran, Stop> {
        if !self.offered.terminal {
            return Ok(Ran::Not("the client offers no terminal".to_owned()));
        }
        let call = self.next_id("call");
        let path = self.path(relative);
        let tool = schema::ToolCall::new(call.clone(), format!("Run sh {relative}"))
            .name("terminal".to_owned())
            .kind(schema::ToolKind::Execute)
            .status(schema::ToolCallStatus::Pending)
            .locations(vec![schema::ToolCallLocation::new(path)])
            .raw_input(serde_json::json!({ "command": "sh", "args": [relative] }));
        self.update(schema::SessionUpdate::ToolCall(tool.clone()));
        if !self.is_permitted(tool).await? {
            self.fail_call(call, "Permission was not given");
            return Ok(Ran::Not("permission was not given".to_owned()));
        }
        let request = schema::CreateTerminalRequest::new(self.guard.session.id.clone(), "sh")
            .args(vec![relative.to_owned()])
            .cwd(self.guard.session.cwd.clone())
            .output_byte_limit(MAX_OUTPUT);
        let created = self
            .unless_cancelled(self.cx.send_request(request).block_task())
            .await?;
        let terminal = match created {
            Ok(response) => response.terminal_id,
            Err(error) => {
                self.fail_call(call, &error.to_string());
                return Ok(Ran::Not(format!("the terminal did not start: {error}")));
            }
        };
        self.update_call(
            call.clone(),
            schema::ToolCallUpdateFields::new()
                .status(schema::ToolCallStatus::InProgress)
                .content(vec![schema::ToolCallContent::Terminal(
                    schema::Terminal::new(terminal.clone()),
                )]),
        );
        let ran = self.finish(&terminal).await;
        if matches!(ran, Err(Stop::Cancelled)) {
            self.fire(schema::KillTerminalRequest::new(
                self.guard.session.id.clone(),
                terminal.clone(),
            ));
        }
        self.fire(schema::ReleaseTerminalRequest::new(
            self.guard.session.id.clone(),
            terminal,
        ));
        let ran = ran?;
        let status = match &ran {
            Ran::Ended { code: Some(0), .. } => schema::ToolCallStatus::Completed,
            _ => schema::ToolCallStatus::Failed,
        };
        self.update_call(call, schema::ToolCallUpdateFields::new().status(status));
        Ok(ran)
    }

    async fn is_permitted(&self, tool: schema::ToolCall) -> Result<bool, Stop> {
        let allow = "allow-once";
        let request = schema::RequestPermissionRequest::new(
            self.guard.session.id.clone(),
            tool.into(),
            vec![
                schema::PermissionOption::new(
                    allow,
                    "Run it once",
                    schema::PermissionOptionKind::AllowOnce,
                ),
                schema::PermissionOption::new(
                    "reject-once",
                    "Do not run it",
                    schema::PermissionOptionKind::RejectOnce,
                ),
            ],
        );
        let answer = self
            .unless_cancelled(self.cx.send_request(request).block_task())
            .await?;
        match answer.map(|answer| answer.outcome) {
            Ok(schema::RequestPermissionOutcome::Selected(selected)) => {
                Ok(&*selected.option_id.0 == allow)
            }
            // The protocol answers so when the turn is being cancelled.
            Ok(schema::RequestPermissionOutcome::Cancelled) => Err(Stop::Cancelled),
            Ok(_) | Err(_) => Ok(false),
        }
    }

    async fn finish(&self, terminal: &schema::TerminalId) -> Result<Ran, Stop> {
        let session = self.guard.session.id.clone();
        let wait = schema::WaitForTerminalExitRequest::new(session.clone(), terminal.clone());
        let exit = self
            .unless_cancelled(self.cx.send_request(wait).block_task())
            .await?;
        let read = schema::TerminalOutputRequest::new(session, terminal.clone());
        let output = self
            .unless_cancelled(self.cx.send_request(read).block_task())
            .await?;
        Ok(match (exit, output) {
            (Ok(exit), output) => Ran::Ended {
                code: exit.exit_status.exit_code,
                output: output.map(|output| output.output).unwrap_or_default(),
            },
            (Err(error), _) => Ran::Not(format!("the terminal was lost: {error}")),
        })
    }

    /// Sends a request whose answer does not matter.
    fn fire(&self, request: impl agent_client_protocol::JsonRpcRequest) {
        self.cx.send_request(request).detach();
    }

    async fn unless_cancelled<T>(&self, work: impl Future<Output = T>) -> Result<T, Stop> {
        tokio::select! {
            biased;
            () = self.guard.cancel.cancelled() => Err(Stop::Cancelled),
            result = work => Ok(result),
        }
    }

    fn fail_call(&self, call: String, reason: &str) {
        self.update_call(
            call,
            schema::ToolCallUpdateFields::new()
                .status(schema::ToolCallStatus::Failed)
                .content(vec![reason.into()]),
        );
    }

    fn update_call(&self, call: String, fields: schema::ToolCallUpdateFields) {
        self.update(schema::SessionUpdate::ToolCallUpdate(
            schema::ToolCallUpdate::new(call, fields),
        ));
    }

    fn update(&self, update: schema::SessionUpdate) {
        let notification = schema::SessionNotification::new(self.guard.session.id.clone(), update);
        report(self.cx.send_notification(notification));
    }
}

/// A message that cannot be sent means that the client is gone, which ends the connection anyway.
pub(super) fn report(result: Result<(), Error>) {
    if let Err(error) = result {
        tracing::debug!(%error, "the client is gone");
    }
}
