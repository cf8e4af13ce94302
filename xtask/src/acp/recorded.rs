//! A frame's way while the turn before it is recorded in git, and in a folder of no repository, where
//! nothing is recorded there: in turn, with the same daemon. What they differ by is held against what
//! the second differs by from itself.

use std::time::Duration;

use super::{FLOOD, PACED, ROUNDS, editor::Editor, place};

/// Medians, or other parts, of the rounds of one way.
struct Rounds(Vec<Duration>);

impl Rounds {
    fn new(rounds: &[[Duration; 2]], part: usize) -> Self {
        let mut all: Vec<Duration> = rounds.iter().map(|round| round[part]).collect();
        all.sort_unstable();
        Self(all)
    }

    fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }

    fn most(&self) -> Duration {
        self.0[self.0.len() - 1]
    }

    fn shown(&self) -> String {
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        format!(
            "{:.0} µs ({:.0} to {:.0})",
            us(self.median()),
            us(self.0[0]),
            us(self.most())
        )
    }
}

pub(super) fn run<'a>(check: &mut impl FnMut(&str, bool) -> &'a str) -> Result<(), String> {
    let (env, project, agent) = place()?;
    let plain = env.folder().join("plain");
    std::fs::create_dir_all(&plain).map_err(|error| error.to_string())?;
    let (count, pause) = PACED;
    let pace = format!("pace {count} {}", pause.as_micros());
    let mut ways = Vec::new();
    for folder in [&project, &plain] {
        let command = env.spectask(folder, &["acp", "--", &agent[0], &agent[1]]);
        let mut editor = Editor::start(command)?;
        editor.open(folder)?;
        ways.push((editor, Vec::new()));
    }
    for _ in 0..ROUNDS * 3 {
        for (editor, rounds) in &mut ways {
            editor.prompt(&format!("flood {FLOOD} 0"), |_| {})?;
            let mut delays = Vec::new();
            editor.prompt(&pace, |delay| delays.push(delay))?;
            delays.sort_unstable();
            rounds.push([50, 99].map(|hundredths| delays[delays.len() * hundredths / 100]));
        }
    }
    let refs = env.git(&project, &["for-each-ref", "refs/spectask"]);
    if refs.is_empty() {
        return Err("nothing was recorded in git".to_owned());
    }
    for (part, name) in ["median", "p99"].into_iter().enumerate() {
        let [with, without] = [0, 1].map(|way| Rounds::new(&ways[way].1, part));
        println!(
            "| a frame's way while the turn before is recorded in git, {name} | {} | within noise | {} | in no repository: {} |",
            with.shown(),
            check(
                &format!("{name} while recording"),
                with.median() <= without.most()
            ),
            without.shown(),
        );
    }
    Ok(())
}
