//! Databases as Zed makes them, written by a process of their own: locks of one process do not meet.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use proptest::prelude::*;
use rusqlite::{Connection, params};
use spectask_protocol::{EventKind, WorkSessionId};
use tempfile::TempDir;

use super::{
    Pace,
    database::{Entry, Fault, Page, page},
    scan::{Known, Outcome, ScanError},
    watch,
};
use crate::{
    redact::Redactor,
    store::{SeenThreadRow, Store},
    zed_paths::{Channel, Kind, Place},
};

/// The table after all migrations of Zed 1.11, as SQLite keeps it.
const SCHEMA: &str = "
    CREATE TABLE sidebar_threads(
        thread_id BLOB PRIMARY KEY, session_id TEXT, agent_id TEXT, title TEXT NOT NULL,
        updated_at TEXT NOT NULL, created_at TEXT, folder_paths TEXT, folder_paths_order TEXT,
        archived INTEGER DEFAULT 0, main_worktree_paths TEXT, main_worktree_paths_order TEXT,
        remote_connection TEXT
    ) STRICT;
    ALTER TABLE sidebar_threads ADD COLUMN interacted_at TEXT;
    ALTER TABLE sidebar_threads ADD COLUMN title_override TEXT;
    CREATE TABLE archived_git_worktrees(
        id INTEGER PRIMARY KEY, worktree_path TEXT NOT NULL, main_repo_path TEXT NOT NULL,
        branch_name TEXT, staged_commit_hash TEXT, unstaged_commit_hash TEXT,
        original_commit_hash TEXT
    ) STRICT;";

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Says which file the process that runs this test writes.
const WRITES: &str = "SPECTASK_TEST_ZED_DATABASE";

/// Not a test by itself: Zed's part in the others. Reads statements, one on each line, and answers.
#[test]
fn zed() {
    let Some(database) = std::env::var_os(WRITES).map(PathBuf::from) else {
        return;
    };
    let answer = |text: &str| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nzed: {text}").unwrap();
        out.flush().unwrap();
    };
    let connect = || {
        let connection = Connection::open(&database).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode=WAL; PRAGMA busy_timeout=500; PRAGMA synchronous=NORMAL;",
            )
            .unwrap();
        connection
    };
    // Zed has one connection that writes and others that read.
    let mut connections = Some((connect(), connect()));
    answer("ready");
    let mut worst = Duration::ZERO;
    for line in std::io::stdin().lines().map_while(Result::ok) {
        match line.as_str() {
            "close" => {
                drop(connections.take());
                answer("closed");
            }
            "open" => {
                connections = Some((connect(), connect()));
                answer("ready");
            }
            "worst" => answer(&worst.as_micros().to_string()),
            sql => {
                let (writer, reader) = connections.as_ref().unwrap();
                let start = std::time::Instant::now();
                match writer.execute_batch(sql) {
                    Ok(()) => {
                        worst = worst.max(start.elapsed());
                        drop(reader.query_row(
                            "SELECT count(*) FROM sqlite_schema",
                            [],
                            |_| Ok(()),
                        ));
                        answer("done");
                    }
                    Err(error) => answer(&error.to_string()),
                }
            }
        }
    }
}

struct Zed {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Zed {
    fn start(database: &Path) -> Self {
        fs::create_dir_all(database.parent().unwrap()).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "zed::tests::zed",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(WRITES, database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take(), child.stdout.take().unwrap());
        let mut zed = Self {
            child,
            to,
            from: BufReader::new(from),
        };
        assert_eq!(zed.hear(), "ready");
        zed
    }

    fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(
                self.from.read_line(&mut line).unwrap(),
                0,
                "the writer ended"
            );
            if let Some(answer) = line.trim_end().strip_prefix("zed: ") {
                return answer.to_owned();
            }
        }
    }

    fn say(&mut self, line: &str) -> String {
        let line = line.replace('\n', " ");
        writeln!(self.to.as_mut().unwrap(), "{line}").unwrap();
        self.hear()
    }

    fn run(&mut self, sql: &str) {
        assert_eq!(self.say(sql), "done", "{sql}");
    }

    fn put(&mut self, thread: &Thread) {
        self.run(&thread.sql());
    }

    /// Ends as a crash does: log and shared memory stay.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Zed {
    fn drop(&mut self) {
        drop(self.to.take());
        let _ = self.child.wait();
    }
}

#[derive(Debug, Clone)]
struct Thread {
    id: u128,
    session: Option<String>,
    agent: Option<&'static str>,
    title: String,
    title_override: Option<String>,
    archived: bool,
    folders: &'static str,
}

impl Thread {
    fn new(id: u128, title: &str) -> Self {
        Self {
            id,
            session: Some(format!("session-{id}")),
            agent: None,
            title: title.into(),
            title_override: None,
            archived: false,
            folders: "/home/ada/shop",
        }
    }

    fn sql(&self) -> String {
        let quoted = |text: &Option<String>| match text {
            Some(text) => format!("CAST(x'{}' AS TEXT)", hex(text.as_bytes())),
            None => "NULL".into(),
        };
        let agent = self
            .agent
            .map_or("NULL".into(), |agent| format!("'{agent}'"));
        format!(
            "INSERT OR REPLACE INTO sidebar_threads (thread_id, session_id, agent_id, title,
                title_override, updated_at, created_at, folder_paths, folder_paths_order, archived)
             VALUES (x'{:032x}', {}, {agent}, {}, {}, '2026-10-03T09:01:05.123456789+00:00',
                '2026-10-03T09:00:00+00:00', '{}', '0', {})",
            self.id,
            quoted(&self.session),
            quoted(&Some(self.title.clone())),
            quoted(&self.title_override),
            self.folders,
            u8::from(self.archived),
        )
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn id(number: u128) -> WorkSessionId {
    uuid::Uuid::from_u128(number).to_string().parse().unwrap()
}

fn place(folder: &Path) -> Place {
    Place {
        kind: Kind::UserDataDir,
        config: folder.join("config"),
        data: folder.to_owned(),
    }
}

/// Names, sizes and bytes of a folder.
fn listing(folder: &Path) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let entries = entries.map(|entry| {
        let changed = entry.metadata().unwrap().modified().unwrap();
        let bytes = fs::read(entry.path()).unwrap();
        (entry.file_name().into_string().unwrap(), (bytes, changed))
    });
    entries.collect()
}

/// A database of Zed's, and a store of ours.
struct Desk {
    folder: TempDir,
    database: PathBuf,
    store: Store,
    redactor: Redactor,
}

impl Desk {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let database = place(&folder.path().join("zed")).database(Channel::Stable);
        let store = Store::open(&folder.path().join("spectask.db")).unwrap();
        Self {
            database,
            store,
            redactor: Redactor::with_key([7; 32], Vec::<(String, String)>::new()),
            folder,
        }
    }

    fn zed(&self) -> Zed {
        let mut zed = Zed::start(&self.database);
        zed.run(SCHEMA);
        zed
    }

    fn known(&self) -> Known {
        Known::load(&self.store, &self.database, "stable").unwrap()
    }

    async fn scan(&self, known: &mut Known) -> Result<Outcome, ScanError> {
        known
            .scan(&self.store, &self.redactor, &self.database)
            .await
    }

    fn seen(&self) -> Vec<SeenThreadRow> {
        let mut seen = self.store.read(|read| read.seen_threads(true)).unwrap();
        seen.sort_by(|a, b| a.id.cmp(&b.id));
        seen
    }

    fn titles(&self) -> Vec<String> {
        let there = self
            .seen()
            .into_iter()
            .filter(|row| row.deleted_at.is_none());
        there.map(|row| row.title.unwrap_or_default()).collect()
    }

    fn pages(&self) -> Vec<Page> {
        let (mut pages, mut after) = (Vec::new(), Vec::new());
        loop {
            let page = page(&self.database, &after).unwrap();
            let next = page.next.clone();
            pages.push(page);
            match next {
                Some(next) => after = next,
                None => return pages,
            }
        }
    }
}

#[tokio::test]
async fn native_threads_are_seen_with_their_fate() {
    let desk = Desk::new();
    let mut zed = desk.zed();
    zed.put(&Thread::new(1, "Fix the login"));
    let renamed = Thread {
        title_override: Some("My name for it".into()),
        archived: true,
        ..Thread::new(2, "Given by the model")
    };
    zed.put(&renamed);
    zed.put(&Thread {
        agent: Some("claude-acp"),
        ..Thread::new(3, "Of another agent")
    });
    zed.put(&Thread {
        session: None,
        ..Thread::new(4, "A draft")
    });
    let mut known = desk.known();
    let first = desk.scan(&mut known).await.unwrap();
    assert_eq!((first.added, first.changed, first.deleted), (2, 0, 0));
    let seen = desk.seen();
    assert_eq!(desk.titles(), ["Fix the login", "My name for it"]);
    assert_eq!((seen[0].id.clone(), seen[0].archived), (id(1), false));
    assert_eq!(seen[0].session, "session-1");
    assert_eq!(seen[0].folders, ["/home/ada/shop"]);
    assert_eq!(seen[0].used_at, 1_791_018_065_123);
    assert!(seen[1].archived);
    // What did not change is no event.
    let events = desk.store.read(|read| read.last_event()).unwrap();
    assert_eq!(desk.scan(&mut known).await.unwrap().added, 0);
    assert_eq!(desk.store.read(|read| read.last_event()).unwrap(), events);
    // Zed may lose a session's id; the thread is still there.
    zed.run("UPDATE sidebar_threads SET session_id = NULL WHERE session_id = 'session-1'");
    zed.run("DELETE FROM sidebar_threads WHERE session_id = 'session-2'");
    let mut known = desk.known();
    let second = desk.scan(&mut known).await.unwrap();
    assert_eq!((second.added, second.changed, second.deleted), (0, 0, 1));
    assert!(desk.seen()[0].deleted_at.is_none() && desk.seen()[1].deleted_at.is_some());
    let last = desk.store.read(|read| read.events_after(events, None, 9));
    assert_eq!(
        last.unwrap()[0].kind,
        EventKind::ThreadsSeen {
            channel: "stable".into(),
            added: 0,
            changed: 0,
            deleted: 1
        }
    );
    zed.put(&renamed);
    assert_eq!(desk.scan(&mut known).await.unwrap().added, 1);
    assert!(desk.seen()[1].deleted_at.is_none());
}

#[tokio::test]
async fn nothing_is_written_while_zed_runs() {
    let desk = Desk::new();
    let mut zed = desk.zed();
    for number in 1..200 {
        zed.put(&Thread::new(number, "A thread"));
    }
    let folder = desk.database.parent().unwrap();
    let before = listing(folder);
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        ["db.sqlite", "db.sqlite-shm", "db.sqlite-wal"]
    );
    for _ in 0..20 {
        let mut known = desk.known();
        desk.scan(&mut known).await.unwrap();
    }
    assert_eq!(desk.titles().len(), 199);
    assert!(before == listing(folder), "a file was changed");
    // And Zed can still take its files away.
    assert_eq!(zed.say("close"), "closed");
    assert_eq!(listing(folder).len(), 1);
    let before = listing(folder);
    assert_eq!(page(&desk.database, &[]).unwrap_err(), Fault::Absent);
    assert!(before == listing(folder));
}

#[tokio::test]
async fn nothing_is_written_after_zed_crashed() {
    let desk = Desk::new();
    let mut zed = desk.zed();
    zed.put(&Thread::new(1, "Before the crash"));
    zed.kill();
    let folder = desk.database.parent().unwrap();
    let before = listing(folder);
    assert_eq!(before.len(), 3);
    desk.scan(&mut desk.known()).await.unwrap();
    assert_eq!(desk.titles(), ["Before the crash"]);
    assert!(before == listing(folder), "a file was changed");
}

#[test]
fn a_part_that_is_missing_is_not_made() {
    for missing in ["", "-wal", "-shm"] {
        let desk = Desk::new();
        let mut zed = desk.zed();
        zed.put(&Thread::new(1, "x"));
        zed.kill();
        let mut name = desk.database.clone().into_os_string();
        name.push(missing);
        fs::remove_file(name).unwrap();
        let folder = desk.database.parent().unwrap();
        let before = listing(folder);
        assert_eq!(page(&desk.database, &[]).unwrap_err(), Fault::Absent);
        assert!(before == listing(folder), "{missing}");
    }
}

#[tokio::test]
async fn hostile_rows_are_bounded() {
    let desk = Desk::new();
    let mut zed = desk.zed();
    let titles = [
        "a\u{1b}[2J\r\nb\u{0}\tc\u{202e}",
        &"x".repeat(1 << 20),
        &"\u{1f980}".repeat(400),
        "key AKIAIOSFODNN7EXAMPLQ here",
        "   ",
    ];
    for (number, title) in (1..).zip(titles) {
        zed.put(&Thread::new(number, title));
    }
    // 40 more of a megabyte each.
    zed.run("WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 139)
        INSERT INTO sidebar_threads (thread_id, session_id, title, updated_at)
        SELECT CAST(printf('%016d', i) AS BLOB), 's', printf('%.*c', 1000000, 'x'), 'no time' FROM n");
    // Ids and values that make no sense.
    zed.run(
        "INSERT INTO sidebar_threads (thread_id, session_id, title, updated_at) VALUES
        (x'01', 's', 't', 'u'), (x'', 's', 't', 'u'),
        (randomblob(17), 's', 't', 'u'), (randomblob(16), '', 't', 'u'),
        (randomblob(16), CAST(randomblob(3000) AS TEXT), 't', 'u')",
    );
    zed.run(
        "INSERT INTO sidebar_threads (thread_id, session_id, title, updated_at, archived,
        folder_paths, folder_paths_order) VALUES (x'00000000000000000000000000000063', 's',
        CAST(x'ff41fe' AS TEXT), '9999999-99', -7, CAST(x'2fff0a2f62' AS TEXT), '9,9,,x')",
    );
    let mut known = desk.known();
    let outcome = desk.scan(&mut known).await.unwrap();
    assert_eq!(outcome.malformed, 2, "{outcome:?}");
    let seen = desk.seen();
    let title = |number: u128| {
        let row = seen.iter().find(|row| row.id == id(number)).unwrap();
        row.title.clone()
    };
    assert_eq!(title(1).unwrap(), "a [2J b c\u{202e}");
    assert_eq!(title(2).unwrap(), "(a title of 1048576 bytes)");
    assert_eq!(title(3).unwrap().chars().count(), 201);
    assert!(!title(4).unwrap().contains("AKIA"), "{:?}", title(4));
    assert_eq!(title(5), None);
    assert_eq!(title(99).unwrap(), "\u{fffd}A\u{fffd}");
    assert_eq!(seen.len(), 46);
    let pages = desk.pages();
    assert!(pages.iter().all(|page| page.entries.len() <= 64));
    // A megabyte ends a read.
    assert!(pages.len() > 40, "{}", pages.len());
    let held = pages.iter().map(|page| page.held).max().unwrap();
    println!("hostile rows: locks held for {held:?} at most");
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let desk = Desk::new();
    let mut zed = Zed::start(&desk.database);
    zed.run("CREATE TABLE other (x)");
    let fault = || page(&desk.database, &[]).unwrap_err().to_string();
    insta::assert_snapshot!(fault(), @"its threads are kept in a way that this version does not know: there is no table sidebar_threads");
    zed.run(
        "CREATE TABLE sidebar_threads (session_id TEXT PRIMARY KEY, agent_id TEXT,
        title TEXT NOT NULL, updated_at TEXT NOT NULL, created_at TEXT, folder_paths TEXT) STRICT",
    );
    insta::assert_snapshot!(fault(), @"its threads are kept in a way that this version does not know: sidebar_threads has no column thread_id");
    zed.run("DROP TABLE sidebar_threads; CREATE VIEW sidebar_threads AS SELECT 1 AS thread_id");
    assert!(matches!(page(&desk.database, &[]), Err(Fault::Schema(_))));
    zed.run(
        "DROP VIEW sidebar_threads; CREATE TABLE sidebar_threads (thread_id, session_id, agent_id,
        title, updated_at, created_at, folder_paths, archived)",
    );
    insta::assert_snapshot!(fault(), @"its threads are kept in a way that this version does not know: its key is not thread_id");
    zed.run("DROP TABLE sidebar_threads");
    zed.run(SCHEMA);
    assert!(page(&desk.database, &[]).unwrap().entries.is_empty());
    zed.kill();
    for bytes in [&b"no database at all"[..], &[0; 4096]] {
        fs::write(&desk.database, bytes).unwrap();
        for part in ["-wal", "-shm"] {
            let mut name = desk.database.clone().into_os_string();
            name.push(part);
            fs::write(name, b"").unwrap();
        }
        let folder = desk.database.parent().unwrap();
        let before = listing(folder);
        assert!(page(&desk.database, &[]).is_err());
        assert!(before == listing(folder));
    }
}

/// Waits until the store holds what `wanted` says.
async fn until(store: &Store, wanted: impl Fn() -> bool) {
    let mut committed = store.committed();
    let all = async {
        loop {
            committed.mark_unchanged();
            if wanted() {
                return;
            }
            committed.changed().await.unwrap();
        }
    };
    tokio::time::timeout(LIMIT, all).await.expect("it is seen");
}

fn quick() -> Pace {
    Pace {
        pause: Duration::from_millis(5),
        poll: Duration::from_millis(500),
        settle: Duration::from_millis(100),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_change_is_missed_under_concurrent_writing() {
    let desk = Desk::new();
    let mut zed = desk.zed();
    let folder = desk.folder.path().join("zed");
    let places = vec![place(&folder)];
    let (store, redactor) = (desk.store.clone(), desk.redactor.clone());
    let watcher = tokio::spawn(watch(store, redactor, places, quick()));
    let writer = tokio::task::spawn_blocking(move || {
        let mut random = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .subsec_nanos();
        println!("seed {random}");
        let mut next = move |below: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) % below
        };
        let mut model: BTreeMap<u128, (String, bool)> = BTreeMap::new();
        for step in 0..1500 {
            let number = u128::from(next(300)) + 1;
            match next(100) {
                0..60 => {
                    let archived = next(4) == 0;
                    let title = format!("Title {step}");
                    zed.put(&Thread {
                        archived,
                        ..Thread::new(number, &title)
                    });
                    model.insert(number, (title, archived));
                }
                60..95 => {
                    zed.run(&format!(
                        "DELETE FROM sidebar_threads WHERE thread_id = x'{number:032x}'"
                    ));
                    model.remove(&number);
                }
                95..97 => zed.run("PRAGMA wal_checkpoint(TRUNCATE)"),
                97 => zed.run("VACUUM"),
                98 => {
                    assert_eq!(zed.say("close"), "closed");
                    assert_eq!(zed.say("open"), "ready");
                }
                _ => zed.run(
                    "CREATE TABLE IF NOT EXISTS x (a); INSERT INTO x VALUES (randomblob(9000))",
                ),
            }
        }
        // The files are there while Zed is.
        zed.run(
            "INSERT INTO archived_git_worktrees (worktree_path, main_repo_path) VALUES ('', '')",
        );
        let worst = zed.say("worst");
        (zed, model, worst)
    });
    let (zed, model, worst) = writer.await.unwrap();
    until(&desk.store, || {
        let there = desk
            .seen()
            .into_iter()
            .filter(|row| row.deleted_at.is_none());
        let there: BTreeMap<_, _> = there
            .map(|row| (row.id, (row.title.unwrap_or_default(), row.archived)))
            .collect();
        let model = model
            .iter()
            .map(|(number, state)| (id(*number), state.clone()));
        there == model.collect()
    })
    .await;
    watcher.abort();
    let held = desk.pages().iter().map(|page| page.held).max().unwrap();
    println!("the writer waited {worst} us at most; locks were held for {held:?} at most");
    drop(zed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folders_may_come_go_and_come_again() {
    let desk = Desk::new();
    let folder = desk.folder.path().join("zed");
    let (store, redactor) = (desk.store.clone(), desk.redactor.clone());
    let watcher = tokio::spawn(watch(store, redactor, vec![place(&folder)], quick()));
    for round in 1..4 {
        let mut zed = desk.zed();
        zed.put(&Thread::new(round, "There"));
        until(&desk.store, || {
            let there = desk
                .seen()
                .into_iter()
                .filter(|row| row.deleted_at.is_none());
            there.map(|row| row.id).collect::<Vec<_>>() == [id(round)]
        })
        .await;
        drop(zed);
        fs::remove_dir_all(&folder).unwrap();
        // That the folder is gone does not say that the thread is.
        assert!(desk.seen().last().unwrap().deleted_at.is_none());
    }
    // One that does not fit is left alone, until it fits.
    let mut zed = Zed::start(&desk.database);
    zed.run("CREATE TABLE sidebar_threads (a)");
    zed.run("DROP TABLE sidebar_threads");
    zed.run(SCHEMA);
    zed.put(&Thread::new(9, "After an update of Zed"));
    until(&desk.store, || desk.titles() == ["After an update of Zed"]).await;
    assert!(!watcher.is_finished());
    watcher.abort();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever is in a row, a page is bounded and nothing panics.
    #[test]
    fn any_row_is_read(
        rows in prop::collection::vec((any::<Vec<u8>>(), any::<Option<String>>(), any::<String>(),
            any::<Option<String>>(), any::<Option<String>>(), any::<Option<i64>>()), 0..80)
    ) {
        let folder = TempDir::new().unwrap();
        let database = folder.path().join("db.sqlite");
        let connection = Connection::open(&database).unwrap();
        connection.execute_batch("PRAGMA journal_mode=WAL").unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        for (key, session, text, other, order, number) in &rows {
            connection.execute(
                "INSERT OR REPLACE INTO sidebar_threads (thread_id, session_id, title, updated_at,
                    created_at, folder_paths, folder_paths_order, archived, interacted_at)
                 VALUES (?1, ?2, ?3, ?3, ?4, ?4, ?5, ?6, ?4)",
                params![&key[..key.len().min(16)], session, text, other, order, number],
            ).unwrap();
        }
        // As Zed's readers do.
        connection.query_row("SELECT count(*) FROM sidebar_threads", [], |_| Ok(())).unwrap();
        let mut after = Vec::new();
        loop {
            let page = page(&database, &after).unwrap();
            prop_assert!(page.entries.len() <= 64);
            for entry in &page.entries {
                if let Entry::Native(native) = entry {
                    prop_assert!(native.session.len() <= 256);
                }
            }
            match page.next {
                Some(next) => { prop_assert!(next > after); after = next; }
                None => break,
            }
        }
    }
}
