//! Threads outlive their agent, their editor and the daemon.

use std::time::Duration;

use spectask_tests::editor::{PermissionState, ZedEditor};

use super::threads_common::{Place, eventually, marks, wait_for_text};

/// The last prompts were remembered by the agent.
fn recalls(editor: &ZedEditor, thread: &str, words: &[&str]) {
    let answer = editor
        .prompt(thread, "recall")
        .expect("the thread is usable");
    assert_eq!(answer["stopReason"], "end_turn");
    let said = editor.thread(thread).said();
    let remembered = said.rsplit("remembered: ").next().unwrap_or_default();
    for word in words {
        assert!(
            remembered.contains(word),
            "{word} was forgotten: {remembered}"
        );
    }
}

/// The prompt is answered, and a red box or a note says that it was cut.
fn is_cut(editor: &ZedEditor, thread: &str, prompt: &str) {
    let answer = editor.answer(prompt);
    editor.see(thread, "a note", |thread| {
        let noted = thread.said().to_lowercase().contains("interrupted");
        (answer.is_err() || noted).then_some(())
    });
}

/// The thread shows where its turn was cut, and nothing twice.
fn whole(editor: &ZedEditor, thread: &str) {
    let view = editor.thread(thread);
    assert_eq!(view.gap(), None, "{:#?}", view.entries);
    assert_eq!(view.twice, Vec::<String>::new());
}

#[test]
fn an_agent_that_crashes_in_a_turn_leaves_a_usable_thread() {
    for order in ["crash", "exit"] {
        let place = Place::new();
        let editor = place.editor();
        let thread = editor.new_thread();
        editor.prompt(&thread, "first words").unwrap();
        let cut = editor.prompt(&thread, &format!("chunks 3; {order}; chunks 3"));
        whole(&editor, &thread);
        let view = editor.thread(&thread);
        assert!(
            cut.is_err() || view.said().to_lowercase().contains("interrupted"),
            "{cut:?}"
        );
        assert_eq!(
            view.marks.len(),
            2 + 4,
            "all that it said is shown: {:?}",
            view.marks
        );
        recalls(&editor, &thread, &["first words", "chunks 3"]);
        whole(&editor, &thread);
        // The same in another window.
        let other = place.editor();
        other.load(&thread).unwrap();
        let all = editor.thread(&thread).marks;
        other.see(&thread, "the history", |thread| {
            (thread.marks == all).then_some(())
        });
        whole(&other, &thread);
        place.finish(&[&editor, &other]);
    }
}

#[test]
fn an_agent_that_dies_between_turns_is_not_noticed() {
    let place = Place::new();
    let editor = place.editor();
    let thread = editor.new_thread();
    editor.prompt(&thread, "first words").unwrap();
    place.kill_agent();
    eventually("the agent is gone", || {
        place.agents().is_empty().then_some(())
    });
    recalls(&editor, &thread, &["first words"]);
    let second = editor.new_thread();
    editor.prompt(&second, "in a new thread").unwrap();
    whole(&editor, &thread);
    place.finish(&[&editor]);
}

#[test]
fn an_agent_without_memory_of_its_own_gets_the_conversation_told() {
    let place = Place::without("load,resume");
    let editor = place.editor();
    let thread = editor.new_thread();
    editor.prompt(&thread, "the password is swordfish").unwrap();
    place.kill_agent();
    editor.prompt(&thread, "chunks 1").unwrap();
    let asked = place.asked("session/prompt");
    let told = asked.last().unwrap().to_string();
    assert!(told.contains("swordfish"), "{told}");
    place.finish(&[&editor]);
}

#[test]
fn an_agent_that_hangs_is_ended_by_a_cancel() {
    let place = Place::new();
    let editor = place.editor();
    let thread = editor.new_thread();
    editor.prompt(&thread, "first words").unwrap();
    let hanging = editor.send_prompt(&thread, "chunks 2; hang");
    wait_for_text(&editor, &thread, "t2-c3");
    editor.cancel(&thread);
    let answer = editor.answer(&hanging);
    assert!(
        answer.is_err() || answer.as_ref().unwrap()["stopReason"] == "cancelled",
        "{answer:?}"
    );
    recalls(&editor, &thread, &["first words", "hang"]);
    whole(&editor, &thread);
    place.finish(&[&editor]);
}

#[test]
fn a_turn_goes_on_when_its_window_is_closed_and_is_seen_in_the_next() {
    let place = Place::new();
    let gate = place.gate("go-on");
    let mut editor = place.editor();
    let thread = editor.new_thread();
    editor.send_prompt(&thread, &format!("chunks 5; {}; chunks 5", gate.order()));
    wait_for_text(&editor, &thread, "t1-c6");
    editor.close_window();
    let next = place.editor();
    next.load(&thread).unwrap();
    wait_for_text(&next, &thread, "t1-c6");
    assert!(!next.thread(&thread).said().contains("t1-c7"));
    gate.open();
    wait_for_text(&next, &thread, "t1-end");
    assert_eq!(next.thread(&thread).marks, marks(1, 11));
    whole(&next, &thread);
    recalls(&next, &thread, &["chunks 5"]);
    place.finish(&[&editor, &next]);
}

#[test]
fn a_permission_that_waits_when_its_window_is_closed_is_asked_again() {
    let place = Place::new();
    let mut editor = place.editor();
    let thread = editor.new_thread();
    editor.send_prompt(&thread, "chunks 1; ask 2");
    let asked = editor.permissions(&thread, 2);
    editor.close_window();
    let next = place.editor();
    next.load(&thread).unwrap();
    let again = next.permissions(&thread, 2);
    assert_eq!(again[0].params["toolCall"], asked[0].params["toolCall"]);
    assert_eq!(again[0].params["options"], asked[0].params["options"]);
    next.decide(&again[1], "reject_once");
    next.decide(&again[0], "allow_once");
    wait_for_text(&next, &thread, "t1-end");
    let said = next.thread(&thread).said();
    assert!(
        said.contains("decided 0: yes") && said.contains("decided 1: no"),
        "{said}"
    );
    whole(&next, &thread);
    place.finish(&[&editor, &next]);
}

#[test]
fn a_permission_moves_to_the_window_that_takes_over() {
    let place = Place::new();
    let editor = place.editor();
    let thread = editor.new_thread();
    let prompt = editor.send_prompt(&thread, "ask");
    let first = editor.permissions(&thread, 1).remove(0);
    let next = place.editor();
    next.load(&thread).unwrap();
    let again = next.permissions(&thread, 1).remove(0);
    next.decide(&again, "allow_once");
    editor.wait("the card goes", |desk| {
        let old = desk
            .permissions
            .iter()
            .find(|permission| permission.id == first.id)?;
        (old.state == PermissionState::Withdrawn).then_some(())
    });
    assert_eq!(editor.answer(&prompt).unwrap()["stopReason"], "end_turn");
    wait_for_text(&next, &thread, "decided 0: yes");
    place.finish(&[&editor, &next]);
}

#[test]
fn a_daemon_that_is_killed_in_a_turn_is_a_pause() {
    let place = Place::new();
    let gate = place.gate("never");
    let editor = place.editor();
    let thread = editor.new_thread();
    editor.prompt(&thread, "first words").unwrap();
    let cut = editor.send_prompt(&thread, &format!("chunks 5; {}; chunks 5", gate.order()));
    wait_for_text(&editor, &thread, "t2-c6");
    place.kill_daemon();
    is_cut(&editor, &thread, &cut);
    whole(&editor, &thread);
    assert_eq!(
        place.asked("session/prompt").len(),
        2,
        "the prompt is not run twice"
    );
    recalls(&editor, &thread, &["first words", "chunks 5"]);
    whole(&editor, &thread);
    eventually("one agent is left", || {
        (place.agents().len() == 1).then_some(())
    });
    place.finish(&[&editor]);
}

#[test]
fn a_daemon_that_is_killed_while_nothing_runs_is_not_noticed() {
    let place = Place::new();
    let editor = place.editor();
    let threads: Vec<String> = (0..2).map(|_| editor.new_thread()).collect();
    editor.prompt(&threads[0], "first words").unwrap();
    let draft = editor.new_thread();
    for round in 0..3 {
        place.kill_daemon();
        if round == 1 {
            // While it is away.
            let new = editor.new_thread();
            editor.prompt(&new, "in a new thread").unwrap();
        }
        recalls(&editor, &threads[0], &["first words"]);
    }
    editor.prompt(&draft, "no draft any more").unwrap();
    whole(&editor, &threads[0]);
    assert_eq!(editor.thread(&threads[0]).asked().len(), 4);
    place.finish(&[&editor]);
}

#[test]
fn a_permission_that_waits_when_the_daemon_is_killed_is_taken_back() {
    let place = Place::new();
    let editor = place.editor();
    let thread = editor.new_thread();
    let prompt = editor.send_prompt(&thread, "chunks 1; ask");
    let asked = editor.permissions(&thread, 1).remove(0);
    place.kill_daemon();
    is_cut(&editor, &thread, &prompt);
    editor.wait("the card goes", |desk| {
        let old = desk
            .permissions
            .iter()
            .find(|permission| permission.id == asked.id)?;
        (old.state == PermissionState::Withdrawn).then_some(())
    });
    recalls(&editor, &thread, &["ask"]);
    place.finish(&[&editor]);
}

#[test]
fn nothing_is_left_when_the_last_window_and_the_daemon_are_gone() {
    let place = Place::new();
    let mut editor = place.editor();
    let thread = editor.new_thread();
    editor.prompt(&thread, "first words").unwrap();
    editor.close_window();
    let _ = place.env.run(&place.project, &["daemon", "stop"]).ok();
    let left = spectask_tests::processes::left_over(&place.env.data_dir(), Duration::from_secs(5));
    assert!(left.is_empty(), "{left:#?}");
}
