//! The daemon, over JSON-RPC on its port of this machine.

use serde_json::{Value, json};
use spectask_protocol::{ExtensionEvent, Method, PROTOCOL_VERSION, method::ZedEvent};

use crate::{
    editor::Editor,
    json::{remove, text},
    program::Endpoint,
};

/// A daemon that answers.
pub(crate) struct Daemon<'a> {
    editor: &'a dyn Editor,
    url: &'a str,
    token: &'a str,
}

impl<'a> Daemon<'a> {
    /// The daemon that the program told of; none while none answers.
    pub(crate) fn of(editor: &'a dyn Editor, endpoint: &'a Endpoint) -> Option<Self> {
        let (url, token) = (endpoint.url.as_deref()?, endpoint.token.as_deref()?);
        // The token is for this machine, whatever a program says.
        let port = url.strip_prefix("http://127.0.0.1:")?;
        port.parse::<u16>().ok()?;
        Some(Self { editor, url, token })
    }

    /// Calls a method of the protocol by one POST. Parameters and result are plain JSON and not the
    /// protocol's types, whose code would take a third of the component; tests hold that they fit.
    ///
    /// # Errors
    /// What a person should know and do.
    pub(crate) fn call<M: Method>(&self, _method: M, params: &Value) -> Result<Value, String> {
        self.post(M::NAME, params)
    }

    fn post(&self, method: &str, params: &Value) -> Result<Value, String> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let url = format!("{}/rpc", self.url);
        let request = request.to_string().into_bytes();
        let body = self.editor.post(&url, self.token, request);
        let body = body.map_err(|error| {
            format!("SpecTask's daemon does not answer: {error}. `spectask doctor` in a terminal tells more.")
        })?;
        let mut answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        if let Some(result) = remove(&mut answer, "result") {
            return Ok(result);
        }
        let mut error = remove(&mut answer, "error").unwrap_or_default();
        let mut data = remove(&mut error, "data").unwrap_or_default();
        let message = text(&mut data, "message").or_else(|| text(&mut error, "message"));
        let message = message.unwrap_or_else(|| format!("{method}: the answer is no JSON-RPC"));
        Err(match text(&mut data, "hint") {
            Some(hint) => format!("{message} ({hint})"),
            None => message,
        })
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

#[cfg(test)]
mod tests {
    use spectask_protocol::{Failure, FailureKind, ZedEventParams, method::CommandListAll};

    use super::*;
    use crate::testing::{Fake, endpoint};

    #[test]
    fn a_call_is_one_post_with_the_token() {
        let fake = Fake::answering(&endpoint()).posts([Ok(json!({
            "jsonrpc": "2.0", "id": 1, "result": { "commands": [] },
        }))]);
        let endpoint = Endpoint::from(endpoint());
        let daemon = Daemon::of(&fake, &endpoint).unwrap();
        let list = daemon.call(CommandListAll, &json!({})).unwrap();
        assert_eq!(list, json!({ "commands": [] }));
        let posted = fake.posted();
        assert_eq!(posted[0].0, "http://127.0.0.1:7000/rpc");
        assert_eq!(posted[0].1, "secret");
        assert_eq!(
            posted[0].2,
            json!({ "jsonrpc": "2.0", "id": 1, "method": "command.list", "params": {} })
        );
    }

    #[test]
    fn what_is_told_fits_the_protocol() {
        let fake = Fake::answering(&endpoint()).posts([
            Err("not yet".to_owned()),
            Ok(json!({ "result": {} })),
            Ok(json!({ "result": {} })),
            Ok(json!({ "result": {} })),
        ]);
        let endpoint = Endpoint::from(endpoint());
        let daemon = Daemon::of(&fake, &endpoint).unwrap();
        let mut announced = false;
        for name in ["lost", "first", "second"] {
            daemon.tell(&mut announced, ExtensionEvent::SlashCommand, name);
        }
        let told: Vec<ZedEventParams> = fake
            .posted()
            .into_iter()
            .map(|(_, _, mut body)| serde_json::from_value(body["params"].take()).unwrap())
            .collect();
        let names = told
            .iter()
            .map(|told| (told.event.as_str(), told.name.as_deref()));
        assert_eq!(
            names.collect::<Vec<_>>(),
            [
                ("extension.started", None),
                ("extension.started", None),
                ("slashCommand", Some("first")),
                ("slashCommand", Some("second")),
            ]
        );
        assert!(told.iter().all(|told| told.protocol == PROTOCOL_VERSION));
    }

    #[test]
    fn failures_are_told_with_what_to_do() {
        let failure = Failure::new(FailureKind::Conflict, "look again").hint("there");
        let answers = [
            Ok(json!({ "error": { "code": -32004, "message": "m", "data": failure } })),
            Ok(json!({ "error": { "code": -32601, "message": "Method not found" } })),
            Err("error sending request".to_owned()),
            Ok(json!("nonsense")),
            Ok(json!({ "error": null })),
        ];
        let fake = Fake::answering(&endpoint()).posts(answers);
        let endpoint = Endpoint::from(endpoint());
        let daemon = Daemon::of(&fake, &endpoint).unwrap();
        let call = || daemon.call(CommandListAll, &json!({})).unwrap_err();
        assert_eq!(call(), "look again (there)");
        assert_eq!(call(), "Method not found");
        assert!(call().starts_with("SpecTask's daemon does not answer: error sending request."));
        assert_eq!(call(), "command.list: the answer is no JSON-RPC");
        assert_eq!(call(), "command.list: the answer is no JSON-RPC");
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
            let mut other = Endpoint::from(endpoint());
            other.url = url.map(str::to_owned);
            assert!(Daemon::of(&fake, &other).is_none(), "{url:?}");
        }
        let mut other = Endpoint::from(endpoint());
        other.token = None;
        assert!(Daemon::of(&fake, &other).is_none());
    }
}
