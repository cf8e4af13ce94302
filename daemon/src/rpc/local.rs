//! The methods in this process, without a socket: for rooms that serve other protocols.

use std::fmt;

use jsonrpsee::{
    core::{JsonRawValue, traits::ToRpcParams},
    server::{Methods, MethodsError},
    types::ErrorObjectOwned,
};
use serde_json::Value;
use spectask_protocol::{Failure, FailureKind, Transport};

use super::role::Peer;

/// Calls the daemon's methods in the daemon's own process, for one peer: what that peer may not do,
/// its calls may not. Cheap to clone.
#[derive(Clone)]
pub struct Local {
    methods: Methods,
}

impl fmt::Debug for Local {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Local").finish_non_exhaustive()
    }
}

impl Local {
    /// A transport over those methods for that peer.
    #[must_use]
    pub fn new(methods: Methods, peer: Peer) -> Self {
        Self { methods }.as_peer(peer)
    }

    /// The same methods for another peer.
    #[must_use]
    pub fn as_peer(&self, peer: Peer) -> Self {
        let mut methods = self.methods.clone();
        methods.extensions_mut().insert(peer);
        Self { methods }
    }
}

impl Transport for Local {
    async fn call(&self, method: &'static str, params: Value) -> Result<Value, Failure> {
        self.methods
            .call(method, Params(params))
            .await
            .map_err(|error| match error {
                MethodsError::JsonRpc(error) => failure(&error),
                error => Failure::new(FailureKind::Internal, format!("{method}: {error}")),
            })
    }
}

struct Params(Value);

impl ToRpcParams for Params {
    fn to_rpc_params(self) -> Result<Option<Box<JsonRawValue>>, serde_json::Error> {
        serde_json::value::to_raw_value(&self.0).map(Some)
    }
}

fn failure(error: &ErrorObjectOwned) -> Failure {
    error
        .data()
        .and_then(|data| serde_json::from_str(data.get()).ok())
        .unwrap_or_else(|| Failure::new(FailureKind::from_code(error.code()), error.message()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jsonrpsee::RpcModule;
    use spectask_protocol::{DynTransport, WorkSessionId};

    use super::*;
    use crate::rpc::error::to_object;

    fn methods() -> Methods {
        let mut module = RpcModule::new(());
        module
            .register_async_method("who", |params, _, extensions| async move {
                let peer = extensions.get::<Peer>().cloned();
                if params.parse::<Value>().unwrap() == Value::Bool(false) {
                    let failure = Failure::new(FailureKind::Forbidden, "no").hint("ask");
                    return Err(to_object(&failure));
                }
                Ok(format!("{:?}", peer.map(|peer| (peer.role, peer.session))))
            })
            .unwrap();
        module.into()
    }

    #[tokio::test]
    async fn each_clone_calls_as_its_own_peer_and_a_failure_travels_whole() {
        let session: WorkSessionId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let person = Local::new(methods(), Peer::person());
        let agent: Arc<dyn DynTransport> = Arc::new(person.as_peer(Peer::agent(session.clone())));
        let answer = agent.call("who", Value::Null).await.unwrap();
        assert_eq!(answer, format!("Some((Agent, Some({session:?})))"));
        let answer = person.call("who", Value::Null).await.unwrap();
        assert_eq!(answer, "Some((Person, None))");
        let refused = person.call("who", Value::Bool(false)).await.unwrap_err();
        assert_eq!(
            refused,
            Failure::new(FailureKind::Forbidden, "no").hint("ask")
        );
        let unknown = person.call("what", Value::Null).await.unwrap_err();
        assert_eq!(unknown.kind, FailureKind::MethodNotFound);
    }
}
