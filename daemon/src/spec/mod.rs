//! The documents of a SpecTask: `requirements.md`, `design.md`, `tasks.md`.
//!
//! Parsers read Kiro's format and its variants line by line, lose no byte and never fail: they
//! return a document and findings. [`validate`] runs the rules over all three, [`plan`] turns
//! `tasks.md` into tasks with dependencies, [`tick`] changes single bytes of it under
//! compare-and-swap, [`lint_paths`] and [`render`] serve `spectask lint`. Everything but
//! [`lint_paths`] is pure, and the cost is linear in the text.

mod annotations;
mod checkbox;
mod cross;
mod design;
mod ears;
mod excerpt;
mod graph;
mod labels;
mod lines;
mod lint;
mod order;
mod plan;
mod profile;
mod refs;
mod render;
mod report;
mod requirements;
mod rules;
mod sentence;
mod tasks;
mod tick;
mod vague;
mod validate;
mod waves;

pub use design::{DesignDoc, Property, Section, parse_design};
pub use ears::{EarsPattern, classify};
pub use excerpt::excerpt_for;
pub use lines::{Line, Lines, Place};
pub use lint::{LintError, LintReport, LintedFile, lint_paths};
pub use plan::{Leaf, PlannedTask, Progress, plan, progress};
pub use profile::{Profile, UnknownProfile};
pub use render::render;
pub use requirements::{
    Criterion, Requirement, RequirementsDoc, Story, criteria, parse_requirements,
};
pub use tasks::{Group, Task, TaskState, TasksDoc, parse_tasks};
pub use tick::{TickError, TickState, digest, masked_digest, tick, tick_task};
pub use validate::{Documents, validate, validate_one};

#[cfg(test)]
mod tests;
