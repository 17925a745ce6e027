//! Accepts connections and serves HTTP/1.1. TLS handshakes, request headers and bodies have
//! deadlines, so that a client that sends nothing, or a byte now and then, cannot occupy a
//! connection for long.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Sleep;
use tower::ServiceExt as _;

use super::tls::Tls;

/// How long the headers of a request may take to arrive, and how long a connection may be idle.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long any body may take to arrive; [`body_limit`](super::body_limit) allows less.
const BODY_TIMEOUT: Duration = Duration::from_secs(90);
/// The pause after a connection could not be accepted, for example because too many files are open.
const ACCEPT_BACKOFF: Duration = Duration::from_secs(1);

/// The socket to accept connections on, and TLS if there is a certificate.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Tls>,
}

impl Listener {
    /// A listener that speaks TLS if there is a certificate.
    #[must_use]
    pub fn new(tcp: TcpListener, tls: Option<Tls>) -> Self {
        Self { tcp, tls }
    }

    /// Reloads the certificate whenever its files change; never completes.
    pub(crate) fn renewal(&self) -> impl Future<Output = ()> + use<> {
        let tls = self.tls.clone();
        async move {
            match tls {
                Some(tls) => tls.reload_periodically().await,
                None => std::future::pending().await,
            }
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(tcp: TcpListener) -> Self {
        Self::new(tcp, None)
    }
}

/// Serves until `stop` completes, and then until the requests in flight have finished.
pub async fn serve(
    listener: impl Into<Listener>,
    router: Router,
    header_timeout: Duration,
    stop: impl Future<Output = ()>,
) {
    let Listener { tcp: listener, tls } = listener.into();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(header_timeout);
    let connections = GracefulShutdown::new();
    // Closed when the loop has ended: unfinished handshakes are then abandoned.
    let (accepting, stopped) = watch::channel(());
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if !concerns_one_connection(&error) {
                    tracing::error!(%error, "cannot accept connections; trying again in a second");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
                continue;
            }
        };
        // Responses are written in one piece: waiting to fill a packet only delays them.
        let _ = socket.set_nodelay(true);
        let (http, router, watcher) = (http.clone(), router.clone(), connections.watcher());
        match tls.clone() {
            None => drop(tokio::spawn(serve_connection(http, socket, peer, router, watcher))),
            Some(tls) => {
                let mut stopped = stopped.clone();
                tokio::spawn(async move {
                    let handshake = tokio::select! {
                        handshake = tokio::time::timeout(header_timeout, tls.acceptor().accept(socket)) => handshake,
                        _ = stopped.changed() => return,
                    };
                    if let Ok(Ok(tls_stream)) = handshake {
                        serve_connection(http, tls_stream, peer, router, watcher).await;
                    }
                });
            }
        }
    }
    drop((listener, accepting));
    connections.shutdown().await;
}

async fn serve_connection<S>(http: http1::Builder, stream: S, peer: SocketAddr, router: Router, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(|body| Body::new(DeadlineBody::new(body)));
        request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer));
        router.clone().oneshot(request)
    });
    let connection = http.serve_connection(TokioIo::new(stream), service);
    // Fails if the client disconnects or is too slow, which is not an error of the server.
    let _ = watcher.watch(connection).await;
}

struct DeadlineBody {
    body: Incoming,
    deadline: Pin<Box<Sleep>>,
}

impl DeadlineBody {
    fn new(body: Incoming) -> Self {
        Self {
            body,
            deadline: Box::pin(tokio::time::sleep(BODY_TIMEOUT)),
        }
    }
}

impl HttpBody for DeadlineBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)));
        }
        let expired = self.deadline.as_mut().poll(context);
        expired.map(|()| Some(Err("the body did not arrive in time".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether the next connection can be accepted all the same.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
