use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use serde_json::{Value, json};
use spectask_protocol::TranscriptEntry;

use super::{Replay, Way};

fn entry(index: u64, way: Way, frame: Value) -> TranscriptEntry {
    TranscriptEntry {
        index,
        at: String::new(),
        direction: way.as_str().into(),
        frame,
    }
}

fn update(update: Value) -> (Way, Value) {
    let mut frame = json!({ "jsonrpc": "2.0", "method": "session/update" });
    frame["params"] = json!({ "sessionId": "s" });
    frame["params"]["update"] = update;
    (Way::FromAgent, frame)
}

fn said(kind: &str, text: &str) -> (Way, Value) {
    update(json!({ "sessionUpdate": kind, "content": { "type": "text", "text": text } }))
}

fn prompt(id: u64, blocks: &Value) -> (Way, Value) {
    let params = json!({ "sessionId": "s", "prompt": blocks });
    (
        Way::ToAgent,
        json!({ "id": id, "method": "session/prompt", "params": params }),
    )
}

fn answer(id: u64) -> (Way, Value) {
    (
        Way::FromAgent,
        json!({ "id": id, "result": { "stopReason": "end_turn" } }),
    )
}

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fn tool(id: &str, fields: &Value) -> (Way, Value) {
    let mut call = json!({ "sessionUpdate": "tool_call", "toolCallId": id });
    for (key, value) in fields.as_object().unwrap() {
        call[key] = value.clone();
    }
    update(call)
}

fn replay(frames: impl IntoIterator<Item = (Way, Value)>) -> Vec<Value> {
    let mut replay = Replay::new();
    let mut updates = Vec::new();
    for (index, (way, frame)) in (0..).zip(frames) {
        updates.extend(replay.push(entry(index, way, frame)));
    }
    updates.extend(replay.finish());
    updates
}

/// One line for each update.
fn lines(updates: &[Value]) -> String {
    updates.iter().map(|update| format!("{update}\n")).collect()
}

#[test]
fn a_conversation_is_told_in_few_updates() {
    let updates = replay([
        (Way::ToAgent, json!({ "id": 0, "method": "initialize" })),
        update(json!({ "sessionUpdate": "usage_update", "used": 1, "size": 9 })),
        prompt(
            1,
            &json!([text("Mend"), { "type": "resource_link", "uri": "file:///a" }]),
        ),
        said("agent_thought_chunk", "Hm"),
        said("agent_message_chunk", "I "),
        update(json!({ "sessionUpdate": "usage_update", "used": 5, "size": 9 })),
        said("agent_message_chunk", "look."),
        update(json!({ "sessionUpdate": "plan", "entries": [1] })),
        update(json!({ "sessionUpdate": "plan", "entries": [1, 2] })),
        tool(
            "t",
            &json!({ "title": "Read", "status": "pending", "rawInput": { "path": "a" } }),
        ),
        (
            Way::FromAgent,
            json!({ "id": 5, "method": "session/request_permission", "params": {} }),
        ),
        (Way::ToAgent, json!({ "id": 5, "result": {} })),
        update(
            json!({ "sessionUpdate": "tool_call_update", "toolCallId": "t",
            "status": "in_progress", "title": null }),
        ),
        said("agent_message_chunk", "Meanwhile"),
        update(
            json!({ "sessionUpdate": "tool_call_update", "toolCallId": "t",
            "status": "completed", "content": [{ "type": "terminal", "terminalId": "x" },
            { "type": "content", "content": text("done") }] }),
        ),
        said("agent_message_chunk", ", more."),
        tool(
            "open",
            &json!({ "title": "Write", "status": "in_progress" }),
        ),
        (Way::Daemon, json!({ "note": "the agent was killed" })),
        prompt(2, &json!([text("Go on")])),
        update(json!({ "sessionUpdate": "new_kind", "x": 1 })),
        answer(2),
    ]);
    insta::assert_snapshot!(lines(&updates), @r#"
    {"sessionUpdate":"user_message_chunk","messageId":"m-2","content":{"type":"text","text":"Mend"}}
    {"sessionUpdate":"user_message_chunk","messageId":"m-2","content":{"type":"resource_link","uri":"file:///a"}}
    {"sessionUpdate":"agent_thought_chunk","messageId":"m-3","content":{"type":"text","text":"Hm"}}
    {"sessionUpdate":"agent_message_chunk","messageId":"m-4","content":{"type":"text","text":"I look."}}
    {"sessionUpdate":"plan","entries":[1,2]}
    {"sessionUpdate":"tool_call","toolCallId":"t","title":"Read","status":"completed","rawInput":{"path":"a"},"content":[{"type":"content","content":{"type":"text","text":"done"}}]}
    {"sessionUpdate":"agent_message_chunk","messageId":"m-13","content":{"type":"text","text":"Meanwhile, more."}}
    {"sessionUpdate":"tool_call","toolCallId":"open","title":"Write","status":"failed"}
    {"sessionUpdate":"agent_message_chunk","messageId":"m-17","content":{"type":"text","text":"\n\n_the agent was killed_\n\n"}}
    {"sessionUpdate":"user_message_chunk","messageId":"m-18","content":{"type":"text","text":"Go on"}}
    {"sessionUpdate":"new_kind","x":1}
    {"sessionUpdate":"usage_update","used":5,"size":9}
    "#);
}

#[test]
fn what_was_not_recorded_is_said() {
    let mut replay = Replay::new();
    let mut updates = Vec::new();
    for (index, word) in [(0, "a"), (1, "b"), (7, "c")] {
        let (way, frame) = said("agent_message_chunk", word);
        updates.extend(replay.push(entry(index, way, frame)));
    }
    updates.extend(replay.finish());
    insta::assert_snapshot!(lines(&updates), @r#"
    {"sessionUpdate":"agent_message_chunk","messageId":"m-0","content":{"type":"text","text":"ab"}}
    {"sessionUpdate":"agent_message_chunk","messageId":"m-2-gap","content":{"type":"text","text":"\n\n_some of the conversation was not recorded_\n\n"}}
    {"sessionUpdate":"agent_message_chunk","messageId":"m-7","content":{"type":"text","text":"c"}}
    "#);
}

#[test]
fn the_agents_own_message_ids_stay_and_long_texts_are_split() {
    let long = "ä".repeat(400_000);
    let own = |id: &str, words: &str| {
        update(
            json!({ "sessionUpdate": "agent_message_chunk", "messageId": id,
            "content": text(words) }),
        )
    };
    let updates = replay([
        own("x", &long),
        own("x", "!"),
        own("m-0", "y"),
        own("z", "z"),
    ]);
    let ids: Vec<_> = updates.iter().map(|update| &update["messageId"]).collect();
    assert_eq!(ids, ["x", "x", "x", "x", "agent-m-0", "z"]);
    let texts: Vec<_> = updates
        .iter()
        .map(|update| update["content"]["text"].as_str().unwrap())
        .collect();
    assert!(texts.iter().all(|text| text.len() <= 256 << 10));
    assert_eq!(texts[..4].concat(), format!("{long}!"));
}

#[test]
fn hostile_frames_are_left_out() {
    for frame in [
        json!(null),
        json!([]),
        json!({ "method": 7 }),
        json!({ "method": "session/update" }),
        json!({ "method": "session/update", "params": [] }),
        json!({ "method": "session/update", "params": { "update": 3 } }),
        json!({ "method": "session/update", "params": { "update": {
            "sessionUpdate": "tool_call", "toolCallId": 3 } } }),
        json!({ "id": null }),
    ] {
        assert_eq!(replay([(Way::FromAgent, frame)]), Vec::<Value>::new());
    }
    assert_eq!(
        replay([(Way::ToAgent, json!({ "method": "session/prompt" }))]),
        Vec::<Value>::new()
    );
}

#[derive(Debug, Clone)]
enum Event {
    Say(&'static str, String, Option<u8>),
    Call(u8),
    CallUpdate(u8, bool),
    Plan,
    Usage(u32),
    Prompt(Vec<String>),
    Answer,
    Note(String),
    Noise,
    Gap,
}

fn event() -> impl Strategy<Value = Event> {
    let kind = prop::sample::select(vec!["agent_message_chunk", "agent_thought_chunk"]);
    let words = "[a-zé ]{1,8}";
    prop_oneof![
        8 => (kind, words, prop::option::weighted(0.3, 0..3_u8))
            .prop_map(|(kind, text, own)| Event::Say(kind, text, own)),
        2 => (0..4_u8).prop_map(Event::Call),
        3 => (0..4_u8, any::<bool>()).prop_map(|(id, end)| Event::CallUpdate(id, end)),
        1 => Just(Event::Plan),
        1 => any::<u32>().prop_map(Event::Usage),
        1 => prop::collection::vec(words, 1..3).prop_map(Event::Prompt),
        1 => Just(Event::Answer),
        1 => words.prop_map(Event::Note),
        1 => Just(Event::Noise),
        1 => Just(Event::Gap),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    /// Text, order and tool calls of the transcript are those of the updates.
    #[test]
    fn nothing_is_lost_moved_or_mixed_up(events in prop::collection::vec(event(), 0..80)) {
        let mut converter = Replay::new();
        let mut updates = Vec::new();
        let mut index = 0;
        // What was said by kind, with a mark where something else stands between.
        let mut expected = String::new();
        let mut usage = None;
        // Own ids begin anew with each message, as agents do it.
        let mut message = 0;
        let mut before: Option<(&str, Option<u8>)> = None;
        let mut calls = HashSet::new();
        for event in events {
            let this = match &event {
                Event::Say(kind, _, own) => Some((*kind, *own)),
                Event::Usage(_) | Event::Noise | Event::CallUpdate(..) => before,
                _ => None,
            };
            if this.is_none() || this != before {
                message += 1;
            }
            before = this;
            let (way, frame) = match event {
                Event::Say(kind, words, own) => {
                    expected.push_str(&words);
                    let mut chunk = json!({ "sessionUpdate": kind, "content": text(&words) });
                    if own.is_some() {
                        chunk["messageId"] = format!("own-{message}").into();
                    }
                    update(chunk)
                }
                Event::Call(id) => {
                    calls.insert(id);
                    tool(&format!("{id}"), &json!({ "title": "T", "status": "pending" }))
                }
                Event::CallUpdate(id, end) => {
                    if !calls.contains(&id) {
                        continue;
                    }
                    let status = if end { "completed" } else { "in_progress" };
                    update(json!({ "sessionUpdate": "tool_call_update",
                        "toolCallId": format!("{id}"), "status": status }))
                }
                Event::Plan => update(json!({ "sessionUpdate": "plan", "entries": [] })),
                Event::Usage(used) => {
                    usage = Some(used);
                    update(json!({ "sessionUpdate": "usage_update", "used": used }))
                }
                Event::Prompt(blocks) => {
                    expected.push_str(&blocks.concat());
                    let blocks: Vec<Value> = blocks.iter().map(|block| text(block)).collect();
                    prompt(index, &Value::Array(blocks))
                }
                Event::Answer => answer(index),
                Event::Note(words) => {
                    expected.push_str(&format!("\n\n_{words}_\n\n"));
                    (Way::Daemon, json!({ "note": words }))
                }
                Event::Noise => (Way::FromAgent, json!({ "id": 1, "method": "fs/read_text_file" })),
                Event::Gap => {
                    index += 1;
                    (Way::FromAgent, json!({ "id": -1, "result": {} }))
                }
            };
            if index > 0 && matches!(&frame["id"], Value::Number(id) if id.as_i64() == Some(-1)) {
                expected.push_str("\n\n_some of the conversation was not recorded_\n\n");
            }
            updates.extend(converter.push(entry(index, way, frame)));
            index += 1;
        }
        let before_end = updates.len();
        updates.extend(converter.finish());
        let told: String = updates
            .iter()
            .filter_map(|update| update["content"]["text"].as_str())
            .collect();
        prop_assert_eq!(told, expected);
        // A message is one run of chunks of one kind.
        let mut seen: HashMap<&str, (usize, &Value)> = HashMap::new();
        for (at, update) in updates.iter().enumerate() {
            if let Some(id) = update["messageId"].as_str() {
                let kind = &update["sessionUpdate"];
                if let Some((last, first)) = seen.insert(id, (at, kind)) {
                    prop_assert_eq!(last + 1, at, "{} is used twice", id);
                    prop_assert_eq!(first, kind);
                }
            }
        }
        let kinds = |kind: &str| updates.iter().filter(|one| one["sessionUpdate"] == kind).count();
        for call in updates.iter().filter(|one| one["sessionUpdate"] == "tool_call") {
            prop_assert!(["completed", "failed"].contains(&call["status"].as_str().unwrap()));
        }
        prop_assert!(calls.is_empty() == (kinds("tool_call") == 0));
        // The newest usage, once, at the end.
        prop_assert_eq!(kinds("usage_update"), usize::from(usage.is_some()));
        if let Some(used) = usage {
            prop_assert!(updates.len() > before_end);
            prop_assert_eq!(&updates.last().unwrap()["used"], &json!(used));
        }
    }
}
