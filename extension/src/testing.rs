//! An editor that answers what a test says and keeps what it was asked.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use serde_json::Value;
use spectask_protocol::{PROTOCOL_VERSION, ZedEndpoint};

use crate::{
    editor::{Editor, Ended},
    program::Endpoint,
};

type Ran = (String, Vec<String>, Vec<(String, String)>);
type Posted = (String, String, Value);

#[derive(Default)]
pub(crate) struct Fake {
    ended: Option<Ended>,
    windows: bool,
    answers: Mutex<VecDeque<Result<Value, String>>>,
    ran: Mutex<Vec<Ran>>,
    posted: Mutex<Vec<Posted>>,
}

pub(crate) fn endpoint() -> ZedEndpoint {
    ZedEndpoint {
        program: "/usr/bin/spectask".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        protocol: PROTOCOL_VERSION,
        url: Some("http://127.0.0.1:7000".into()),
        token: Some("secret".into()),
        problem: None,
        instructions: "instructions".into(),
        settings_schema: "{\"schema\":1}".into(),
        default_settings: "{}".into(),
    }
}

impl From<ZedEndpoint> for Endpoint {
    fn from(told: ZedEndpoint) -> Self {
        Self {
            program: told.program,
            version: told.version,
            protocol: told.protocol.into(),
            url: told.url,
            token: told.token,
            problem: told.problem,
            instructions: told.instructions,
            settings_schema: told.settings_schema,
            default_settings: told.default_settings,
        }
    }
}

impl Fake {
    pub(crate) fn said(endpoint: &ZedEndpoint) -> Ended {
        Ended {
            code: Some(0),
            stdout: serde_json::to_vec(endpoint).unwrap_or_default(),
            stderr: Vec::new(),
        }
    }

    pub(crate) fn answering(endpoint: &ZedEndpoint) -> Self {
        Self {
            ended: Some(Self::said(endpoint)),
            ..Self::default()
        }
    }

    pub(crate) fn missing() -> Self {
        Self::default()
    }

    pub(crate) fn windows(mut self, windows: bool) -> Self {
        self.windows = windows;
        self
    }

    pub(crate) fn posts(self, answers: impl IntoIterator<Item = Result<Value, String>>) -> Self {
        Self {
            answers: Mutex::new(answers.into_iter().collect()),
            ..self
        }
    }

    pub(crate) fn ran(&self) -> Vec<Ran> {
        let ran = self.ran.lock();
        ran.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn posted(&self) -> Vec<Posted> {
        let posted = self.posted.lock();
        posted.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Editor for Fake {
    fn run(&self, program: &str, args: &[&str], env: &[(String, String)]) -> Result<Ended, String> {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let ran = (program.to_owned(), args, env.to_vec());
        let mut all = self.ran.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(ran);
        self.ended.clone().ok_or_else(|| "No such file".to_owned())
    }

    fn post(&self, url: &str, token: &str, body: Vec<u8>) -> Result<Vec<u8>, String> {
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let posted = (url.to_owned(), token.to_owned(), body);
        let mut all = self.posted.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(posted);
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = answers.pop_front();
        answer
            .unwrap_or_else(|| Err("nobody answers".to_owned()))
            .map(|value| value.to_string().into_bytes())
    }

    fn is_windows(&self) -> bool {
        self.windows
    }
}
