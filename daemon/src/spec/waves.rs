//! The waves of the task dependency graph.

use std::collections::HashSet;
use std::ops::Range;

use serde::Deserialize;
use serde_json::Value;

use super::order::Numbers;
use super::report::Report;
use super::tasks::TasksDoc;

#[derive(Deserialize)]
struct Written {
    waves: Vec<Wave>,
}

#[derive(Deserialize)]
struct Wave {
    #[serde(default)]
    id: Value,
    tasks: Vec<Value>,
}

pub(super) type WavesOfTasks = Vec<Option<u32>>;

/// The first and the last wave of each task.
pub(super) fn waves(
    doc: &TasksDoc,
    numbers: &Numbers<'_>,
    text: &str,
    report: &mut Report,
) -> (WavesOfTasks, WavesOfTasks) {
    let mut waves: WavesOfTasks = vec![None; doc.tasks.len()];
    let Some(block) = doc.graph.clone() else {
        return (waves.clone(), waves);
    };
    let json = &text[block.clone()];
    let written: Written = match serde_json::from_str(json) {
        Ok(written) => written,
        Err(error) => {
            let before: usize = json
                .split_inclusive('\n')
                .take(error.line().saturating_sub(1))
                .map(str::len)
                .sum();
            let at = block.start + (before + error.column().saturating_sub(1)).min(json.len());
            report.error(
                "wave-json",
                at..at,
                format!("The task dependency graph cannot be read: {error}."),
                r#"Write {"waves": [{"id": 0, "tasks": ["1.1"]}]}."#,
            );
            return (waves.clone(), waves);
        }
    };
    let ids: Vec<Option<u32>> = written
        .waves
        .iter()
        .map(|wave| wave.id.as_u64().and_then(|id| u32::try_from(id).ok()))
        .collect();
    let mut sorted: Vec<u32> = ids.iter().copied().flatten().collect();
    sorted.sort_unstable();
    sorted.dedup();
    let by_id = sorted.len() == ids.len();
    let mut seen = HashSet::new();
    let mut cursor = Cursor {
        text,
        at: block.start,
        end: block.end,
        lost: false,
    };
    for (position, wave) in written.waves.iter().enumerate() {
        let position = u32::try_from(position).unwrap_or(u32::MAX);
        let wave_id = if by_id {
            ids[position as usize].unwrap_or(position)
        } else {
            position
        };
        for task in &wave.tasks {
            let number = task_name(task);
            let place = cursor.find(&number, &block);
            let found = numbers.find(&number);
            if found.is_empty() {
                report.error(
                    "wave-unknown-task",
                    place,
                    format!("There is no task {number}."),
                    "List the numbers of the tasks as they stand in the plan.",
                );
                continue;
            }
            for &index in found {
                if seen.insert(index) {
                    waves[index] = Some(wave_id);
                } else {
                    report.error(
                        "wave-duplicate-task",
                        place.clone(),
                        format!("Task {number} stands in the waves twice."),
                        "Leave each task in the one wave in which it can start.",
                    );
                }
            }
        }
    }
    spread(doc, waves, &block, report)
}

/// Gives children the wave of their parents and parents those of their children.
fn spread(
    doc: &TasksDoc,
    mut waves: WavesOfTasks,
    block: &Range<usize>,
    report: &mut Report,
) -> (WavesOfTasks, WavesOfTasks) {
    for (index, task) in doc.tasks.iter().enumerate() {
        if let Some(parent) = task.parent {
            waves[index] = waves[index].or(waves[parent]);
        }
    }
    let missing: Vec<&str> = doc
        .tasks
        .iter()
        .enumerate()
        .filter(|(index, task)| waves[*index].is_none() && !task.has_children && !task.optional)
        .filter_map(|(_, task)| task.number.as_deref())
        .collect();
    if !missing.is_empty() {
        let shown = missing
            .iter()
            .take(10)
            .copied()
            .collect::<Vec<_>>()
            .join(", ");
        let more = if missing.len() > 10 { ", …" } else { "" };
        report.warning(
            "wave-missing-task",
            block.start..block.start,
            format!("No wave has {shown}{more}."),
            "Put every task that has no children into a wave.",
        );
    }
    let (mut first, mut last) = (waves.clone(), waves);
    for (index, task) in doc.tasks.iter().enumerate().rev() {
        if let Some(parent) = task.parent {
            first[parent] = [first[parent], first[index]].into_iter().flatten().min();
            last[parent] = last[parent].max(last[index]);
        }
    }
    (first, last)
}

fn task_name(task: &Value) -> String {
    match task {
        Value::String(name) => name.trim().trim_end_matches('.').to_owned(),
        Value::Object(map) => map.get("id").map(task_name).unwrap_or_default(),
        other => other.to_string(),
    }
}

/// Finds the entries of the graph in its text, each after the one before.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
    end: usize,
    lost: bool,
}

impl Cursor<'_> {
    fn find(&mut self, number: &str, block: &Range<usize>) -> Range<usize> {
        let quoted = format!("\"{number}\"");
        let found = if self.lost {
            None
        } else {
            self.text[self.at..self.end].find(&quoted)
        };
        let Some(found) = found else {
            // Written in another way; looking again and again would be quadratic.
            self.lost = true;
            return block.start..block.start;
        };
        let start = self.at + found;
        self.at = start + quoted.len();
        start..self.at
    }
}
