//! One request and its response on a connection.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::http::{Request, Response};
use axum::{BoxError, Router};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::Sleep;
use tower::ServiceExt as _;

use super::activity::{Activity, Phase};

/// How long any body may take to arrive; [`body_limit`](super::body_limit) allows less.
const BODY_TIMEOUT: Duration = Duration::from_secs(90);
/// After a response, an unread body of at most this size is dropped and the connection used again.
const DRAINED_BYTES: u64 = 8 << 10;

/// Passes a request on to the router, and tracks what becomes of the two bodies.
pub(super) async fn respond(
    request: Request<Incoming>,
    peer: SocketAddr,
    router: Router,
    activity: Arc<Activity>,
) -> Result<Response<ResponseBody>, Infallible> {
    activity.enter(Phase::Handling);
    activity.set_unread(0);
    let mut request = request.map(|body| Body::new(RequestBody::new(body, Arc::clone(&activity))));
    request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer));
    let mut response = router.oneshot(request).await?;
    if activity.unread() > DRAINED_BYTES {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    activity.enter(Phase::Responding);
    Ok(response.map(|body| ResponseBody { body, activity }))
}

/// The body of a request, with a deadline. When dropped, it records how much of it was not read.
struct RequestBody {
    body: Incoming,
    deadline: Pin<Box<Sleep>>,
    ended: bool,
    activity: Arc<Activity>,
}

impl RequestBody {
    fn new(body: Incoming, activity: Arc<Activity>) -> Self {
        Self {
            ended: body.is_end_stream(),
            body,
            deadline: Box::pin(tokio::time::sleep(BODY_TIMEOUT)),
            activity,
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.ended && !self.body.is_end_stream() {
            self.activity
                .set_unread(self.body.size_hint().upper().unwrap_or(u64::MAX));
        }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.ended = frame.is_none();
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

/// The body of a response. The connection is idle again once it is dropped.
pub(super) struct ResponseBody {
    body: Body,
    activity: Arc<Activity>,
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.activity.enter(Phase::Idle);
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
