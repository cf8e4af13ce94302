//! Turns, their limits and their ends.

use super::*;

#[tokio::test]
async fn a_turn_with_updates() {
    let mut place = place().await;
    let file = place.root.join("src/x.rs");
    let end = place
        .turn(async |stub, request| {
            assert_eq!(request["params"]["prompt"], json!([{"type": "text", "text": "do it"}]));
            let chunk = json!({"type": "text", "text": "hm"});
            stub.update(json!({"sessionUpdate": "agent_thought_chunk", "content": chunk})).await;
            stub.update(json!({"sessionUpdate": "tool_call", "toolCallId": "t", "title": "Edit", "kind": "edit", "locations": [{"path": file}]})).await;
            stub.update(json!({"sessionUpdate": "tool_call_update", "toolCallId": "t", "status": "in_progress"})).await;
            stub.update(json!({"sessionUpdate": "tool_call_update", "toolCallId": "t", "status": "completed"})).await;
            stub.update(json!({"sessionUpdate": "novel_update", "x": 1})).await;
            stub.answer(&request, json!({"stopReason": "end_turn", "usage": {"x": 1}})).await;
        })
        .await
        .unwrap();
    assert_eq!((end.stop_reason, end.killed), (StopReason::EndTurn, false));
    assert_eq!(end.raw["usage"]["x"], 1);
    let seen = place.recorder.updates.lock().unwrap().clone();
    let edit = Some("edit src/x.rs".to_owned());
    let expected = [
        (
            "agent_thought_chunk".to_owned(),
            Some("thinking".to_owned()),
            false,
        ),
        ("tool_call".to_owned(), edit.clone(), false),
        ("tool_call_update".to_owned(), edit, false),
        ("tool_call_update".to_owned(), None, false),
        ("novel_update".to_owned(), None, false),
    ];
    assert_eq!(seen, expected);
    let log = place.recorder.log.lock().unwrap().join("\n");
    insta::assert_snapshot!(log, @r"
    > initialize
    < answer
    > session/new
    < answer
    > session/prompt
    < session/update
    < session/update
    < session/update
    < session/update
    < session/update
    < answer
    ");
}

#[tokio::test]
async fn every_stop_reason_is_told_apart() {
    let mut place = place().await;
    let reasons = [
        ("max_tokens", StopReason::MaxTokens),
        ("max_turn_requests", StopReason::MaxTurnRequests),
        ("refusal", StopReason::Refusal),
        ("cancelled", StopReason::Cancelled),
        ("novel", StopReason::Other("novel".into())),
    ];
    for (word, reason) in reasons {
        let end = place
            .turn(async |stub, request| stub.answer(&request, json!({"stopReason": word})).await)
            .await;
        assert_eq!(end.unwrap().stop_reason, reason);
    }
    let error = place
        .turn(async |stub, request| stub.answer(&request, json!({})).await)
        .await;
    insta::assert_snapshot!(error.unwrap_err(), @"agent stub broke the protocol: its answer to session/prompt has no `stopReason`");
    let error = place
        .turn(async |stub, request| stub.refuse(&request, -32603, "model\nfailed").await)
        .await;
    insta::assert_snapshot!(error.unwrap_err(), @"agent stub refused session/prompt: model failed (code -32603)");
    let error = place.agent.prompt_text("other", "x").await.unwrap_err();
    insta::assert_snapshot!(error, @"agent stub has no open session `other` on this connection");
}

#[cfg(unix)]
#[tokio::test]
async fn cancel_withdraws_permissions_and_kills_commands() {
    let mut place = place_with(|profile| profile.permission = Policy::Ask, json!({})).await;
    let agent = place.agent.clone();
    let play = async {
        let stub = &mut place.stub;
        let request = stub.expect("session/prompt").await;
        let answer = stub
            .call(
                "terminal/create",
                json!({"command": "sleep", "args": ["600"]}),
            )
            .await;
        let terminal = json!({"terminalId": answer["result"]["terminalId"]});
        let waiting = stub.ask("terminal/wait_for_exit", terminal).await;
        let permission = stub.permission(json!({"toolCallId": "t"})).await;
        let (_ask, mut unanswered) = place.asked.recv().await.unwrap();
        place.agent.cancel("s").await;
        let mut answers = BTreeMap::new();
        while answers.len() < 3 {
            let frame = stub.next().await;
            let key = frame["id"].as_str().unwrap_or("cancel").to_owned();
            answers.insert(key, frame);
        }
        assert_eq!(answers["cancel"]["method"], "session/cancel");
        assert_eq!(
            answers[&permission]["result"]["outcome"]["outcome"],
            "cancelled"
        );
        assert_eq!(answers[&waiting]["result"]["signal"], "SIGKILL");
        unanswered.closed().await;
        // An agent may still ask before it ends the turn.
        stub.permission(json!({"toolCallId": "late"})).await;
        assert_eq!(
            stub.next().await["result"]["outcome"]["outcome"],
            "cancelled"
        );
        let answer = stub
            .call("terminal/create", json!({"command": "true"}))
            .await;
        assert_eq!(answer["error"]["code"], -32800);
        stub.refuse(&request, -32603, "aborted").await;
    };
    let (end, ()) = tokio::join!(agent.prompt_text("s", "x"), play);
    let end = end.unwrap();
    assert_eq!(
        (end.stop_reason, end.killed),
        (StopReason::Cancelled, false)
    );
    let end = place
        .turn(async |stub, request| stub.answer(&request, end_turn()).await)
        .await;
    assert_eq!(end.unwrap().stop_reason, StopReason::EndTurn);
}

#[tokio::test]
async fn an_end_in_the_middle_of_a_turn() {
    let place = place().await;
    let Place {
        agent, mut stub, ..
    } = place;
    let turn = tokio::spawn({
        let agent = agent.clone();
        async move { agent.prompt_text("s", "x").await }
    });
    stub.expect("session/prompt").await;
    drop(stub);
    let error = turn.await.unwrap().unwrap_err();
    insta::assert_snapshot!(error, @"agent stub ended while answering session/prompt: the connection was closed");
    assert!(error.is_worth_a_respawn());
    assert!(!agent.is_alive());
    agent.exited().await;
    let again = agent.prompt_text("s", "x").await.unwrap_err();
    assert!(matches!(again, AgentError::Exited { .. }), "{again}");
}

#[tokio::test]
async fn a_frame_without_end_is_an_error() {
    let mut place = place().await;
    let error = place
        .turn(async |stub, _| {
            let blob = vec![b'x'; wire::MAX_FRAME + 10];
            // The daemon stops reading in the middle.
            let _ = stub.writer.write_all(&blob).await;
        })
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("a frame of more than"),
        "{error}"
    );
}

#[tokio::test]
async fn silence_and_length_are_limited() {
    let limits = |turn: u64, idle: u64| {
        move |profile: &mut Profile| {
            profile.turn_limit = Duration::from_millis(turn);
            profile.idle_limit = Duration::from_millis(idle);
        }
    };
    let mut place = place_with(limits(60_000, 80), json!({})).await;
    let error = place
        .turn(async |stub, request| {
            stub.expect("session/cancel").await;
            stub.answer(&request, json!({"stopReason": "cancelled"}))
                .await;
        })
        .await
        .unwrap_err();
    insta::assert_snapshot!(error, @"agent stub was silent for 80ms in the middle of a turn");
    assert!(place.agent.is_alive());

    let mut place = place_with(limits(150, 100), json!({})).await;
    let error = place
        .turn(async |stub, request| {
            loop {
                stub.update(json!({"sessionUpdate": "novel"})).await;
                let frame = tokio::time::timeout(Duration::from_millis(10), stub.next()).await;
                if frame.is_ok_and(|frame| frame["method"] == "session/cancel") {
                    break;
                }
            }
            stub.answer(&request, json!({"stopReason": "cancelled"}))
                .await;
        })
        .await
        .unwrap_err();
    insta::assert_snapshot!(error, @"agent stub: the turn took longer than 150ms");
}

#[tokio::test]
async fn a_person_may_take_their_time() {
    let change = |profile: &mut Profile| {
        profile.permission = Policy::Ask;
        profile.turn_limit = Duration::from_millis(200);
        profile.idle_limit = Duration::from_millis(100);
    };
    let mut place = place_with(change, json!({})).await;
    let agent = place.agent.clone();
    let play = async {
        let request = place.stub.expect("session/prompt").await;
        place.stub.permission(json!({"toolCallId": "t"})).await;
        let (_, answer) = place.asked.recv().await.unwrap();
        tokio::time::sleep(Duration::from_millis(400)).await;
        answer
            .send(PermissionAnswer::Selected("yes".into()))
            .unwrap();
        assert_eq!(
            place.stub.next().await["result"]["outcome"]["optionId"],
            "yes"
        );
        place.stub.answer(&request, end_turn()).await;
    };
    let (end, ()) = tokio::join!(agent.prompt_text("s", "x"), play);
    assert_eq!(end.unwrap().stop_reason, StopReason::EndTurn);
}

#[tokio::test]
async fn a_turn_nobody_waits_for_is_cancelled() {
    let mut place = place().await;
    let turn = tokio::spawn({
        let agent = place.agent.clone();
        async move { agent.prompt_text("s", "x").await }
    });
    let request = place.stub.expect("session/prompt").await;
    turn.abort();
    place.stub.expect("session/cancel").await;
    place
        .stub
        .answer(&request, json!({"stopReason": "cancelled"}))
        .await;
    let end = place
        .turn(async |stub, request| stub.answer(&request, end_turn()).await)
        .await;
    assert_eq!(end.unwrap().stop_reason, StopReason::EndTurn);
}
