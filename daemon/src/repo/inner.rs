//! Repositories inside a worktree. Git saves nothing of them, so a worktree that holds one with something of
//! its own is not removed.

use std::path::Path;

use super::admin::Entry;
use super::git::Git;
use super::{ChangeKind, RepoError, Repository, Result};

/// Repositories below git's folder of a worktree's submodules that are looked at.
const MODULES: usize = 1000;

impl Repository {
    /// Refuses a worktree that holds a repository nobody else has: one that is not tracked, or a submodule
    /// (or what was committed as one) with changes, or with commits that it has not from a remote.
    ///
    /// # Errors
    /// [`RepoError::InTheWay`] with its path; when git cannot read the worktree.
    pub(super) fn refuse_inner_repositories(&self, entry: &Entry) -> Result<()> {
        let untracked = self.changes(&entry.path)?.into_iter();
        let mut untracked = untracked.filter(|one| one.kind == ChangeKind::InnerRepository);
        let inner = match untracked.next() {
            Some(found) => Some(found.path),
            None => self
                .submodules(&entry.path)?
                .into_iter()
                .find(|path| is_alone(&entry.path.join(path), self.pinned(path))),
        };
        let modules = entry.admin.join("modules");
        let inner = inner.or_else(|| {
            let mut left = MODULES;
            self.has_alone(&modules, "", &mut left)
                .then(|| modules.display().to_string())
        });
        match inner {
            Some(inner) => Err(RepoError::InTheWay {
                path: entry.path.clone(),
                why: format!("it contains another repository, {inner}"),
            }),
            None => Ok(()),
        }
    }

    /// The commit of another repository that the user's own checkout has at a path: its remote has it.
    fn pinned(&self, path: &str) -> Option<git2::Oid> {
        let opened = self.open().ok()?;
        let tree = opened.head().ok()?.peel_to_tree().ok()?;
        let entry = tree.get_path(path.as_ref()).ok()?;
        (entry.kind() == Some(git2::ObjectType::Commit)).then(|| entry.id())
    }

    /// Whether a repository in git's folder of submodules, by their names, has commits of its own.
    fn has_alone(&self, folder: &Path, name: &str, left: &mut usize) -> bool {
        if *left == 0 {
            return true;
        }
        *left -= 1;
        if folder.join("HEAD").is_file() {
            let pinned = self.pinned(name);
            let opened = git2::Repository::open(folder);
            return opened.map_or(true, |opened| has_own_commits(&opened, pinned));
        }
        let items = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut folders = items.filter(|item| item.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.any(|item| {
            let own = item.file_name();
            let own = own.to_string_lossy();
            let name = if name.is_empty() {
                own.into_owned()
            } else {
                format!("{name}/{own}")
            };
            self.has_alone(&item.path(), &name, left)
        })
    }

    /// Paths at which commits of other repositories are tracked.
    fn submodules(&self, worktree: &Path) -> Result<Vec<String>> {
        let listed = Git::read(&self.environment, worktree, "look at", "what is tracked")
            .args(["ls-files", "--stage", "-z"])
            .run()?;
        let lines = listed.split(|byte| *byte == 0);
        Ok(lines
            .filter_map(|line| line.strip_prefix(b"160000 "))
            .filter_map(|line| line.splitn(2, |byte| *byte == b'\t').nth(1))
            .map(|path| String::from_utf8_lossy(path).into_owned())
            .collect())
    }
}

/// Whether a checked-out repository has something that is nowhere else; one that cannot be read may have.
/// It is read without running anything that its settings name.
fn is_alone(path: &Path, pinned: Option<git2::Oid>) -> bool {
    if path.join(".git").symlink_metadata().is_err() {
        return false;
    }
    let Ok(opened) = git2::Repository::open(path) else {
        return true;
    };
    let mut options = git2::StatusOptions::new();
    options.include_untracked(true).include_ignored(false);
    let clean = opened
        .statuses(Some(&mut options))
        .is_ok_and(|changes| changes.is_empty());
    !clean || has_own_commits(&opened, pinned)
}

/// Whether its `HEAD`, branches or stash have commits that none of its remotes had when it was last there, and
/// that the user's checkout does not name.
fn has_own_commits(opened: &git2::Repository, pinned: Option<git2::Oid>) -> bool {
    let own = || -> std::result::Result<bool, git2::Error> {
        let mut walk = opened.revwalk()?;
        walk.push_glob("refs/heads/*")?;
        for name in ["HEAD", "refs/stash"] {
            if opened.revparse_single(name).is_ok() {
                walk.push_ref(name)?;
            }
        }
        walk.hide_glob("refs/remotes/*")?;
        if let Some(pinned) = pinned.filter(|pinned| opened.find_commit(*pinned).is_ok()) {
            walk.hide(pinned)?;
        }
        Ok(walk.next().is_some())
    };
    own().unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::Fixture;
    use super::*;

    const WIP: &str = "refs/spectask/wip/7-x/01-a";

    fn retired(repository: &Repository, path: &Path) -> bool {
        match repository.retire_worktree(path, WIP, &[]) {
            Ok(_) => true,
            Err(RepoError::InTheWay { why, .. }) => {
                assert!(why.contains("another repository"), "{why}");
                assert!(repository.needs_saving(path, &[]).is_err());
                false
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_repository_that_was_committed_as_a_link_is_not_lost() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        let worktree = fixture.worktree("w");
        let inner = worktree.join("inner");
        fixture.git(&worktree, &["init", "-q", "inner"]);
        fs::write(inner.join("a"), "a").unwrap();
        let user = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
        fixture.git(&inner, &["add", "a"]);
        fixture.git(&inner, &[&user[..], &["commit", "-qm", "a"]].concat());
        fixture.git_any(&worktree, &["add", "-A"]);
        fixture.git(&worktree, &["commit", "-qm", "a link"]);
        assert!(repository.changes(&worktree).unwrap().is_empty());
        assert!(!retired(&repository, &worktree));
        assert!(inner.join("a").exists());
        fs::remove_dir_all(inner.join(".git")).unwrap();
        fs::remove_file(inner.join("a")).unwrap();
        assert!(retired(&repository, &worktree));
    }

    #[test]
    fn a_submodule_goes_when_its_remote_has_everything() {
        let fixture = Fixture::new();
        let other = fixture.dir().join("other");
        fixture.git(fixture.dir(), &["init", "-q", "-b", "main", "other"]);
        let user = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
        let commit = |dir: &Path, name: &str| {
            fs::write(dir.join(name), name).unwrap();
            fixture.git(dir, &["add", name]);
            fixture.git(dir, &[&user[..], &["commit", "-qm", name]].concat());
        };
        commit(&other, "a");
        // A release that no branch has: its tag comes along, and it may be what is pinned.
        fixture.git(&other, &["checkout", "-q", "--detach"]);
        commit(&other, "release");
        fixture.git(&other, &["tag", "v1"]);
        let pin = fixture.git(&other, &["rev-parse", "HEAD"]);
        fixture.git(&other, &["checkout", "-q", "main"]);
        let url = other.to_str().unwrap();
        let add = [
            "-c",
            "protocol.file.allow=always",
            "submodule",
            "add",
            "-q",
            url,
            "sub",
        ];
        fixture.git(fixture.repo_dir(), &add);
        let sub = fixture.repo_dir().join("sub");
        fixture.git(&sub, &["checkout", "-q", &pin]);
        fixture.git(fixture.repo_dir(), &["add", "sub"]);
        fixture.git(fixture.repo_dir(), &["commit", "-qm", "sub"]);
        let repository = fixture.repository();
        let update = [
            "-c",
            "protocol.file.allow=always",
            "submodule",
            "update",
            "-q",
            "--init",
        ];
        for (name, gone) in [("clean", true), ("dirty", false), ("ahead", false)] {
            let worktree = fixture.worktree(name);
            fixture.git(&worktree, &update);
            let sub = worktree.join("sub");
            match name {
                "dirty" => fs::write(sub.join("new"), "new").unwrap(),
                "ahead" => commit(&sub, "b"),
                _ => {}
            }
            assert_eq!(retired(&repository, &worktree), gone, "{name}");
        }
    }
}
