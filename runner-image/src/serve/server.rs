//! The life of an executor's server, from the first connection to the last.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use axum_server::{Handle, accept::NoDelayAcceptor};
use hyper_util::rt::TokioTimer;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{
    app::{App, Settings},
    routes::router,
};

/// How long a client may take to send the head of a request.
const HEAD: Duration = Duration::from_secs(10);

/// What is kept of the termination period for the last words to the operator.
const LAST_WORDS: Duration = Duration::from_secs(4);

/// A server that is bound and not yet serving.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
    settings: Settings,
}

impl Server {
    /// Binds to an address.
    ///
    /// # Errors
    /// The address is taken or not this machine's.
    pub fn bind(app: Arc<App>, address: SocketAddr, settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self { app, listener, settings })
    }

    /// The address that it is bound to.
    ///
    /// # Errors
    /// None in practice.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`, then drains: not ready any more but serving, until nobody sends; then no connection is
    /// accepted, and what is in flight is finished as far as the termination period allows.
    ///
    /// # Errors
    /// The listener fails for good.
    pub async fn serve(self, stop: CancellationToken) -> io::Result<()> {
        let handle: Handle<SocketAddr> = Handle::new();
        let mut server = axum_server::from_tcp(self.listener)?
            .acceptor(NoDelayAcceptor)
            .http1_only()
            .handle(handle.clone());
        server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEAD);
        let mut serving = tokio::spawn(server.serve(router(Arc::clone(&self.app)).into_make_service()));
        tokio::select! {
            ended = &mut serving => return ended.map_err(io::Error::other)?,
            () = stop.cancelled() => {}
        }
        let end = Instant::now() + self.settings.termination.saturating_sub(LAST_WORDS);
        tracing::info!(seconds = self.settings.drain.as_secs(), "draining");
        self.app.drain();
        sleep(self.settings.drain.min(end.duration_since(Instant::now()))).await;
        self.app.close();
        handle.graceful_shutdown(Some(end.duration_since(Instant::now())));
        if let Ok(ended) = timeout_at(end, &mut serving).await {
            return ended.map_err(io::Error::other)?;
        }
        tracing::warn!(connections = handle.connection_count(), "gave up on requests in flight");
        handle.shutdown();
        Ok(())
    }
}
