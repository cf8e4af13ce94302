//! What the way through the daemon costs an editor: `cargo xtask bench acp`.
//!
//! The agent (`agent`) stamps its updates with the time, and the editor (`editor`) compares when it
//! reads them: over a direct pipe, through `spectask acp` and the daemon, through the ACP SDK's
//! conductor if that is installed, and through the shim alone in front of a daemon of a few lines
//! (`daemon`). The ways take turns, so that a busy machine is busy for all of them.

pub(super) mod agent;
#[cfg(unix)]
mod daemon;
mod editor;
mod recorded;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use spectask_tests::TestEnv;

use self::editor::Editor;

/// Updates at a time when their way is measured, and the pause between them.
const PACED: (u32, Duration) = (500, Duration::from_millis(1));
/// Updates at a time when it is measured how many pass.
const FLOOD: u32 = 40_000;
/// Turns of each way.
const ROUNDS: usize = 4;

/// Limits, from the requirements.
const ADDED_MEDIAN: Duration = Duration::from_micros(150);
const ADDED_P99: Duration = Duration::from_millis(1);
const RATE: f64 = 20_000.0;
const FIRST: Duration = Duration::from_millis(10);
const MEMORY: u64 = 8_000_000;

/// A way from the agent to the editor.
struct Way {
    name: &'static str,
    command: Box<dyn Fn() -> Command>,
    folder: PathBuf,
    delays: Vec<Duration>,
    rates: Vec<f64>,
}

impl Way {
    fn new(name: &'static str, folder: &Path, command: impl Fn() -> Command + 'static) -> Self {
        Self {
            name,
            command: Box::new(command),
            folder: folder.to_owned(),
            delays: Vec::new(),
            rates: Vec::new(),
        }
    }

    fn turn(&mut self) -> Result<(), String> {
        let failed = |error| format!("{}: {error}", self.name);
        let mut editor = Editor::start((self.command)()).map_err(failed)?;
        editor.open(&self.folder).map_err(failed)?;
        editor.prompt("warm 200 200", |_| {}).map_err(failed)?;
        let (count, pause) = PACED;
        let text = format!("pace {count} {}", pause.as_micros());
        editor
            .prompt(&text, |delay| self.delays.push(delay))
            .map_err(failed)?;
        let start = Instant::now();
        let mut seen = 0;
        editor
            .prompt(&format!("flood {FLOOD} 0"), |_| seen += 1)
            .map_err(failed)?;
        if seen != FLOOD {
            return Err(format!("{}: {seen} of {FLOOD} updates came", self.name));
        }
        let rate = f64::from(seen) / start.elapsed().as_secs_f64();
        self.rates.push(rate);
        Ok(())
    }

    fn part(&self, hundredths: usize) -> Duration {
        let mut sorted = self.delays.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * hundredths / 100).min(sorted.len().saturating_sub(1));
        sorted.get(at).copied().unwrap_or_default()
    }

    fn rate(&self) -> f64 {
        let mut sorted = self.rates.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
}

/// Measures and prints. Fails when a limit is missed.
pub(super) fn run(runs: u32) -> Result<(), String> {
    let mut missed = Vec::new();
    let mut check = |name: &str, good: bool| {
        if !good {
            missed.push(name.to_owned());
        }
        if good { "yes" } else { "NO" }
    };
    println!("| Figure | Measured | Limit | Held | Beside it |");
    println!("|---|---|---|---|---|");
    ways(&mut check)?;
    recorded::run(&mut check)?;
    first(runs.max(3), &mut check)?;
    #[cfg(unix)]
    shim_alone(&mut check)?;
    if missed.is_empty() {
        Ok(())
    } else {
        Err(format!("missed: {}", missed.join(", ")))
    }
}

/// A place with a repository, and the command line of the agent.
fn place() -> Result<(TestEnv, PathBuf, Vec<String>), String> {
    let env = TestEnv::new();
    let project = env.folder().join("project");
    std::fs::create_dir_all(&project).map_err(|error| error.to_string())?;
    drop(env.git(&project, &["init", "-q"]));
    drop(env.git(&project, &["commit", "-q", "--allow-empty", "-m", "first"]));
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let own = own.to_string_lossy().into_owned();
    Ok((env, project, vec![own, "stamping-agent".to_owned()]))
}

fn ways<'a>(check: &mut impl FnMut(&str, bool) -> &'a str) -> Result<(), String> {
    let (env, project, agent) = place()?;
    let env = std::rc::Rc::new(env);
    let mut ways = vec![
        Way::new("a direct pipe", &project, {
            let (env, project, agent) = (env.clone(), project.clone(), agent.clone());
            move || {
                let mut command = env.command(&agent[0], &project);
                command.arg(&agent[1]);
                command
            }
        }),
        Way::new("`spectask acp`, daemon, agent", &project, {
            let (env, project, agent) = (env.clone(), project.clone(), agent.clone());
            move || env.spectask(&project, &["acp", "--", &agent[0], &agent[1]])
        }),
    ];
    if let Some(conductor) = conductor() {
        let env = env.clone();
        ways.push(Way::new(
            "the SDK's conductor",
            &project.clone(),
            move || {
                let mut command = env.command(&conductor, &project);
                command.args(["agent", &agent.join(" ")]);
                command
            },
        ));
    }
    for _ in 0..ROUNDS {
        for way in &mut ways {
            way.turn()?;
        }
    }
    let direct = ways.remove(0);
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    for (at, way) in ways.iter().enumerate() {
        let added = |part: usize| way.part(part).saturating_sub(direct.part(part));
        let ours = at == 0;
        let mut held = |name: &str, good: bool| if ours { check(name, good) } else { "" };
        let limit = |text: &'static str| if ours { text } else { "" };
        println!(
            "| {}: a frame's way, added, median | {:.0} µs | {} | {} | {}: {:.0} µs |",
            way.name,
            us(added(50)),
            limit("150 µs"),
            held("added median", added(50) <= ADDED_MEDIAN),
            direct.name,
            us(direct.part(50)),
        );
        println!(
            "| {}: the same, p99 | {:.0} µs | {} | {} | {}: {:.0} µs |",
            way.name,
            us(added(99)),
            limit("1 ms"),
            held("added p99", added(99) <= ADDED_P99),
            direct.name,
            us(direct.part(99)),
        );
        println!(
            "| {}: updates a second, {FLOOD} of them | {:.0} | {} | {} | {}: {:.0} |",
            way.name,
            way.rate(),
            limit("20,000"),
            held("updates a second", way.rate() >= RATE),
            direct.name,
            direct.rate(),
        );
    }
    Ok(())
}

/// The ACP SDK's conductor, if it is installed: named by a variable, else on the path.
fn conductor() -> Option<String> {
    let name = std::env::var("ACP_CONDUCTOR")
        .unwrap_or_else(|_| "agent-client-protocol-conductor".to_owned());
    match Command::new(&name).arg("--help").output() {
        Ok(output) if output.status.success() => Some(name),
        _ => {
            eprintln!(
                "not beside it: the SDK's conductor (cargo install \
                 agent-client-protocol-conductor@5.0.0, or name it in ACP_CONDUCTOR)"
            );
            None
        }
    }
}

/// From the start of the process to the answer to `initialize`, with a running daemon, and what the
/// process then weighs.
fn first<'a>(runs: u32, check: &mut impl FnMut(&str, bool) -> &'a str) -> Result<(), String> {
    let (env, project, agent) = place()?;
    let command = || env.spectask(&project, &["acp", "--", &agent[0], &agent[1]]);
    let mut open = Editor::start(command())?;
    open.initialize()?;
    let (mut times, mut directs) = (Vec::new(), Vec::new());
    let mut memory = 0;
    for _ in 0..runs {
        let start = Instant::now();
        let mut editor = Editor::start(command())?;
        editor.initialize()?;
        times.push(start.elapsed());
        memory = memory.max(crate::bench::usage(editor.pid()).map_or(0, |usage| usage.resident));
        let start = Instant::now();
        let mut direct = env.command(&agent[0], &project);
        direct.arg(&agent[1]);
        Editor::start(direct)?.initialize()?;
        directs.push(start.elapsed());
    }
    report_first("with the daemon", times, directs, memory, check);
    Ok(())
}

fn report_first<'a>(
    what: &str,
    times: Vec<Duration>,
    directs: Vec<Duration>,
    memory: u64,
    check: &mut impl FnMut(&str, bool) -> &'a str,
) {
    let (times, directs) = (
        crate::bench::Times::new(times),
        crate::bench::Times::new(directs),
    );
    println!(
        "| shim {what}: start to the answer to `initialize` | {} | 10 ms | {} | the agent alone: {} |",
        times.shown(),
        check("first frame", times.median() < FIRST),
        directs.shown(),
    );
    if memory > 0 {
        println!(
            "| shim {what}: memory, the most of all runs | {:.1} MB resident | 8 MB | {} | |",
            crate::bench::megabytes(memory),
            check("shim memory", memory < MEMORY),
        );
    }
}

/// The shim in front of a daemon of a few lines: what it costs by itself.
#[cfg(unix)]
fn shim_alone<'a>(check: &mut impl FnMut(&str, bool) -> &'a str) -> Result<(), String> {
    let (env, project, agent) = place()?;
    daemon::start(&env.data_dir().join("daemon.sock"))?;
    let mut way = Way::new("the shim alone", &project, || Command::new("true"));
    let mut times = Vec::new();
    let mut directs = Vec::new();
    let mut memory = 0;
    for _ in 0..ROUNDS * 3 {
        let start = Instant::now();
        let mut editor = Editor::start(env.spectask(&project, &["acp"]))?;
        editor.initialize()?;
        times.push(start.elapsed());
        editor.prompt("warm 200 200", |_| {})?;
        let (count, pause) = PACED;
        let text = format!("pace {count} {}", pause.as_micros());
        editor.prompt(&text, |delay| way.delays.push(delay))?;
        let start = Instant::now();
        editor.prompt(&format!("flood {FLOOD} 0"), |_| {})?;
        way.rates
            .push(f64::from(FLOOD) / start.elapsed().as_secs_f64());
        memory = memory.max(crate::bench::usage(editor.pid()).map_or(0, |usage| usage.resident));
        drop(editor);
        let start = Instant::now();
        let mut direct = env.command(&agent[0], &project);
        direct.arg(&agent[1]);
        Editor::start(direct)?.initialize()?;
        directs.push(start.elapsed());
    }
    report_first(
        "with a daemon of a few lines",
        times,
        directs,
        memory,
        check,
    );
    println!(
        "| the shim alone: a frame's whole way from the daemon's socket, median | {:.0} µs (p99 {:.0} µs) | | | |",
        way.part(50).as_secs_f64() * 1e6,
        way.part(99).as_secs_f64() * 1e6,
    );
    println!(
        "| the shim alone: updates a second | {:.0} | 20,000 | {} | |",
        way.rate(),
        check("updates a second through the shim", way.rate() >= RATE),
    );
    Ok(())
}
