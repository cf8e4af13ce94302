//! Real repositories: whatever was in a worktree is in a ref afterwards.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use spectask_protocol::{
    GcView, ProjectId, SessionMethod, SessionPhase, SpecTaskStatus, WorkMode, WorkSessionId,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{super::context::Context, *};
use crate::{
    live::EditorInfo,
    paths::Paths,
    repo::{Repository, WorktreeAt},
    store::{NewSession, NewTask, Store, TaskRow},
};

fn id<T: TryFrom<String>>() -> T
where
    T::Error: std::fmt::Debug,
{
    T::try_from(uuid::Uuid::now_v7().to_string()).unwrap()
}

struct Desk {
    folder: TempDir,
    ctx: Shared,
    repository: Repository,
    project: ProjectId,
}

impl Desk {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let repo = root.join("repo");
        fs::create_dir(&repo).unwrap();
        git(&repo, &["init", "-q", "-b", "main"]);
        for (key, value) in [
            ("user.name", "U"),
            ("user.email", "u@example.com"),
            ("commit.gpgSign", "false"),
        ] {
            git(&repo, &["config", key, value]);
        }
        fs::write(repo.join("README.md"), "hello\n").unwrap();
        git(&repo, &["add", "."]);
        git(&repo, &["commit", "-qm", "first"]);
        let repository = Repository::discover(&repo).unwrap();
        let paths = Paths {
            data_dir: root.join("data"),
            config_file: root.join("config.toml"),
        };
        fs::create_dir(&paths.data_dir).unwrap();
        let store = Store::open(&paths.database()).unwrap();
        let common = repository.common_dir().display().to_string();
        let project = store
            .write(move |write| write.ensure_project(&id(), &common, &repo.display().to_string()))
            .await
            .unwrap();
        Self {
            ctx: Context::new(store, paths).await.unwrap(),
            folder,
            repository,
            project: project.id,
        }
    }

    fn root(&self) -> &Path {
        self.repository.root()
    }

    /// A SpecTask in that state, with sessions that have these branches.
    async fn task(
        &self,
        status: SpecTaskStatus,
        mode: WorkMode,
        slugs: &[&str],
    ) -> (TaskRow, Vec<WorkSessionId>) {
        let (project, base) = (self.project.clone(), self.repository.head().unwrap().commit);
        let slugs: Vec<String> = slugs.iter().map(|slug| (*slug).to_owned()).collect();
        self.ctx
            .store
            .write::<_, StoreError>(move |write| {
                let task = write.insert_task(&NewTask {
                    id: id(),
                    slug: "auth".into(),
                    project,
                    title: "Auth".into(),
                    prompt: "auth".into(),
                    status,
                    mode,
                    planning_agent: "example".parse().unwrap(),
                    agent: "example".parse().unwrap(),
                    session_limit: 3,
                    base,
                    target: None,
                    verify: None,
                })?;
                let mut ids = Vec::new();
                for slug in slugs {
                    let mut session = write.insert_session(&NewSession {
                        id: id(),
                        task: Some(task.id.clone()),
                        slug: slug.clone(),
                        title: "S".into(),
                        description: String::new(),
                        phase: SessionPhase::Implementation,
                        method: SessionMethod::Planned,
                        parent: None,
                        implementation_task: None,
                        agent: "example".parse().unwrap(),
                        cwd: None,
                        project: None,
                    })?;
                    let name = format!("{:02}-{slug}", session.number);
                    session.branch = Some(format!("spectask/{}/{name}", task.name()));
                    session.worktree = Some(name);
                    write.update_session(&session)?;
                    ids.push(session.id);
                }
                Ok((task, ids))
            })
            .await
            .unwrap()
    }

    fn worktree(&self, task: &TaskRow, name: &str, branch: Option<&str>) -> PathBuf {
        let path = self.ctx.task_folder(task).join(name);
        let commit = self.repository.head().unwrap().commit;
        let at = match branch {
            Some(branch) => WorktreeAt::Branch {
                name: branch.to_owned(),
                start: commit,
            },
            None => WorktreeAt::Detached { commit },
        };
        self.repository.add_worktree(&path, &at).unwrap();
        path
    }

    async fn collect(&self, dry_run: bool) -> GcView {
        collect_garbage(&self.ctx, dry_run).await.unwrap()
    }

    /// Everything that refs hold.
    fn held(&self) -> BTreeSet<String> {
        let all = git(self.root(), &["rev-list", "--objects", "--all"]);
        let ids = all.lines().filter_map(|line| line.split(' ').next());
        ids.map(str::to_owned).collect()
    }
}

fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn commit(worktree: &Path, file: &str, text: &str) -> String {
    fs::write(worktree.join(file), text).unwrap();
    git(worktree, &["add", "-A"]);
    git(worktree, &["commit", "-qm", file]);
    git(worktree, &["rev-parse", "HEAD"])
}

fn outcomes(view: &GcView) -> Vec<(&str, &str, bool)> {
    let all = view.items.iter().map(|item| {
        let name = item.name.rsplit('/').next().unwrap();
        (name, item.outcome.as_str(), item.saved.is_some())
    });
    all.collect()
}

#[tokio::test]
async fn finished_tasks_leave_nothing_but_refs() {
    let desk = Desk::new().await;
    let (task, ids) = desk
        .task(SpecTaskStatus::Cancelled, WorkMode::Parallel, &["a", "b"])
        .await;
    let branch = |name: &str| format!("spectask/{}/{name}", task.name());
    let merged = desk.worktree(&task, "01-a", Some(&branch("01-a")));
    fs::write(merged.join("README.md"), "not committed\n").unwrap();
    let ahead = desk.worktree(&task, "02-b", Some(&branch("02-b")));
    let tip = commit(&ahead, "b.txt", "b\n");
    let integration = desk.worktree(&task, "integration", None);
    let alone = commit(&integration, "alone.txt", "alone\n");
    let notes = desk.ctx.task_folder(&task).join("notes");
    fs::create_dir(&notes).unwrap();
    fs::write(notes.join("mine.txt"), "mine\n").unwrap();
    // One that is still open.
    let (open, _) = desk
        .task(SpecTaskStatus::Implementation, WorkMode::Parallel, &["c"])
        .await;
    let working = desk.worktree(&open, "01-c", None);

    let refs = git(desk.root(), &["for-each-ref"]);
    let dry = desk.collect(true).await;
    assert!(dry.dry_run && dry.bytes > 0);
    let expected = [
        ("01-a", "would_remove", true),
        ("02-b", "would_remove", false),
        ("integration", "would_remove", true),
        ("notes", "kept", false),
        ("01-a", "would_remove", false),
        ("02-b", "kept", false),
    ];
    assert_eq!(outcomes(&dry), expected);
    assert_eq!(git(desk.root(), &["for-each-ref"]), refs);
    assert!(merged.exists() && ahead.exists() && integration.exists());

    let done = desk.collect(false).await;
    let expected = expected.map(|(name, outcome, saved)| match outcome {
        "would_remove" => (name, "removed", saved),
        outcome => (name, outcome, saved),
    });
    assert_eq!(outcomes(&done), expected);
    for gone in [&merged, &ahead, &integration] {
        assert!(!gone.exists(), "{}", gone.display());
    }
    assert!(notes.join("mine.txt").exists() && working.exists());
    for item in done.items.iter().filter(|item| item.saved.is_some()) {
        let (name, commit) = (item.saved.as_ref().unwrap(), item.saved_commit.as_ref());
        assert!(name.starts_with("refs/spectask/wip/"), "{name}");
        let found = git(desk.root(), &["rev-parse", name]);
        assert_eq!(Some(&found), commit);
    }
    let wip = format!("refs/spectask/wip/{}/01-a:README.md", task.name());
    assert_eq!(git(desk.root(), &["show", &wip]), "not committed");
    let held = desk.held();
    assert!(held.contains(&alone) && held.contains(&tip));
    let left = git(
        desk.root(),
        &[
            "branch",
            "--list",
            "spectask/*",
            "--format=%(refname:short)",
        ],
    );
    assert_eq!(left, branch("02-b"));
    for id in &ids {
        let row = desk
            .ctx
            .store
            .read(|read| read.session(id))
            .unwrap()
            .unwrap();
        assert_eq!(row.worktree, None);
    }
    // Nothing more to do, however often.
    let again = desk.collect(false).await;
    assert!(
        again.items.iter().all(|item| item.outcome == "kept"),
        "{again:#?}"
    );
    fs::remove_dir_all(&notes).unwrap();
    desk.collect(false).await;
    assert!(!desk.ctx.task_folder(&task).exists());
    desk.repository.fsck().unwrap();
}

#[tokio::test]
async fn what_is_in_use_stays() {
    let desk = Desk::new().await;
    let (task, ids) = desk
        .task(SpecTaskStatus::Done, WorkMode::Simple, &["a"])
        .await;
    let path = desk.worktree(&task, "work", None);
    let token = desk.ctx.take(&ids[0]).unwrap();
    let kept = desk.collect(false).await;
    assert_eq!(
        kept.items[0].reason.as_deref(),
        Some("a session is at work")
    );
    drop(token);
    desk.ctx.release(&ids[0]);
    let info = EditorInfo {
        instance: "e".into(),
        editor: "zed".into(),
        cwd: path.join("src").display().to_string(),
        project: None,
        agent: None,
        pid: 7,
        since: 0,
    };
    let editor = desk
        .ctx
        .live
        .editors()
        .attach(info, CancellationToken::new());
    let kept = desk.collect(false).await;
    assert_eq!(
        kept.items[0].reason.as_deref(),
        Some("an editor has it open")
    );
    assert!(path.exists());
    drop(editor);
    assert!(!desk.ctx.live.editors().detach("e"));
    assert!(!desk.ctx.is_running(&ids[0]));
    // Without its repository nothing can be saved, so nothing goes.
    let moved = desk.folder.path().join("elsewhere");
    fs::rename(desk.root(), &moved).unwrap();
    let kept = desk.collect(false).await;
    assert_eq!(kept.items[0].outcome, "kept");
    assert!(path.exists());
}

#[tokio::test]
async fn whatever_was_there_is_held_afterwards() {
    let mut random: u32 = std::process::id() ^ 0x5eed;
    println!("seed {random}");
    let mut next = |below: u32| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (random >> 8) % below
    };
    for round in 0..6 {
        let desk = Desk::new().await;
        let names = ["a", "b", "c", "d"];
        let (task, _) = desk
            .task(SpecTaskStatus::Done, WorkMode::Parallel, &names)
            .await;
        let mut precious = BTreeSet::new();
        for (number, slug) in (1..).zip(names) {
            let name = format!("{number:02}-{slug}");
            let branch = format!("spectask/{}/{name}", task.name());
            let branch = (next(2) == 0).then_some(branch);
            let path = desk.worktree(&task, &name, branch.as_deref());
            for turn in 0..next(3) {
                let text = format!("{round} {slug} {turn}\n");
                precious.insert(commit(&path, "work.txt", &text));
            }
            if next(4) == 0 {
                // An agent that goes its own way.
                git(&path, &["checkout", "-q", "--detach"]);
                precious.insert(commit(&path, "detached.txt", slug));
            }
            for file in 0..next(3) {
                let file = path.join(format!("dirty {file}.txt"));
                fs::write(&file, format!("{round} {slug} {}", file.display())).unwrap();
                precious.insert(git(&path, &["hash-object", "--", file.to_str().unwrap()]));
            }
            if next(3) == 0 {
                fs::write(path.join("README.md"), format!("{round} {slug} changed")).unwrap();
                precious.insert(git(&path, &["hash-object", "README.md"]));
            }
            match next(4) {
                // As a daemon that was killed between the two leaves it.
                0 => {
                    let wip = format!("refs/spectask/wip/{}/{name}", task.name());
                    desk.repository.save_wip(&path, &wip, &[]).unwrap();
                }
                // Work of the same name was saved before.
                1 => {
                    let wip = format!("refs/spectask/wip/{}/{name}", task.name());
                    let head = desk.repository.head().unwrap().commit;
                    let files = [("earlier".to_owned(), slug.as_bytes().to_vec())];
                    let message = crate::repo::CommitMessage::new("earlier");
                    let user = crate::repo::Author::User;
                    let made = desk.repository.commit_files(&head, &files, &message, &user);
                    let made = made.unwrap();
                    desk.repository.keep_commit(&wip, &made).unwrap();
                    precious.insert(made);
                }
                _ => {}
            }
        }
        let done = desk.collect(false).await;
        let lost: Vec<_> = precious.difference(&desk.held()).cloned().collect();
        assert!(lost.is_empty(), "round {round}: {lost:?}\n{done:#?}");
        assert!(!desk.ctx.task_folder(&task).exists(), "{done:#?}");
        git(desk.root(), &["gc", "-q", "--prune=now"]);
        assert!(precious.is_subset(&desk.held()));
        desk.repository.fsck().unwrap();
    }
}

#[tokio::test]
async fn the_log_that_was_put_aside_goes_when_it_is_old() {
    let desk = Desk::new().await;
    let aside = desk.ctx.paths.log_file().with_extension("log.1");
    fs::write(&aside, "x".repeat(5000)).unwrap();
    assert!(desk.collect(false).await.items.is_empty());
    let old = std::time::SystemTime::now() - Duration::from_secs(8 * 24 * 3600);
    let file = fs::File::options().write(true).open(&aside).unwrap();
    file.set_modified(old).unwrap();
    assert_eq!(desk.collect(true).await.bytes, 5000);
    assert!(aside.exists());
    assert_eq!(desk.collect(false).await.items[0].kind, "log");
    assert!(!aside.exists());
}
