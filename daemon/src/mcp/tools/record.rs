//! What an agent puts on record: progress and decisions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spectask_protocol::{DecideParams, Failure, ReportParams, SessionRef, TaskRef, method};

use crate::mcp::{
    caller::{Caller, invalid},
    tool::{Effect, Tool},
};

/// Where decisions of this face come from.
const SOURCE: &str = "mcp";

/// It was recorded.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::mcp) struct Recorded {
    /// What it was recorded for: a SpecTask or a session; absent: your own session.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

/// A report.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::mcp) struct ReportInput {
    /// What was done or is being done, in a few sentences; at most 8 KiB.
    text: String,
    /// The session it is about. Absent: your own.
    #[serde(default)]
    session: Option<SessionRef>,
}

/// `report_progress`.
pub(in crate::mcp) struct ReportProgress;

impl Tool for ReportProgress {
    const NAME: &'static str = "report_progress";
    const TITLE: &'static str = "Report progress";
    const DESCRIPTION: &'static str = "Reports what your session has done or is doing. People and \
        other sessions see it as your claim; a task is done only when its result is verified and \
        merged.";
    const EFFECT: Effect = Effect::Adds;
    type Input = ReportInput;
    type Output = Recorded;

    async fn call(caller: &Caller, input: ReportInput) -> Result<(Recorded, String), Failure> {
        let session = input.session.or_else(|| own(caller));
        let target = session.as_ref().map(ToString::to_string);
        let params = ReportParams {
            session,
            text: given(input.text)?,
        };
        caller
            .client
            .call(method::WorkSessionReport, params)
            .await?;
        Ok((Recorded { target }, "reported\n".to_owned()))
    }
}

/// A decision.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::mcp) struct DecideInput {
    /// What was decided and why; at most 8 KiB.
    text: String,
    /// The SpecTask or session it belongs to. Absent: your own session, else the only open SpecTask
    /// of the project.
    #[serde(default)]
    target: Option<SessionRef>,
    /// Absolute path of a folder in the repository, when it is not the one this server runs in.
    #[serde(default)]
    project: Option<String>,
}

/// `record_decision`.
pub(in crate::mcp) struct RecordDecision;

impl Tool for RecordDecision {
    const NAME: &'static str = "record_decision";
    const TITLE: &'static str = "Record a decision";
    const DESCRIPTION: &'static str = "Records a decision that shapes the work, with its reason, \
        in the history of the SpecTask: a choice between designs, a limit that was found, \
        something the documents leave open.";
    const EFFECT: Effect = Effect::Adds;
    type Input = DecideInput;
    type Output = Recorded;

    async fn call(caller: &Caller, input: DecideInput) -> Result<(Recorded, String), Failure> {
        let text = given(input.text)?;
        let target = match input.target.or_else(|| own(caller)) {
            Some(target) => target,
            None => target(caller.task(None, input.project).await?)?,
        };
        let recorded = target.to_string();
        let params = DecideParams {
            target: Some(target),
            text,
            source: SOURCE.to_owned(),
        };
        caller.client.call(method::DecisionRecord, params).await?;
        let output = Recorded {
            target: Some(recorded),
        };
        Ok((output, "recorded\n".to_owned()))
    }
}

/// The caller's session. A connection with a token may leave it out, but naming it says which.
fn own(caller: &Caller) -> Option<SessionRef> {
    caller.session.clone().map(SessionRef::from)
}

/// A SpecTask where a SpecTask or a session can be named.
pub(super) fn target(task: TaskRef) -> Result<SessionRef, Failure> {
    String::from(task)
        .try_into()
        .map_err(|error| invalid(format!("{error}")))
}

/// A text that says something.
pub(super) fn given(text: String) -> Result<String, Failure> {
    if text.trim().is_empty() {
        return Err(invalid("the text is empty"));
    }
    Ok(text)
}
