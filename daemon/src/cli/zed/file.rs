//! Zed's `settings.json` as a file: read with care, written in one step, with a copy of what was there.

use std::{
    fs::{self, File, Permissions},
    io::{self, ErrorKind, Read as _, Write as _},
    path::{Path, PathBuf},
};

use spectask_protocol::FailureKind;

use super::super::error::{CliError, io as io_error};

/// More than any person's settings.
const LIMIT: u64 = 4 << 20;
/// How the name of the copy ends.
const BACKUP: &str = ".spectask-backup";

/// The settings as they were read.
#[derive(Debug)]
pub(super) struct SettingsFile {
    /// As it was named.
    pub(super) path: PathBuf,
    /// Where links lead.
    target: PathBuf,
    /// What is in it; none when there is no file.
    pub(super) text: Option<String>,
    permissions: Option<Permissions>,
}

impl SettingsFile {
    /// Reads the file; one that is not there counts as empty.
    ///
    /// # Errors
    /// When it is no plain file of at most 4 MiB of UTF-8, or may not be read.
    pub(super) fn read(path: &Path) -> Result<Self, CliError> {
        let refuse = |what: String| {
            CliError::usage(format!("{} {what}", path.display()))
                .hint("nothing was changed; name another file with `--settings FILE`")
        };
        let is_link = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Self {
                    path: path.to_owned(),
                    target: path.to_owned(),
                    text: None,
                    permissions: None,
                });
            }
            Err(error) => return Err(io_error("read", path.display())(error)),
            Ok(meta) => meta.is_symlink(),
        };
        let target = fs::canonicalize(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound if is_link => {
                refuse("is a link to a file that does not exist".to_owned())
            }
            _ => refuse(format!("cannot be followed: {error}")),
        })?;
        let meta = fs::metadata(&target).map_err(io_error("read", path.display()))?;
        if meta.is_dir() {
            return Err(refuse("is a folder".to_owned()));
        }
        // Opening a pipe would wait for a writer.
        if !meta.is_file() {
            return Err(refuse("is no plain file".to_owned()));
        }
        let mut bytes = Vec::new();
        File::open(&target)
            .and_then(|file| file.take(LIMIT + 1).read_to_end(&mut bytes))
            .map_err(io_error("read", path.display()))?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > LIMIT) {
            return Err(refuse(format!(
                "is larger than {} MiB, which no settings are",
                LIMIT >> 20
            )));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let good = String::from_utf8_lossy(good);
            let line = good.rsplit('\n').next().unwrap_or_default();
            refuse(format!(
                "is not UTF-8: line {}, column {}",
                good.matches('\n').count() + 1,
                line.chars().count() + 1
            ))
        })?;
        Ok(Self {
            path: path.to_owned(),
            target,
            text: Some(text),
            permissions: Some(meta.permissions()),
        })
    }

    /// What is in it.
    pub(super) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// Where the copy is.
    pub(super) fn backup(&self) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(BACKUP);
        self.path.with_file_name(name)
    }

    /// Writes this text in the place of what was read, which stays in the copy. Links and permissions
    /// stay. Returns the copy; none if there was no file.
    ///
    /// # Errors
    /// When the file is read-only or was changed since it was read, or the system refuses; then it is as
    /// it was.
    pub(super) fn write(&self, text: &str) -> Result<Option<PathBuf>, CliError> {
        let shown = self.path.display();
        if self.permissions.as_ref().is_some_and(Permissions::readonly) {
            return Err(
                CliError::new(FailureKind::Forbidden, format!("{shown} is read-only"))
                    .hint("another program may write it; put the entries in there"),
            );
        }
        let folder = self.target.parent().unwrap_or(Path::new("."));
        if self.text.is_none() {
            fs::create_dir_all(folder).map_err(io_error("create", folder.display()))?;
        }
        let backup = match &self.text {
            None => None,
            Some(old) => {
                let backup = self.backup();
                let folder = backup.parent().unwrap_or(Path::new("."));
                self.replace(folder, &backup, old)
                    .map_err(io_error("write", backup.display()))?;
                Some(backup)
            }
        };
        // Zed writes it too, when a setting is changed by its menus.
        if Self::read(&self.path)?.text != self.text {
            return Err(CliError::new(
                FailureKind::Conflict,
                format!("{shown} was changed by another program meanwhile"),
            )
            .hint("run the command again"));
        }
        self.replace(folder, &self.target, text)
            .map_err(io_error("write", shown))?;
        Ok(backup)
    }

    /// A file in one step: either the old or the new one is there, whole.
    fn replace(&self, folder: &Path, file: &Path, text: &str) -> io::Result<()> {
        let mut new = tempfile::Builder::new()
            .prefix(".settings-")
            .suffix(".tmp")
            .tempfile_in(folder)?;
        new.write_all(text.as_bytes())?;
        if let Some(permissions) = &self.permissions {
            new.as_file().set_permissions(permissions.clone())?;
        }
        new.as_file().sync_all()?;
        new.persist(file).map_err(|error| error.error)?;
        // The name is safe when the folder is; not every system can say so.
        if let Ok(folder) = File::open(folder) {
            let _ = folder.sync_all();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn refusal(path: &Path) -> String {
        let folder = format!("{}", path.parent().unwrap().display());
        let text = SettingsFile::read(path).unwrap_err().render(false);
        text.replace(&folder, "").lines().next().unwrap().to_owned()
    }

    #[test]
    fn a_file_is_replaced_and_the_old_one_kept() {
        let folder = folder();
        let path = folder.path().join("zed/settings.json");
        let none = SettingsFile::read(&path).unwrap();
        assert_eq!((none.text(), none.write("{}").unwrap()), ("", None));
        let first = SettingsFile::read(&path).unwrap();
        let backup = first.write("{ }").unwrap().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{ }");
        assert_eq!(fs::read_to_string(&backup).unwrap(), "{}");
        // What was read is no longer there.
        assert_eq!(first.write("{  }").unwrap_err().code(), 4);
        assert_eq!(fs::read_to_string(&path).unwrap(), "{ }");
        let names: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }

    #[test]
    fn what_is_no_settings_file_is_refused() {
        let folder = folder();
        let path = folder.path().join("settings.json");
        fs::create_dir(&path).unwrap();
        assert_eq!(refusal(&path), "error: /settings.json is a folder");
        fs::remove_dir(&path).unwrap();
        fs::write(&path, b"{\n  \"a\": \"\xff\"\n}").unwrap();
        assert_eq!(
            refusal(&path),
            "error: /settings.json is not UTF-8: line 2, column 9"
        );
        let large = File::create(&path).unwrap();
        large.set_len(50 << 20).unwrap();
        assert_eq!(
            refusal(&path),
            "error: /settings.json is larger than 4 MiB, which no settings are"
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_somewhere() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};

        let folder = folder();
        let path = folder.path().join("settings.json");
        let real = folder.path().join("dotfiles/zed.json");
        fs::create_dir(real.parent().unwrap()).unwrap();
        symlink("dotfiles/zed.json", &path).unwrap();
        assert_eq!(
            refusal(&path),
            "error: /settings.json is a link to a file that does not exist"
        );
        fs::write(&real, "{}").unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o640)).unwrap();
        let backup = SettingsFile::read(&path).unwrap().write("{ }").unwrap();
        assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "{ }");
        for file in [real.clone(), backup.unwrap()] {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        }
        fs::set_permissions(&real, Permissions::from_mode(0o440)).unwrap();
        let refused = SettingsFile::read(&path).unwrap().write("{  }");
        assert_eq!(refused.unwrap_err().code(), 5);
        fs::remove_file(&path).unwrap();
        symlink(&path, &path).unwrap();
        assert!(refusal(&path).starts_with("error: /settings.json cannot be followed: "));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_not_waited_for() {
        let folder = folder();
        let path = folder.path().join("settings.json");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
        assert_eq!(refusal(&path), "error: /settings.json is no plain file");
    }
}
