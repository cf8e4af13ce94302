//! The one method table: server registration, typed client and OpenRPC come from it.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

#[allow(
    clippy::wildcard_imports,
    reason = "the table names nearly all of them"
)]
use crate::{history::*, model::*, request::*};

/// The version of this protocol. Client and daemon compare it in `daemon.hello`.
pub const PROTOCOL_VERSION: u32 = 1;

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Any connection.
    Anyone,
    /// Not a process that descends from an agent.
    Person,
}

/// A method of the daemon.
pub trait Method {
    /// Its name on the wire.
    const NAME: &'static str;
    /// Who may call it.
    const ACCESS: Access;
    /// Its parameters (by name).
    type Params: Serialize + DeserializeOwned + JsonSchema + Send + 'static;
    /// Its result.
    type Result: Serialize + DeserializeOwned + JsonSchema + Send + 'static;
}

/// What the table says of a method.
#[derive(Debug, Clone, Copy)]
pub struct MethodInfo {
    /// Its name on the wire.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Who may call it.
    pub access: Access,
    /// The schema of its parameters.
    pub params: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of its result.
    pub result: fn(&mut SchemaGenerator) -> Schema,
}

macro_rules! methods {
    ($($(#[doc = $doc:literal])+ $ty:ident = $name:literal, $access:ident, $params:ty => $result:ty;)+) => {
        $($(#[doc = $doc])+
        #[derive(Debug, Clone, Copy)]
        pub struct $ty;
        impl Method for $ty {
            const NAME: &'static str = $name;
            const ACCESS: Access = Access::$access;
            type Params = $params;
            type Result = $result;
        })+

        /// Every method, in the order of the reference.
        pub const METHODS: &[MethodInfo] = &[$(MethodInfo {
            name: $name,
            doc: concat!($($doc),+),
            access: Access::$access,
            params: SchemaGenerator::subschema_for::<$params>,
            result: SchemaGenerator::subschema_for::<$result>,
        }),+];
    };
}

methods! {
    /// Opens a connection: compares versions, tells the role.
    DaemonHello = "daemon.hello", Anyone, HelloParams => DaemonView;
    /// Tells how the daemon is.
    DaemonStatus = "daemon.status", Anyone, Empty => DaemonView;
    /// Stops the daemon; work goes on when it starts again.
    DaemonShutdown = "daemon.shutdown", Person, ShutdownParams => Empty;
    /// Removes what nobody needs any more: worktrees and merged branches of finished SpecTasks, old drafts,
    /// logs and transcripts. What is in no branch is saved to a ref first.
    DaemonGc = "daemon.gc", Person, GcParams => GcView;
    /// Checks the set-up.
    DaemonDoctor = "daemon.doctor", Anyone, DoctorParams => DoctorReport;
    /// Creates a SpecTask from a prompt and starts to plan.
    SpecTaskCreate = "specTask.create", Person, CreateParams => SpecTaskView;
    /// Lists SpecTasks, newest first.
    SpecTaskListAll = "specTask.list", Anyone, ListParams => SpecTaskList;
    /// Shows a SpecTask with its tasks and sessions.
    SpecTaskGet = "specTask.get", Anyone, TaskParams => SpecTaskOverview;
    /// Starts what is next: planning from the backlog, implementation after approval.
    SpecTaskStart = "specTask.start", Person, StartParams => SpecTaskView;
    /// Holds new sessions and turns back; running turns end.
    SpecTaskPause = "specTask.pause", Person, TaskParams => SpecTaskView;
    /// Goes on after a pause.
    SpecTaskResume = "specTask.resume", Person, StartParams => SpecTaskView;
    /// Tries again what failed, is blocked or waits: a SpecTask or one session.
    SpecTaskRetry = "specTask.retry", Person, TargetParams => SpecTaskView;
    /// Ends a SpecTask or one session.
    SpecTaskCancel = "specTask.cancel", Person, TargetParams => SpecTaskView;
    /// Shows what changed on the branch of a SpecTask or session.
    SpecTaskDiff = "specTask.diff", Anyone, DiffParams => DiffView;
    /// Records that a person finished a SpecTask, or checks whether one could.
    SpecTaskFinish = "specTask.finish", Person, FinishParams => SpecTaskView;
    /// Hides a SpecTask from lists, or shows it again.
    SpecTaskArchive = "specTask.archive", Person, TaskParams => SpecTaskView;
    /// Shows a revision of the documents for review.
    ReviewGet = "review.get", Anyone, ReviewParams => ReviewView;
    /// Approves the newest revision and commits it.
    ReviewApprove = "review.approve", Person, ApproveParams => SpecTaskView;
    /// Sends the newest revision back to the agent with comments.
    ReviewRequestChanges = "review.requestChanges", Person, RequestChangesParams => SpecTaskView;
    /// Rejects the documents and gives the SpecTask up.
    ReviewReject = "review.reject", Person, RejectParams => SpecTaskView;
    /// Keeps a person's edit of the documents as a new revision.
    ReviewEdit = "review.edit", Person, EditParams => ReviewView;
    /// Lists work sessions.
    WorkSessionListAll = "workSession.list", Anyone, SessionListParams => WorkSessionList;
    /// Shows a work session.
    WorkSessionGet = "workSession.get", Anyone, SessionParams => WorkSessionView;
    /// Spawns a work session beside the planned ones; an agent's connection only within limits.
    WorkSessionSpawn = "workSession.spawn", Anyone, SpawnParams => WorkSessionView;
    /// Accepts that a session's turn changed nothing.
    WorkSessionAcceptEmpty = "workSession.acceptEmpty", Person, SessionParams => WorkSessionView;
    /// Reads a session's transcript, redacted.
    WorkSessionTranscript = "workSession.transcript", Anyone, TranscriptParams => Transcript;
    /// Stops the running turn of a session; it can be retried, or prompted again.
    WorkSessionStop = "workSession.stop", Person, SessionParams => WorkSessionView;
    /// Binds a thread from an editor to a SpecTask.
    WorkSessionAttach = "workSession.attach", Person, AttachParams => WorkSessionView;
    /// Reports progress of a session; a claim, shown as one.
    WorkSessionReport = "workSession.report", Anyone, ReportParams => Empty;
    /// Says something to a session; delivered between its turns.
    CoordinationTell = "coordination.tell", Anyone, TellParams => MessageView;
    /// Lists messages between sessions.
    CoordinationListAll = "coordination.list", Anyone, MessageListParams => MessageList;
    /// Records a decision.
    DecisionRecord = "decision.record", Anyone, DecideParams => Empty;
    /// Searches what was said and done, in an index that follows the transcripts.
    HistorySearch = "history.search", Anyone, SearchParams => SearchResult;
    /// Lays out recorded history as folders, on a branch or in a folder.
    HistoryLayOut = "history.layOut", Person, LayOutParams => LaidOut;
    /// Lists turns, newest first.
    HistoryLogOf = "history.log", Anyone, HistoryLogParams => HistoryLog;
    /// Reads what was recorded of a session, from the store or from its ref.
    HistoryShow = "history.show", Anyone, HistoryShowParams => RecordedPart;
    /// Tells what lines of a file came of: commit, turn, task, requirement, prompt.
    HistoryBlame = "history.blame", Anyone, BlameParams => BlameView;
    /// Tells what became of requirements: tasks, turns, commits, verify results, and what is missing.
    HistoryTrace = "history.trace", Anyone, TraceParams => TraceView;
    /// Takes the recorded history of a SpecTask over from refs, to be read.
    HistoryImport = "history.import", Person, ImportParams => Imported;
    /// Exports the history of a SpecTask: a package, notes, records.
    HistoryExport = "history.export", Person, ExportParams => Exported;
    /// Lists agent threads, those in editors and those of planned sessions.
    ThreadListAll = "thread.list", Anyone, ThreadListParams => ThreadList;
    /// Shows a thread.
    ThreadGet = "thread.get", Anyone, SessionParams => ThreadView;
    /// Notes a sign of life of a thread, from a program that watches it.
    ThreadHeartbeat = "thread.heartbeat", Anyone, SessionParams => ThreadView;
    /// Lists attached editors.
    ZedListAll = "zed.list", Anyone, ZedListParams => ZedInstanceList;
    /// Shows an attached editor.
    ZedGet = "zed.get", Anyone, ZedParams => ZedInstanceView;
    /// Lists the threads open in an attached editor.
    ZedThreads = "zed.threads", Anyone, ZedParams => ThreadList;
    /// Detaches an editor: its threads close there, their sessions stay.
    ZedDetach = "zed.detach", Person, ZedParams => ZedInstanceView;
    /// Notes what Zed's extension tells of itself.
    ZedEvent = "zed.event", Person, ZedEventParams => Empty;
    /// Lists slash commands.
    CommandListAll = "command.list", Anyone, Empty => CommandList;
    /// Runs a slash command that a person typed.
    CommandRun = "command.run", Person, CommandParams => CommandAnswer;
    /// Lists permission requests that wait for a person.
    PermissionListAll = "permission.list", Anyone, Empty => PermissionList;
    /// Answers a permission request.
    PermissionAnswer = "permission.answer", Person, PermissionAnswerParams => PermissionList;
    /// Lists agents that are configured or were found.
    AgentListAll = "agent.list", Anyone, AgentListParams => AgentList;
    /// Adds an agent profile to the configuration.
    AgentAdd = "agent.add", Person, AgentAddParams => AgentList;
    /// Starts an agent, opens a session, ends it, and tells what it can do.
    AgentTest = "agent.test", Person, AgentParams => AgentTestView;
    /// Logs in to an agent by one of its methods.
    AgentLogin = "agent.login", Person, AgentParams => AgentTestView;
    /// Shows the prompt templates in use.
    PromptListAll = "prompt.list", Anyone, Empty => PromptList;
    /// Shows, pins or revokes trust in a repository's commands.
    ProjectTrust = "project.trust", Person, TrustParams => TrustView;
    /// Tells, names or takes back the one remote that recorded history of a repository may go to.
    HistoryRemoteNamed = "history.remote", Person, HistoryRemoteParams => HistoryRemoteView;
    /// Reads or sets the configuration.
    ConfigGet = "config.get", Person, ConfigParams => ConfigView;
    /// Lists events after a number; at most 1,000.
    EventsList = "events.list", Anyone, EventsParams => EventList;
}

/// The subscription that follows events: `events.subscribe` sends [`crate::Event`]s as
/// `events.event`, from the number asked for, without a gap; `events.unsubscribe` ends it.
pub const EVENTS_SUBSCRIBE: (&str, &str, &str) =
    ("events.subscribe", "events.event", "events.unsubscribe");

/// The OpenRPC 1.3 description of the whole API.
#[must_use]
pub fn open_rpc() -> Value {
    let mut generator = SchemaSettings::draft07()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let methods: Vec<Value> = METHODS
        .iter()
        .map(|method| {
            let params = (method.params)(&mut generator);
            let result = (method.result)(&mut generator);
            json!({
                "name": method.name,
                "description": method.doc.trim(),
                "paramStructure": "by-name",
                "x-access": match method.access { Access::Anyone => "anyone", Access::Person => "person" },
                "params": [{ "name": "params", "required": true, "schema": params }],
                "result": { "name": "result", "schema": result },
            })
        })
        .collect();
    let schemas = generator.take_definitions(true);
    json!({
        "openrpc": "1.3.2",
        "info": { "title": "SpecTask daemon", "version": PROTOCOL_VERSION.to_string() },
        "methods": methods,
        "components": { "schemas": schemas },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_every_reference_resolves() {
        let names: BTreeSet<_> = METHODS.iter().map(|method| method.name).collect();
        assert_eq!(names.len(), METHODS.len());
        let document = open_rpc();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let text = document.to_string();
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(schemas.contains_key(name), "{name} is not defined");
        }
        assert!(schemas.len() > 30, "{}", schemas.len());
    }

    #[test]
    fn deciding_is_for_persons() {
        for method in METHODS {
            let decides = [
                "approve", "answer", "Changes", "reject", "edit", "trust", "config", "shutdown",
                "finish", "cancel", "login", "add",
            ];
            if decides.iter().any(|word| method.name.ends_with(word)) {
                assert_eq!(method.access, Access::Person, "{}", method.name);
            }
        }
    }
}
