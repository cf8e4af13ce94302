//! The typed client, over any transport: a WebSocket on the local socket, or HTTP from the extension.

use std::{pin::Pin, sync::Arc};

use serde_json::Value;

use crate::{Failure, FailureKind, Method};

/// Carries one JSON-RPC call.
pub trait Transport {
    /// Sends a call and waits for its result or its failure.
    fn call(
        &self,
        method: &'static str,
        params: Value,
    ) -> impl Future<Output = Result<Value, Failure>> + Send;
}

/// A [`Transport`] whose type is not known: for code that serves several.
pub trait DynTransport: Send + Sync {
    /// As [`Transport::call`].
    fn call_boxed<'a>(
        &'a self,
        method: &'static str,
        params: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, Failure>> + Send + 'a>>;
}

impl<T: Transport + Send + Sync> DynTransport for T {
    fn call_boxed<'a>(
        &'a self,
        method: &'static str,
        params: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, Failure>> + Send + 'a>> {
        Box::pin(self.call(method, params))
    }
}

impl Transport for Arc<dyn DynTransport + '_> {
    async fn call(&self, method: &'static str, params: Value) -> Result<Value, Failure> {
        (**self).call_boxed(method, params).await
    }
}

/// A typed client of the daemon.
#[derive(Debug, Clone)]
pub struct Client<T> {
    transport: T,
}

impl<T: Transport> Client<T> {
    /// A client over that transport.
    pub const fn new(transport: T) -> Self {
        Self { transport }
    }

    /// The transport alone.
    pub fn into_transport(self) -> T {
        self.transport
    }

    /// The transport.
    pub const fn transport(&self) -> &T {
        &self.transport
    }

    /// Calls a method of the table.
    ///
    /// # Errors
    /// The daemon's failure, or [`FailureKind::Internal`] when its answer does not fit the type.
    pub async fn call<M: Method>(
        &self,
        _method: M,
        params: M::Params,
    ) -> Result<M::Result, Failure> {
        let params = serde_json::to_value(params).map_err(|error| misfit(M::NAME, &error))?;
        let result = self.transport.call(M::NAME, params).await?;
        serde_json::from_value(result).map_err(|error| misfit(M::NAME, &error))
    }
}

fn misfit(method: &str, error: &serde_json::Error) -> Failure {
    Failure::new(
        FailureKind::Internal,
        format!("{method}: the message does not fit: {error}"),
    )
    .hint("client and daemon may differ in version: `spectask daemon restart`")
}
