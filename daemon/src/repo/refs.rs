//! Refs, moved and deleted by compare-and-swap only.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::admin::resolved;
use super::error::object;
use super::names::check_ref;
use super::{RepoError, Repository, Result};

const LOCK_PATIENCE: Duration = Duration::from_secs(3);

impl Repository {
    /// Moves a ref (full name) to the commit `new` if it is at `expected`; `None` expects that it
    /// does not exist. A branch that is checked out in a worktree not named in `ours` is not
    /// moved; the caller brings the worktrees of `ours` up to date. `reason` goes into the reflog.
    ///
    /// # Errors
    /// [`RepoError::RefMoved`], [`RepoError::CheckedOut`], [`RepoError::Locked`] when another
    /// command holds the ref for longer than 3 s; [`RepoError::InvalidName`].
    pub fn update_ref(
        &self,
        name: &str,
        new: &str,
        expected: Option<&str>,
        reason: &str,
        ours: &[PathBuf],
    ) -> Result<()> {
        check_ref(name)?;
        self.refuse_checked_out(name, ours)?;
        let opened = self.open()?;
        let new = self.commit(&opened, new)?.id();
        let expected_id = match expected {
            Some(expected) => git2::Oid::from_str(expected).map_err(object("move", name))?,
            None => git2::Oid::ZERO_SHA1,
        };
        let reason = format!("spectask: {}", reason.replace(['\n', '\0'], " "));
        let found = || self.ref_target(name);
        let moved = |found: Option<String>| RepoError::RefMoved {
            name: name.to_owned(),
            expected: expected.map(str::to_owned),
            found,
        };
        // A symbolic ref would be replaced by a plain one.
        if let Ok(reference) = opened.find_reference(name)
            && reference.kind() == Some(git2::ReferenceType::Symbolic)
        {
            return Err(moved(found()?));
        }
        let swap =
            || opened.reference_matching(name, new, expected.is_some(), expected_id, &reason);
        let mut swapped = patiently(swap);
        if let Err(error) = &swapped
            && error.code() == git2::ErrorCode::Locked
            && self.clear_left_lock(name)?
        {
            swapped = swap();
        }
        match swapped {
            Ok(_) => Ok(()),
            Err(error) => match error.code() {
                git2::ErrorCode::Modified | git2::ErrorCode::Exists | git2::ErrorCode::NotFound => {
                    Err(moved(found()?))
                }
                git2::ErrorCode::Locked => Err(self.ref_locked("move", name)),
                _ => Err(object("move", name)(error)),
            },
        }
    }

    /// Deletes a ref (full name) if it is at `expected`. A checked out branch is not deleted.
    ///
    /// # Errors
    /// As [`Repository::update_ref`].
    pub fn delete_ref(&self, name: &str, expected: &str) -> Result<()> {
        check_ref(name)?;
        self.refuse_checked_out(name, &[])?;
        let opened = self.open()?;
        let moved = |found: Option<String>| RepoError::RefMoved {
            name: name.to_owned(),
            expected: Some(expected.to_owned()),
            found,
        };
        let deleted = patiently(|| {
            let mut reference = opened.find_reference(name)?;
            if reference.target().map(|id| id.to_string()).as_deref() != Some(expected) {
                return Ok(false);
            }
            // libgit2 compares with the value just read, under the lock.
            reference.delete()?;
            Ok(true)
        });
        match deleted {
            Ok(true) => Ok(()),
            Ok(false) => Err(moved(self.ref_target(name)?)),
            Err(error) => match error.code() {
                git2::ErrorCode::Modified | git2::ErrorCode::NotFound => {
                    Err(moved(self.ref_target(name)?))
                }
                git2::ErrorCode::Locked => Err(self.ref_locked("delete", name)),
                _ => Err(object("delete", name)(error)),
            },
        }
    }

    fn refuse_checked_out(&self, name: &str, ours: &[PathBuf]) -> Result<()> {
        let Some(branch) = name.strip_prefix("refs/heads/") else {
            return Ok(());
        };
        let ours: Vec<PathBuf> = ours.iter().map(|path| resolved(path)).collect();
        match self
            .holders(branch)?
            .into_iter()
            .find(|holder| !ours.contains(holder))
        {
            Some(path) => Err(RepoError::CheckedOut {
                branch: branch.to_owned(),
                path,
            }),
            None => Ok(()),
        }
    }

    /// Removes the lock of one of the daemon's own refs that nobody can hold any more: git and the
    /// daemon hold one for a moment only. Whether there was one.
    fn clear_left_lock(&self, name: &str) -> Result<bool> {
        let ours = [
            "refs/heads/specs/",
            "refs/heads/spectask/",
            "refs/spectask/",
        ];
        if !ours.iter().any(|start| name.starts_with(start)) {
            return Ok(false);
        }
        let removed = self.clear_stale_locks(&[], LOCK_PATIENCE)?;
        Ok(removed
            .iter()
            .any(|lock| lock.ends_with(format!("{name}.lock"))))
    }

    fn ref_locked(&self, operation: &'static str, name: &str) -> RepoError {
        RepoError::Locked {
            operation,
            subject: name.to_owned(),
            lock: self
                .common_dir()
                .join(format!("{name}.lock"))
                .display()
                .to_string(),
        }
    }
}

/// Tries again for a while when another command holds the lock.
fn patiently<T>(mut attempt: impl FnMut() -> Result<T, git2::Error>) -> Result<T, git2::Error> {
    let started = Instant::now();
    loop {
        match attempt() {
            Err(error)
                if error.code() == git2::ErrorCode::Locked && started.elapsed() < LOCK_PATIENCE =>
            {
                thread::sleep(Duration::from_millis(15));
            }
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::Fixture;
    use super::super::{Author, CommitMessage};
    use super::*;

    fn chain(repository: &Repository, count: usize) -> Vec<String> {
        let mut commits = vec![repository.head().unwrap().commit];
        for number in 0..count {
            let files = [("n".to_owned(), number.to_string().into_bytes())];
            let message = CommitMessage::new(number.to_string());
            let parent = commits[number].clone();
            commits.push(
                repository
                    .commit_files(&parent, &files, &message, &Author::User)
                    .unwrap(),
            );
        }
        commits
    }

    #[test]
    fn a_ref_moves_only_from_where_it_was_seen() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        let c = chain(&repository, 2);
        let name = "refs/heads/specs/7-x";
        let update = |new: &str, expected: Option<&str>| {
            repository.update_ref(name, new, expected, "test\nline", &[])
        };
        let error = update(&c[1], Some(&c[0])).unwrap_err();
        assert!(
            matches!(error, RepoError::RefMoved { found: None, .. }),
            "{error}"
        );
        update(&c[0], None).unwrap();
        let error = update(&c[1], None).unwrap_err();
        assert!(
            matches!(error, RepoError::RefMoved { found: Some(_), .. }),
            "{error}"
        );
        update(&c[1], Some(&c[0])).unwrap();
        let error = update(&c[2], Some(&c[0])).unwrap_err();
        assert!(
            matches!(&error, RepoError::RefMoved { found: Some(f), .. } if *f == c[1]),
            "{error}"
        );
        // Packed refs are compared too, also when a newer loose one lies over them.
        fixture.git(fixture.repo_dir(), &["pack-refs", "--all"]);
        assert!(update(&c[2], None).is_err());
        update(&c[2], Some(&c[1])).unwrap();
        assert!(update(&c[1], Some(&c[1])).is_err());
        assert_eq!(
            repository.branch_tip("specs/7-x").unwrap().as_ref(),
            Some(&c[2])
        );
        assert_eq!(
            fixture.git(
                fixture.repo_dir(),
                &["log", "-g", "-1", "--format=%gs", "specs/7-x"]
            ),
            "spectask: test line"
        );
        assert!(repository.delete_ref(name, &c[1]).is_err());
        repository.delete_ref(name, &c[2]).unwrap();
        assert_eq!(repository.branch_tip("specs/7-x").unwrap(), None);
        assert!(repository.delete_ref(name, &c[2]).is_err());
    }

    #[test]
    fn of_many_writers_with_the_same_expectation_one_wins() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        let c = chain(&repository, 8);
        let name = "refs/heads/specs/7-x";
        for expected in [None, Some(c[0].as_str())] {
            if expected.is_some() {
                let at = repository.branch_tip("specs/7-x").unwrap().unwrap();
                repository
                    .update_ref(name, &c[0], Some(&at), "back", &[])
                    .unwrap();
            }
            let won = thread::scope(|scope| {
                let writers: Vec<_> = c[1..]
                    .iter()
                    .map(|new| {
                        let repository = repository.clone();
                        scope.spawn(move || repository.update_ref(name, new, expected, "race", &[]))
                    })
                    .collect();
                writers
                    .into_iter()
                    .filter(|_| true)
                    .map(|w| w.join().unwrap())
                    .filter(Result::is_ok)
                    .count()
            });
            assert_eq!(won, 1);
        }
    }

    #[test]
    fn git_and_the_daemon_may_write_refs_at_the_same_time() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        let c = chain(&repository, 20);
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..20 {
                    fixture.git(fixture.repo_dir(), &["branch", &format!("user/{number}")]);
                    fixture.git(fixture.repo_dir(), &["pack-refs", "--all"]);
                }
            });
            repository
                .update_ref("refs/heads/specs/7", &c[0], None, "new", &[])
                .unwrap();
            for pair in c.windows(2) {
                repository
                    .update_ref("refs/heads/specs/7", &pair[1], Some(&pair[0]), "next", &[])
                    .unwrap();
            }
        });
        assert_eq!(repository.branch_tip("specs/7").unwrap().as_ref(), c.last());
        assert_eq!(
            fixture
                .git(fixture.repo_dir(), &["branch", "--list", "user/*"])
                .lines()
                .count(),
            20
        );
        repository.fsck().unwrap();
    }

    #[test]
    fn a_checked_out_branch_is_not_moved_but_in_our_own_worktrees() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        let c = chain(&repository, 1);
        let worktree = fixture.branch_worktree("w", "specs/7-x");
        let name = "refs/heads/specs/7-x";
        let error = repository
            .update_ref(name, &c[1], Some(&c[0]), "x", &[])
            .unwrap_err();
        assert!(
            matches!(&error, RepoError::CheckedOut { branch, path } if branch == "specs/7-x" && *path == worktree),
            "{error}"
        );
        assert!(repository.delete_ref(name, &c[0]).is_err());
        repository
            .update_ref(
                name,
                &c[1],
                Some(&c[0]),
                "x",
                std::slice::from_ref(&worktree),
            )
            .unwrap();
        let error = repository
            .update_ref("refs/heads/main", &c[1], Some(&c[0]), "x", &[])
            .unwrap_err();
        assert!(matches!(error, RepoError::CheckedOut { .. }), "{error}");
    }

    #[test]
    fn a_branch_in_the_middle_of_a_rebase_counts_as_checked_out() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        fixture.git(fixture.repo_dir(), &["checkout", "-q", "-b", "topic"]);
        fixture.commit("topic", &[("README.md", "topic\n")]);
        fixture.git(fixture.repo_dir(), &["checkout", "-q", "main"]);
        fixture.commit("main", &[("README.md", "main\n")]);
        fixture.git_any(fixture.repo_dir(), &["rebase", "-q", "main", "topic"]);
        assert_eq!(
            repository.checked_out_at("topic").unwrap().as_deref(),
            Some(repository.root())
        );
    }

    #[test]
    fn hostile_names_and_folders_in_the_way_are_errors() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        let c = chain(&repository, 1);
        for bad in [
            "HEAD",
            "refs/../config",
            "refs/heads/a..b",
            "refs/heads/x.lock",
            "main",
            "refs/heads/ ",
        ] {
            let error = repository
                .update_ref(bad, &c[1], None, "x", &[])
                .unwrap_err();
            assert!(
                matches!(error, RepoError::InvalidName { .. }),
                "{bad}: {error}"
            );
        }
        repository
            .update_ref("refs/heads/specs", &c[1], None, "x", &[])
            .unwrap();
        fixture.git(fixture.repo_dir(), &["pack-refs", "--all"]);
        assert!(
            repository
                .update_ref("refs/heads/specs/7", &c[1], None, "x", &[])
                .is_err()
        );
        repository.fsck().unwrap();
    }

    #[test]
    fn a_lock_that_stays_is_named_and_can_be_cleared() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        let c = chain(&repository, 1);
        let name = "refs/heads/specs/7-x";
        let lock = repository.common_dir().join(format!("{name}.lock"));
        fs::create_dir_all(lock.parent().unwrap()).unwrap();
        fs::write(&lock, "").unwrap();
        let future = std::time::SystemTime::now() + Duration::from_secs(60);
        let opened = fs::File::options().write(true).open(&lock).unwrap();
        opened.set_modified(future).unwrap();
        let error = repository
            .update_ref(name, &c[1], None, "x", &[])
            .unwrap_err();
        assert!(matches!(error, RepoError::Locked { .. }), "{error}");
        assert!(
            repository
                .clear_stale_locks(&[], Duration::from_secs(3600))
                .unwrap()
                .is_empty()
        );
        assert_eq!(
            repository.clear_stale_locks(&[], Duration::ZERO).unwrap(),
            std::slice::from_ref(&lock)
        );
        // One that stood for as long as it was waited for is cleared on the way.
        fs::write(&lock, "").unwrap();
        repository.update_ref(name, &c[1], None, "x", &[]).unwrap();
        assert!(!lock.exists());
    }
}
