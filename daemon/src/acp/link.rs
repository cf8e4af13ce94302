//! The outgoing side of a shim's connection: lines in order, written as fast as the shim reads.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, value::to_raw_value};
use spectask_protocol::shim::{At, ToShim};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt as _, BufWriter},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

/// The outgoing side of a shim's connection. Clones share it.
#[derive(Clone)]
pub(super) struct Link {
    lines: mpsc::UnboundedSender<Vec<u8>>,
    queued: Arc<AtomicUsize>,
    /// Cancelled when the connection is over.
    pub(super) closed: CancellationToken,
}

impl Link {
    /// A link that writes to `writer` until that fails or `closed` is cancelled.
    pub(super) fn open(
        writer: impl AsyncWrite + Send + Unpin + 'static,
        closed: CancellationToken,
    ) -> Self {
        let (lines, queue) = mpsc::unbounded_channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let link = Self {
            lines,
            queued: Arc::clone(&queued),
            closed: closed.clone(),
        };
        tokio::spawn(async move {
            tokio::select! {
                () = closed.cancelled() => {}
                result = write(writer, queue, &queued) => if let Err(error) = result {
                    tracing::debug!(%error, "a shim is gone");
                },
            }
            closed.cancel();
        });
        link
    }

    pub(super) fn say(&self, line: &ToShim) {
        match serde_json::to_vec(line) {
            Ok(mut bytes) => {
                bytes.push(b'\n');
                self.queued.fetch_add(bytes.len(), Ordering::Relaxed);
                // A link that is closed has nobody to tell.
                let _ = self.lines.send(bytes);
            }
            Err(error) => tracing::error!(%error, "a frame could not be written"),
        }
    }

    /// Sends a frame to the editor.
    pub(super) fn frame(&self, at: Option<At>, frame: &Value) {
        match to_raw_value(frame) {
            Ok(frame) => self.say(&ToShim::Frame { at, frame }),
            Err(error) => tracing::error!(%error, "a frame could not be written"),
        }
    }

    /// Bytes that wait to be written.
    pub(super) fn backlog(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }
}

async fn write(
    writer: impl AsyncWrite + Unpin,
    mut queue: mpsc::UnboundedReceiver<Vec<u8>>,
    queued: &AtomicUsize,
) -> std::io::Result<()> {
    let mut writer = BufWriter::with_capacity(64 * 1024, writer);
    while let Some(line) = queue.recv().await {
        let mut next = Some(line);
        while let Some(line) = next {
            writer.write_all(&line).await?;
            queued.fetch_sub(line.len(), Ordering::Relaxed);
            next = queue.try_recv().ok();
        }
        writer.flush().await?;
    }
    Ok(())
}
