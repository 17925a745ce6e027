//! Accepts connections and serves HTTP/1.1. TLS handshakes, request headers, bodies and responses
//! have deadlines, so that a client that sends or reads nothing, or a byte now and then, cannot
//! occupy a connection for long. The number of connections is limited.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::activity::Activity;
use super::client_address::Proxies;
use super::connection_limits::{Connections, Place, default_total};
use super::exchange::respond;
use super::timed_stream::{Deadlines, TimedStream};
use super::tls::Tls;

/// The pause after a connection could not be accepted, for example because too many files are open.
const ACCEPT_BACKOFF: Duration = Duration::from_secs(1);
/// Bytes of a request's head, which are in memory before its sender is known.
const HEAD_BYTES: usize = 32 << 10;
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\n\
content-type: text/plain\r\ncontent-length: 43\r\n\r\nToo many connections. Try again in a while.";

/// The limits of connections.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long the head of a request may take to arrive, and a TLS handshake to complete.
    pub head: Duration,
    /// How long a connection may be idle between two requests.
    pub idle: Duration,
    /// How long a client may read nothing, or next to nothing, of a response.
    pub write: Duration,
    /// Connections at the same time.
    pub connections: usize,
    /// Connections at the same time from one IPv4 address, or one /64 block of IPv6 addresses.
    pub per_network: usize,
    /// The proxies that are exempt from the limit per network.
    pub proxies: Proxies,
}

impl Default for Limits {
    fn default() -> Self {
        let connections = default_total();
        Self {
            head: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
            connections,
            per_network: connections / 4,
            proxies: Proxies::default(),
        }
    }
}

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

    /// The certificate; `None` without TLS.
    pub(crate) fn tls(&self) -> Option<Tls> {
        self.tls.clone()
    }
}

impl From<TcpListener> for Listener {
    fn from(tcp: TcpListener) -> Self {
        Self::new(tcp, None)
    }
}

/// Serves until `stop` completes, and then until the requests in flight have finished.
pub async fn serve(listener: impl Into<Listener>, router: Router, limits: Limits, stop: impl Future<Output = ()>) {
    let Listener { tcp: listener, tls } = listener.into();
    let open = Connections::new(limits.connections, limits.per_network, limits.proxies.clone());
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
        let Some(place) = open.admit(peer.ip()) else {
            if tls.is_none() {
                // Fails only if the client is gone, since nothing was sent before.
                let _ = socket.try_write(BUSY);
            }
            continue;
        };
        // Responses are written in one piece: waiting to fill a packet only delays them.
        let _ = socket.set_nodelay(true);
        let connection = Connection {
            peer,
            place,
            router: router.clone(),
            watcher: connections.watcher(),
        };
        tokio::spawn(connection.run(socket, tls.clone(), limits.clone(), stopped.clone()));
    }
    drop((listener, accepting));
    connections.shutdown().await;
}

/// A connection that has been accepted.
struct Connection {
    peer: SocketAddr,
    place: Place,
    router: Router,
    watcher: Watcher,
}

impl Connection {
    /// Serves the connection until it is closed, or replaced by another one.
    async fn run(self, socket: TcpStream, tls: Option<Tls>, limits: Limits, mut stopped: watch::Receiver<()>) {
        let Self {
            peer,
            place,
            router,
            watcher,
        } = self;
        let deadlines = Deadlines {
            head: limits.head,
            idle: limits.idle,
            write: limits.write,
        };
        let activity = Arc::clone(&place.activity);
        let stream = TimedStream::new(socket, Arc::clone(&activity), deadlines);
        let serving = async {
            let Some(tls) = tls else {
                return serve_connection(stream, peer, router, &activity, watcher).await;
            };
            let handshake = tokio::select! {
                handshake = tokio::time::timeout(limits.head, tls.acceptor().accept(stream)) => handshake,
                _ = stopped.changed() => return,
            };
            if let Ok(Ok(tls_stream)) = handshake {
                serve_connection(tls_stream, peer, router, &activity, watcher).await;
            }
        };
        tokio::select! {
            () = serving => {}
            () = place.activity.evicted() => {}
        }
    }
}

async fn serve_connection<S>(stream: S, peer: SocketAddr, router: Router, activity: &Arc<Activity>, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut http = http1::Builder::new();
    // The stream has the deadlines: hyper's begins as soon as a connection is idle.
    http.timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES);
    let activity = Arc::clone(activity);
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        respond(request, peer, router.clone(), Arc::clone(&activity))
    });
    let connection = http.serve_connection(TokioIo::new(stream), service);
    // Fails if the client disconnects or is too slow, which is not an error of the server.
    let _ = watcher.watch(connection).await;
}

/// Whether the next connection can be accepted all the same.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
