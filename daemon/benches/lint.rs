//! Lint of 20 MB of specs on one core, beside two baselines in the same run: counting the lines,
//! and hashing the bytes, which is what a tool that does nothing but read would need.

use std::fmt::Write as _;
use std::sync::LazyLock;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use sha2::{Digest, Sha256};
use spectask::redact::Redactor;
use spectask::spec::{Documents, Profile, plan, render, validate};

const TOTAL: usize = 20 * 1000 * 1000;
/// The size of one large specification; the total is made of many.
const REQUIREMENTS_PER_SPEC: u32 = 60;

struct Spec {
    requirements: String,
    design: String,
    tasks: String,
}

static SPECS: LazyLock<Vec<Spec>> = LazyLock::new(|| {
    let mut specs = Vec::new();
    let mut bytes = 0;
    while bytes < TOTAL {
        let spec = spec(specs.len(), REQUIREMENTS_PER_SPEC);
        bytes += spec.requirements.len() + spec.design.len() + spec.tasks.len();
        specs.push(spec);
    }
    specs
});

/// The same amount as one specification, to show that the cost is linear.
static ONE: LazyLock<Spec> = LazyLock::new(|| {
    let small = &SPECS[0];
    let bytes = small.requirements.len() + small.design.len() + small.tasks.len();
    let factor = u32::try_from(TOTAL / bytes).unwrap_or(1);
    spec(0, REQUIREMENTS_PER_SPEC * factor)
});

/// A specification as agents write it: one criterion in seven has a fault, and so has one task in
/// nine.
fn spec(seed: usize, requirements: u32) -> Spec {
    let mut text = String::from(
        "# Requirements Document\n\n## Introduction\n\nA service that keeps orders.\n\n## Glossary\n\n- **Order_Service**: keeps orders\n\n## Requirements\n",
    );
    let mut design = String::from(
        "# Design\n\n## Overview\n## Architecture\n\n```mermaid\ngraph TD\n```\n## Components and Interfaces\n## Data Models\n## Error Handling\n## Testing Strategy\n## Correctness Properties\n",
    );
    let mut tasks = String::from("# Implementation Plan\n\n");
    for r in 1..=requirements {
        let _ = write!(
            text,
            "\n### Requirement {r}: Orders of kind {r} in set {seed}\n\n**User Story:** As a clerk, I want to keep orders of kind {r}, so that customers get what they paid for\n\n#### Acceptance Criteria\n\n"
        );
        for c in 1..=6 {
            let _ = match (r * 6 + c) % 7 {
                0 => writeln!(
                    text,
                    "{c}. WHEN order {r}-{c}-{seed} is quickly placed THEN the Order_Service SHALL store it and SHALL answer with status 201"
                ),
                1 | 2 => writeln!(
                    text,
                    "{c}. IF order {r}-{c}-{seed} names an article that is not in the catalogue, THEN THE Order_Service SHALL refuse it with status 422 and the name of the article"
                ),
                3 => writeln!(
                    text,
                    "{c}. WHILE stock of article {r}-{c}-{seed} is below ten pieces, WHEN an order names it, THE Order_Service SHALL reserve the pieces for 30 minutes"
                ),
                4 => writeln!(
                    text,
                    "{c}. WHEN 用户提交订单 {r}-{c}-{seed} THE 订单服务 SHALL 返回订单号码"
                ),
                _ => writeln!(
                    text,
                    "{c}. WHEN a clerk asks for order {r}-{c}-{seed}, THE Order_Service SHALL answer with its lines within 200 ms"
                ),
            };
        }
        let _ = write!(
            design,
            "\n### Property {r}: Orders of kind {r} are kept\n\nFor any order of kind {r} that was accepted, a later read gives the same lines, the same prices and the same customer.\n\n**Validates: Requirements {r}.1, {r}.2**\n"
        );
        let _ = write!(
            tasks,
            "- [ ] {r}. Orders of kind {r}\n  - [ ] {r}.1 Store orders of kind {r}\n    - Table, migration and repository for the kind\n    - Keep the lines in the order of the request\n    - _Requirements: {r}.1, {r}.2, {r}.3_\n    - _Files: src/orders/kind_{r}.rs_\n  - [ ] {r}.2 Serve orders of kind {r}\n    - Route, handler and errors\n    - _Requirements: {r}.4-{r}.6_\n    - _Depends: {r}.1_\n  - [ ]* {r}.3 Write property tests for kind {r}\n    - _Requirements: {}_\n",
            if r % 9 == 0 {
                "999.1".to_owned()
            } else {
                format!("{r}.1")
            }
        );
    }
    tasks.push_str("\n## Task Dependency Graph\n\n```json\n{\"waves\": [");
    for wave in 0..3 {
        let _ = write!(
            tasks,
            "{}{{\"id\": {wave}, \"tasks\": [",
            if wave == 0 { "" } else { ", " }
        );
        for r in 1..=requirements {
            let _ = write!(
                tasks,
                "{}\"{r}.{}\"",
                if r == 1 { "" } else { ", " },
                wave + 1
            );
        }
        tasks.push_str("]}");
    }
    tasks.push_str("]}\n```\n");
    Spec {
        requirements: text,
        design,
        tasks,
    }
}

fn texts(spec: &Spec) -> [&str; 3] {
    [&spec.requirements, &spec.design, &spec.tasks]
}

fn bytes<'a>(specs: impl IntoIterator<Item = &'a Spec>) -> BytesCount {
    BytesCount::new(
        specs
            .into_iter()
            .flat_map(texts)
            .map(str::len)
            .sum::<usize>(),
    )
}

fn documents(spec: &Spec) -> Documents<'_> {
    Documents {
        requirements: &spec.requirements,
        design: &spec.design,
        tasks: &spec.tasks,
    }
}

#[divan::bench(sample_count = 10)]
fn baseline_count_lines(bencher: Bencher<'_, '_>) {
    bencher.counter(bytes(&*SPECS)).bench(|| {
        SPECS
            .iter()
            .flat_map(texts)
            .map(|text| black_box(text).lines().count())
            .sum::<usize>()
    });
}

#[divan::bench(sample_count = 10)]
fn baseline_sha256(bencher: Bencher<'_, '_>) {
    bencher.counter(bytes(&*SPECS)).bench(|| {
        let mut hash = Sha256::new();
        SPECS
            .iter()
            .flat_map(texts)
            .for_each(|text| hash.update(black_box(text)));
        hash.finalize()
    });
}

#[divan::bench(sample_count = 10)]
fn redact_find(bencher: Bencher<'_, '_>) {
    let redactor = Redactor::with_key([0; 32], []);
    bencher.counter(bytes(&*SPECS)).bench(|| {
        SPECS
            .iter()
            .flat_map(texts)
            .map(|text| redactor.find(black_box(text)).len())
            .sum::<usize>()
    });
}

#[divan::bench(sample_count = 10)]
fn lint_many_specs(bencher: Bencher<'_, '_>) {
    bencher.counter(bytes(&*SPECS)).bench(|| {
        SPECS
            .iter()
            .map(|spec| validate(black_box(&documents(spec)), Profile::Kiro).len())
            .sum::<usize>()
    });
}

#[divan::bench(sample_count = 10)]
fn lint_one_huge_spec(bencher: Bencher<'_, '_>) {
    bencher
        .counter(bytes([&*ONE]))
        .bench(|| validate(black_box(&documents(&ONE)), Profile::Kiro).len());
}

#[divan::bench(sample_count = 10)]
fn lint_and_render_many_specs(bencher: Bencher<'_, '_>) {
    bencher.counter(bytes(&*SPECS)).bench(|| {
        let mut shown = 0;
        for spec in &*SPECS {
            let mut findings = validate(black_box(&documents(spec)), Profile::Kiro);
            findings.retain(|finding| finding.document.file_name() == "requirements.md");
            shown += render(&findings, &spec.requirements, "requirements.md", false).len();
        }
        shown
    });
}

#[divan::bench(sample_count = 10)]
fn plan_many_specs(bencher: Bencher<'_, '_>) {
    bencher.counter(bytes(&*SPECS)).bench(|| {
        SPECS
            .iter()
            .map(|spec| {
                plan(black_box(&spec.tasks), &spec.requirements).map_or(0, |plan| plan.len())
            })
            .sum::<usize>()
    });
}

fn main() {
    let specs = SPECS.iter();
    let total: usize = specs.flat_map(texts).map(str::len).sum();
    let findings: usize = SPECS
        .iter()
        .map(|spec| validate(&documents(spec), Profile::Kiro).len())
        .sum();
    // A bench that measures nothing is caught here.
    assert!(
        total >= TOTAL && findings > 1000,
        "{total} bytes, {findings} findings"
    );
    #[allow(clippy::print_stdout)]
    {
        println!(
            "{total} bytes in {} specs, {findings} findings",
            SPECS.len()
        );
    }
    divan::main();
}
