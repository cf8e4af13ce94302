//! What the stages of a session share: its rows, its repository, the project's chores.

use std::{path::PathBuf, time::Duration};

use spectask_protocol::{SessionStage, WaitKind, WorkSessionId};
use tokio_util::sync::CancellationToken;

use super::{command, context::Shared, halt::Halt, project::Project};
use crate::{
    agents::{AGENT_MARK, SESSION_MARK},
    repo::{CommitMessage, Repository},
    store::{ProjectRow, SessionRow, TaskRow, WorkRow},
    workflow::{
        NextPrompt,
        lookup::{session_name, task_of},
        session,
    },
};

/// What the stages of a session need.
pub(super) struct Job<'a> {
    pub(super) ctx: &'a Shared,
    pub(super) task: TaskRow,
    pub(super) row: SessionRow,
    pub(super) work: Option<WorkRow>,
    pub(super) project: ProjectRow,
    pub(super) repository: Repository,
    pub(super) worktree: PathBuf,
    pub(super) chores: Chores,
    pub(super) cancel: &'a CancellationToken,
}

impl<'a> Job<'a> {
    pub(super) fn load(
        ctx: &'a Shared,
        id: &WorkSessionId,
        cancel: &'a CancellationToken,
    ) -> Result<Self, Halt> {
        let row = ctx.store.read(|read| read.session(id))?.ok_or(Halt::Gone)?;
        let task = ctx.store.read(|read| task_of(read, &row))?;
        let task = task.ok_or(Halt::Gone)?;
        let work = match row.implementation_task {
            Some(id) => ctx.store.read(|read| read.implementation_task(id))?,
            None => None,
        };
        let (project, repository) = ctx.repository(&task)?;
        let file = ctx.project_file(&project)?;
        let chores = Chores::trusted(&task, file)?;
        let worktree = ctx.worktree_of(&task, &row);
        Ok(Self {
            ctx,
            task,
            row,
            work,
            project,
            repository,
            worktree,
            chores,
            cancel,
        })
    }

    pub(super) fn name(&self) -> String {
        session_name(&self.task, &self.row)
    }

    /// The trailers of every commit that is made for this session.
    pub(super) fn message(&self, subject: String) -> CommitMessage {
        let mut message = CommitMessage::new(subject)
            .trailer("Spec-Task", self.task.name())
            .trailer("Work-Session", self.name());
        let requirements = self.work.as_ref().map(|work| work.requirements.join(", "));
        if let Some(requirements) = requirements.filter(|text| !text.is_empty()) {
            message = message.trailer("Requirements", requirements);
        }
        message
    }

    pub(super) fn title(&self) -> String {
        match &self.work {
            Some(work) => format!("{}. {}", work.number, work.title),
            None => self.row.title.clone(),
        }
    }

    /// Runs commands in a worktree with the person's environment.
    pub(super) async fn run(
        &self,
        commands: &[String],
        folder: &std::path::Path,
        step: &str,
    ) -> Result<command::Ended, Halt> {
        self.ctx.set_step(
            &self.row.id,
            Some(format!("{step}: {}", commands.join(" && "))),
        );
        let limit = Duration::from_secs(self.ctx.config()?.command_limit);
        let mut environment = self.ctx.environments.of(&self.task.project, &[]).await;
        let redactor = self.ctx.redactor(&environment);
        // They run what an agent wrote: they are no person, and they end with their session.
        environment.insert(AGENT_MARK.into(), "1".into());
        environment.insert(SESSION_MARK.into(), self.row.id.to_string());
        let mut ended =
            command::run_all(commands, folder, &environment, limit, self.cancel).await?;
        ended.output = redactor.text(&ended.output).into_owned();
        Ok(ended)
    }
}

/// What a repository asks for around the agent's work.
pub(super) struct Chores {
    /// Commands that decide whether the work counts.
    pub(super) verify: Vec<String>,
    /// Untracked files that are copied in.
    pub(super) copy: Vec<String>,
    /// Commands that run in a new worktree.
    pub(super) setup: Vec<String>,
}

impl Chores {
    /// The repository's, or the person's own verify; none runs that a person did not trust.
    fn trusted(task: &TaskRow, project: Project) -> Result<Self, Halt> {
        if !project.trusted {
            return Err(Halt::wait(
                WaitKind::Trust,
                "the repository's .spectask.toml has commands that nobody trusted yet, or it changed",
                Some("`spectask trust` shows them and asks; then `spectask retry`"),
            ));
        }
        let verify = match &task.verify {
            Some(command) => vec![command.clone()],
            None => project.file.verify,
        };
        Ok(Self {
            verify,
            copy: project.file.copy,
            setup: project.file.setup,
        })
    }
}

/// Sends a failed verify back to the agent, or stops the session when that was done often enough.
pub(super) async fn failed_verify(
    job: &Job<'_>,
    row: &SessionRow,
    output: String,
) -> Result<(), Halt> {
    let limit = job.ctx.config()?.fix_rounds;
    if row.fixes > limit {
        return Err(Halt::wait(
            WaitKind::Verify,
            format!(
                "verify failed {} times; the last output is in `spectask sessions show`",
                row.fixes
            ),
            Some("`spectask retry` gives it to the agent again"),
        ));
    }
    let next = NextPrompt::Fix { output };
    session::advance(
        &job.ctx.store,
        &job.row.id,
        SessionStage::Turn,
        move |row| {
            row.next_prompt = next.to_text();
        },
    )
    .await?;
    Ok(())
}
