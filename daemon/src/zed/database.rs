//! One short look into Zed's database. Leaves no trace there: the file is opened read-only with its
//! shared memory read-only, under a lock that keeps Zed from taking its log away meanwhile, and only
//! while database, log and shared memory are all there. SQLite makes those that are missing.

use std::{
    ffi::OsString,
    fs::{self, Metadata},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig, types::ValueRef};
use spectask_protocol::WorkSessionId;

/// Rows that are looked at in one read, at most.
const ROWS: usize = 64;
/// Bytes of rows that are read in one read, at most; one row may have more.
const BYTES: i64 = 128 << 10;
/// A row beyond this is known to be there, and left alone.
const ROW_BYTES: i64 = 4 << 20;
/// A title beyond this is not read.
const TITLE_BYTES: i64 = 16 << 10;
/// A read ends early when it took this long.
const SOON: Duration = Duration::from_millis(4);
/// A log that a crash of Zed left is read whole each time: one beyond this that takes so long is left
/// to Zed.
const LOG_LIMIT: (u64, Duration) = (16 << 20, Duration::from_millis(500));

/// Columns without which there is nothing to see.
const NEEDED: [&str; 8] = [
    "thread_id",
    "session_id",
    "agent_id",
    "title",
    "updated_at",
    "created_at",
    "folder_paths",
    "archived",
];
/// Columns that came later, or may go.
const OTHERS: [&str; 6] = [
    "folder_paths_order",
    "interacted_at",
    "main_worktree_paths",
    "main_worktree_paths_order",
    "remote_connection",
    "title_override",
];

/// Why nothing could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// Database, log or shared memory is not there: Zed does not run, or keeps nothing.
    #[error("it is not open in Zed")]
    Absent,
    /// It may be readable soon.
    #[error("it cannot be read now: {0}")]
    Later(String),
    /// The table is not the one that is known.
    #[error("its threads are kept in a way that this version does not know: {0}")]
    Schema(String),
    /// The file is damaged, or no database.
    #[error("it is damaged: {0}")]
    Damaged(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(text),
            Some(ErrorCode::Unknown) | None => Self::Schema(text),
            Some(_) => Self::Later(text),
        }
    }
}

/// A thread of Zed's own agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Native {
    pub(super) id: WorkSessionId,
    pub(super) session: String,
    pub(super) title: Option<String>,
    pub(super) folders: Vec<String>,
    pub(super) repositories: Vec<String>,
    pub(super) remote: bool,
    pub(super) archived: bool,
    pub(super) created_at: Option<i64>,
    pub(super) used_at: Option<i64>,
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// A thread of Zed's own agent.
    Native(Box<Native>),
    /// A draft, another agent's thread, or a row that is too large.
    Other(WorkSessionId),
}

/// What one read found.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    /// Where the next read begins; none after the last row.
    pub(super) next: Option<Vec<u8>>,
    /// Rows that make no sense.
    pub(super) malformed: u32,
    /// How long locks were held.
    pub(super) held: Duration,
}

/// The files of a database as the file system tells of them: whether they changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Print {
    parts: [(u64, Option<SystemTime>); 2],
}

impl Print {
    /// None unless database, log and shared memory are all there.
    pub(super) fn of(database: &Path) -> Option<Self> {
        let about =
            |path: &Path| -> Option<Metadata> { fs::metadata(path).ok().filter(Metadata::is_file) };
        about(&beside(database, "-shm"))?;
        let part = |about: Metadata| (about.len(), about.modified().ok());
        Some(Self {
            parts: [
                part(about(database)?),
                part(about(&beside(database, "-wal"))?),
            ],
        })
    }

    /// Whether a change after this time would show: clocks of file systems are coarse.
    pub(super) fn is_older_than(&self, time: SystemTime) -> bool {
        let mut times = self.parts.iter();
        times.all(|(_, changed)| changed.is_some_and(|changed| changed < time))
    }

    fn log(&self) -> u64 {
        self.parts[1].0
    }
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(suffix);
    name.into()
}

/// Reads the rows after `after`, as many as may be read at once. Blocks for a few milliseconds.
pub(super) fn page(database: &Path, after: &[u8]) -> Result<Page, Fault> {
    let print = Print::of(database).ok_or(Fault::Absent)?;
    let guard = Guard::take(database)?;
    let start = Instant::now();
    // From here on Zed cannot take the log away.
    Print::of(database).ok_or(Fault::Absent)?;
    let connection = open(database)?;
    let mut page = read(&connection, after, start)?;
    drop(connection);
    drop(guard);
    page.held = start.elapsed();
    if print.log() > LOG_LIMIT.0 && page.held > LOG_LIMIT.1 {
        let text = format!("a crash left a log of {} bytes", print.log());
        return Err(Fault::Damaged(text));
    }
    Ok(page)
}

/// A shared lock on the whole database. Zed deletes log and shared memory only under an exclusive one,
/// and SQLite would make a log that went between the look and the opening.
struct Guard {
    #[cfg(unix)]
    _file: fs::File,
}

impl Guard {
    #[cfg(unix)]
    fn take(database: &Path) -> Result<Self, Fault> {
        use rustix::fs::{FlockOperation, fcntl_lock};
        let file = fs::File::open(database).map_err(|error| Fault::Later(error.to_string()))?;
        fcntl_lock(&file, FlockOperation::NonBlockingLockShared)
            .map_err(|error| Fault::Later(error.to_string()))?;
        Ok(Self { _file: file })
    }

    /// Locks keep others from reading on Windows; there the moment between look and opening stays.
    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
    fn take(_database: &Path) -> Result<Self, Fault> {
        Ok(Self {})
    }
}

fn open(database: &Path) -> Result<Connection, Fault> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(uri(database), flags)?;
    for (setting, value) in [
        (DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true),
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
    ] {
        connection.set_db_config(setting, value)?;
    }
    connection.busy_timeout(Duration::ZERO)?;
    Ok(connection)
}

/// The name of the file for SQLite, with its shared memory read-only.
fn uri(database: &Path) -> String {
    let mut uri = String::from("file:");
    if cfg!(windows) {
        uri.push_str("///");
    }
    for byte in database.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                uri.push(char::from(*byte));
            }
            b'\\' if cfg!(windows) => uri.push('/'),
            b':' if cfg!(windows) => uri.push(':'),
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri.push_str("?mode=ro&readonly_shm=1");
    uri
}

fn read(connection: &Connection, after: &[u8], start: Instant) -> Result<Page, Fault> {
    let columns = columns(connection)?;
    let column = |name: &'static str| {
        if columns.iter().any(|column| column == name) {
            name
        } else {
            "NULL"
        }
    };
    let size = |name: &'static str| format!("coalesce(octet_length({}), 0)", column(name));
    let others: Vec<String> = [
        "folder_paths",
        "folder_paths_order",
        "main_worktree_paths",
        "main_worktree_paths_order",
        "remote_connection",
        "title_override",
    ]
    .into_iter()
    .map(size)
    .collect();
    // Lengths are in the head of a row: what is large is never read to be found large.
    let mut heads = connection.prepare(&format!(
        "SELECT thread_id, session_id IS NOT NULL AND agent_id IS NULL,
            coalesce(octet_length(session_id), 0), {title} + {others}
         FROM sidebar_threads WHERE thread_id > ?1 ORDER BY thread_id LIMIT {ROWS}",
        title = size("title"),
        others = others.join(" + "),
    ))?;
    let short = |name: &'static str| {
        let name = column(name);
        format!("CASE WHEN octet_length({name}) <= {TITLE_BYTES} THEN {name} END")
    };
    let mut whole = connection.prepare(&format!(
        "SELECT session_id, {title}, {title_override}, updated_at, created_at, {interacted_at},
            folder_paths, {order}, {main}, {main_order}, archived, {remote} IS NOT NULL,
            octet_length(title)
         FROM sidebar_threads WHERE thread_id = ?1",
        title = short("title"),
        title_override = short("title_override"),
        interacted_at = column("interacted_at"),
        order = column("folder_paths_order"),
        main = column("main_worktree_paths"),
        main_order = column("main_worktree_paths_order"),
        remote = column("remote_connection"),
    ))?;
    let mut page = Page {
        entries: Vec::new(),
        next: None,
        malformed: 0,
        held: Duration::ZERO,
    };
    let (mut rows, mut count, mut bytes) = (heads.query([after])?, 0, 0);
    while let Some(row) = rows.next()? {
        let key = match row.get_ref(0)? {
            ValueRef::Blob(key) => key.to_vec(),
            // Nothing comes after a value that is no blob.
            _ => return Err(Fault::Schema("thread_id is no blob".into())),
        };
        let native: bool = row.get(1)?;
        let (name, size): (i64, i64) = (row.get(2)?, row.get(3)?);
        let readable = native && (1..=256).contains(&name) && size <= ROW_BYTES;
        count += 1;
        bytes += if readable { size } else { 0 };
        page.next = Some(key.clone());
        match thread_id(&key) {
            None => page.malformed += 1,
            Some(id) if readable => match entry(&mut whole, &key, id)? {
                Some(native) => page.entries.push(Entry::Native(Box::new(native))),
                None => page.malformed += 1,
            },
            Some(id) => page.entries.push(Entry::Other(id)),
        }
        if bytes >= BYTES || start.elapsed() >= SOON {
            return Ok(page);
        }
    }
    if count < ROWS {
        page.next = None;
    }
    Ok(page)
}

/// The columns of the table, if they are those of the threads.
fn columns(connection: &Connection) -> Result<Vec<String>, Fault> {
    let mut statement =
        connection.prepare("SELECT name, pk FROM pragma_table_info('sidebar_threads')")?;
    let found = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(String, i64)>, _>>()?;
    if found.is_empty() {
        return Err(Fault::Schema("there is no table sidebar_threads".into()));
    }
    let missing = NEEDED
        .iter()
        .find(|name| !found.iter().any(|(column, _)| column == *name));
    if let Some(missing) = missing {
        let text = format!("sidebar_threads has no column {missing}");
        return Err(Fault::Schema(text));
    }
    let key = |(column, key): &(String, i64)| (column == "thread_id") == (*key == 1);
    if !found.iter().all(key) {
        return Err(Fault::Schema("its key is not thread_id".into()));
    }
    let known = |name: &String| [&NEEDED[..], &OTHERS].concat().contains(&name.as_str());
    Ok(found
        .into_iter()
        .map(|(name, _)| name)
        .filter(known)
        .collect())
}

fn thread_id(key: &[u8]) -> Option<WorkSessionId> {
    let id = uuid::Uuid::from_slice(key).ok()?;
    id.to_string().parse().ok()
}

/// The thread of that key; none when it makes no sense.
fn entry(
    whole: &mut rusqlite::Statement<'_>,
    key: &[u8],
    id: WorkSessionId,
) -> Result<Option<Native>, Fault> {
    let mut rows = whole.query([key])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let text = |at: usize| -> Result<Option<String>, rusqlite::Error> {
        Ok(match row.get_ref(at)? {
            ValueRef::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        })
    };
    let time = |at: usize| -> Result<Option<i64>, rusqlite::Error> {
        let text = text(at)?;
        let time = text.and_then(|text| text.parse::<Timestamp>().ok());
        Ok(time.map(Timestamp::as_millisecond))
    };
    let Some(session) = text(0)? else {
        return Ok(None);
    };
    let own = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let size: i64 = row.get(12)?;
    let mut title = own(text(2)?).or(own(text(1)?));
    if title.is_none() && size > TITLE_BYTES {
        title = Some(format!("(a title of {size} bytes)"));
    }
    let archived = matches!(row.get_ref(10)?, ValueRef::Integer(value) if value != 0);
    Ok(Some(Native {
        id,
        session,
        title,
        folders: paths(text(6)?.as_deref(), text(7)?.as_deref()),
        repositories: paths(text(8)?.as_deref(), text(9)?.as_deref()),
        remote: row.get(11)?,
        archived,
        created_at: time(4)?,
        used_at: time(3)?.max(time(5)?),
    }))
}

/// Zed keeps paths sorted, one on each line, and beside them the place of each in its own order.
fn paths(sorted: Option<&str>, order: Option<&str>) -> Vec<String> {
    /// More folders than that has no project.
    const MOST: usize = 64;
    let lines = sorted.unwrap_or_default().lines();
    let sorted: Vec<&str> = lines.filter(|path| !path.is_empty()).take(MOST).collect();
    let order: Vec<usize> = order
        .unwrap_or_default()
        .split(',')
        .filter_map(|place| place.trim().parse().ok())
        .collect();
    let mut placed: Vec<(usize, &str)> = sorted
        .iter()
        .enumerate()
        .map(|(at, path)| (order.get(at).copied().unwrap_or(at), *path))
        .collect();
    placed.sort_by_key(|(place, _)| *place);
    placed
        .into_iter()
        .map(|(_, path)| path.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stand_in_zeds_order() {
        assert_eq!(paths(Some("/a\n/b\n/c"), Some("2,0,1")), ["/b", "/c", "/a"]);
        assert_eq!(paths(Some("/a\n/b"), Some("x")), ["/a", "/b"]);
        assert_eq!(paths(Some("\n/a\n"), None), ["/a"]);
        assert!(paths(None, Some("0")).is_empty());
    }

    #[test]
    #[cfg(unix)]
    fn a_path_is_a_name_for_sqlite() {
        assert_eq!(
            uri(Path::new("/home/a b/100%?#é/db.sqlite")),
            "file:/home/a%20b/100%25%3F%23%C3%A9/db.sqlite?mode=ro&readonly_shm=1"
        );
    }
}
