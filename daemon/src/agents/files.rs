//! `fs/read_text_file` and `fs/write_text_file` inside a root.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use super::root::{Refusal, Root};
use super::wire::RpcError;

/// The largest file that is read or written.
const MAX_FILE: u64 = 64 * 1024 * 1024;
/// The largest text one read answers with.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Why a file is not served.
#[derive(Debug)]
pub(super) enum FileError {
    /// The path itself is refused.
    Refused(Refusal),
    /// The path is fine, the file is not.
    Failed(RpcError),
}

impl From<Refusal> for FileError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

fn failed(error: RpcError) -> FileError {
    FileError::Failed(error)
}

/// Reads the text file at `path`, `limit` lines from line `line` (1-based) on, all by default.
/// Blocks.
pub(super) fn read(
    root: &Root,
    path: &Path,
    line: Option<u32>,
    limit: Option<u32>,
) -> Result<String, FileError> {
    let real = root.resolve(path)?;
    let size = match real.metadata() {
        // Opening a pipe or a device could block or have effects.
        Ok(meta) if !meta.is_file() => {
            return Err(failed(RpcError::invalid_params(format!(
                "`{}` is not a regular file",
                path.display()
            ))));
        }
        Ok(meta) => meta.len(),
        Err(error) => return Err(failed(io_error("read", path, &error))),
    };
    if size > MAX_FILE {
        return Err(failed(RpcError::invalid_params(format!(
            "`{}` has {size} bytes; files above {MAX_FILE} bytes are not served",
            path.display()
        ))));
    }
    let bytes = fs::read(&real).map_err(|error| failed(io_error("read", path, &error)))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        failed(RpcError::invalid_params(format!(
            "`{}` is not UTF-8 text",
            path.display()
        )))
    })?;
    let part = lines(&text, line, limit);
    if part.len() > MAX_ANSWER {
        return Err(failed(RpcError::invalid_params(format!(
            "this part of `{}` has {} bytes; ask for fewer lines with `line` and `limit`",
            path.display(),
            part.len()
        ))));
    }
    Ok(if part.len() == text.len() {
        text
    } else {
        part.to_owned()
    })
}

fn lines(text: &str, line: Option<u32>, limit: Option<u32>) -> &str {
    let after = |text: &str, lines: u32| {
        if lines == 0 {
            return 0;
        }
        let nth = usize::try_from(lines - 1).unwrap_or(usize::MAX);
        text.match_indices('\n')
            .nth(nth)
            .map_or(text.len(), |(at, _)| at + 1)
    };
    let rest = &text[after(text, line.unwrap_or(1).saturating_sub(1))..];
    match limit {
        Some(limit) => &rest[..after(rest, limit)],
        None => rest,
    }
}

/// Writes `content` to the file at `path`, as a whole or not at all. Missing folders are made; the
/// mode of a file that exists is kept. Blocks.
pub(super) fn write(root: &Root, path: &Path, content: &str) -> Result<(), FileError> {
    let real = root.resolve_for_write(path)?;
    if content.len() as u64 > MAX_FILE {
        return Err(failed(RpcError::invalid_params(format!(
            "the text for `{}` has {} bytes; at most {MAX_FILE} are written",
            path.display(),
            content.len()
        ))));
    }
    let before = match real.metadata() {
        Ok(meta) if !meta.is_file() => {
            return Err(failed(RpcError::invalid_params(format!(
                "`{}` is not a regular file",
                path.display()
            ))));
        }
        Ok(meta) if meta.permissions().readonly() => {
            return Err(failed(RpcError::invalid_params(format!(
                "`{}` is read-only",
                path.display()
            ))));
        }
        Ok(meta) => Some(meta.permissions()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(io_error("write", path, &error))),
    };
    replace(&real, before, content).map_err(|error| failed(io_error("write", path, &error)))
}

fn replace(real: &Path, mode: Option<fs::Permissions>, content: &str) -> io::Result<()> {
    let folder = real.parent().unwrap_or(real);
    fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".spectask-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // The process's umask takes away what the user does not want; tempfile alone gives 0600.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(content.as_bytes())?;
    if let Some(mode) = mode {
        file.as_file().set_permissions(mode)?;
    }
    file.persist(real).map_err(|error| error.error)?;
    Ok(())
}

fn io_error(what: &str, path: &Path, error: &io::Error) -> RpcError {
    let message = format!("cannot {what} `{}`: {error}", path.display());
    if error.kind() == io::ErrorKind::NotFound {
        RpcError::not_found(message)
    } else {
        RpcError::internal(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn place() -> (tempfile::TempDir, Root, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        fs::create_dir(base.join("root")).unwrap();
        fs::write(base.join("outside.txt"), "secret").unwrap();
        let root = Root::new(&base.join("root")).unwrap();
        (dir, root, base)
    }

    fn message(error: FileError) -> String {
        match error {
            FileError::Refused(refusal) => refusal.to_string(),
            FileError::Failed(error) => error.message,
        }
    }

    #[test]
    fn parts_of_a_text() {
        let text = "one\ntwo\r\nthree";
        assert_eq!(lines(text, None, None), text);
        assert_eq!(lines(text, Some(0), Some(1)), "one\n");
        assert_eq!(lines(text, Some(2), Some(1)), "two\r\n");
        assert_eq!(lines(text, Some(2), None), "two\r\nthree");
        assert_eq!(lines(text, Some(3), Some(9)), "three");
        assert_eq!(lines(text, Some(4), None), "");
        assert_eq!(lines(text, Some(u32::MAX), Some(u32::MAX)), "");
        assert_eq!(lines(text, Some(1), Some(0)), "");
        assert_eq!(lines("", None, Some(3)), "");
    }

    #[test]
    fn a_write_is_read_back_and_folders_are_made() {
        let (_dir, root, base) = place();
        let path = base.join("root/new/deep/a.txt");
        write(&root, &path, "hé\n").unwrap();
        assert_eq!(read(&root, &path, None, None).unwrap(), "hé\n");
        let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1, "no temporary file stays: {left:?}");
    }

    #[test]
    fn what_is_outside_stays_untouched() {
        let (_dir, root, base) = place();
        let outside = base.join("outside.txt");
        assert!(matches!(
            read(&root, &outside, None, None),
            Err(FileError::Refused(_))
        ));
        assert!(matches!(
            write(&root, &outside, "x"),
            Err(FileError::Refused(_))
        ));
        assert!(matches!(
            write(&root, Path::new("../new.txt"), "x"),
            Err(FileError::Refused(_))
        ));
        assert!(matches!(
            write(&root, Path::new(".git/config"), "x"),
            Err(FileError::Refused(_))
        ));
        assert_eq!(fs::read_to_string(outside).unwrap(), "secret");
        assert!(!base.join("new.txt").exists());
        assert!(!base.join("root/.git").exists());
    }

    #[test]
    fn failures_say_what_is_wrong() {
        let (_dir, root, base) = place();
        fs::write(base.join("root/binary"), b"\xff\xfe").unwrap();
        fs::create_dir(base.join("root/folder")).unwrap();
        let say = |path: &str| message(read(&root, Path::new(path), None, None).unwrap_err());
        assert_eq!(say("binary"), "`binary` is not UTF-8 text");
        assert_eq!(say("folder"), "`folder` is not a regular file");
        assert!(say("absent").starts_with("cannot read `absent`"));
        assert_eq!(
            message(write(&root, Path::new("folder"), "x").unwrap_err()),
            "`folder` is not a regular file"
        );
        let big = fs::File::create(base.join("root/big")).unwrap();
        big.set_len(MAX_FILE + 1).unwrap();
        assert!(say("big").contains("are not served"));
        big.set_len(MAX_ANSWER as u64 + 1).unwrap();
        assert!(say("big").contains("ask for fewer lines"));
    }

    #[cfg(unix)]
    #[test]
    fn links_modes_and_pipes() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let (_dir, root, base) = place();
        let inside = base.join("root");
        symlink(base.join("outside.txt"), inside.join("out")).unwrap();
        symlink(base.join("nowhere"), inside.join("dangling")).unwrap();
        assert!(matches!(
            write(&root, Path::new("out"), "x"),
            Err(FileError::Refused(_))
        ));
        assert!(matches!(
            write(&root, Path::new("dangling"), "x"),
            Err(FileError::Refused(_))
        ));
        assert!(!base.join("nowhere").exists());
        assert_eq!(
            fs::read_to_string(base.join("outside.txt")).unwrap(),
            "secret"
        );

        let script = inside.join("run.sh");
        fs::write(&script, "old").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o751)).unwrap();
        symlink("run.sh", inside.join("alias")).unwrap();
        write(&root, Path::new("alias"), "new").unwrap();
        assert_eq!(fs::read_to_string(&script).unwrap(), "new");
        assert_eq!(
            script.metadata().unwrap().permissions().mode() & 0o777,
            0o751
        );
        assert!(
            inside
                .join("alias")
                .symlink_metadata()
                .unwrap()
                .is_symlink()
        );

        fs::hard_link(base.join("outside.txt"), inside.join("hard")).unwrap();
        write(&root, Path::new("hard"), "changed").unwrap();
        assert_eq!(
            fs::read_to_string(base.join("outside.txt")).unwrap(),
            "secret"
        );

        fs::set_permissions(&script, fs::Permissions::from_mode(0o444)).unwrap();
        assert_eq!(
            message(write(&root, &script, "x").unwrap_err()),
            format!("`{}` is read-only", script.display())
        );
        rustix::fs::mkfifoat(rustix::fs::CWD, inside.join("pipe"), rustix::fs::Mode::RUSR).unwrap();
        let refused = message(read(&root, Path::new("pipe"), None, None).unwrap_err());
        assert_eq!(refused, "`pipe` is not a regular file");
    }
}
