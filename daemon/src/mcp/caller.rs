//! Who asks, and where: what a tool takes when its arguments leave it open.

use std::{fmt, path::Path, sync::Arc};

use spectask_protocol::{
    Client, DynTransport, Environment, Failure, FailureKind, ListParams, SessionParams, SessionRef,
    SpecTaskView, TaskRef, WorkSessionId, method,
};

/// What a server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Inside an agent's session: tools only.
    Injected,
    /// A person's client: tools, and slash commands as prompts.
    Standalone,
}

/// The one on whose behalf a [`super::Server`] acts.
#[derive(Clone)]
pub struct Caller {
    pub(super) client: Client<Arc<dyn DynTransport>>,
    pub(super) shape: Shape,
    pub(super) session: Option<WorkSessionId>,
    pub(super) cwd: Option<String>,
    pub(super) environment: Environment,
}

impl fmt::Debug for Caller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Caller")
            .field("shape", &self.shape)
            .field("session", &self.session)
            .field("cwd", &self.cwd)
            .finish_non_exhaustive()
    }
}

impl Caller {
    /// A caller of that shape who reaches the daemon by that transport. Nothing is known of its
    /// session and its folder yet.
    #[must_use]
    pub fn new(transport: Arc<dyn DynTransport>, shape: Shape) -> Self {
        Self {
            client: Client::new(transport),
            shape,
            session: None,
            cwd: None,
            environment: Environment::new(),
        }
    }

    /// The work session the caller is the agent of.
    #[must_use]
    pub fn in_session(mut self, session: Option<WorkSessionId>) -> Self {
        self.session = session;
        self
    }

    /// The folder the caller works in. The root of the file system counts as none: editors start
    /// servers there before a project is loaded.
    #[must_use]
    pub fn in_folder(mut self, cwd: Option<String>) -> Self {
        self.cwd = cwd.filter(|cwd| Path::new(cwd).parent().is_some());
        self
    }

    /// The person's environment, for agents that a slash command starts.
    #[must_use]
    pub fn with_environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// The folder a call is about: the one it names, else the caller's, else none.
    pub(super) fn folder(&self, project: Option<String>) -> Result<Option<String>, Failure> {
        match project {
            Some(folder) if Path::new(&folder).is_absolute() => Ok(Some(folder)),
            Some(folder) => Err(invalid(format!("`project` {folder:?} is no absolute path"))),
            None => Ok(self.cwd.clone()),
        }
    }

    /// The session a call is about: the one it names, else the caller's own.
    pub(super) fn session(&self, named: Option<SessionRef>) -> Result<SessionRef, Failure> {
        named
            .or_else(|| self.session.clone().map(SessionRef::from))
            .ok_or_else(|| {
                invalid("this connection belongs to no work session; name one by `session`")
                    .hint("list_sessions tells the names")
            })
    }

    /// The SpecTask a call is about: the one it names, else that of the caller's session, else the
    /// only open one of its folder.
    pub(super) async fn task(
        &self,
        named: Option<TaskRef>,
        project: Option<String>,
    ) -> Result<TaskRef, Failure> {
        if let Some(task) = named {
            return Ok(task);
        }
        if project.is_none()
            && let Some(task) = self.own_task().await?
        {
            return Ok(task);
        }
        let Some(folder) = self.folder(project)? else {
            return Err(invalid(
                "which SpecTask? This server was not started in a project's folder",
            )
            .hint("name the SpecTask by `task`, or its folder by `project`"));
        };
        let listed = self.tasks(folder.clone()).await?;
        let open: Vec<&SpecTaskView> = listed
            .iter()
            .filter(|task| !task.status.is_final())
            .collect();
        match (open.as_slice(), listed.as_slice()) {
            ([one], _) => Ok(one.id.clone().into()),
            ([], []) => Err(Failure::new(
                FailureKind::NotFound,
                format!("there is no SpecTask in {folder}"),
            )),
            ([], [newest, ..]) => Ok(newest.id.clone().into()),
            (several, _) => {
                let names: Vec<&str> = several.iter().map(|task| task.name.as_str()).collect();
                Err(invalid("which SpecTask? Several are open")
                    .hint(format!("name one by `task`: {}", names.join(", "))))
            }
        }
    }

    /// The SpecTask of the caller's own session; none where it has no session, or a session that is
    /// bound to none.
    pub(super) async fn own_task(&self) -> Result<Option<TaskRef>, Failure> {
        let Some(session) = self.session.clone().map(SessionRef::from) else {
            return Ok(None);
        };
        let call = self
            .client
            .call(method::WorkSessionGet, SessionParams { session });
        match call.await {
            Ok(view) => Ok(view.task.map(TaskRef::from)),
            // A thread that was not prompted yet is no work session.
            Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn tasks(&self, cwd: String) -> Result<Vec<SpecTaskView>, Failure> {
        let params = ListParams {
            cwd: Some(cwd),
            archived: false,
        };
        let list = self.client.call(method::SpecTaskListAll, params).await?;
        Ok(list.tasks)
    }
}

/// The failure of arguments that make no sense.
pub(super) fn invalid(text: impl Into<String>) -> Failure {
    Failure::new(FailureKind::InvalidParams, text)
}
