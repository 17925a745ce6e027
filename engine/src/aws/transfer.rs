//! Deadlines of a request by its progress: a slow line may take its time as long as it moves. Also
//! finds out how much of a request was sent before it failed.

use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aws_sdk_s3::config::{HttpClient, RuntimeComponents, SharedHttpClient};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::Instant;

use super::settings::Timeouts;

/// Bytes that are given to the connection at once. The connection asks for more once it has room,
/// so that each piece is a sign of progress.
const PIECE: usize = 64 << 10;

/// An HTTP client that ends requests which make no progress.
#[derive(Debug)]
pub(super) struct TimedClient {
    pub(super) timeouts: Timeouts,
    pub(super) client: SharedHttpClient,
}

impl HttpClient for TimedClient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(TimedConnector {
            timeouts: self.timeouts,
            connector: self.client.http_connector(settings, components),
        })
    }
}

#[derive(Debug)]
struct TimedConnector {
    timeouts: Timeouts,
    connector: SharedHttpConnector,
}

impl HttpConnector for TimedConnector {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let bytes = request.body().content_length().unwrap_or(0);
        let (sender, sent) = watch::channel(0);
        if bytes > 0 {
            let inner = request.take_body();
            *request.body_mut() = SdkBody::from_body_1_x(MeteredBody {
                inner,
                piece: Bytes::new(),
                sent: sender,
            });
        }
        let response = self.connector.call(request);
        let timeouts = self.timeouts;
        HttpConnectorFuture::new(await_response(response, sent, bytes, timeouts))
    }
}

async fn await_response(
    response: impl Future<Output = Result<HttpResponse, ConnectorError>>,
    mut progress: watch::Receiver<u64>,
    bytes: u64,
    timeouts: Timeouts,
) -> Result<HttpResponse, ConnectorError> {
    let mut response = pin!(response);
    let began = Instant::now();
    let end = began + timeouts.upload(bytes);
    let (mut sent, mut patience) = (0, timeouts.connect + timeouts.patience(0, bytes));
    let mut moved = began;
    loop {
        tokio::select! {
            biased;
            result = &mut response => {
                // Bytes may have been accepted since the last look.
                let sent = *progress.borrow();
                return match result {
                    Ok(response) if is_page(&response) => {
                        let interruption = Interruption::Page(response.status().as_u16());
                        let error = TransferError { sent, bytes, interruption };
                        Err(ConnectorError::other(error.into(), None))
                    }
                    Ok(response) => Ok(response),
                    Err(error) => Err(mark_unsent(error, sent, bytes)),
                };
            }
            Ok(()) = progress.changed() => {
                sent = *progress.borrow_and_update();
                moved = Instant::now();
                patience = timeouts.patience(sent, bytes);
            }
            () = tokio::time::sleep_until(end.min(moved + patience)) => {
                let interruption = if Instant::now() >= end {
                    Interruption::TooSlow(timeouts.upload(bytes))
                } else if sent < bytes {
                    Interruption::Stalled(patience)
                } else {
                    Interruption::NoResponse(patience)
                };
                let error = TransferError { sent, bytes, interruption };
                return Err(ConnectorError::timeout(error.into()));
            }
        }
    }
}

/// Marks the error of a request that was not sent completely. Its kind stays.
fn mark_unsent(error: ConnectorError, sent: u64, bytes: u64) -> ConnectorError {
    if sent >= bytes {
        return error;
    }
    let (is_timeout, is_io, is_user, other) = (error.is_timeout(), error.is_io(), error.is_user(), error.as_other());
    let interruption = Interruption::Broken(error);
    let marked = TransferError {
        sent,
        bytes,
        interruption,
    }
    .into();
    if is_timeout {
        ConnectorError::timeout(marked)
    } else if is_io {
        ConnectorError::io(marked)
    } else if is_user {
        ConnectorError::user(marked)
    } else {
        ConnectorError::other(marked, other)
    }
}

/// A request that has no response.
#[derive(Debug)]
pub(super) struct TransferError {
    /// Bytes of the body that the connection accepted.
    sent: u64,
    /// Bytes of the body.
    bytes: u64,
    interruption: Interruption,
}

#[derive(Debug)]
enum Interruption {
    /// The connection accepted no byte for this long.
    Stalled(Duration),
    /// The whole request took longer than this.
    TooSlow(Duration),
    /// There was no response for this long after the request was sent.
    NoResponse(Duration),
    Broken(ConnectorError),
    /// A web page reports success, with this status.
    Page(u16),
}

impl TransferError {
    /// Returns the error in the chain of `error`'s sources.
    pub(super) fn find<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            next = error.source();
        }
        None
    }

    /// Returns whether the body was not sent completely, so that the request cannot have taken
    /// effect.
    pub(super) fn is_unsent(&self) -> bool {
        self.sent < self.bytes
    }

    /// Returns whether the line is slower than the slowest that is accepted.
    pub(super) fn is_too_slow(&self) -> bool {
        match self.interruption {
            Interruption::TooSlow(_) => true,
            // Nothing at all is not slow: the store does not read, or the connection is not open.
            Interruption::Stalled(_) => self.sent > 0,
            Interruption::NoResponse(_) => self.bytes > PIECE as u64,
            Interruption::Broken(_) | Interruption::Page(_) => false,
        }
    }

    /// Returns the status of a web page that reports success.
    pub(super) fn page(&self) -> Option<u16> {
        match self.interruption {
            Interruption::Page(status) => Some(status),
            _ => None,
        }
    }

    /// Returns whether a deadline passed.
    pub(super) fn is_timeout(&self) -> bool {
        !matches!(self.interruption, Interruption::Broken(_) | Interruption::Page(_))
    }
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sent,
            bytes,
            interruption,
        } = self;
        match interruption {
            Interruption::Stalled(_) if *sent == 0 => write!(f, "nothing of the request was accepted in time"),
            Interruption::Stalled(time) => write!(
                f,
                "no byte was accepted for {} s, after {sent} of {bytes} bytes",
                time.as_secs_f32()
            ),
            Interruption::TooSlow(time) => write!(
                f,
                "after {} s, {sent} of {bytes} bytes were accepted, and there was no response",
                time.as_secs_f32()
            ),
            Interruption::NoResponse(time) => {
                write!(f, "no response for {} s after the request was sent", time.as_secs_f32())
            }
            Interruption::Broken(_) => write!(f, "the request was not sent completely"),
            Interruption::Page(status) => write!(f, "a web page responded (HTTP {status})"),
        }
    }
}

impl std::error::Error for TransferError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.interruption {
            Interruption::Broken(error) => Some(error),
            _ => None,
        }
    }
}

/// Returns whether a response is a web page that reports success, which no service of AWS and no
/// store sends.
fn is_page(response: &HttpResponse) -> bool {
    let headers = response.headers();
    let content_type = headers.get("content-type").unwrap_or_default();
    response.status().is_success()
        && content_type.starts_with("text/html")
        && !headers.iter().any(|(name, _)| name.starts_with("x-amz"))
}

/// A body in pieces that counts the bytes that the connection has accepted.
struct MeteredBody {
    inner: SdkBody,
    /// Received from `inner`, and not accepted yet.
    piece: Bytes,
    sent: watch::Sender<u64>,
}

impl Body for MeteredBody {
    type Data = Bytes;
    type Error = <SdkBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        if self.piece.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.piece = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        let length = PIECE.min(self.piece.len());
        let piece = self.piece.split_to(length);
        self.sent.send_modify(|sent| *sent += piece.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_empty() && Body::is_end_stream(&self.inner)
    }

    fn size_hint(&self) -> SizeHint {
        let rest = Body::size_hint(&self.inner);
        let ready = self.piece.len() as u64;
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + ready);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + ready);
        }
        hint
    }
}
