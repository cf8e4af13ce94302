//! What an agent asks of the daemon.

use super::*;

#[tokio::test]
async fn the_policy_answers_what_it_covers_and_a_person_the_rest() {
    let mut place = place().await;
    let inside = place.root.join("a.rs");
    let (asks, root) = (&mut place.asked, place.root.clone());
    let agent = place.agent.clone();
    let play = async {
        let stub = &mut place.stub;
        let request = stub.expect("session/prompt").await;
        // What was said of the tool call before counts.
        stub.update(json!({"sessionUpdate": "tool_call", "toolCallId": "in", "kind": "edit", "title": "Write", "locations": [{"path": inside}]})).await;
        let id = stub.permission(json!({"toolCallId": "in"})).await;
        let answer = stub.next().await;
        assert_eq!(answer["id"], id);
        assert_eq!(
            answer["result"]["outcome"],
            json!({"outcome": "selected", "optionId": "yes"})
        );

        stub.update(json!({"sessionUpdate": "tool_call", "toolCallId": "out", "kind": "edit", "title": "Write", "locations": [{"path": root.parent().unwrap().join("b")}]})).await;
        stub.permission(json!({"toolCallId": "out", "locations": [{"path": inside}]}))
            .await;
        let (ask, answer) = asks.recv().await.unwrap();
        assert_eq!(
            (ask.title.as_str(), ask.kind.as_str(), ask.options.len()),
            ("Write", "edit", 2)
        );
        assert_eq!(
            ask.step,
            format!("edit {}", root.parent().unwrap().join("b").display())
        );
        assert!(
            ask.reason.contains("outside the session's folder"),
            "{}",
            ask.reason
        );
        answer
            .send(PermissionAnswer::Selected("no".into()))
            .unwrap();
        assert_eq!(stub.next().await["result"]["outcome"]["optionId"], "no");

        stub.permission(json!({"toolCallId": "mode", "kind": "switch_mode"}))
            .await;
        let (_, answer) = asks.recv().await.unwrap();
        answer
            .send(PermissionAnswer::Selected("made up".into()))
            .unwrap();
        assert_eq!(
            stub.next().await["result"]["outcome"],
            json!({"outcome": "cancelled"})
        );

        let answer = stub
            .call("session/request_permission", json!({"toolCall": {}}))
            .await;
        assert_eq!(answer["error"]["code"], -32602);
        stub.answer(&request, end_turn()).await;
    };
    let (end, ()) = tokio::join!(agent.prompt_text("s", "x"), play);
    assert_eq!(end.unwrap().stop_reason, StopReason::EndTurn);
}

#[tokio::test]
async fn deny_rejects_without_asking() {
    let mut place = place_with(|profile| profile.permission = Policy::Deny, json!({})).await;
    place
        .turn(async |stub, request| {
            stub.permission(json!({"toolCallId": "t", "kind": "read"}))
                .await;
            assert_eq!(stub.next().await["result"]["outcome"]["optionId"], "no");
            stub.answer(&request, end_turn()).await;
        })
        .await
        .unwrap();
    assert!(place.asked.try_recv().is_err());
}

#[tokio::test]
async fn files_inside_are_served_and_outside_is_an_incident() {
    let mut place = place().await;
    let (root, outside) = (place.root.clone(), place.root.parent().unwrap().join("x"));
    place
        .turn(async |stub, request| {
            let path = root.join("d/a.txt");
            let answer = stub
                .call(
                    "fs/write_text_file",
                    json!({"path": path, "content": "1\n2\n3\n"}),
                )
                .await;
            assert!(answer.get("error").is_none(), "{answer}");
            let answer = stub
                .call(
                    "fs/read_text_file",
                    json!({"path": path, "line": 2, "limit": 1}),
                )
                .await;
            assert_eq!(answer["result"]["content"], "2\n");
            let answer = stub
                .call("fs/read_text_file", json!({"path": root.join("no")}))
                .await;
            assert_eq!(answer["error"]["code"], -32002);
            let answer = stub
                .call(
                    "fs/write_text_file",
                    json!({"path": outside, "content": ""}),
                )
                .await;
            assert_eq!(answer["error"]["code"], -32602);
            assert!(
                answer["error"]["message"]
                    .as_str()
                    .unwrap()
                    .contains("the session's folder is")
            );
            stub.call(
                "fs/write_text_file",
                json!({"path": root.join(".git/config"), "content": ""}),
            )
            .await;
            stub.call("terminal/create", json!({"command": "true", "cwd": "/"}))
                .await;
            let answer = stub.call("fs/read_text_file", json!({})).await;
            assert_eq!(answer["error"]["code"], -32602);
            stub.answer(&request, end_turn()).await;
        })
        .await
        .unwrap();
    assert!(!outside.exists());
    assert!(!place.root.join(".git").exists());
    let kinds: Vec<IncidentKind> = place
        .incidents()
        .into_iter()
        .map(|(kind, _)| kind)
        .collect();
    use IncidentKind::{GitInternals, OutsideRoot};
    assert_eq!(kinds, [OutsideRoot, GitInternals, OutsideRoot]);
}

#[tokio::test]
async fn nonsense_does_not_end_the_connection() {
    let mut place = place().await;
    place
        .turn(async |stub, request| {
            for line in [
                "Welcome!",
                "{\"jsonrpc\":",
                "[]",
                "[{\"id\":1}]",
                "\u{1}",
                "  ",
                "{}",
            ] {
                stub.raw(line).await;
            }
            stub.writer.write_all(b"\xff\xfe\n").await.unwrap();
            stub.raw(&"[".repeat(100_000)).await;
            stub.send(json!({"id": 999, "result": "nobody asked"}))
                .await;
            stub.send(json!({"id": "x", "result": null})).await;
            stub.send(json!({"method": "_novel/notification"})).await;
            stub.send(json!({"method": "session/update", "params": null}))
                .await;
            stub.send(json!({"method": "$/cancel_request", "params": {"requestId": "none"}}))
                .await;
            let answer = stub.call("_novel/request", json!({})).await;
            assert_eq!(answer["error"]["code"], -32601);
            let answer = stub.call("elicitation/create", json!({})).await;
            assert_eq!(answer["error"]["code"], -32601);
            let answer = stub.call("_relayed", json!({"k": 1})).await;
            assert_eq!(answer["result"]["seen"]["k"], 1);
            for _ in 0..200 {
                stub.raw("noise").await;
            }
            stub.answer(&request, end_turn()).await;
        })
        .await
        .unwrap();
    let incidents = place.incidents();
    assert_eq!(incidents.len(), 5, "{incidents:?}");
    assert_eq!(
        incidents[0].1,
        "the agent wrote 1 line(s) that are no JSON-RPC message, the last one: Welcome!"
    );
    assert!(incidents[4].1.starts_with("the agent wrote 100 line(s)"));
}

#[tokio::test]
async fn the_agent_may_withdraw_a_request() {
    let mut place = place_with(|profile| profile.permission = Policy::Ask, json!({})).await;
    let agent = place.agent.clone();
    let play = async {
        let request = place.stub.expect("session/prompt").await;
        let id = place.stub.permission(json!({"toolCallId": "t"})).await;
        let (_, mut unanswered) = place.asked.recv().await.unwrap();
        place
            .stub
            .send(json!({"method": "$/cancel_request", "params": {"requestId": id}}))
            .await;
        let answer = place.stub.next().await;
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&json!(id), &json!(-32800))
        );
        unanswered.closed().await;
        place.stub.answer(&request, end_turn()).await;
    };
    tokio::join!(agent.prompt_text("s", "x"), play).0.unwrap();
}

#[tokio::test]
async fn a_flood_of_requests_is_turned_away() {
    let mut place = place_with(|profile| profile.permission = Policy::Ask, json!({})).await;
    let agent = place.agent.clone();
    let play = async {
        let request = place.stub.expect("session/prompt").await;
        for _ in 0..130 {
            place.stub.permission(json!({"toolCallId": "t"})).await;
        }
        for _ in 0..2 {
            let answer = place.stub.next().await;
            assert!(
                answer["error"]["message"]
                    .as_str()
                    .unwrap()
                    .contains("too many"),
                "{answer}"
            );
        }
        place.stub.answer(&request, end_turn()).await;
    };
    tokio::join!(agent.prompt_text("s", "x"), play).0.unwrap();
    assert_eq!(place.incidents()[0].0, IncidentKind::TooMany);
}
