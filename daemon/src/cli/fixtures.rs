//! Views for tests.

use jiff::Timestamp;
use spectask_protocol::{
    AgentName, ImplementationTaskStatus, ImplementationTaskView, Progress, SessionMethod,
    SessionPhase, SessionStage, SessionStatus, SpecTaskOverview, SpecTaskStatus, SpecTaskView,
    ThreadStatus, WorkMode, WorkSessionId, WorkSessionView,
};

pub(super) fn now() -> Timestamp {
    "2026-03-04T10:00:00Z".parse().unwrap()
}

fn agent() -> AgentName {
    "claude".parse().unwrap()
}

pub(super) fn task(number: u32, slug: &str, status: SpecTaskStatus) -> SpecTaskView {
    let name = format!("{number}-{slug}");
    SpecTaskView {
        id: format!("01890a5d-ac96-774b-bcce-b302099a{number:04}")
            .parse()
            .unwrap(),
        number,
        project: "/home/ada/shop".into(),
        title: "Implement user authentication".into(),
        prompt: "Implement user authentication".into(),
        status,
        mode: WorkMode::Parallel,
        planning_agent: agent(),
        agent: agent(),
        limit: 3,
        paused: false,
        archived: false,
        branch: format!("specs/{name}"),
        name,
        tip: None,
        base: "0123456789abcdef0123456789abcdef01234567".into(),
        target: Some("main".into()),
        revision: Some(2),
        approved: None,
        progress: Progress::default(),
        active: 0,
        stuck: 0,
        error: None,
        imported: false,
        created_at: "2026-03-04T08:00:00Z".into(),
        updated_at: "2026-03-04T09:55:00Z".into(),
    }
}

pub(super) fn session_id(number: u32) -> WorkSessionId {
    format!("01890a5d-ac96-774b-bcce-b302099b{number:04}")
        .parse()
        .unwrap()
}

pub(super) fn session(number: u32, slug: &str, status: SessionStatus) -> WorkSessionView {
    let task = task(7, "user-auth", SpecTaskStatus::Implementation);
    WorkSessionView {
        id: session_id(number),
        name: format!("{}/{number:02}-{slug}", task.name),
        task: Some(task.id),
        title: slug.replace('-', " "),
        phase: if number == 0 {
            SessionPhase::Planning
        } else {
            SessionPhase::Implementation
        },
        status,
        stage: SessionStage::Turn,
        method: SessionMethod::Planned,
        parent: None,
        task_number: Some(number.to_string()),
        agent: agent(),
        branch: None,
        worktree: None,
        base: None,
        head: None,
        merged: None,
        verified: None,
        verify_output: None,
        waiting: None,
        step: None,
        claim: None,
        thread: ThreadStatus::Active,
        acp_session: None,
        turns: vec![],
        started_at: Some("2026-03-04T09:58:00Z".into()),
        ended_at: None,
        recorded: true,
        seen: None,
    }
}

pub(super) fn overview(status: SpecTaskStatus, sessions: Vec<WorkSessionView>) -> SpecTaskOverview {
    let mut task = task(7, "user-auth", status);
    let count = |test: fn(&WorkSessionView) -> bool| {
        u32::try_from(sessions.iter().filter(|session| test(session)).count()).unwrap()
    };
    task.active = count(|session| session.status == SessionStatus::Active);
    task.stuck = count(|session| {
        matches!(
            session.status,
            SessionStatus::Blocked | SessionStatus::Waiting
        )
    });
    SpecTaskOverview {
        task,
        tasks: vec![],
        sessions,
        permissions: vec![],
        incidents: vec![],
        seq: 40,
        next: vec![],
    }
}

pub(super) fn work(
    number: &str,
    title: &str,
    status: ImplementationTaskStatus,
    depends: &[&str],
) -> ImplementationTaskView {
    ImplementationTaskView {
        number: number.into(),
        title: title.into(),
        status,
        optional: false,
        depends: depends.iter().map(|&number| number.into()).collect(),
        requirements: vec![],
        resources: vec![],
        session: None,
    }
}
