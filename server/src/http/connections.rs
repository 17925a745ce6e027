//! Connections: HTTP/1.1, with a limit to the time that a request's head may take, so that a client that sends nothing, or a
//! byte now and then, holds nothing for long. Over TLS the handshake may take as long.

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

use crate::http::tls::Tls;

/// How long the head of a request may take; it is also how long a connection may do nothing.
pub const HEAD: Duration = Duration::from_secs(30);
/// How long any body may take; those of the API have less (see [`bodies`](crate::http::body_limit)).
const BODY: Duration = Duration::from_secs(90);
/// After the system had no connection to give, as when too many files are open.
const REST: Duration = Duration::from_secs(1);

/// Where connections come in, and whether over TLS.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<Tls>,
}

impl Listener {
    /// One that speaks TLS when there is a certificate.
    #[must_use]
    pub fn new(tcp: TcpListener, tls: Option<Tls>) -> Self {
        Self { tcp, tls }
    }

    /// Takes renewed certificates on, for as long as it is polled.
    pub(crate) fn renewal(&self) -> impl Future<Output = ()> + use<> {
        let tls = self.tls.clone();
        async move {
            match tls {
                Some(tls) => tls.renew().await,
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

/// Serves until told to stop, and then until requests in flight have ended.
pub async fn serve(listener: impl Into<Listener>, router: Router, head: Duration, stop: impl Future<Output = ()>) {
    let Listener { tcp: listener, tls } = listener.into();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head);
    let connections = GracefulShutdown::new();
    // Closed when the loop has ended: handshakes are then of no use.
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
                if !is_of_one_connection(&error) {
                    tracing::error!(%error, "connections cannot be accepted; tried again in a second");
                    tokio::time::sleep(REST).await;
                }
                continue;
            }
        };
        // Answers are small and whole: waiting to fill a packet only delays them.
        let _ = socket.set_nodelay(true);
        let (http, router, watcher) = (http.clone(), router.clone(), connections.watcher());
        match tls.clone() {
            None => drop(tokio::spawn(converse(http, socket, peer, router, watcher))),
            Some(tls) => {
                let mut stopped = stopped.clone();
                tokio::spawn(async move {
                    let shaken = tokio::select! {
                        shaken = tokio::time::timeout(head, tls.acceptor().accept(socket)) => shaken,
                        _ = stopped.changed() => return,
                    };
                    if let Ok(Ok(stream)) = shaken {
                        converse(http, stream, peer, router, watcher).await;
                    }
                });
            }
        }
    }
    drop((listener, accepting));
    connections.shutdown().await;
}

/// Answers the requests of one connection.
async fn converse<S>(http: http1::Builder, stream: S, peer: SocketAddr, router: Router, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(|body| Body::new(Timely::new(body)));
        request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer));
        router.clone().oneshot(request)
    });
    let connection = http.serve_connection(TokioIo::new(stream), service);
    // A client that goes away, or is too slow, is no fault of ours.
    let _ = watcher.watch(connection).await;
}

/// A body that fails when it has not come in by its deadline, whoever reads it.
struct Timely {
    body: Incoming,
    deadline: Pin<Box<Sleep>>,
}

impl Timely {
    fn new(body: Incoming) -> Self {
        Self {
            body,
            deadline: Box::pin(tokio::time::sleep(BODY)),
        }
    }
}

impl HttpBody for Timely {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            return Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)));
        }
        let late = self.deadline.as_mut().poll(context);
        late.map(|()| Some(Err("the body did not come in in time".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether it was this connection's fault alone.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
