//! Ties handlers to the method table: parameters and results have the table's types, the table says
//! who may call.

use std::{collections::BTreeSet, sync::Arc};

use jsonrpsee::{RpcModule, types::Params};
use spectask_protocol::{
    Access, EventsParams, Failure, FailureKind, METHODS, Method, Role,
    method::{self, EVENTS_SUBSCRIBE},
};

use super::{
    command, coordination, error, extension, face::Face, history, layout, loopback::too_many,
    rate::Pace, remote, review, role::Peer, session, setup, system, task, zed,
};
use crate::{store::Store, workflow::lookup::find_task};

/// Events that a subscriber gets per look at the store.
const EVENT_BATCH: u32 = 500;

struct Registrar {
    module: RpcModule<Face>,
}

impl Registrar {
    fn add<M, F, Fut>(self, method: M, handler: F) -> Result<Self, error::ServeError>
    where
        M: Method,
        F: Fn(Arc<Face>, Role, M::Params) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<M::Result, Failure>> + Send + 'static,
        M::Result: Clone,
    {
        self.add_peer(method, move |face, peer: Peer, params| {
            handler(face, peer.role, params)
        })
    }

    /// The same for a handler that asks for whose session the caller speaks.
    fn add_peer<M, F, Fut>(mut self, _method: M, handler: F) -> Result<Self, error::ServeError>
    where
        M: Method,
        F: Fn(Arc<Face>, Peer, M::Params) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<M::Result, Failure>> + Send + 'static,
        M::Result: Clone,
    {
        self.module
            .register_async_method(M::NAME, move |params, face, extensions| {
                let handler = handler.clone();
                let face = Arc::clone(&face);
                async move {
                    let peer = extensions.get::<Peer>().unwrap_or(&Peer::UNKNOWN);
                    if extensions.get::<Pace>().is_some_and(|pace| !pace.take()) {
                        return Err(error::to_object(&too_many()));
                    }
                    let answer = match check::<M>(&params, peer.role) {
                        Ok(params) => handler(face, peer.clone(), params).await,
                        Err(failure) => {
                            if failure.kind == FailureKind::Forbidden
                                && let Some(session) = &peer.session
                            {
                                face.refused(session, M::NAME).await;
                            }
                            Err(failure)
                        }
                    };
                    answer.map_err(|failure| {
                        tracing::debug!(method = M::NAME, %failure, "refused");
                        error::to_object(&failure)
                    })
                }
            })
            .map_err(|error| error::ServeError::Methods(error.to_string()))?;
        Ok(self)
    }
}

fn check<M: Method>(params: &Params<'_>, role: Role) -> Result<M::Params, Failure> {
    if M::ACCESS == Access::Person && role == Role::Agent {
        return Err(Failure::new(
            FailureKind::Forbidden,
            format!(
                "{} is for persons; this connection comes from an agent's process",
                M::NAME
            ),
        )
        .hint("a person decides: in a terminal of their own, not in an agent's"));
    }
    // JSON-RPC lets a call leave its parameters out.
    let params = match params.as_str() {
        Some(_) => params,
        None => &Params::new(Some("{}")),
    };
    params.parse::<M::Params>().map_err(|error| {
        let text = error.data().map_or(error.message(), |data| data.get());
        Failure::new(FailureKind::InvalidParams, format!("{}: {text}", M::NAME))
    })
}

/// All methods with their handlers.
pub(super) fn module(face: Arc<Face>) -> Result<RpcModule<Face>, error::ServeError> {
    let registrar = Registrar {
        module: RpcModule::from_arc(face),
    };
    let mut module = registrar
        .add_peer(method::DaemonHello, system::hello)?
        .add_peer(method::DaemonStatus, system::status)?
        .add(method::DaemonShutdown, system::shutdown)?
        .add(method::DaemonGc, system::gc)?
        .add(method::DaemonDoctor, setup::doctor)?
        .add(method::SpecTaskCreate, task::create)?
        .add(method::SpecTaskListAll, task::list)?
        .add(method::SpecTaskGet, task::get)?
        .add(method::SpecTaskStart, task::start)?
        .add(method::SpecTaskPause, task::pause)?
        .add(method::SpecTaskResume, task::resume)?
        .add(method::SpecTaskRetry, task::retry)?
        .add(method::SpecTaskCancel, task::cancel)?
        .add(method::SpecTaskDiff, task::diff)?
        .add(method::SpecTaskFinish, task::finish)?
        .add(method::SpecTaskArchive, task::archive)?
        .add(method::ReviewGet, review::get)?
        .add(method::ReviewApprove, review::approve)?
        .add(method::ReviewRequestChanges, review::request_changes)?
        .add(method::ReviewReject, review::reject)?
        .add(method::ReviewEdit, review::edit)?
        .add(method::WorkSessionListAll, session::list)?
        .add(method::WorkSessionGet, session::get)?
        .add_peer(method::WorkSessionSpawn, session::spawn)?
        .add(method::WorkSessionAcceptEmpty, session::accept_empty)?
        .add(method::WorkSessionTranscript, session::transcript)?
        .add(method::WorkSessionStop, coordination::stop)?
        .add(method::WorkSessionAttach, coordination::attach)?
        .add_peer(method::WorkSessionReport, coordination::report)?
        .add_peer(method::CoordinationTell, coordination::tell)?
        .add(method::CoordinationListAll, coordination::list)?
        .add_peer(method::DecisionRecord, coordination::decide)?
        .add(method::HistorySearch, history::search)?
        .add(method::HistoryLayOut, layout::lay_out)?
        .add(method::HistoryLogOf, history::log)?
        .add(method::HistoryShow, history::show)?
        .add(method::HistoryBlame, history::blame)?
        .add(method::HistoryTrace, history::trace)?
        .add(method::HistoryImport, history::import)?
        .add(method::HistoryExport, history::export)?
        .add(method::ThreadListAll, zed::threads)?
        .add(method::ThreadGet, zed::thread)?
        .add(method::ThreadHeartbeat, zed::heartbeat)?
        .add(method::ZedListAll, zed::list)?
        .add(method::ZedGet, zed::get)?
        .add(method::ZedThreads, zed::threads_of)?
        .add(method::ZedDetach, zed::detach)?
        .add(method::ZedEvent, extension::event)?
        .add(method::CommandListAll, command::list)?
        .add(method::CommandRun, command::run)?
        .add(method::PermissionListAll, session::permissions)?
        .add(method::PermissionAnswer, session::answer)?
        .add(method::AgentListAll, setup::agents)?
        .add(method::AgentAdd, setup::add_agent)?
        .add(method::AgentTest, setup::test_agent)?
        .add(method::AgentLogin, setup::login)?
        .add(method::PromptListAll, setup::prompts)?
        .add(method::ProjectTrust, setup::trust)?
        .add(method::HistoryRemoteNamed, remote::named)?
        .add(method::ConfigGet, setup::config)?
        .add(method::EventsList, system::events)?
        .module;
    // The name that OpenRPC gives it; it describes the table and is not in it.
    module
        .register_method("rpc.discover", |_, _, _| method::open_rpc())
        .map_err(|error| error::ServeError::Methods(error.to_string()))?;
    let (subscribe, event, unsubscribe) = EVENTS_SUBSCRIBE;
    module
        .register_subscription(
            subscribe,
            event,
            unsubscribe,
            |params, pending, face, _| async move {
                let params = match params.parse::<EventsParams>() {
                    Ok(params) => params,
                    Err(error) => {
                        pending.reject(error).await;
                        return;
                    }
                };
                let Ok(sink) = pending.accept().await else {
                    return;
                };
                follow(&face.ctx.store, params, sink).await;
            },
        )
        .map_err(|error| error::ServeError::Methods(error.to_string()))?;
    let handled: BTreeSet<_> = module.method_names().collect();
    let missing: Vec<_> = METHODS
        .iter()
        .map(|method| method.name)
        .filter(|name| !handled.contains(name))
        .collect();
    if missing.is_empty() {
        Ok(module)
    } else {
        Err(error::ServeError::Methods(format!(
            "no handler for {}",
            missing.join(", ")
        )))
    }
}

/// Sends events from a number on, in order and without a gap, at the pace of the subscriber.
async fn follow(store: &Store, params: EventsParams, sink: jsonrpsee::SubscriptionSink) {
    let mut committed = store.committed();
    let task = match &params.task {
        Some(name) => match store.read(|read| find_task(read, name)) {
            Ok(task) => Some(task.id),
            Err(_) => return,
        },
        None => None,
    };
    let mut after = params.after;
    loop {
        committed.mark_unchanged();
        loop {
            let events = store.read(|read| read.events_after(after, task.as_ref(), EVENT_BATCH));
            let Ok(events) = events else { return };
            let Some(last) = events.last() else { break };
            after = last.seq;
            for event in events {
                let Ok(message) = serde_json::value::to_raw_value(&event) else {
                    return;
                };
                if sink.send(message).await.is_err() {
                    return;
                }
            }
        }
        tokio::select! {
            changed = committed.changed() => if changed.is_err() { return },
            () = sink.closed() => return,
        }
    }
}
