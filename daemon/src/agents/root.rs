//! Keeps paths that an agent names inside one folder.

use std::io;
use std::path::{Component, Path, PathBuf};

/// A folder that paths must not leave, by `..` or through links.
///
/// The check and the use of a path are two steps: a process that swaps a folder for a link between
/// them gets past it. That is accepted, for such a process needs no help to write anywhere the
/// user may.
#[derive(Debug, Clone)]
pub struct Root {
    given: PathBuf,
    real: PathBuf,
}

/// Why a path is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It lies outside the root, or a link on it leads out.
    #[error("`{}` is outside the session's folder", .0.display())]
    Outside(PathBuf),
    /// It has a `..`.
    #[error("`{}` has a `..`; name the path without it", .0.display())]
    Parent(PathBuf),
    /// A link on it leads nowhere, so where a write would land is unknown.
    #[error("`{}` goes through a link that leads nowhere", .0.display())]
    DanglingLink(PathBuf),
    /// It is git's own.
    #[error("`{}` belongs to git itself; use git commands to change it", .0.display())]
    Git(PathBuf),
    /// The system cannot say what it is.
    #[error("`{}` cannot be looked at: {}", .0.display(), .1)]
    Unreadable(PathBuf, String),
}

impl Root {
    /// A root at the folder `path`, which must exist.
    pub fn new(path: &Path) -> io::Result<Self> {
        let real = path.canonicalize()?;
        if !real.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "not a folder"));
        }
        Ok(Self {
            given: path.to_owned(),
            real,
        })
    }

    /// The folder with all links resolved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.real
    }

    /// The real path `path` stands for, links followed, if it is inside. A relative path counts
    /// from the root. The file itself and its last folders need not exist.
    pub fn resolve(&self, path: &Path) -> Result<PathBuf, Refusal> {
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(Refusal::Parent(path.to_owned()));
        }
        if has_odd_name(path) {
            return Err(Refusal::Outside(path.to_owned()));
        }
        let full = self.real.join(path);
        let mut existing = full.as_path();
        let mut missing = Vec::new();
        let real = loop {
            match existing.canonicalize() {
                Ok(real) => break real,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if existing.symlink_metadata().is_ok() {
                        return Err(Refusal::DanglingLink(path.to_owned()));
                    }
                    match (existing.file_name(), existing.parent()) {
                        (Some(name), Some(parent)) => {
                            missing.push(name.to_owned());
                            existing = parent;
                        }
                        _ => return Err(Refusal::Outside(path.to_owned())),
                    }
                }
                Err(error) => return Err(Refusal::Unreadable(path.to_owned(), error.to_string())),
            }
        };
        if !real.starts_with(&self.real) {
            return Err(Refusal::Outside(path.to_owned()));
        }
        let mut resolved = real;
        resolved.extend(missing.into_iter().rev());
        Ok(resolved)
    }

    /// As [`resolve`](Self::resolve), and not git's own: no part of the path below the root is
    /// `.git` in any spelling a file system takes for it.
    pub fn resolve_for_write(&self, path: &Path) -> Result<PathBuf, Refusal> {
        let resolved = self.resolve(path)?;
        let below = resolved.strip_prefix(&self.real).unwrap_or(&resolved);
        if below
            .components()
            .any(|part| is_git_name(&part.as_os_str().to_string_lossy()))
        {
            return Err(Refusal::Git(path.to_owned()));
        }
        Ok(resolved)
    }

    /// `path` as people read it: relative to the root where it is inside.
    #[must_use]
    pub fn display(&self, path: &Path) -> String {
        let below = path
            .strip_prefix(&self.given)
            .or_else(|_| path.strip_prefix(&self.real));
        match below {
            Ok(below) if below.as_os_str().is_empty() => ".".to_owned(),
            Ok(below) => below.display().to_string(),
            Err(_) => path.display().to_string(),
        }
    }
}

/// Names that mean something other than a file in a folder.
fn has_odd_name(path: &Path) -> bool {
    let text = path.to_string_lossy();
    if text.contains('\0') {
        return true;
    }
    // `name:stream` on Windows is a hidden part of another file.
    cfg!(windows)
        && path.components().any(
            |part| matches!(part, Component::Normal(name) if name.to_string_lossy().contains(':')),
        )
}

/// Whether a file system may take `name` for `.git`: letter case, characters that HFS+ ignores,
/// and what Windows drops from the end or shortens.
fn is_git_name(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(|c| {
            !matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
        })
        .flat_map(char::to_lowercase)
        .collect();
    let plain = plain.trim_end_matches(['.', ' ']);
    plain == ".git" || plain == "git~1"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Place {
        _dir: tempfile::TempDir,
        root: Root,
        base: PathBuf,
    }

    fn place() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        fs::create_dir_all(base.join("root/src")).unwrap();
        fs::write(base.join("root/src/a.rs"), "a").unwrap();
        fs::write(base.join("outside.txt"), "o").unwrap();
        fs::create_dir(base.join("root-beside")).unwrap();
        let root = Root::new(&base.join("root")).unwrap();
        Place {
            _dir: dir,
            root,
            base,
        }
    }

    #[test]
    fn paths_inside_are_resolved() {
        let p = place();
        let real = p.base.join("root");
        assert_eq!(
            p.root.resolve(&real.join("src/a.rs")).unwrap(),
            real.join("src/a.rs")
        );
        assert_eq!(
            p.root.resolve(Path::new("src/a.rs")).unwrap(),
            real.join("src/a.rs")
        );
        assert_eq!(
            p.root.resolve(&real.join("new/deep/b")).unwrap(),
            real.join("new/deep/b")
        );
        assert_eq!(p.root.resolve(&real).unwrap(), real);
    }

    #[test]
    fn ways_out_are_refused() {
        let p = place();
        let refused = |path: &Path| p.root.resolve(path).unwrap_err();
        assert!(matches!(
            refused(&p.base.join("outside.txt")),
            Refusal::Outside(_)
        ));
        assert!(matches!(
            refused(&p.base.join("new.txt")),
            Refusal::Outside(_)
        ));
        assert!(matches!(
            refused(&p.base.join("root-beside/x")),
            Refusal::Outside(_)
        ));
        assert!(matches!(
            refused(Path::new("../outside.txt")),
            Refusal::Parent(_)
        ));
        assert!(matches!(
            refused(Path::new("src/../src/a.rs")),
            Refusal::Parent(_)
        ));
        assert!(matches!(refused(Path::new("/")), Refusal::Outside(_)));
        assert!(matches!(refused(Path::new("a\0b")), Refusal::Outside(_)));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_before_the_answer() {
        use std::os::unix::fs::symlink;
        let p = place();
        let real = p.base.join("root");
        symlink(p.base.join("outside.txt"), real.join("file")).unwrap();
        symlink(&p.base, real.join("up")).unwrap();
        symlink(p.base.join("not-there"), real.join("dangling")).unwrap();
        symlink("loop", real.join("loop")).unwrap();
        symlink(real.join("src"), real.join("inner")).unwrap();
        assert!(matches!(
            p.root.resolve(Path::new("file")),
            Err(Refusal::Outside(_))
        ));
        assert!(matches!(
            p.root.resolve(Path::new("up/outside.txt")),
            Err(Refusal::Outside(_))
        ));
        assert!(matches!(
            p.root.resolve(Path::new("up/new.txt")),
            Err(Refusal::Outside(_))
        ));
        assert!(matches!(
            p.root.resolve(Path::new("dangling")),
            Err(Refusal::DanglingLink(_))
        ));
        assert!(matches!(
            p.root.resolve(Path::new("dangling/x")),
            Err(Refusal::DanglingLink(_))
        ));
        assert!(p.root.resolve(Path::new("loop")).is_err());
        assert_eq!(
            p.root.resolve(Path::new("inner/a.rs")).unwrap(),
            real.join("src/a.rs")
        );
        assert!(p.root.resolve(Path::new("src/a.rs/below-a-file")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_root_reached_through_a_link_works() {
        let p = place();
        std::os::unix::fs::symlink(p.base.join("root"), p.base.join("alias")).unwrap();
        let root = Root::new(&p.base.join("alias")).unwrap();
        let inside = p.base.join("alias/src/a.rs");
        assert_eq!(root.resolve(&inside).unwrap(), p.base.join("root/src/a.rs"));
        assert_eq!(root.display(&inside), "src/a.rs");
        assert_eq!(root.display(&p.base.join("root/src/a.rs")), "src/a.rs");
    }

    #[test]
    fn git_is_not_for_writing() {
        let p = place();
        for path in [
            ".git",
            ".git/config",
            ".GIT/hooks/x",
            "src/.git/x",
            ".g\u{200c}it/config",
            "git~1/x",
        ] {
            assert!(p.root.resolve(Path::new(path)).is_ok(), "{path}");
            assert!(
                matches!(
                    p.root.resolve_for_write(Path::new(path)),
                    Err(Refusal::Git(_))
                ),
                "{path}"
            );
        }
        for path in [".gitignore", ".github/x.yml", "src/git"] {
            assert!(p.root.resolve_for_write(Path::new(path)).is_ok(), "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_resolved_is_inside(path in "(/|)(([a-c]|\\.|\\.\\.|src|~|\\.git|é|\u{0}| )/?){0,6}") {
            let p = place();
            if let Ok(resolved) = p.root.resolve(Path::new(&path)) {
                proptest::prop_assert!(resolved.starts_with(p.root.path()));
                proptest::prop_assert!(!resolved.components().any(|c| c == Component::ParentDir));
            }
        }
    }
}
