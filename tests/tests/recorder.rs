//! History in git of a whole job: the layout that people get, and what nobody notices of it.

use std::{collections::BTreeSet, fs, path::Path};

use spectask_tests::{SampleRepo, ScriptedModel, TestEnv, agents};

use crate::common::{Entry, expect, planned, profile, status};

/// Files below a folder, with `/`, sorted.
fn files(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                found.insert(name.to_owned());
            }
        }
    }
    found
}

#[test]
fn a_job_of_nine_sessions_leaves_a_readable_history_and_nothing_else() {
    let mut env = TestEnv::new();
    env.set("SPECTASK_EXAMPLE_PACE_MS", "0");
    let repo = SampleRepo::new(&env, "history");
    let cwd = repo.path();
    let before = repo.checkout_state();
    // A third-party agent plans where one is installed; the example agent works.
    let model = ScriptedModel::standard().unwrap();
    let third_party = agents::folder().exists();
    let config = if third_party {
        let agent = agents::gemini(&model.url(), &env.home());
        let gemini = profile("gemini", &agent, "");
        format!("default_agent = \"example\"\nplanning_agent = \"gemini\"\n\n{gemini}")
    } else {
        "default_agent = \"example\"\n".to_owned()
    };
    env.write_config(&config);
    let lines: Vec<[String; 1]> = (1..=8)
        .map(|part| [format!("Write `part-{part}.md`")])
        .collect();
    let lines: Vec<Vec<&str>> = lines
        .iter()
        .map(|lines| lines.iter().map(String::as_str).collect())
        .collect();
    let entries: Vec<Entry<'_>> = lines.iter().map(Vec::as_slice).collect();
    let task = planned(&env, cwd, &[], &entries);
    expect(&env, cwd, 0, &["approve", &task, "--yes", "--wait"]);
    assert_eq!(status(&env, cwd, &task), "implementation_review");
    expect(&env, cwd, 0, &["decide", &task, "Keep it: the tests pass"]);
    expect(&env, cwd, 0, &["finish", &task, "--keep"]);
    // It ends when everything is recorded.
    expect(&env, cwd, 0, &["daemon", "stop"]);

    let refs = repo.git(&[
        "for-each-ref",
        "--format=%(refname)",
        "refs/spectask/sessions",
        "refs/spectask/tasks",
    ]);
    assert_eq!(refs.lines().count(), 10, "{refs}");
    repo.fsck();
    assert_eq!(
        repo.checkout_state(),
        before,
        "the user's checkout was touched"
    );
    let count = repo.git(&["count-objects", "-v"]);
    let loose = count.lines().find_map(|line| line.strip_prefix("count: "));
    assert!(loose.unwrap().parse::<u32>().unwrap() <= 1500, "{count}");
    let warnings = repo.git(&["count-objects", "-v"]);
    assert!(warnings.contains("garbage: 0"), "{warnings}");

    // A clone carries none of it.
    let url = format!("file://{}", cwd.display());
    let clone = env.folder().join("clone");
    env.git(
        &env.folder(),
        &["clone", "-q", &url, clone.to_str().unwrap()],
    );
    assert_eq!(env.git(&clone, &["for-each-ref", "refs/spectask"]), "");
    for name in refs.lines() {
        let tip = repo.git(&["rev-parse", name]);
        let there = env.run_git(&clone, &["cat-file", "-e", &tip]);
        assert_ne!(there.code, Some(0), "{name} was cloned");
    }

    // Every commit of code is linked to its session.
    for number in 1..=8 {
        let name = refs
            .lines()
            .find(|name| name.contains(&format!("/{number:02}-")))
            .unwrap();
        let record = repo.show(name, "turns/00/0001.json").unwrap();
        let record: serde_json::Value = serde_json::from_str(&record).unwrap();
        let commit = record["commits"][0]["id"].as_str().unwrap();
        let tree = repo.git(&["rev-parse", &format!("{commit}^{{tree}}")]);
        assert_eq!(record["commits"][0]["tree"], tree.as_str());
        assert_eq!(record["tasks"][0], number.to_string());
        assert!(!record["requirements"].as_array().unwrap().is_empty());
        assert!(!record["prompt"].as_str().unwrap().is_empty());
    }

    let folder = env.folder().join("laid out");
    let target = folder.to_str().unwrap();
    expect(&env, cwd, 0, &["history", "export", &task, "--to", target]);
    let laid_out = files(&folder);
    let updates = |path: &&String| !path.contains("progress-updates/");
    let list: Vec<&str> = laid_out
        .iter()
        .filter(updates)
        .map(String::as_str)
        .collect();
    insta::assert_snapshot!(list.join("\n"), @"");
    let progress = laid_out.iter().filter(|path| !updates(path)).count();
    assert!(progress >= 8 + 5, "{laid_out:#?}");
    for path in laid_out
        .iter()
        .filter(|path| path.ends_with("/conversation.md"))
    {
        let text = fs::read_to_string(folder.join(path)).unwrap();
        assert!(
            text.contains("\n## Turn 1 ") && text.contains("### Agent"),
            "{path}: {text}"
        );
    }
    let read =
        |path: &str| fs::read_to_string(folder.join("sessions/1-keep-notes").join(path)).unwrap();
    assert!(read("01-part-1/code-changes.md").contains("## Commit `"));
    assert!(read("00-plan/decisions.md").contains("approve revision"));
    assert!(read("00-plan/decisions.md").contains("Keep it: the tests pass"));
    assert!(read("01-part-1/activity-log.md").contains("turn 1 ended"));
    assert!(read("coordination-log.md").contains("## Merge"));
    assert!(read("IMPLEMENTATION_COMPLETE.md").contains("- [x] `8`"));

    // On a branch, beside the code.
    expect(&env, cwd, 0, &["history", "export", &task]);
    let on_branch = repo.git(&["ls-tree", "-r", "--name-only", "history/1-keep-notes"]);
    let on_branch: BTreeSet<String> = on_branch.lines().map(str::to_owned).collect();
    assert!(laid_out.is_subset(&on_branch), "{on_branch:#?}");
    assert!(on_branch.contains("part-8.md"), "{on_branch:#?}");
    assert_eq!(
        repo.checkout_state(),
        before,
        "the user's checkout was touched"
    );
    expect(&env, cwd, 0, &["daemon", "stop"]);
}
