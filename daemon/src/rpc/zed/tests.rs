use spectask_protocol::{ProjectId, SessionMethod, SessionPhase, SpecTaskStatus, WorkMode, shim};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    live::EditorInfo,
    paths::Paths,
    store::{NewSession, NewTask, NewThread, Store},
};

fn id<T: TryFrom<String>>() -> T
where
    T::Error: std::fmt::Debug,
{
    T::try_from(uuid::Uuid::now_v7().to_string()).unwrap()
}

struct Daemon {
    _folder: TempDir,
    face: Arc<Face>,
    project: ProjectId,
    /// A session that the scheduler runs.
    planned: WorkSessionId,
    draft: WorkSessionId,
}

async fn daemon() -> Daemon {
    let folder = TempDir::new().unwrap();
    let paths = Paths {
        data_dir: folder.path().to_owned(),
        config_file: folder.path().join("config.toml"),
    };
    let store = Store::open(&paths.database()).unwrap();
    let (planned, draft): (WorkSessionId, WorkSessionId) = (id(), id());
    let ids = (planned.clone(), draft.clone());
    let project = store
        .write::<_, StoreError>(move |write| {
            let project = write.ensure_project(&id(), "/r/.git", "/r")?.id;
            let task = write.insert_task(&NewTask {
                id: id(),
                slug: "auth".into(),
                project: project.clone(),
                title: "Auth".into(),
                prompt: "auth".into(),
                status: SpecTaskStatus::Backlog,
                mode: WorkMode::Parallel,
                planning_agent: "example".parse().unwrap(),
                agent: "example".parse().unwrap(),
                session_limit: 3,
                base: "0".repeat(40),
                target: None,
                verify: None,
            })?;
            let mut session = write.insert_session(&NewSession {
                id: ids.0,
                task: Some(task.id),
                slug: "plan".into(),
                title: "Plan".into(),
                description: String::new(),
                phase: SessionPhase::Planning,
                method: SessionMethod::Planned,
                parent: None,
                implementation_task: None,
                agent: "example".parse().unwrap(),
                cwd: None,
                project: None,
            })?;
            session.started_at = Some(1);
            write.update_session(&session)?;
            write.insert_thread(&NewThread {
                id: ids.1,
                entry: shim::Entry::SpecTask,
                agent: "claude".parse().unwrap(),
                project: Some(project.clone()),
                cwd: "/r".into(),
                acp_session: None,
                title: None,
                state: serde_json::json!({}),
                task: None,
            })?;
            Ok(project)
        })
        .await
        .unwrap();
    let ctx = Context::new(store, paths).await.unwrap();
    Daemon {
        _folder: folder,
        face: Arc::new(Face::new(ctx, CancellationToken::new())),
        project,
        planned,
        draft,
    }
}

impl Daemon {
    fn editor(&self, instance: &str, project: Option<ProjectId>) -> Arc<Editor> {
        let info = EditorInfo {
            instance: instance.into(),
            editor: "zed 1.11".into(),
            cwd: "/r".into(),
            project,
            agent: None,
            pid: 7,
            since: Timestamp::now().as_millisecond() - 5_500,
        };
        let editors = self.face.ctx.live.editors();
        editors.attach(info, CancellationToken::new())
    }

    async fn ids(&self, params: ThreadListParams) -> Vec<WorkSessionId> {
        let list = threads(Arc::clone(&self.face), Role::Person, params).await;
        list.unwrap()
            .threads
            .into_iter()
            .map(|one| one.id)
            .collect()
    }
}

#[tokio::test]
async fn drafts_are_listed_while_an_editor_shows_them() {
    let daemon = daemon().await;
    let every = ThreadListParams::default;
    assert_eq!(
        daemon.ids(every()).await,
        std::slice::from_ref(&daemon.planned)
    );
    let editor = daemon.editor("e", None);
    editor.open(&daemon.draft);
    let both = [daemon.draft.clone(), daemon.planned.clone()];
    assert_eq!(daemon.ids(every()).await, both);
    let elsewhere = ThreadListParams {
        cwd: Some("/elsewhere".into()),
        ..every()
    };
    assert!(daemon.ids(elsewhere).await.is_empty());
    let of_claude = ThreadListParams {
        agent: Some("claude".parse().unwrap()),
        ..every()
    };
    assert_eq!(
        daemon.ids(of_claude).await,
        std::slice::from_ref(&daemon.draft)
    );
}

#[tokio::test]
async fn a_thread_is_found_by_name_and_a_sign_of_life_counts() {
    let daemon = daemon().await;
    let face = || Arc::clone(&daemon.face);
    let params = |session: &str| SessionParams {
        session: session.parse().unwrap(),
    };
    let found = thread(face(), Role::Person, params("1/0")).await.unwrap();
    assert_eq!(found.id, daemon.planned);
    assert_eq!(found.session.as_deref(), Some("1-auth/00-plan"));
    assert_eq!((found.cwd.as_str(), found.running), ("/r", false));
    assert_eq!(found.last_activity, view::time(1));
    let alive = heartbeat(face(), Role::Person, params("1/0"))
        .await
        .unwrap();
    assert!(alive.last_activity > found.last_activity);
    let draft = thread(face(), Role::Person, params(daemon.draft.as_str())).await;
    assert_eq!(draft.unwrap().session, None);
    let missing = thread(face(), Role::Person, params("1/9")).await;
    assert_eq!(missing.unwrap_err().kind, FailureKind::NotFound);
}

#[tokio::test]
async fn an_editor_is_shown_and_detached() {
    let daemon = daemon().await;
    let face = || Arc::clone(&daemon.face);
    let editor = daemon.editor("e", Some(daemon.project.clone()));
    let other = daemon.editor("f", None);
    editor.open(&daemon.planned);
    let listed = async |task: Option<&str>| {
        let task = task.map(|task| task.parse().unwrap());
        let all = list(face(), Role::Person, ZedListParams { task }).await;
        let all = all.unwrap().instances.into_iter();
        all.map(|one| one.instance).collect::<Vec<_>>()
    };
    assert_eq!(listed(None).await, ["e", "f"]);
    assert_eq!(listed(Some("1")).await, ["e"]);
    let params = |instance: &str| ZedParams {
        instance: instance.into(),
    };
    let shown = get(face(), Role::Person, params("e")).await.unwrap();
    assert_eq!((shown.status.as_str(), shown.uptime), ("attached", 5));
    assert_eq!(shown.threads[0].instance.as_deref(), Some("e"));
    let of = threads_of(face(), Role::Person, params("f")).await.unwrap();
    assert!(of.threads.is_empty());
    let gone = detach(face(), Role::Person, params("e")).await.unwrap();
    assert_eq!((gone.status.as_str(), gone.threads.len()), ("detached", 1));
    assert!(editor.detached() && !other.detached());
    drop(editor);
    let missing = get(face(), Role::Person, params("e")).await.unwrap_err();
    assert_eq!(missing.kind, FailureKind::NotFound);
}
