//! Takes a small body that arrived together with the head of its request, without waiting for it.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Error;
use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, EXPECT};
use futures::{FutureExt as _, StreamExt as _};
use hyper::body::{Frame, SizeHint};

/// The most bytes of such a body. It is in the connection's buffer before its sender is known.
const MOST_BYTES: usize = 16 << 10;

/// A body, after a look at what has arrived of it.
#[derive(Debug)]
pub enum ArrivedBody {
    /// The whole body.
    Whole(Bytes),
    /// A body that has still to be read.
    Rest(Body),
}

impl ArrivedBody {
    /// Looks at what has arrived of a body.
    #[must_use]
    pub fn of(headers: &HeaderMap, body: Body) -> Self {
        let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let length = length.and_then(|length| length.parse::<usize>().ok());
        // A look at the body of a client that waits for 100 (Continue) would ask for the body.
        let is_small = length.is_some_and(|length| length <= MOST_BYTES) && !headers.contains_key(EXPECT);
        if !is_small {
            return Self::Rest(body);
        }
        let mut rest = body.into_data_stream();
        match rest.next().now_or_never().flatten() {
            Some(Ok(bytes)) if Some(bytes.len()) == length => Self::Whole(bytes),
            None => Self::Rest(Body::new(rest)),
            first => Self::Rest(Body::new(Continued { first, rest })),
        }
    }
}

/// A body whose first part has been taken.
struct Continued {
    /// `None` once it has been read again.
    first: Option<Result<Bytes, Error>>,
    rest: BodyDataStream,
}

impl HttpBody for Continued {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(first.map(Frame::data))),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let first = match &self.first {
            Some(Ok(bytes)) => bytes.len() as u64,
            Some(Err(_)) | None => 0,
        };
        let rest = HttpBody::size_hint(&self.rest);
        let mut both = SizeHint::new();
        both.set_lower(rest.lower() + first);
        if let Some(upper) = rest.upper() {
            both.set_upper(upper + first);
        }
        both
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn arrived(length: usize, expects: bool, body: Body) -> ArrivedBody {
        let mut headers = HeaderMap::from_iter([(CONTENT_LENGTH, length.into())]);
        if expects {
            headers.insert(EXPECT, axum::http::HeaderValue::from_static("100-continue"));
        }
        ArrivedBody::of(&headers, body)
    }

    /// The parts of a body, of which only the first has arrived.
    fn slow(parts: [&'static str; 2]) -> Body {
        let [first, second] = parts.map(|part| Ok::<_, Error>(Bytes::from_static(part.as_bytes())));
        let second = async {
            tokio::task::yield_now().await;
            second
        };
        Body::from_stream(stream::iter([first]).chain(stream::once(second)))
    }

    #[test]
    fn a_small_body_that_has_arrived_is_whole() {
        let whole = arrived(3, false, Body::from("abc"));
        assert!(matches!(whole, ArrivedBody::Whole(bytes) if bytes == "abc"));
        let large = Body::from("x".repeat(MOST_BYTES + 1));
        assert!(matches!(arrived(MOST_BYTES + 1, false, large), ArrivedBody::Rest(_)));
        assert!(matches!(arrived(3, true, Body::from("abc")), ArrivedBody::Rest(_)));
    }

    #[tokio::test]
    async fn a_body_of_which_a_part_has_arrived_is_read_from_its_beginning() {
        for (parts, length) in [(["ab", "c"], 3), (["", "abc"], 3)] {
            let ArrivedBody::Rest(body) = arrived(length, false, slow(parts)) else {
                panic!("it has not arrived");
            };
            let read = axum::body::to_bytes(body, 10).await.unwrap();
            assert_eq!(read, "abc");
        }
    }
}
