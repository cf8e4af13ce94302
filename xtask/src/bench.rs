//! Whole-process figures for `BENCHMARKS.md`: what a person waits for, and what an idle daemon costs.

use std::{
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use spectask_tests::TestEnv;

/// SpecTasks in the list that is timed.
const LISTED: u32 = 25;
/// How long an idle daemon is watched.
const IDLE: Duration = Duration::from_secs(10);

/// Limits, from the requirements; megabytes are millions.
const LIST_LIMIT: Duration = Duration::from_millis(15);
const COLD_LIMIT: Duration = Duration::from_millis(100);
const MEMORY_LIMIT: u64 = 25_000_000;

/// Times of one kind, sorted.
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    pub(super) fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }

    pub(super) fn shown(&self) -> String {
        let ms = |time: &Duration| time.as_secs_f64() * 1000.0;
        let (first, last) = (&self.0[0], &self.0[self.0.len() - 1]);
        format!(
            "{:.1} ms ({:.1} to {:.1})",
            ms(&self.median()),
            ms(first),
            ms(last)
        )
    }

    fn over(&self, other: &Self) -> f64 {
        self.median().as_secs_f64() / other.median().as_secs_f64().max(1e-9)
    }
}

fn time(mut command: Command) -> Result<Duration, String> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status().map_err(|error| error.to_string())?;
    let took = start.elapsed();
    status
        .success()
        .then_some(took)
        .ok_or_else(|| format!("{command:?} failed"))
}

/// Measures the binary in a place of its own and prints the figures. Fails when one is missed.
pub(super) fn run(runs: u32) -> Result<(), String> {
    let runs = runs.max(3);
    let env = TestEnv::new();
    let project = env.folder().join("project");
    std::fs::create_dir_all(&project).map_err(|error| error.to_string())?;
    drop(env.git(&project, &["init", "-q"]));
    drop(env.git(&project, &["commit", "-q", "--allow-empty", "-m", "first"]));
    for n in 1..=LISTED {
        let prompt = format!("Add part {n} of the service");
        let args = ["new", "--later", "--agent", "example", prompt.as_str()];
        drop(env.run(&project, &args).ok());
    }
    let mut missed = Vec::new();
    let mut check = |name: &str, good: bool| {
        if !good {
            missed.push(name.to_owned());
        }
        if good { "yes" } else { "NO" }
    };
    println!("| Figure | Median (least to most) | Limit | Held | Beside it, in turn | Ratio |");
    println!("|---|---|---|---|---|---|");

    let (mut lists, mut gits) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        lists.push(time(env.spectask(&project, &["list"]))?);
        let mut git = env.command("git", &project);
        git.arg("--version");
        gits.push(time(git)?);
    }
    let (list, git) = (Times::new(lists), Times::new(gits));
    println!(
        "| `spectask list`, daemon runs, {LISTED} SpecTasks, {runs} runs | {} | 15 ms | {} | `git --version`: {} | {:.1} |",
        list.shown(),
        check("list", list.median() < LIST_LIMIT),
        git.shown(),
        list.over(&git),
    );

    let mut colds = Vec::new();
    let cold_runs = (runs / 2).max(3);
    for _ in 0..cold_runs {
        drop(env.run(&project, &["daemon", "stop"]).ok());
        colds.push(time(env.spectask(&project, &["list"]))?);
    }
    let cold = Times::new(colds);
    println!(
        "| the same from a cold start: no daemon, to the first answer, {cold_runs} runs | {} | 100 ms | {} | with a daemon: {} | {:.1} |",
        cold.shown(),
        check("cold start", cold.median() < COLD_LIMIT),
        list.shown(),
        cold.over(&list),
    );

    idle(&env, "an idle daemon, just started", &mut check)?;
    let demo = env.folder().join("demo");
    let shown = demo.display().to_string();
    drop(env.run(&project, &["demo", "--dir", &shown]).ok());
    idle(&env, "an idle daemon, after `spectask demo`", &mut check)?;
    if missed.is_empty() {
        Ok(())
    } else {
        Err(format!("missed: {}", missed.join(", ")))
    }
}

fn idle<'a>(
    env: &TestEnv,
    name: &str,
    check: &mut impl FnMut(&str, bool) -> &'a str,
) -> Result<(), String> {
    let pid = env.daemon_pid().ok_or("the daemon does not run")?;
    // What the last command left to do is done before the watch begins.
    sleep(Duration::from_secs(1));
    let (Some(before), Some(after)) = (usage(pid), {
        sleep(IDLE);
        usage(pid)
    }) else {
        println!("| {name} | not measured on this system | | | | |");
        return Ok(());
    };
    let busy = after.busy.saturating_sub(before.busy);
    println!(
        "| {name}: memory | {:.1} MB resident, {:.1} MB of it its own | 25 MB | {} | | |",
        megabytes(after.resident),
        megabytes(after.own),
        check(name, after.resident < MEMORY_LIMIT),
    );
    println!(
        "| {name}: processor time in {} s | {} ms | 0 % | {} | | |",
        IDLE.as_secs(),
        busy.as_millis(),
        check(name, busy < IDLE / 1000),
    );
    Ok(())
}

#[allow(
    clippy::cast_precision_loss,
    reason = "sizes of memory fit, and one digit is shown"
)]
pub(super) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// What a process uses.
pub(super) struct Usage {
    /// Resident memory, bytes, its program's pages included.
    pub(super) resident: u64,
    /// Of that, not shared with a file.
    own: u64,
    /// Processor time so far.
    busy: Duration,
}

/// What a process uses, from the files of Linux's `/proc`; none elsewhere.
pub(super) fn usage(pid: u32) -> Option<Usage> {
    let folder = Path::new("/proc").join(pid.to_string());
    let status = std::fs::read_to_string(folder.join("status")).ok()?;
    let bytes = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kib * 1024)
    };
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    // The name in parentheses may hold blanks; user and system time are fields 14 and 15.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Usage {
        resident: bytes("VmRSS:")?,
        own: bytes("RssAnon:")?,
        // Linux counts hundredths of a second on every system this runs on.
        busy: Duration::from_millis(ticks * 10),
    })
}
