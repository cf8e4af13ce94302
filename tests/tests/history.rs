//! History, as a person looks back on it: a job of the example agent, searched, listed, read, blamed,
//! traced and played; and taken over by another machine.

use std::time::{Duration, Instant};

use serde_json::Value;
use spectask_tests::{SampleRepo, TestEnv};

use crate::common::{LIMIT, example_env, expect, expect_json};
use crate::threads_common::Place;

/// A job that is done up to its review.
fn job(env: &TestEnv, repo: &SampleRepo<'_>) {
    let prompt = "Keep notes about the zebra release";
    expect(
        env,
        repo.path(),
        0,
        &["new", prompt, "--wait", "--name", "notes"],
    );
    expect(env, repo.path(), 0, &["approve", "--yes", "--wait"]);
}

/// Asks until the answer is as wished: the index and the recorder follow the work.
fn until(
    env: &TestEnv,
    repo: &SampleRepo<'_>,
    args: &[&str],
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    let started = Instant::now();
    loop {
        let answer = expect_json(env, repo.path(), 0, args);
        if wanted(&answer) {
            return answer;
        }
        assert!(started.elapsed() < LIMIT, "{args:?}: {answer:#}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_line_that_an_agent_committed_by_itself_leads_to_its_prompt() {
    let place = Place::new();
    let editor = place.editor();
    let thread = editor.new_thread();
    let here = &place.project;
    let commit = |line: &str| {
        format!(
            "echo {line} >> notes.txt && GIT_CONFIG_GLOBAL=/dev/null git -c user.name=A -c user.email=a@b commit -qam x"
        )
    };
    let orders = format!("terminal {0} && {0}", commit("zebra"));
    editor.prompt(&thread, &orders).unwrap();
    let said = editor.thread(&thread).said();
    assert!(said.contains("exit 0"), "{said}");
    // A person commits while the agent does something else.
    let go = here.with_file_name("go");
    let id = editor.send_prompt(&thread, &format!("tool; wait {}", go.display()));
    editor.wait("the agent waits", |desk| {
        let said = desk.threads[&thread].said();
        said.contains("[t2-c2] waiting").then_some(())
    });
    let done = place
        .env
        .command("sh", here)
        .args(["-c", &commit("own")])
        .status();
    assert!(done.unwrap().success());
    std::fs::write(go, "").unwrap();
    editor.answer(&id).unwrap();
    let started = Instant::now();
    loop {
        let view = expect_json(&place.env, here, 0, &["history", "blame", "notes.txt"]);
        let origins: Vec<Option<&Value>> = [4, 5, 6].map(|line| origin_of(&view, line)).into();
        if let [Some(first), Some(second), None] = origins[..] {
            for origin in [first, second] {
                assert_eq!(origin["turn"], 1, "{view:#}");
                assert!(
                    origin["prompt"].as_str().unwrap().contains("zebra"),
                    "{view:#}"
                );
            }
            break;
        }
        assert!(started.elapsed() < LIMIT, "{view:#}");
        std::thread::sleep(Duration::from_millis(100));
    }
    // What it writes and leaves to a person is its turn's, before the commit and after it.
    let line = "a line about the quagga";
    let orders = format!("write {} {line}", here.join("notes.txt").display());
    editor.prompt(&thread, &orders).unwrap();
    let git = |args: &[&str]| drop(place.env.git(here, args));
    for committed in [false, true] {
        if committed {
            std::fs::write(here.join("mine.txt"), format!("{line}\n")).unwrap();
            git(&["add", "notes.txt", "mine.txt"]);
            git(&["commit", "-qm", "by a person"]);
        }
        let started = Instant::now();
        loop {
            let view = expect_json(&place.env, here, 0, &["history", "blame", "notes.txt:1"]);
            if view["written"][0]["via"] == "edit" {
                assert_eq!(view["groups"][0]["commit"].is_null(), !committed);
                assert_eq!(view["written"][0]["turn"], 3, "{view:#}");
                break;
            }
            assert!(started.elapsed() < LIMIT, "{view:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    let mine = expect_json(&place.env, here, 0, &["history", "blame", "mine.txt"]);
    assert!(mine["written"].is_null(), "{mine:#}");
    let args = ["history", "export", "threads", "--to", "../out"];
    let done = expect_json(&place.env, here, 0, &args);
    assert_eq!(done["sessions"], 1, "{done}");
    let out = here.with_file_name("out").canonicalize().unwrap();
    let out = out.display().to_string();
    assert_eq!(done["place"], out);
    let folder = std::fs::read_dir(format!("{out}/sessions/threads")).unwrap();
    let folder = folder.map(|entry| entry.unwrap().path()).next().unwrap();
    let said = std::fs::read_to_string(folder.join("conversation.md")).unwrap();
    assert!(said.contains("zebra"), "{said}");
    place.finish(&[&editor]);
}

/// What stands behind a line.
fn origin_of(view: &Value, line: u64) -> Option<&Value> {
    let groups = view["groups"].as_array()?;
    let group = groups
        .iter()
        .rfind(|group| group["line"].as_u64() <= Some(line))?;
    let commit = usize::try_from(group["commit"].as_u64()?).ok()?;
    Some(&view["commits"][commit]["origin"]).filter(|origin| !origin.is_null())
}

#[test]
fn a_job_is_searched_listed_blamed_traced_and_played() {
    let env = example_env();
    let repo = SampleRepo::new(&env, "sample");
    job(&env, &repo);
    let here = repo.path();

    let found = until(&env, &repo, &["history", "search", "zebra"], |found| {
        found["behind"] == 0 && !found["hits"].as_array().unwrap().is_empty()
    });
    assert_eq!(found["complete"], true);
    let planning = [
        "history",
        "search",
        "ZEBRA  release",
        "--task",
        "1/0",
        "--since",
        "1h",
    ];
    let found = expect_json(&env, here, 0, &planning);
    assert_eq!(
        found["hits"][0]["name"].as_str().unwrap().split('/').next(),
        Some("1-notes")
    );
    for (args, said) in [
        (
            &["history", "search", "no such words"][..],
            "Nothing was found.",
        ),
        (
            &["history", "search", "zebra", "--until", "2001-01-01"],
            "Nothing was found.",
        ),
        (&["search", "zebra\" OR *"], "Nothing was found."),
    ] {
        assert_eq!(expect(&env, here, 0, args).stdout.trim(), said);
    }
    expect(&env, here, 2, &["history", "search", "z"]);
    expect(
        &env,
        here,
        2,
        &["history", "search", "zebra", "--requirement", "x%"],
    );

    let sessions = env.json(here, &["sessions"]);
    let sessions = sessions["sessions"].as_array().unwrap();
    let worker = sessions
        .iter()
        .find(|session| session["task_number"] == "1")
        .unwrap();
    let name = worker["name"].as_str().unwrap().to_owned();
    let list = until(&env, &repo, &["history", "log", "1"], |list| {
        let turns = list["turns"].as_array().unwrap();
        turns
            .iter()
            .any(|turn| !turn["commits"].as_array().unwrap().is_empty())
    });
    assert_eq!(list["turns"].as_array().unwrap().len(), sessions.len());
    let text = expect(&env, here, 0, &["history", "log", &name]).stdout;
    assert!(text.contains(&name) && text.contains("implement"), "{text}");

    let shown = expect(&env, here, 0, &["history", "show", &name, "--turn", "1"]).stdout;
    assert!(
        shown.contains("prompt\n") && shown.contains("turn ended"),
        "{shown}"
    );
    let all = expect(&env, here, 0, &["history", "show", "1"]).stdout;
    assert!(all.contains("1-notes/00") && all.contains(&name), "{all}");
    expect(&env, here, 3, &["history", "show", &name, "--turn", "9"]);
    expect(&env, here, 2, &["history", "show", "1", "--turn", "1"]);
    let played = expect(&env, here, 0, &["history", "replay", &name, "--instant"]).stdout;
    assert!(played.contains("turn ended"), "{played}");
    let refused = expect(&env, here, 2, &["history", "replay", "1"]).stderr;
    assert!(refused.contains("1-notes/00"), "{refused}");

    // What an agent wrote, on the branch that is handed over.
    repo.git(&["checkout", "-q", "specs/1-notes"]);
    let head = worker["head"].as_str().unwrap();
    let files = repo.git(&["diff-tree", "-r", "--name-only", "--no-commit-id", head]);
    let file = files.lines().next().unwrap();
    let place = format!("{file}:1");
    let view = expect_json(&env, here, 0, &["history", "blame", &place]);
    let origin = &view["commits"][0]["origin"];
    assert_eq!(origin["via"], "commit", "{view:#}");
    assert_eq!(origin["name"], name);
    assert_eq!(origin["turn"], 1);
    assert!(origin["wish"].as_str().unwrap().contains("zebra"));
    assert!(!origin["prompt"].as_str().unwrap().is_empty());
    assert!(!origin["requirements"].as_array().unwrap().is_empty());
    let text = expect(&env, here, 0, &["history", "blame", &place]).stdout;
    assert!(
        text.contains("history show") && text.contains("wish"),
        "{text}"
    );
    assert!(
        expect(&env, here, 0, &["history", "blame", file])
            .stdout
            .contains(&name)
    );
    expect(&env, here, 3, &["history", "blame", "absent.txt"]);
    expect(&env, here, 2, &["history", "blame", &format!("{file}:0")]);

    let number = origin["requirements"][0].as_str().unwrap();
    let traced = expect_json(&env, here, 0, &["history", "trace", &format!("1#{number}")]);
    let work = &traced["criteria"][0]["work"][0];
    assert_eq!(work["status"], "completed", "{traced:#}");
    assert_eq!(work["turns"][0]["commits"][0], head);
    let short = expect_json(&env, here, 0, &["history", "trace", number]);
    assert_eq!(short, traced);
    assert_eq!(
        expect_json(&env, here, 0, &["history", "trace", &format!("#{number}")]),
        traced
    );
    let text = expect(&env, here, 0, &["history", "trace"]).stdout;
    assert!(text.contains("criteria are covered."), "{text}");
    // Nothing was verified: there is no verify command.
    expect(&env, here, 1, &["history", "trace", "1", "--check"]);
    expect(&env, here, 3, &["history", "trace", "1#99"]);

    let records = expect(&env, here, 0, &["history", "export", "1", "--agent-trace"]).stdout;
    let record: Value = serde_json::from_str(records.lines().next().unwrap()).unwrap();
    assert_eq!(record["vcs"]["type"], "git");
    expect(&env, here, 0, &["history", "export", "1", "--git-ai"]);
    assert!(
        repo.git(&["notes", "--ref=ai", "show", head])
            .contains("authorship/3.0.0")
    );
}

#[test]
fn another_machine_takes_a_task_over_from_a_clone() {
    let env = example_env();
    let repo = SampleRepo::new(&env, "sample");
    job(&env, &repo);
    let zip = env.folder().join("notes.zip");
    // Until the refs are complete.
    let args = ["for-each-ref", "--format=%(refname)", "refs/spectask"];
    let started = Instant::now();
    let sessions = env.json(repo.path(), &["sessions"])["sessions"]
        .as_array()
        .unwrap()
        .len();
    while repo
        .git(&args)
        .lines()
        .filter(|name| name.contains("/sessions/"))
        .count()
        < sessions
    {
        assert!(started.elapsed() < LIMIT, "{}", repo.git(&args));
        std::thread::sleep(Duration::from_millis(100));
    }
    expect(&env, repo.path(), 0, &["daemon", "stop"]);

    let there = example_env();
    let url = format!("file://{}", repo.path().display());
    let _ = there.git(&there.folder(), &["clone", "-q", &url, "clone"]);
    let clone = there.folder().join("clone");
    assert_eq!(there.git(&clone, &["for-each-ref", "refs/spectask"]), "");
    expect(&there, &clone, 3, &["history", "import", "1-notes"]);
    // By hand, as a person would; then by the command.
    let _ = there.git(
        &clone,
        &["fetch", "-q", "origin", "refs/spectask/*:refs/spectask/*"],
    );
    let done = expect_json(&there, &clone, 0, &["history", "import", "1-notes"]);
    assert_eq!(done["sessions"], sessions, "{done:#}");
    assert!(
        done["turns"].as_u64().unwrap() >= sessions as u64,
        "{done:#}"
    );
    let again = expect_json(
        &there,
        &clone,
        0,
        &["history", "import", "1-notes", "--from", "origin"],
    );
    assert_eq!(
        (&again["sessions"], &again["turns"]),
        (&0.into(), &0.into())
    );

    let started = Instant::now();
    loop {
        let found = expect_json(&there, &clone, 0, &["history", "search", "zebra"]);
        if !found["hits"].as_array().unwrap().is_empty() {
            break;
        }
        assert!(started.elapsed() < LIMIT, "{found:#}");
        std::thread::sleep(Duration::from_millis(100));
    }
    let shown = expect(&there, &clone, 0, &["history", "show", "1/1"]).stdout;
    assert!(shown.contains("prompt\n"), "{shown}");
    let file = zip.to_str().unwrap();
    expect(
        &there,
        &clone,
        0,
        &["history", "export", "1", "--zip", file],
    );
    assert!(std::fs::read(&zip).unwrap().starts_with(b"PK"));
    expect(
        &there,
        &clone,
        4,
        &["history", "export", "1", "--zip", file],
    );
}
