//! Connecting, logging in, opening sessions.

use super::*;

#[tokio::test]
async fn initialize_tells_what_is_served_and_reads_what_is_offered() {
    let (agent, _stub, request, _place) = connect_as(
        |profile| profile.command = vec!["prog".into(), "--acp".into()],
        json!({
            "agentInfo": {"name": "Stub", "version": "1.2"},
            "agentCapabilities": {"loadSession": true, "sessionCapabilities": {"resume": {}, "list": {}}},
            "authMethods": [
                {"id": "key", "name": "API key", "description": "d"},
                {"id": "term", "name": "Terminal", "type": "terminal", "args": ["login"], "env": {"A": "1"}},
                {"id": "old", "name": "Old", "_meta": {"terminal-auth": {"command": "x", "args": ["y"]}}},
                {"broken": true},
            ],
            "novel": 1,
        }),
    )
    .await;
    assert_eq!(request["params"]["protocolVersion"], 1);
    let served = &request["params"]["clientCapabilities"];
    assert_eq!(served["fs"]["readTextFile"], true);
    assert_eq!(served["fs"]["writeTextFile"], true);
    assert_eq!(served["terminal"], true);
    assert_eq!(request["params"]["clientInfo"]["name"], "spectask");
    let agent = agent.unwrap();
    let info = agent.info();
    assert_eq!(
        (info.name.as_deref(), info.version.as_deref()),
        (Some("Stub"), Some("1.2"))
    );
    assert_eq!(
        (info.load_session, info.resume, info.close, info.list),
        (true, true, false, true)
    );
    assert_eq!(info.raw["novel"], 1);
    let logins: Vec<_> = info
        .auth_methods
        .iter()
        .map(|m| (m.id.as_str(), m.login.clone()))
        .collect();
    let command = |argv: &[&str], env: &[(&str, &str)]| {
        let argv = argv.iter().map(|&word| word.to_owned()).collect();
        let env = env
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Some(LoginCommand { argv, env })
    };
    let expected = [
        ("key", None),
        ("term", command(&["prog", "--acp", "login"], &[("A", "1")])),
        ("old", command(&["x", "y"], &[])),
    ];
    assert_eq!(logins, expected);
}

#[tokio::test]
async fn another_version_of_the_protocol_is_an_error() {
    let (agent, ..) = connect_as(|_| {}, json!({"protocolVersion": 2})).await;
    insta::assert_snapshot!(agent.err().unwrap(), @"agent stub broke the protocol: it speaks version 2 of ACP, SpecTask speaks version 1");
    let (agent, ..) = connect_as(|_| {}, json!({"protocolVersion": "one"})).await;
    assert!(matches!(agent.err().unwrap(), AgentError::Protocol { .. }));
}

#[tokio::test]
async fn a_login_is_asked_for() {
    let methods = json!({"authMethods": [{"id": "key", "name": "API key"}]});
    let (agent, mut stub, _, place) = connect_as(|_| {}, methods).await;
    let agent = agent.unwrap();
    let play = async {
        let request = stub.expect("session/new").await;
        assert_eq!(request["params"]["mcpServers"], json!([{"name": "m"}]));
        stub.refuse(&request, -32000, "Authentication required")
            .await;
        let request = stub.expect("authenticate").await;
        assert_eq!(request["params"], json!({"methodId": "key"}));
        stub.refuse(&request, -32000, "wrong key").await;
    };
    let ask = async {
        let new = agent
            .new_session(&place.root, vec![json!({"name": "m"})])
            .await
            .unwrap_err();
        (new, agent.authenticate("key").await.unwrap_err())
    };
    let ((new, login), ()) = tokio::join!(ask, play);
    insta::assert_snapshot!(new, @"agent stub is not logged in (Authentication required); run `spectask agents login stub` (it offers: API key)");
    insta::assert_snapshot!(login, @"agent stub refused authenticate: wrong key (code -32000)");
}

#[tokio::test]
async fn a_loaded_session_replays_its_history() {
    let mut place = place_with(|_| {}, json!({"agentCapabilities": {"loadSession": true}})).await;
    let agent = place.agent.clone();
    let root = place.root.clone();
    let play = async {
        let request = place.stub.expect("session/load").await;
        assert_eq!(
            request["params"],
            json!({"sessionId": "s", "cwd": root, "mcpServers": []})
        );
        place
            .stub
            .update(json!({"sessionUpdate": "agent_message_chunk"}))
            .await;
        place.stub.answer(&request, json!(null)).await;
        let request = place.stub.expect("session/load").await;
        place.stub.refuse(&request, -32002, "no such session").await;
    };
    let ask = async {
        let start = agent.reopen_session("s", &root, Vec::new()).await.unwrap();
        assert_eq!(start.id, "s");
        agent
            .load_session("t", &root, Vec::new())
            .await
            .unwrap_err()
    };
    let (error, ()) = tokio::join!(ask, play);
    insta::assert_snapshot!(error, @"agent stub refused session/load: no such session (code -32002)");
    assert!(place.recorder.updates.lock().unwrap().last().unwrap().2);
    let end = place
        .turn(async |stub, request| {
            stub.update(json!({"sessionUpdate": "agent_message_chunk"}))
                .await;
            stub.answer(&request, end_turn()).await;
        })
        .await;
    end.unwrap();
    assert!(!place.recorder.updates.lock().unwrap().last().unwrap().2);
    let error = agent
        .resume_session("s", &place.root, Vec::new())
        .await
        .unwrap_err();
    insta::assert_snapshot!(error, @"agent stub does not offer session/resume");
}

#[tokio::test]
async fn the_profiles_mode_is_set() {
    let change = |profile: &mut Profile| profile.mode = Some("plan".into());
    let (agent, mut stub, _, place) = connect_as(change, json!({})).await;
    let agent = agent.unwrap();
    let modes = |ids: &[&str]| {
        let modes: Vec<Value> = ids.iter().map(|id| json!({"id": id, "name": id})).collect();
        json!({"sessionId": "s", "modes": {"currentModeId": ids[0], "availableModes": modes}})
    };
    let play = async {
        let request = stub.expect("session/new").await;
        stub.answer(&request, modes(&["default", "plan"])).await;
        let request = stub.expect("session/set_mode").await;
        assert_eq!(
            request["params"],
            json!({"sessionId": "s", "modeId": "plan"})
        );
        stub.answer(&request, json!({})).await;
        let request = stub.expect("session/new").await;
        stub.answer(&request, modes(&["plan"])).await;
        let request = stub.expect("session/new").await;
        stub.answer(&request, modes(&["default", "auto"])).await;
    };
    let ask = async {
        let start = agent.new_session(&place.root, Vec::new()).await.unwrap();
        assert_eq!(start.modes.unwrap().current, "plan");
        agent.new_session(&place.root, Vec::new()).await.unwrap();
        agent
            .new_session(&place.root, Vec::new())
            .await
            .unwrap_err()
    };
    let (error, ()) = tokio::join!(ask, play);
    insta::assert_snapshot!(error, @"agent stub has no session mode `plan`; it offers: default, auto");
}

#[tokio::test]
async fn a_short_request_has_a_limit() {
    let change = |profile: &mut Profile| profile.start_limit = Duration::from_millis(100);
    let (agent, mut stub, _, place) = connect_as(change, json!({})).await;
    let agent = agent.unwrap();
    let play = async {
        let request = stub.expect("session/new").await;
        let cancel = stub.expect("$/cancel_request").await;
        assert_eq!(cancel["params"]["requestId"], request["id"]);
        stub.answer(&request, json!({"sessionId": "late"})).await;
    };
    let (error, ()) = tokio::join!(agent.new_session(&place.root, Vec::new()), play);
    insta::assert_snapshot!(error.unwrap_err(), @"agent stub: session/new took longer than 100ms");
}
