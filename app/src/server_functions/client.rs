//! Sends server functions, and marks the requests of polls.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::{Sink, Stream};
use leptos::server_fn::client::Client;
use leptos::server_fn::client::browser::BrowserClient;
use leptos::server_fn::error::FromServerFnError;
use leptos::server_fn::request::browser::BrowserRequest;
use leptos::server_fn::response::browser::BrowserResponse;

/// The request header of a poll. The server does not count such a request as use of the session.
pub const POLL_HEADER: &str = "x-auditstream-poll";

thread_local! {
    static IS_POLL: Cell<bool> = const { Cell::new(false) };
}

/// Marks every request that `future` sends as a poll.
pub(crate) fn as_poll<F: Future + 'static>(future: F) -> impl Future<Output = F::Output> {
    AsPoll(Box::pin(future))
}

struct AsPoll<F>(Pin<Box<F>>);

impl<F: Future> Future for AsPoll<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let outer = IS_POLL.replace(true);
        let state = self.0.as_mut().poll(context);
        IS_POLL.set(outer);
        state
    }
}

/// The client of every server function: the browser's `fetch`.
#[derive(Debug)]
pub struct ConsoleClient;

impl<Error, Input, Output> Client<Error, Input, Output> for ConsoleClient
where
    Error: FromServerFnError,
    Input: FromServerFnError,
    Output: FromServerFnError,
{
    type Request = BrowserRequest;
    type Response = BrowserResponse;

    fn send(request: BrowserRequest) -> impl Future<Output = Result<BrowserResponse, Error>> + Send {
        if IS_POLL.get() {
            request.headers().set(POLL_HEADER, "1");
        }
        <BrowserClient as Client<Error, Input, Output>>::send(request)
    }

    fn open_websocket(
        path: &str,
    ) -> impl Future<
        Output = Result<
            (
                impl Stream<Item = Result<Bytes, Bytes>> + Send + 'static,
                impl Sink<Bytes> + Send + 'static,
            ),
            Error,
        >,
    > + Send {
        <BrowserClient as Client<Error, Input, Output>>::open_websocket(path)
    }

    fn spawn(future: impl Future<Output = ()> + Send + 'static) {
        <BrowserClient as Client<Error, Input, Output>>::spawn(future);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use futures::executor::block_on;

    use super::*;

    #[test]
    fn only_what_a_poll_sends_is_marked() {
        block_on(async {
            let inside = as_poll(async {
                let before = IS_POLL.get();
                // Another task runs between two steps of the poll.
                let mut has_yielded = false;
                futures::future::poll_fn(|context| {
                    if std::mem::replace(&mut has_yielded, true) {
                        return Poll::Ready(());
                    }
                    context.waker().wake_by_ref();
                    Poll::Pending
                })
                .await;
                (before, IS_POLL.get())
            });
            let outside = async { IS_POLL.get() };
            assert_eq!(futures::join!(inside, outside), ((true, true), false));
            assert!(!IS_POLL.get());
        });
    }

    /// Any other client would send polls unmarked, and an open page would keep its session alive.
    #[test]
    fn every_server_function_uses_this_client() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server_functions");
        for file in folder.read_dir().unwrap() {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            for attribute in text.lines().filter(|line| line.starts_with("#[server")) {
                assert!(
                    attribute.contains("client = ConsoleClient"),
                    "{}: {attribute}",
                    path.display()
                );
            }
        }
    }
}
