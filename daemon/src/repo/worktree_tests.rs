//! Worktrees and what crashes, users and agents do to them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::lock::WorktreeLock;
use super::testing::Fixture;
use super::*;

fn branch(fixture: &Fixture, name: &str) -> WorktreeAt {
    let start = fixture.git(fixture.repo_dir(), &["rev-parse", "main"]);
    WorktreeAt::Branch {
        name: name.to_owned(),
        start,
    }
}

fn is_complete(fixture: &Fixture, path: &Path) {
    assert_eq!(fixture.git(path, &["status", "--porcelain"]), "");
    assert_eq!(
        fs::read_to_string(path.join("README.md")).unwrap(),
        "hello\n"
    );
    fixture.repository().fsck().unwrap();
}

#[test]
fn a_repository_is_found_from_everywhere_in_it() {
    let fixture = Fixture::new();
    let worktree = fixture.worktree("w\nith line break");
    let inside = fixture.repo_dir().join("a/b");
    fs::create_dir_all(&inside).unwrap();
    let expected = fixture.repository();
    for (place, top) in [
        (
            fixture.repo_dir().join(".git/refs").as_path(),
            fixture.repo_dir(),
        ),
        (inside.as_path(), fixture.repo_dir()),
        (fixture.repo_dir(), fixture.repo_dir()),
        (worktree.as_path(), worktree.as_path()),
    ] {
        let found = Repository::discover_with(place, fixture.environment()).unwrap();
        assert_eq!(found.root(), expected.root());
        assert_eq!(found.common_dir(), expected.common_dir());
        assert_eq!(found.worktree(), top);
    }
    let bare = fixture.dir().join("bare.git");
    fixture.git(
        fixture.dir(),
        &[
            "clone",
            "-q",
            "--bare",
            fixture.repo_dir().to_str().unwrap(),
            "bare.git",
        ],
    );
    let found = Repository::discover_with(&bare, fixture.environment()).unwrap();
    assert_eq!((found.root(), found.is_bare()), (bare.as_path(), true));
    assert_eq!(found.head().unwrap(), expected.head().unwrap());
    let path = fixture.worktree_path("of bare");
    found
        .add_worktree(&path, &branch(&fixture, "specs/7-x"))
        .unwrap();
    assert!(path.join("README.md").exists());

    fixture.git(
        fixture.dir(),
        &[
            "init",
            "-q",
            "--separate-git-dir",
            "elsewhere.git",
            "separate",
        ],
    );
    let found =
        Repository::discover_with(fixture.dir().join("separate"), fixture.environment()).unwrap();
    assert_eq!(found.root(), fixture.dir().join("separate"));
}

#[test]
fn what_is_no_usable_repository_says_what_to_do() {
    let fixture = Fixture::empty();
    let error = fixture.repository().head().unwrap_err();
    assert!(
        error.to_string().contains("git commit --allow-empty"),
        "{error}"
    );
    assert!(matches!(
        fixture.repository().resolve("HEAD"),
        Err(RepoError::NoCommits { .. })
    ));
    assert_eq!(fixture.repository().default_branch().unwrap(), None);

    let plain = tempfile::tempdir().unwrap();
    let error = Repository::discover_with(plain.path(), fixture.environment()).unwrap_err();
    assert!(matches!(error, RepoError::NotARepository { .. }), "{error}");
    assert!(error.to_string().contains("git init"), "{error}");
    let file = fixture.repo_dir().join("file");
    fs::write(&file, "").unwrap();
    assert!(Repository::discover_with(file, fixture.environment()).is_err());
    assert!(Repository::discover_with(plain.path().join("absent"), fixture.environment()).is_err());

    for format in ["--object-format=sha256", "--ref-format=reftable"] {
        let dir = fixture.dir().join(&format[2..]);
        fixture.git_any(
            fixture.dir(),
            &["init", "-q", format, dir.to_str().unwrap()],
        );
        if dir.join(".git").is_dir() {
            let error = Repository::discover_with(&dir, fixture.environment()).unwrap_err();
            assert!(
                matches!(error, RepoError::Unsupported { .. }),
                "{format}: {error}"
            );
        }
    }
}

#[test]
fn a_repository_of_another_user_is_refused_with_the_way_out() {
    let fixture = Fixture::new();
    let repository = Repository::discover_with(
        fixture.repo_dir(),
        fixture.environment_with("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1"),
    )
    .unwrap();
    let error = repository.changes(fixture.repo_dir()).unwrap_err();
    assert!(matches!(error, RepoError::UnsafeOwner { .. }), "{error}");
    assert!(error.to_string().contains("safe.directory"), "{error}");
}

#[cfg(unix)]
#[test]
fn an_old_or_missing_git_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new();
    let bin = fixture.dir().join("bin");
    fs::create_dir(&bin).unwrap();
    let environment = fixture.environment_with("PATH", bin.to_str().unwrap());
    let open = || Repository::discover_with(fixture.repo_dir(), environment.clone()).unwrap_err();
    let error = open();
    assert!(matches!(error, RepoError::GitMissing { .. }), "{error}");
    fs::write(bin.join("git"), "#!/bin/sh\necho git version 2.25.1\n").unwrap();
    fs::set_permissions(bin.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    let error = open();
    assert_eq!(
        error.to_string(),
        "git 2.25.1 is too old: install git 2.31 or newer"
    );
}

#[test]
fn revisions_are_names_and_never_options() {
    let fixture = Fixture::new();
    let repository = fixture.repository();
    let head = repository.head().unwrap();
    assert_eq!(head.branch.as_deref(), Some("main"));
    for rev in ["HEAD", "main", &head.commit[..12], "refs/heads/main"] {
        assert_eq!(repository.resolve(rev).unwrap(), head.commit);
    }
    for rev in [
        "--all",
        "-x",
        "",
        "absent",
        "main:README.md",
        "a\0b",
        "HEAD~9",
    ] {
        let error = repository.resolve(rev).unwrap_err();
        assert!(
            matches!(error, RepoError::UnknownRevision { .. }),
            "{rev:?}: {error}"
        );
    }
    assert_eq!(repository.branch_tip("absent").unwrap(), None);
    assert!(repository.branch_tip("--all").is_err());
    assert_eq!(
        repository.default_branch().unwrap().as_deref(),
        Some("main")
    );
}

#[test]
fn a_shallow_clone_says_so() {
    let fixture = Fixture::new();
    fixture.commit("second", &[("x", "x")]);
    let url = format!("file://{}", fixture.repo_dir().display());
    fixture.git(
        fixture.dir(),
        &["clone", "-q", "--depth", "1", &url, "shallow"],
    );
    let shallow =
        Repository::discover_with(fixture.dir().join("shallow"), fixture.environment()).unwrap();
    assert!(shallow.is_shallow().unwrap());
    let error = shallow.resolve("HEAD~1").unwrap_err();
    assert!(error.to_string().contains("--unshallow"), "{error}");
    let path = fixture.worktree_path("of shallow");
    shallow
        .add_worktree(
            &path,
            &WorktreeAt::Detached {
                commit: "HEAD".into(),
            },
        )
        .unwrap();
    assert!(path.join("x").exists());
}

#[test]
fn a_worktree_is_made_once_and_given_again_with_its_changes() {
    let fixture = Fixture::new();
    let repository = fixture.repository();
    let path = fixture.worktree_path("w ü");
    let at = branch(&fixture, "spectask/7-x/01-a");
    let made = repository.add_worktree(&path, &at).unwrap();
    assert_eq!(made.branch.as_deref(), Some("spectask/7-x/01-a"));
    assert!(made.usable && !made.main);
    is_complete(&fixture, &path);
    fs::write(path.join("work"), "x").unwrap();
    assert_eq!(repository.add_worktree(&path, &at).unwrap(), made);
    assert!(path.join("work").exists());
    let error = repository
        .add_worktree(
            &path,
            &WorktreeAt::Detached {
                commit: "main".into(),
            },
        )
        .unwrap_err();
    assert!(
        matches!(&error, RepoError::Dirty { changes, .. } if changes == &["work"]),
        "{error}"
    );
    fs::remove_file(path.join("work")).unwrap();
    let detached = repository
        .add_worktree(
            &path,
            &WorktreeAt::Detached {
                commit: "main".into(),
            },
        )
        .unwrap();
    assert_eq!(detached.branch, None);
    assert_eq!(repository.worktrees().unwrap().len(), 2);
    let user = Head {
        branch: Some("main".into()),
        commit: detached.commit.unwrap(),
    };
    assert_eq!(repository.head().unwrap(), user);
}

#[test]
fn what_a_crash_leaves_is_made_anew() {
    let fixture = Fixture::new();
    let repository = fixture.repository();
    let path = fixture.worktree_path("w");
    let at = branch(&fixture, "spectask/7-x/01-a");
    let admin = repository.common_dir().join("worktrees/w");
    let crashes: [(&str, &dyn Fn()); 8] = [
        ("the checkout was under way", &|| {
            fs::write(admin.join("locked"), "initializing").unwrap();
            fs::remove_file(admin.join("index")).unwrap();
            fs::write(admin.join("index.lock"), "").unwrap();
            fs::write(path.join("README.md"), "hel").unwrap();
        }),
        ("HEAD was not written yet", &|| {
            fs::write(admin.join("locked"), "initializing").unwrap();
            fs::remove_file(admin.join("HEAD")).unwrap();
            fs::remove_file(admin.join("index")).unwrap();
            fs::remove_file(path.join("README.md")).unwrap();
        }),
        ("the folder is gone", &|| fs::remove_dir_all(&path).unwrap()),
        ("the folder is gone while git had locked it", &|| {
            fs::remove_dir_all(&path).unwrap();
            fs::write(admin.join("locked"), "initializing").unwrap();
        }),
        ("git does not know it any more", &|| {
            fs::remove_dir_all(&admin).unwrap();
        }),
        ("only an empty folder was made", &|| {
            fs::remove_dir_all(&admin).unwrap();
            fs::remove_dir_all(&path).unwrap();
            fs::create_dir(&path).unwrap();
        }),
        ("a command was killed with the index locked", &|| {
            fs::write(admin.join("index.lock"), "").unwrap();
        }),
        ("the index is lost", &|| {
            fs::remove_file(admin.join("index")).unwrap();
        }),
    ];
    for (name, crash) in crashes {
        repository.add_worktree(&path, &at).unwrap();
        crash();
        let made = repository
            .add_worktree(&path, &at)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(made.usable, "{name}");
        assert_eq!(made.branch.as_deref(), Some("spectask/7-x/01-a"), "{name}");
        is_complete(&fixture, &path);
    }
}

#[cfg(unix)]
#[test]
fn git_killed_at_any_moment_leaves_nothing_that_stops_us() {
    let fixture = Fixture::new();
    let many: Vec<(String, String)> = (0..400)
        .map(|n| (format!("d{}/f{n}", n % 20), format!("{n}\n").repeat(50)))
        .collect();
    let files: Vec<(&str, &str)> = many.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
    let commit = fixture.commit("many", &files);
    let repository = fixture.repository();
    for round in 0..12 {
        let path = fixture.worktree_path(&format!("w{round}"));
        let name = format!("spectask/7-x/{round}");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let lock = WorktreeLock::beside(&path).unwrap();
        let mut child = fixture
            .command(
                fixture.repo_dir(),
                &[
                    "worktree",
                    "add",
                    "-q",
                    "-b",
                    &name,
                    path.to_str().unwrap(),
                    &commit,
                ],
            )
            .stderr(Stdio::null())
            // As our own commands do, which outlive a killed daemon.
            .stdin(lock.for_child().unwrap())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(round * 2));
        child.kill().unwrap();
        drop(lock);
        child.wait().unwrap();
        drop(WorktreeLock::beside(&path).unwrap());
        let at = WorktreeAt::Branch {
            name: name.clone(),
            start: commit.clone(),
        };
        repository
            .clear_stale_locks(&[], std::time::Duration::ZERO)
            .unwrap();
        let made = repository
            .add_worktree(&path, &at)
            .unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(made.commit.as_ref(), Some(&commit), "round {round}");
        assert_eq!(
            fixture.git(&path, &["status", "--porcelain"]),
            "",
            "round {round}"
        );
    }
    repository.fsck().unwrap();
}

#[test]
fn work_that_is_in_no_commit_is_never_removed() {
    let fixture = Fixture::new();
    let repository = fixture.repository();
    let at = branch(&fixture, "spectask/7-x/01-a");
    let path = fixture.worktree_path("w");
    let admin = repository.common_dir().join("worktrees/w");
    repository.add_worktree(&path, &at).unwrap();
    fs::write(path.join("work"), "x").unwrap();
    for (name, damage) in [
        (
            "index lost",
            Box::new(|| fs::remove_file(admin.join("index")).unwrap()) as Box<dyn Fn()>,
        ),
        (
            "unknown to git",
            Box::new(|| fs::remove_dir_all(&admin).unwrap()),
        ),
    ] {
        damage();
        let error = repository.add_worktree(&path, &at).unwrap_err();
        assert!(
            matches!(&error, RepoError::InTheWay { why, .. } if why.contains("work")),
            "{name}: {error}"
        );
        assert!(path.join("work").exists(), "{name}");
    }
    assert!(repository.remove_worktree(&path, None, &[]).is_err());
    assert!(path.join("work").exists());
    // Foreign folders and repositories are as safe.
    let other = fixture.worktree_path("other");
    fs::create_dir_all(&other).unwrap();
    fixture.git(&other, &["init", "-q"]);
    assert!(matches!(
        repository.add_worktree(&other, &branch(&fixture, "b")),
        Err(RepoError::InTheWay { .. })
    ));
    assert!(
        repository
            .add_worktree(fixture.repo_dir(), &branch(&fixture, "b"))
            .is_err()
    );
    assert!(
        repository
            .remove_worktree(fixture.repo_dir(), Some("refs/spectask/wip/x"), &[])
            .is_err()
    );
    assert!(fixture.repo_dir().join("README.md").exists());
}

#[test]
fn a_moved_folder_is_connected_again() {
    let fixture = Fixture::new();
    let repository = fixture.repository();
    let at = branch(&fixture, "spectask/7-x/01-a");
    let path = fixture.worktree_path("w");
    repository.add_worktree(&path, &at).unwrap();
    fs::write(path.join("work"), "x").unwrap();
    let moved = fixture.worktree_path("moved");
    fs::rename(&path, &moved).unwrap();
    let found = repository.add_worktree(&moved, &at).unwrap();
    assert_eq!((found.path, found.usable), (moved.clone(), true));
    assert!(moved.join("work").exists());
    assert_eq!(repository.worktrees().unwrap().len(), 2);
}

#[test]
fn a_branch_is_in_one_worktree_only() {
    let fixture = Fixture::new();
    let repository = fixture.repository();
    let at = branch(&fixture, "specs/7-x");
    let first = repository
        .add_worktree(&fixture.worktree_path("a"), &at)
        .unwrap()
        .path;
    assert_eq!(
        repository.checked_out_at("specs/7-x").unwrap(),
        Some(first.clone())
    );
    let error = repository
        .add_worktree(&fixture.worktree_path("b"), &at)
        .unwrap_err();
    assert!(
        matches!(&error, RepoError::CheckedOut { path, .. } if *path == first),
        "{error}"
    );
    let main = WorktreeAt::Branch {
        name: "main".into(),
        start: "main".into(),
    };
    assert!(
        repository
            .add_worktree(&fixture.worktree_path("b"), &main)
            .is_err()
    );
    fs::remove_dir_all(&first).unwrap();
    assert_eq!(repository.checked_out_at("specs/7-x").unwrap(), None);
    repository
        .add_worktree(&fixture.worktree_path("b"), &at)
        .unwrap();
}

#[test]
fn many_worktrees_are_made_at_the_same_time() {
    let fixture = Fixture::new();
    let repository = fixture.repository();
    std::thread::scope(|scope| {
        for number in 0..12 {
            let (repository, fixture) = (repository.clone(), &fixture);
            scope.spawn(move || {
                // Two callers for each path.
                let number = number / 2;
                let at = branch(fixture, &format!("spectask/7-x/{number}"));
                repository
                    .add_worktree(&fixture.worktree_path(&number.to_string()), &at)
                    .unwrap();
            });
        }
    });
    assert_eq!(repository.worktrees().unwrap().len(), 7);
}

#[test]
fn a_registration_cut_short_by_a_power_loss_is_cleared() {
    let fixture = Fixture::new();
    let repository = fixture.repository();
    let admin = repository.common_dir().join("worktrees/cut");
    fs::create_dir_all(&admin).unwrap();
    fs::write(admin.join("locked"), "initializing").unwrap();
    fs::write(admin.join("gitdir"), "").unwrap();
    fs::write(admin.join("commondir"), "").unwrap();
    let old = std::time::Duration::from_secs(3600);
    assert_eq!(
        repository.clear_stale_locks(&[], old).unwrap(),
        [""; 0].map(PathBuf::from)
    );
    assert_eq!(
        repository
            .clear_stale_locks(&[], std::time::Duration::ZERO)
            .unwrap(),
        [admin]
    );
    fixture.worktree("w");
}

#[test]
fn a_failing_checkout_hook_does_not_lose_the_worktree() {
    let fixture = Fixture::new();
    fixture.hook("post-checkout", "exit 3");
    let path = fixture.worktree("w");
    is_complete(&fixture, &path);
}

#[test]
fn hostile_branch_names_are_refused() {
    let fixture = Fixture::new();
    let repository = fixture.repository();
    for bad in [
        "--detach", "-b", "HEAD", "a b", "../x", "", "a..b", "x.lock", "a\nb",
    ] {
        let error = repository
            .add_worktree(&fixture.worktree_path("w"), &branch(&fixture, bad))
            .unwrap_err();
        assert!(
            matches!(error, RepoError::InvalidName { .. }),
            "{bad:?}: {error}"
        );
    }
}

#[test]
fn one_worktree_serves_one_session_after_the_other() {
    let fixture = Fixture::new();
    let repository = fixture.repository();
    let start = repository.head().unwrap().commit;
    let path = fixture.branch_worktree("w", "spectask/7-x/01-a");
    fs::write(path.join("a"), "a").unwrap();
    let first = repository
        .commit_all(&path, &CommitMessage::new("a"), &Author::User, &[])
        .unwrap()
        .unwrap();
    let second = repository
        .switch_worktree(&path, "spectask/7-x/02-b", &first, &[])
        .unwrap();
    assert_eq!(second.branch.as_deref(), Some("spectask/7-x/02-b"));
    assert_eq!(second.commit.as_ref(), Some(&first));
    assert_eq!(
        repository
            .switch_worktree(&path, "spectask/7-x/02-b", &first, &[])
            .unwrap(),
        second
    );
    // The branch of a session that was interrupted keeps its commits.
    let back = repository
        .switch_worktree(&path, "spectask/7-x/01-a", &start, &[])
        .unwrap();
    assert_eq!(back.commit.as_ref(), Some(&first));
    // One that is behind its start is moved there.
    repository
        .update_ref("refs/heads/behind", &start, None, "x", &[])
        .unwrap();
    let moved = repository
        .switch_worktree(&path, "behind", &first, &[])
        .unwrap();
    assert_eq!(moved.commit.as_ref(), Some(&first));
    fs::write(path.join("dirty"), "x").unwrap();
    let error = repository
        .switch_worktree(&path, "spectask/7-x/03-c", &first, &[])
        .unwrap_err();
    assert!(matches!(error, RepoError::Dirty { .. }), "{error}");
    fs::remove_file(path.join("dirty")).unwrap();
    let apart = repository
        .commit_files(
            &start,
            &[("z".into(), vec![])],
            &CommitMessage::new("z"),
            &Author::User,
        )
        .unwrap();
    let error = repository
        .switch_worktree(&path, "spectask/7-x/01-a", &apart, &[])
        .unwrap_err();
    assert!(matches!(error, RepoError::BranchHasWork { .. }), "{error}");
    assert!(
        repository
            .switch_worktree(&path, "main", &start, &[])
            .is_err()
    );
    assert!(
        repository
            .switch_worktree(fixture.repo_dir(), "x", &start, &[])
            .is_err()
    );
}

#[test]
fn uncommitted_work_is_saved_before_a_worktree_goes() {
    let fixture = Fixture::new();
    fixture.commit("ignore", &[(".gitignore", "target\n"), ("gone", "g")]);
    let repository = fixture.repository();
    let path = fixture.branch_worktree("w", "spectask/7-x/01-a");
    for (name, text) in [
        ("new\n -", "n"),
        ("target", "t"),
        ("README.md", "changed"),
        (".env", "e"),
        ("staged", "s"),
    ] {
        fs::write(path.join(name), text).unwrap();
    }
    fs::remove_file(path.join("gone")).unwrap();
    fixture.git(&path, &["add", "staged"]);
    let before = fixture.git(&path, &["status", "--porcelain"]);
    let name = "refs/spectask/wip/7-x/01";
    let exclude = [".env".to_owned()];
    let saved = repository.save_wip(&path, name, &exclude).unwrap().unwrap();
    assert_eq!(fixture.git(&path, &["status", "--porcelain"]), before);
    assert_eq!(
        repository.list_files(&saved, "").unwrap(),
        [".gitignore", "README.md", "new\n -", "staged"]
    );
    assert_eq!(
        repository.read_file(&saved, "README.md").unwrap().unwrap(),
        b"changed"
    );

    let error = repository
        .remove_worktree(&path, None, &exclude)
        .unwrap_err();
    assert!(matches!(error, RepoError::Dirty { .. }), "{error}");
    fs::write(path.join("more"), "m").unwrap();
    let again = repository
        .remove_worktree(&path, Some(name), &exclude)
        .unwrap()
        .unwrap();
    assert!(!path.exists());
    assert!(
        repository.is_ancestor(&saved, &again).unwrap(),
        "the earlier state was lost"
    );
    assert_eq!(repository.resolve(name).unwrap(), again);
    assert_eq!(
        repository
            .remove_worktree(&path, Some(name), &exclude)
            .unwrap(),
        None
    );
    assert_eq!(repository.worktrees().unwrap().len(), 1);
    repository.fsck().unwrap();
}

#[test]
fn a_worktree_with_nothing_but_copies_goes_without_a_trace() {
    let fixture = Fixture::new();
    let repository = fixture.repository();
    let path = fixture.worktree("w");
    fs::write(path.join(".env"), "e").unwrap();
    let exclude = [".env".to_owned()];
    let saved = repository
        .remove_worktree(&path, Some("refs/spectask/wip/x"), &exclude)
        .unwrap();
    assert_eq!(saved, None);
    assert!(!path.exists());
    assert_eq!(repository.resolve("refs/spectask/wip/x").ok(), None);
}

#[test]
fn a_conflict_left_in_the_index_is_saved_too() {
    let fixture = Fixture::new();
    let repository = fixture.repository();
    let path = fixture.branch_worktree("w", "spectask/7-x/01-a");
    fs::write(path.join("README.md"), "theirs\n").unwrap();
    repository
        .commit_all(&path, &CommitMessage::new("a"), &Author::User, &[])
        .unwrap();
    fixture.commit("ours", &[("README.md", "ours\n")]);
    fixture.git_any(&path, &["merge", "main"]);
    let kinds: Vec<_> = repository
        .changes(&path)
        .unwrap()
        .into_iter()
        .map(|c| c.kind)
        .collect();
    assert_eq!(kinds, [ChangeKind::Conflicted]);
    let saved = repository
        .remove_worktree(&path, Some("refs/spectask/wip/x"), &[])
        .unwrap();
    let content = repository
        .read_file(&saved.unwrap(), "README.md")
        .unwrap()
        .unwrap();
    assert!(String::from_utf8(content).unwrap().contains("<<<<<<<"));
}

#[test]
fn a_worktree_with_a_repository_inside_is_kept() {
    let fixture = Fixture::new();
    let repository = fixture.repository();
    let path = fixture.worktree("w");
    fs::create_dir(path.join("inner")).unwrap();
    fixture.git(&path.join("inner"), &["init", "-q"]);
    let error = repository
        .remove_worktree(&path, Some("refs/spectask/wip/x"), &[])
        .unwrap_err();
    assert!(matches!(error, RepoError::InTheWay { .. }), "{error}");
    assert!(path.join("inner").exists());
}

#[test]
fn the_users_checkout_is_never_written() {
    let fixture = Fixture::new();
    let user = fixture.repo_dir().to_path_buf();
    fs::write(user.join("README.md"), "mine").unwrap();
    fs::write(user.join("staged"), "s").unwrap();
    fixture.git(&user, &["add", "staged"]);
    let state = |path: PathBuf| {
        (
            fs::read(&path).unwrap(),
            fs::metadata(&path).unwrap().modified().unwrap(),
        )
    };
    let index = state(user.join(".git/index"));
    let head = state(user.join(".git/HEAD"));
    let repository = fixture.repository();
    let path = fixture.branch_worktree("w", "spectask/7-x/01-a");
    fs::write(path.join("work"), "w").unwrap();
    let commit = repository
        .commit_all(&path, &CommitMessage::new("w"), &Author::User, &[])
        .unwrap()
        .unwrap();
    repository.changes(&user).unwrap();
    repository.snapshot().unwrap();
    repository.diff("main", &commit, &[]).unwrap();
    repository
        .merge("main", &commit, &CommitMessage::new("m"), &Author::User)
        .unwrap();
    repository.remove_worktree(&path, None, &[]).unwrap();
    assert_eq!(state(user.join(".git/index")), index);
    assert_eq!(state(user.join(".git/HEAD")), head);
    assert_eq!(
        fixture.git(&user, &["status", "--porcelain"]),
        "M README.md\nA  staged"
    );
}

#[test]
fn submodules_are_left_as_they_are() {
    let fixture = Fixture::new();
    let library = fixture.dir().join("library");
    fixture.git(
        fixture.dir(),
        &[
            "clone",
            "-q",
            fixture.repo_dir().to_str().unwrap(),
            "library",
        ],
    );
    let user = fixture.repo_dir();
    let allow = ["-c", "protocol.file.allow=always"];
    let add = [
        "submodule",
        "--quiet",
        "add",
        library.to_str().unwrap(),
        "lib",
    ];
    fixture.git(user, &[&allow[..], &add[..]].concat());
    fixture.commit("submodule", &[]);
    fixture.git(user, &["config", "submodule.recurse", "true"]);
    let repository = fixture.repository();
    let path = fixture.branch_worktree("w", "spectask/7-x/01-a");
    assert_eq!(repository.changes(&path).unwrap(), []);
    fs::write(path.join("work"), "w").unwrap();
    let commit = repository
        .commit_all(&path, &CommitMessage::new("w"), &Author::User, &[])
        .unwrap()
        .unwrap();
    let stat = repository.diff_stat("main", &commit).unwrap();
    assert_eq!((stat.len(), stat[0].path.as_str()), (1, "work"));
    let inner = Repository::discover_with(user.join("lib"), fixture.environment()).unwrap();
    assert_eq!(inner.root(), user.join("lib"));
    repository.remove_worktree(&path, None, &[]).unwrap();
    assert!(!path.exists());
}

#[cfg(unix)]
#[test]
fn filters_and_a_configured_folder_of_hooks_are_honoured() {
    let fixture = Fixture::new();
    let user = fixture.repo_dir();
    fixture.git(user, &["config", "filter.shout.clean", "tr a-z A-Z"]);
    fixture.git(user, &["config", "filter.shout.smudge", "tr A-Z a-z"]);
    fs::create_dir(user.join(".git/own hooks")).unwrap();
    fixture.hook("commit-msg", "echo 'Hooked: yes' >> \"$1\"");
    fs::rename(
        user.join(".git/hooks/commit-msg"),
        user.join(".git/own hooks/commit-msg"),
    )
    .unwrap();
    fixture.git(
        user,
        &[
            "config",
            "core.hooksPath",
            user.join(".git/own hooks").to_str().unwrap(),
        ],
    );
    fixture.commit(
        "filter",
        &[
            (".gitattributes", "*.big filter=shout\n"),
            ("a.big", "stored"),
        ],
    );
    let repository = fixture.repository();
    let path = fixture.worktree("w");
    assert_eq!(fs::read_to_string(path.join("a.big")).unwrap(), "stored");
    fs::write(path.join("b.big"), "new").unwrap();
    let message = CommitMessage::new("w").trailer("Spec-Task", "7-x");
    let commit = repository
        .commit_all(&path, &message, &Author::User, &[])
        .unwrap()
        .unwrap();
    assert_eq!(
        repository.read_file(&commit, "a.big").unwrap().unwrap(),
        b"STORED"
    );
    assert_eq!(
        repository.read_file(&commit, "b.big").unwrap().unwrap(),
        b"NEW"
    );
    let info = &repository.commits(None, &commit).unwrap()[0];
    assert_eq!(
        (info.trailer("Spec-Task"), info.trailer("Hooked")),
        (Some("7-x"), Some("yes"))
    );
}

/// Git removes the folder of the list of worktrees with the last one in it.
#[test]
fn one_may_be_added_while_the_last_one_is_removed() {
    let fixture = Fixture::new();
    let at = branch(&fixture, "main");
    let WorktreeAt::Branch { start, .. } = at else {
        panic!("{at:?}");
    };
    std::thread::scope(|scope| {
        for name in ["one", "two"] {
            let (repository, start) = (fixture.repository(), start.clone());
            let path = fixture
                .repo_dir()
                .with_file_name(format!("worktree-{name}"));
            scope.spawn(move || {
                for _ in 0..15 {
                    let commit = start.clone();
                    let at = WorktreeAt::Detached { commit };
                    repository.add_worktree(&path, &at).unwrap();
                    repository.remove_worktree(&path, None, &[]).unwrap();
                }
            });
        }
    });
    fixture.repository().fsck().unwrap();
}
