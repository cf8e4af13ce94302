//! Permission questions: put to a person, wherever one may answer, and answered.

use std::sync::Arc;

use spectask_protocol::{PermissionId, PermissionOption, WorkSessionId};

use super::{Context, Shared};
use crate::{
    agents::{PermissionAnswer, PermissionAsk},
    live::Stream,
    redact::Redactor,
    store::StoreError,
    workflow::{WorkflowError, turn},
};

/// Why an answer does not count.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// It was answered, or the agent took it back.
    #[error("that question does not wait any more")]
    Gone,
    /// Not one of the offered answers.
    #[error("{option:?} is none of the answers: {}", .offered.join(", "))]
    Unknown {
        /// The id of the answer.
        option: String,
        /// The ids of the offered answers.
        offered: Vec<String>,
    },
    /// The answer cannot be kept.
    #[error(transparent)]
    Workflow(#[from] WorkflowError),
}

impl From<StoreError> for AnswerError {
    fn from(error: StoreError) -> Self {
        Self::Workflow(error.into())
    }
}

/// Answers a question with the id of one of its options, or with none: the agent hears that it was
/// cancelled. The first answer counts.
///
/// # Errors
/// When the question does not wait, the option is not offered, or the database fails.
pub async fn answer_permission(
    ctx: &Context,
    permission: &PermissionId,
    option: Option<String>,
) -> Result<(), AnswerError> {
    let open = ctx.store.read(|read| read.open_permissions(None))?;
    let asked = open
        .into_iter()
        .find(|asked| asked.id == *permission)
        .ok_or(AnswerError::Gone)?;
    let (answer, shown) = match option {
        Some(option) => match asked.options.iter().find(|known| known.id == option) {
            Some(known) => (PermissionAnswer::Selected(option), known.name.clone()),
            None => {
                let offered = asked.options.into_iter().map(|known| known.id).collect();
                return Err(AnswerError::Unknown { option, offered });
            }
        },
        None => (PermissionAnswer::Cancelled, "cancelled".to_owned()),
    };
    if !turn::answered(&ctx.store, permission.clone(), asked.session, shown).await? {
        return Err(AnswerError::Gone);
    }
    ctx.answer(permission, answer);
    Ok(())
}

/// Puts an agent's question to a person: kept in the database, shown to whoever watches the
/// session's stream, until someone answers. When the future is dropped the question is taken back.
pub async fn ask_person(
    ctx: &Shared,
    session: &WorkSessionId,
    stream: &Arc<Stream>,
    redactor: &Redactor,
    ask: PermissionAsk,
) -> PermissionAnswer {
    let options: Vec<PermissionOption> = ask
        .options
        .iter()
        .map(|option| PermissionOption {
            id: option.id.clone(),
            name: option.name.clone(),
            kind: option.kind.clone(),
        })
        .collect();
    let title = match &ask.command {
        Some(command) if !ask.title.contains(command.as_str()) => {
            format!("{}: {command}", ask.title)
        }
        _ => ask.title.clone(),
    };
    let title = redactor.text(&title).into_owned();
    let asked = turn::ask(&ctx.store, session, title, ask.kind, options).await;
    let permission = match asked {
        Ok(permission) => permission,
        Err(error) => {
            tracing::error!(%error, "a permission request could not be kept");
            return PermissionAnswer::Cancelled;
        }
    };
    let waiting = ctx.expect_answer(permission.clone());
    let mut question = Question {
        ctx: Arc::clone(ctx),
        session: session.clone(),
        stream: Arc::clone(stream),
        permission,
        answered: false,
    };
    stream.ask(&question.permission, &ask.raw);
    ctx.set_step(session, Some("waits for a permission".into()));
    let answer = waiting.await.unwrap_or(PermissionAnswer::Cancelled);
    question.answered = true;
    answer
}

/// A question that waits; taken back when the agent withdraws it.
struct Question {
    ctx: Shared,
    session: WorkSessionId,
    stream: Arc<Stream>,
    permission: PermissionId,
    answered: bool,
}

impl Drop for Question {
    fn drop(&mut self) {
        self.ctx.forget_ask(&self.permission);
        self.stream.settle(&self.permission);
        if self.answered {
            return;
        }
        let (store, permission, session) = (
            self.ctx.store.clone(),
            self.permission.clone(),
            self.session.clone(),
        );
        tokio::spawn(async move {
            let answered = turn::answered(&store, permission, session, "cancelled".into()).await;
            if let Err(error) = answered {
                tracing::debug!(%error, "a withdrawn question was not ended");
            }
        });
    }
}
