//! The engine's router: asks the config's blocks through the mailbox of the Ruby thread.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use bytes::Bytes;
use proxymachine_engine::{Client, Failure, Router, TimedVerdict, Verdict};
use tokio::sync::oneshot;

use crate::event::{Block, BlockCall, Call, Event};
use crate::outbox;
use crate::shared::RubyShared;

/// Routes connections as the config's blocks answer.
pub struct RubyRouter(pub Arc<RubyShared>);

impl RubyRouter {
    fn call(
        &self,
        block: Block,
        client: &Client,
        data: Bytes,
    ) -> impl Future<Output = TimedVerdict> + Send + use<> {
        let (reply, verdict) = oneshot::channel();
        self.post(Call::Block(BlockCall {
            block,
            client: client.clone(),
            data,
            posted: Instant::now(),
            reply,
        }));
        // The sender is dropped without a reply when `run` ends.
        async { verdict.await.unwrap_or_else(|_| Verdict::Close(None).into()) }
    }

    fn post(&self, call: Call) {
        outbox::post(&self.0.mailbox, Event::Call(call));
    }
}

impl Router for RubyRouter {
    fn route(&self, client: &Client, data: Bytes) -> impl Future<Output = TimedVerdict> + Send {
        self.call(Block::Proxy, client, data)
    }

    fn wants_local(&self) -> bool {
        self.0.configured_blocks.client.load(Relaxed)
    }

    fn wants_connections(&self) -> bool {
        self.0.configured_blocks.client.load(Relaxed)
    }

    fn accepted(&self, client: &Client) -> Option<impl Future<Output = TimedVerdict> + Send> {
        let is_configured = self.0.configured_blocks.accept.load(Relaxed);
        is_configured.then(|| self.call(Block::Accept, client, Bytes::new()))
    }

    fn timed_out(&self, client: &Client, data: Bytes) -> Option<impl Future<Output = TimedVerdict> + Send> {
        let is_configured = self.0.configured_blocks.timeout.load(Relaxed);
        is_configured.then(|| self.call(Block::Timeout, client, data))
    }

    fn failed(
        &self,
        client: &Client,
        failure: Failure,
        remote: String,
    ) -> Option<impl Future<Output = Option<Verdict>> + Send> {
        let (reply, verdict) = oneshot::channel();
        self.post(Call::FailureCallback { failure, client: client.clone(), remote, reply });
        // The sender is dropped without a reply when `run` ends.
        Some(async { verdict.await.ok().flatten() })
    }
}
