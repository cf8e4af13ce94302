//! Threads of an editor through the product: what goes through, what is added, what is kept.

use serde_json::{Value, json};
use spectask_tests::editor::{Entry, PermissionState, ZedEditor};

use super::threads_common::{Place, assert_same, eventually, marks, said, shown, wait_for_text};

/// A script that has every kind of frame.
const EVERYTHING: &str = "chunks 5; think; tool; plan; usage; mode ask; options; title A title; vendor; ask 2; last words";

/// Plays [`EVERYTHING`] in a new thread, allows what is asked, and returns the thread and the answer.
fn play(editor: &ZedEditor) -> (String, Value) {
    let thread = editor.new_thread();
    let prompt = editor.send_prompt(&thread, EVERYTHING);
    let asked = editor.permissions(&thread, 2);
    editor.decide(&asked[1], "reject_once");
    editor.decide(&asked[0], "allow_once");
    let answer = editor.answer(&prompt).expect("the prompt is answered");
    (thread, answer)
}

#[test]
fn the_scripted_editor_and_the_echo_agent_understand_each_other() {
    let place = Place::new();
    let editor = place.direct();
    let (thread, answer) = play(&editor);
    assert_eq!(answer["stopReason"], "end_turn");
    let view = editor.thread(&thread);
    assert_eq!(view.marks, marks(1, 9));
    assert_eq!((view.gap(), view.twice), (None, vec![]));
    assert_eq!(view.title.as_deref(), Some("A title"));
    assert_eq!(view.modes["currentModeId"], "ask");
    assert_eq!(view.tools["t1-call6"]["status"], "completed");
    assert_same(&shown(&editor, &thread), &said(&place, &thread));
    let cut = editor.send_prompt(&thread, "chunks 2; sleep-until-cancel");
    wait_for_text(&editor, &thread, "t2-c3");
    editor.cancel(&thread);
    assert_eq!(editor.answer(&cut).unwrap()["stopReason"], "cancelled");
    let answer = editor.prompt(&thread, "recall").unwrap();
    assert_eq!(answer["stopReason"], "end_turn");
    assert!(
        editor
            .thread(&thread)
            .said()
            .contains("remembered: chunks 5;")
    );
    assert_eq!(editor.faults(), Vec::<String>::new());
}

#[test]
fn a_plain_thread_forwards_every_frame_as_it_is() {
    let place = Place::new();
    let mut editor = place.editor();
    let (thread, answer) = play(&editor);
    assert_eq!(answer, json!({"stopReason": "end_turn"}));
    let asked = place.asked("session/prompt");
    assert_eq!(asked.len(), 1);
    let inner = asked[0]["sessionId"].as_str().unwrap();
    assert_same(&shown(&editor, &thread), &said(&place, inner));
    let text = json!([{"type": "text", "text": EVERYTHING}]);
    assert_eq!(asked[0]["prompt"], text, "what the agent was asked");

    let new = &place.asked("session/new")[0];
    assert_eq!(new["cwd"], json!(place.project));
    let initialize = &place.asked("initialize")[0];
    let editors = &initialize["clientCapabilities"];
    assert_eq!(editors["terminal"], true, "{initialize}");
    assert_eq!(editors["_meta"]["terminal_output"], true, "{initialize}");
    let offered = &editor.initialized["agentCapabilities"];
    assert_eq!(
        offered["promptCapabilities"],
        json!({"image": true, "embeddedContext": true})
    );
    assert_eq!(offered["_meta"], json!({"echo": {"kept": true}}));
    for name in ["list", "resume", "close", "delete", "fork"] {
        assert!(
            offered["sessionCapabilities"][name].is_object(),
            "{name}: {offered}"
        );
    }
    assert_eq!(offered["loadSession"], true);

    let view = editor.thread(&thread);
    assert_eq!(view.marks, marks(1, 9));
    assert!(view.said().contains("decided 0: yes") && view.said().contains("decided 1: no"));
    assert_eq!(view.title.as_deref(), Some("A title"));
    assert_eq!(view.plan[1]["content"], "Write");
    assert_eq!(view.usage["used"], 1000);
    assert!(
        editor.quit(std::time::Duration::from_secs(10)),
        "it leaves when its input ends"
    );
    place.finish(&[&editor]);
}

#[test]
fn unknown_methods_and_errors_go_through_as_they_are() {
    let place = Place::new();
    let editor = place.editor();
    let pong = editor.request("_echo/ping", json!({"deep": [1, {"x": null}]}));
    assert_eq!(pong, Ok(json!({"pong": {"deep": [1, {"x": null}]}})));
    let unknown = editor.request("_echo/unheard_of", json!({})).unwrap_err();
    assert_eq!(unknown["code"], -32601);
    let thread = editor.new_thread();
    let refused = editor.prompt(&thread, "hello; refuse").unwrap_err();
    assert_eq!(
        refused,
        json!({"code": -32603, "message": "I will not", "data": {"details": "for a reason"}})
    );
    assert_eq!(
        editor.prompt(&thread, "again").unwrap()["stopReason"],
        "end_turn"
    );
    let nowhere = json!({"sessionId": "no-such-thread", "prompt": [{"type": "text", "text": "x"}]});
    assert!(editor.request("session/prompt", nowhere).is_err());
    place.finish(&[&editor]);
}

#[test]
fn a_draft_makes_no_work_session_and_the_first_prompt_does() {
    let place = Place::new();
    let editor = place.editor();
    let drafts: Vec<String> = (0..3).map(|_| editor.new_thread()).collect();
    assert_eq!(place.sessions(), Vec::<Value>::new());
    editor
        .prompt(&drafts[1], "Say hello to the whole world")
        .unwrap();
    let sessions = place.sessions();
    assert_eq!(sessions.len(), 1, "{sessions:#?}");
    assert_eq!(sessions[0]["id"], json!(drafts[1]));
    assert_eq!(sessions[0]["method"], "ad_hoc");
    let name = sessions[0]["name"].as_str().unwrap();
    assert!(name.starts_with("threads/"), "{name}");
    let listed = editor.import();
    assert_eq!(listed.len(), 1, "{listed:#?}");
    assert_eq!(listed[0]["sessionId"], json!(drafts[1]));
    assert_eq!(listed[0]["cwd"], json!(place.project));
    editor.prompt(&drafts[1], "more").unwrap();
    assert_eq!(place.sessions().len(), 1);
    place.finish(&[&editor]);
}

#[test]
fn updates_come_after_the_editor_has_registered_the_session() {
    let place = Place::new();
    let editor = place.editor();
    for _ in 0..10 {
        let thread = editor.new_thread();
        let offered = |command: &'static str| {
            editor.see(&thread, command, move |thread| {
                thread.offers(command).then_some(())
            });
        };
        offered("spec-status");
        offered("shout");
    }
    // A reader that was held up for 50 ms may lose one on a busy machine, as the real one may.
    let lost = editor.look(|desk| desk.lost.len());
    assert!(lost <= 1, "{lost} updates were lost");
    assert_eq!(editor.faults(), Vec::<String>::new());
}

#[test]
fn settings_are_set_by_either_side_and_kept() {
    let place = Place::new();
    let editor = place.editor();
    let thread = editor.new_thread();
    assert_eq!(editor.thread(&thread).modes["currentModeId"], "code");
    let mode = json!({"sessionId": thread, "modeId": "ask"});
    editor.request("session/set_mode", mode).unwrap();
    let loud = json!({"sessionId": thread, "configId": "loud", "type": "boolean", "value": true});
    let set = editor.request("session/set_config_option", loud).unwrap();
    assert_eq!(set["configOptions"][0]["currentValue"], true, "{set}");
    editor
        .prompt(&thread, "title Renamed; usage; plan")
        .unwrap();
    editor.close_thread(&thread);
    editor.load(&thread).unwrap();
    let view = editor.see(&thread, "the title", |thread| {
        thread.title.is_some().then(|| thread.clone())
    });
    assert_eq!(view.title.as_deref(), Some("Renamed"));
    assert_eq!(view.modes["currentModeId"], "ask");
    let loud = view
        .options
        .as_array()
        .unwrap()
        .iter()
        .find(|option| option["id"] == "loud");
    assert_eq!(loud.unwrap()["currentValue"], true);
    place.finish(&[&editor]);
}

#[test]
fn files_and_terminals_are_the_editors() {
    let place = Place::new();
    let editor = place.editor();
    let thread = editor.new_thread();
    let (notes, new) = (
        place.project.join("notes.txt"),
        place.project.join("new.txt"),
    );
    let orders = format!(
        "read {}; write {} by the agent; terminal echo in a terminal; read /no/such/file",
        notes.display(),
        new.display()
    );
    editor.prompt(&thread, &orders).unwrap();
    let text = editor.thread(&thread).said();
    assert!(text.contains("read: one\ntwo\nthree"), "{text}");
    assert!(text.contains("written: true"), "{text}");
    assert!(text.contains("exit 0: in a terminal"), "{text}");
    assert!(text.contains("-32002"), "{text}");
    assert_eq!(std::fs::read_to_string(new).unwrap(), "by the agent");
    place.finish(&[&editor]);
}

#[test]
fn a_cancel_stops_the_turn_and_the_next_prompt_need_not_wait() {
    let place = Place::new();
    let editor = place.editor();
    let thread = editor.new_thread();
    let first = editor.send_prompt(&thread, "chunks 2; sleep-until-cancel");
    wait_for_text(&editor, &thread, "t1-c3");
    editor.cancel(&thread);
    let second = editor.send_prompt(&thread, "chunks 3");
    assert_eq!(editor.answer(&first).unwrap()["stopReason"], "cancelled");
    assert_eq!(editor.answer(&second).unwrap()["stopReason"], "end_turn");
    let view = editor.thread(&thread);
    assert_eq!(view.marks, [marks(1, 3), marks(2, 3)].concat());

    let third = editor.send_prompt(&thread, "ask 3");
    let asked = editor.permissions(&thread, 3);
    editor.cancel(&thread);
    assert_eq!(editor.answer(&third).unwrap()["stopReason"], "cancelled");
    let id = asked[0].id.clone();
    let state = editor.look(|desk| {
        let found = desk
            .permissions
            .iter()
            .find(|permission| permission.id == id);
        found.unwrap().state
    });
    assert_eq!(state, PermissionState::Cancelled);
    place.finish(&[&editor]);
}

#[test]
fn threads_are_loaded_resumed_forked_and_deleted() {
    let place = Place::new();
    let editor = place.editor();
    let thread = editor.new_thread();
    editor
        .prompt(&thread, "first words; chunks 2; tool")
        .unwrap();
    editor.prompt(&thread, "second words").unwrap();
    let before = editor.thread(&thread);
    editor.close_thread(&thread);

    // In another window, as the real one does after a restart.
    let other = place.editor();
    other.load(&thread).unwrap();
    let view = other.see(&thread, "the history", |thread| {
        (thread.marks.len() == before.marks.len()).then(|| thread.clone())
    });
    assert_eq!(view.marks, before.marks);
    assert_eq!(view.asked(), before.asked());
    assert_eq!(view.said(), before.said());
    assert_eq!(
        view.tools.keys().collect::<Vec<_>>(),
        before.tools.keys().collect::<Vec<_>>()
    );
    for entry in &view.entries {
        if let Entry::User { id, .. } | Entry::Agent { id, .. } | Entry::Thought { id, .. } = entry
        {
            assert!(id.is_some(), "without a messageId: {entry:?}");
        }
    }
    other.see(&thread, "the commands", |thread| {
        thread.offers("spec-status").then_some(())
    });
    other.prompt(&thread, "recall").unwrap();
    let text = other.thread(&thread).said();
    assert!(
        text.contains("remembered: first words; chunks 2; tool | second words"),
        "{text}"
    );

    let resume = json!({"sessionId": thread, "cwd": place.project, "mcpServers": []});
    editor.request("session/resume", resume).unwrap();
    let seen = editor.thread(&thread);
    assert_eq!(
        seen.marks,
        Vec::<String>::new(),
        "a resumed thread is not replayed"
    );
    editor.prompt(&thread, "recall").unwrap();
    assert!(
        editor
            .thread(&thread)
            .said()
            .contains("| second words | recall")
    );

    let fork = json!({"sessionId": thread, "cwd": place.project, "mcpServers": []});
    let forked = editor.request("session/fork", fork).unwrap();
    let forked = forked["sessionId"].as_str().unwrap().to_owned();
    assert_ne!(forked, thread);
    editor.prompt(&forked, "recall").unwrap();
    let text = editor.thread(&forked).said();
    assert!(
        text.contains("first words; chunks 2; tool | second words"),
        "{text}"
    );

    editor.delete(&forked).unwrap();
    let listed = editor.import();
    let ids: Vec<_> = listed
        .iter()
        .map(|listed| listed["sessionId"].as_str().unwrap())
        .collect();
    assert_eq!(ids, [thread.as_str()]);
    assert!(editor.load(&forked).is_err());
    place.finish(&[&editor, &other]);
}

#[test]
fn many_threads_are_closed_by_the_editor_and_open_again() {
    let place = Place::new();
    let editor = place.editor();
    let threads: Vec<String> = (0..8)
        .map(|number| {
            let thread = editor.new_thread();
            editor.prompt(&thread, &format!("thread {number}")).unwrap();
            thread
        })
        .collect();
    assert!(editor.look(|desk| desk.threads.len()) <= 6);
    assert_eq!(editor.import().len(), 8);
    editor.load(&threads[0]).unwrap();
    editor.prompt(&threads[0], "recall").unwrap();
    let text = editor.thread(&threads[0]).said();
    assert!(text.contains("remembered: thread 0"), "{text}");
    assert_eq!(place.agents().len(), 1, "one agent process for the project");
    place.finish(&[&editor]);
}

#[test]
fn slash_commands_are_answered_without_a_turn_of_the_model() {
    let place = Place::new();
    let editor = place.editor();
    let thread = editor.new_thread();
    editor.see(&thread, "commands", |thread| {
        (thread.offers("spec-help") && thread.offers("shout")).then_some(())
    });
    let commands = editor.thread(&thread).commands;
    let of_help = commands.as_array().unwrap().iter();
    assert_eq!(
        of_help
            .filter(|command| command["name"] == "spec-help")
            .count(),
        1
    );
    let answer = editor.prompt(&thread, "/spec-help").unwrap();
    assert_eq!(answer["stopReason"], "end_turn");
    let text = editor.thread(&thread).said();
    assert!(text.contains("/spec-approve"), "{text}");
    editor.prompt(&thread, "/spec-status").unwrap();
    editor.prompt(&thread, "/spec-sessions").unwrap();
    assert_eq!(place.asked("session/prompt"), Vec::<Value>::new());
    assert_eq!(
        place.sessions(),
        Vec::<Value>::new(),
        "commands alone make no work session"
    );
    editor.prompt(&thread, "/shout it").unwrap();
    assert_eq!(place.asked("session/prompt").len(), 1);
    editor.prompt(&thread, "/spec-help").unwrap();
    assert_eq!(place.asked("session/prompt").len(), 1);
    place.finish(&[&editor]);
}

#[test]
fn malformed_lines_never_end_the_connection() {
    let place = Place::new();
    let editor = place.editor();
    let bad: [&[u8]; 6] = [
        b"this is not JSON",
        b"\xff\xfe\x00 nor is this text",
        b"{\"jsonrpc\":\"2.0\",\"method\":\"session/pro",
        b"[]",
        b"null",
        b"",
    ];
    for line in bad {
        editor.write_raw(line);
    }
    let complaints = editor.wait("five complaints", |desk| {
        (desk.complaints.len() >= 5).then(|| desk.complaints.clone())
    });
    for complaint in &complaints {
        let code = &complaint["error"]["code"];
        assert!(*code == -32700 || *code == -32600, "{complaint}");
        assert_eq!(complaint["id"], Value::Null);
    }
    let thread = editor.new_thread();
    editor.prompt(&thread, "still here").unwrap();
    place.finish(&[&editor]);
}

#[test]
fn a_flood_goes_through_whole_and_in_order() {
    let place = Place::new();
    let editor = place.editor();
    let thread = editor.new_thread();
    editor.prompt(&thread, "flood 20000").unwrap();
    let view = editor.thread(&thread);
    assert_eq!(view.marks.len(), 20_001);
    assert_eq!((view.gap(), view.twice.len()), (None, 0));
    editor.close_thread(&thread);
    editor.load(&thread).unwrap();
    let view = editor.see(&thread, "the history", |thread| {
        (thread.marks.len() == 20_001).then(|| thread.clone())
    });
    assert_eq!((view.gap(), view.twice.len()), (None, 0));
    assert!(view.entries.len() < 10, "{} messages", view.entries.len());
    place.finish(&[&editor]);
}

#[test]
fn a_planned_session_is_opened_while_it_runs_and_after() {
    let mut place = Place::new();
    place.env.set("SPECTASK_EXAMPLE_PACE_MS", "300");
    place.env.write_config("default_agent = \"example\"\n");
    let new = [
        "new",
        "Keep notes",
        "--agent",
        "example",
        "--no-wait",
        "--name",
        "notes",
    ];
    let _ = place.env.run(&place.project, &new).ok();
    let session = eventually("the planning session works", || {
        let all = place.sessions();
        let found = all
            .iter()
            .find(|session| !session["turns"].as_array().unwrap().is_empty());
        found.map(|session| session["id"].as_str().unwrap().to_owned())
    });
    let editor = ZedEditor::open(&place.env, &place.project, &[]);
    let listed = editor.import();
    assert!(
        listed
            .iter()
            .any(|listed| listed["sessionId"] == json!(session)),
        "{listed:#?}"
    );
    editor.load(&session).unwrap();
    let early = editor.thread(&session).entries.len();
    editor.see(&session, "more of the running session", |thread| {
        (thread.entries.len() > early).then_some(())
    });
    eventually("the documents wait for a review", || {
        let task = place.env.json(&place.project, &["show", "1"]);
        (task["task"]["status"] == "spec_review").then_some(())
    });
    let after = ZedEditor::open(&place.env, &place.project, &[]);
    after.load(&session).unwrap();
    let whole = editor.see(&session, "the end", |thread| {
        let other = after.thread(&session);
        (thread.said() == other.said() && !other.said().is_empty()).then_some(other)
    });
    let live = editor.thread(&session);
    assert_eq!(live.asked(), whole.asked(), "the same prompts");
    assert_eq!(
        live.tools.keys().collect::<Vec<_>>(),
        whole.tools.keys().collect::<Vec<_>>()
    );

    let fresh = after.new_thread();
    let name = place.sessions()[0]["name"].as_str().unwrap().to_owned();
    after.prompt(&fresh, &format!("/spec-open {name}")).unwrap();
    let opened = after.see(&fresh, "the session", |thread| {
        thread
            .said()
            .contains(&whole.said())
            .then(|| thread.clone())
    });
    assert_eq!(opened.tools.len(), whole.tools.len());
    place.finish(&[&editor, &after]);
}
