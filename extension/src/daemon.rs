//! The daemon, over JSON-RPC on its port of this machine. Parameters and answers are plain JSON here,
//! because each type would bring its own parser to download; tests hold them against the protocol's types.

use serde_json::{Value, json};
use spectask_protocol::{ExtensionEvent, Method, PROTOCOL_VERSION, method::ZedEvent};

use crate::{editor::Editor, program::Endpoint};

/// A daemon that answers.
pub(crate) struct Daemon<'a> {
    editor: &'a dyn Editor,
    url: &'a str,
    token: &'a str,
}

impl<'a> Daemon<'a> {
    /// The daemon that the program told of.
    ///
    /// # Errors
    /// While none answers; a text for a person.
    pub(crate) fn of(editor: &'a dyn Editor, endpoint: &'a Endpoint) -> Result<Self, String> {
        let (url, token) = (&*endpoint.url, &*endpoint.token);
        // The token is for this machine, whatever a program says.
        let port = url.strip_prefix("http://127.0.0.1:").unwrap_or_default();
        if port.parse::<u16>().is_err() || token.is_empty() {
            let problem = match &*endpoint.problem {
                "" => "the program told no address",
                problem => problem,
            };
            return Err(unreachable(problem));
        }
        Ok(Self { editor, url, token })
    }

    /// Calls a method of the protocol.
    ///
    /// # Errors
    /// As the daemon failed; a text for a person.
    pub(crate) fn call<M: Method>(&self, _method: M, params: &Value) -> Result<Value, String> {
        self.post(M::NAME, params)
    }

    fn post(&self, method: &str, params: &Value) -> Result<Value, String> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let url = [self.url, "/rpc"].concat();
        let answer = self
            .editor
            .post(&url, self.token, request.to_string().into_bytes())
            .map_err(|error| unreachable(&error))?;
        let answer: Option<Value> = str::from_utf8(&answer)
            .ok()
            .and_then(|text| serde_json::from_str(text).ok());
        let mut answer = answer.unwrap_or_default();
        if let Some(error) = answer.get("error") {
            return Err(failure(error));
        }
        let result = answer.get_mut("result").map(Value::take);
        result.ok_or_else(|| unreachable("what answers speaks no JSON-RPC"))
    }

    /// Tells what happened here, and before it once that the extension is there. Nothing depends on it.
    pub(crate) fn tell(&self, announced: &mut bool, event: ExtensionEvent, name: &str) {
        let told = |event: ExtensionEvent, name: Option<&str>| {
            let params = json!({
                "event": event.as_str(),
                "extension": env!("CARGO_PKG_VERSION"),
                "protocol": PROTOCOL_VERSION,
                "name": name,
            });
            self.call(ZedEvent, &params).is_ok()
        };
        *announced = *announced || told(ExtensionEvent::Started, None);
        if *announced {
            told(event, Some(name));
        }
    }
}

fn unreachable(problem: &str) -> String {
    [
        "SpecTask's daemon does not answer: ",
        problem,
        ". `spectask doctor` in a terminal tells more.",
    ]
    .concat()
}

/// A JSON-RPC error; the daemon's say in their data what to do.
fn failure(error: &Value) -> String {
    let data = &error["data"];
    let message = data["message"].as_str().or(error["message"].as_str());
    let message = message.unwrap_or("the daemon failed and does not say why");
    match data["hint"].as_str() {
        Some(hint) => [message, " (", hint, ")"].concat(),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use spectask_protocol::{Failure, FailureKind, ZedEventParams, method::CommandListAll};

    use super::*;
    use crate::testing::{Fake, endpoint, read};

    #[test]
    fn a_call_is_one_post_with_the_token() {
        let list = json!({ "commands": [{ "name": "spec", "description": "d" }] });
        let fake = Fake::answering(&endpoint())
            .posts([Ok(json!({ "jsonrpc": "2.0", "id": 1, "result": list }))]);
        let endpoint = read(&endpoint());
        let daemon = Daemon::of(&fake, &endpoint).ok().unwrap();
        assert_eq!(daemon.call(CommandListAll, &json!({})).unwrap(), list);
        let posted = fake.posted();
        assert_eq!(posted[0].0, "http://127.0.0.1:7000/rpc");
        assert_eq!(posted[0].1, "secret");
        assert_eq!(
            posted[0].2,
            json!({ "jsonrpc": "2.0", "id": 1, "method": "command.list", "params": {} })
        );
    }

    #[test]
    fn failures_are_told_with_their_hint() {
        let failure = Failure::new(FailureKind::Conflict, "it changed").hint("look again");
        let answers = [
            Ok(json!({ "error": { "code": -32004, "message": "m", "data": failure } })),
            Ok(json!({ "error": { "code": -32601, "message": "Method not found" } })),
            Ok(json!({ "error": null })),
            Err("error sending request".to_owned()),
            Ok(json!("nonsense")),
            Ok(json!([1])),
        ];
        let fake = Fake::answering(&endpoint()).posts(answers);
        let endpoint = read(&endpoint());
        let daemon = Daemon::of(&fake, &endpoint).ok().unwrap();
        let call = || daemon.call(CommandListAll, &json!({})).unwrap_err();
        assert_eq!(call(), "it changed (look again)");
        assert_eq!(call(), "Method not found");
        assert_eq!(call(), "the daemon failed and does not say why");
        assert_eq!(
            call(),
            "SpecTask's daemon does not answer: error sending request. `spectask doctor` in a terminal tells more."
        );
        for _ in 0..2 {
            assert!(call().contains("speaks no JSON-RPC"));
        }
    }

    #[test]
    fn events_have_the_protocols_types() {
        let good = || Ok(json!({ "result": {} }));
        let fake = Fake::answering(&endpoint()).posts([good(), good()]);
        let endpoint = read(&endpoint());
        let daemon = Daemon::of(&fake, &endpoint).ok().unwrap();
        daemon.tell(&mut false, ExtensionEvent::SlashCommand, "spec");
        let told: Vec<ZedEventParams> = fake
            .posted()
            .into_iter()
            .map(|(_, _, body)| serde_json::from_value(body["params"].clone()).unwrap())
            .collect();
        assert_eq!(told[0].event, ExtensionEvent::Started);
        assert_eq!(told[0].name, None);
        assert_eq!(told[1].event, ExtensionEvent::SlashCommand);
        assert_eq!(told[1].name.as_deref(), Some("spec"));
        assert_eq!(told[1].protocol, PROTOCOL_VERSION);
    }

    #[test]
    fn the_token_goes_to_this_machine_only() {
        let fake = Fake::answering(&endpoint());
        for url in [
            None,
            Some("http://evil.example:80"),
            Some("http://127.0.0.1:80@evil.example"),
            Some("http://127.0.0.1.evil.example:80"),
            Some("https://127.0.0.1:80"),
            Some("http://127.0.0.1:80/x"),
            Some("http://127.0.0.1:99999"),
        ] {
            let mut other = endpoint();
            other.url = url.map(str::to_owned);
            assert!(Daemon::of(&fake, &read(&other)).is_err(), "{url:?}");
        }
        let mut other = endpoint();
        other.token = None;
        assert!(Daemon::of(&fake, &read(&other)).is_err());
    }
}
