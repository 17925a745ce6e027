//! A connection's socket with deadlines, so that a client that sends or reads too slowly does not
//! occupy the connection.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::activity::{Activity, Phase};

/// A client must read this many bytes within [`Deadlines::write`].
const WRITE_STEP: usize = 32 << 10;
/// Most bytes that are discarded while a connection is closed.
const LINGER_BYTES: u64 = 128 << 20;
/// How long a connection may take to be closed, and how long the client may pause meanwhile.
const LINGER: Duration = Duration::from_secs(30);
const LINGER_PAUSE: Duration = Duration::from_secs(5);

/// How long a connection waits for its client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadlines {
    /// For the head of a request that has begun, and for the first byte of the first one.
    pub(super) head: Duration,
    /// For the next request. Longer than the 60 s for which load balancers keep idle connections,
    /// so that they close them first.
    pub(super) idle: Duration,
    /// For a client that reads nothing, or next to nothing, of a response.
    pub(super) write: Duration,
}

pub(super) struct TimedStream<S> {
    stream: S,
    activity: Arc<Activity>,
    deadlines: Deadlines,
    /// When the head that is being received began to arrive.
    head_began: Instant,
    read_timer: Timer,
    write_timer: Timer,
    /// Since when a write has been waiting for the client; `None` if none is.
    blocked_since: Option<Instant>,
    /// How long writes have waited, and the bytes that were sent since the last whole step.
    blocked_for: Duration,
    sent: usize,
    linger: Option<Linger>,
}

struct Linger {
    deadline: Instant,
    discarded: u64,
}

/// A timer that is allocated when it is first needed.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn poll_until(&mut self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self
            .0
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(context)
    }
}

impl<S> TimedStream<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>, deadlines: Deadlines) -> Self {
        Self {
            stream,
            activity,
            deadlines,
            head_began: Instant::now(),
            read_timer: Timer::default(),
            write_timer: Timer::default(),
            blocked_since: None,
            blocked_for: Duration::ZERO,
            sent: 0,
            linger: None,
        }
    }

    /// When the connection has waited long enough for the client to send; `None` while a request is
    /// being handled, whose body has a separate deadline.
    fn read_deadline(&self) -> Option<Instant> {
        match self.activity.phase() {
            Phase::Idle => Some(Instant::from_std(self.activity.last_progress()) + self.deadlines.idle),
            Phase::Head => Some(self.head_began + self.deadlines.head),
            Phase::Handling | Phase::Responding => None,
        }
    }

    fn received(&mut self, bytes: usize) {
        if bytes > 0 {
            self.activity.progress();
            if self.activity.phase() == Phase::Idle {
                self.activity.enter(Phase::Head);
                self.head_began = Instant::now();
            }
        }
    }

    fn poll_sent(&mut self, written: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                self.activity.progress();
                self.blocked_for += self
                    .blocked_since
                    .take()
                    .map_or(Duration::ZERO, |since| since.elapsed());
                self.sent += bytes;
                if self.sent >= WRITE_STEP {
                    self.sent = 0;
                    self.blocked_for = Duration::ZERO;
                }
                written
            }
            Poll::Ready(Err(_)) => written,
            Poll::Pending => {
                let since = *self.blocked_since.get_or_insert_with(Instant::now);
                let deadline = since + self.deadlines.write.saturating_sub(self.blocked_for);
                ready!(self.write_timer.poll_until(deadline, context));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> TimedStream<S> {
    /// Discards the rest of a body, until the client closes its side, pauses for too long, or has
    /// sent too much. Closing a socket with unread bytes resets the connection, and a client that
    /// is still sending then never reads the response.
    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut linger = self.linger.take().unwrap_or_else(|| Linger {
            deadline: Instant::now() + LINGER,
            discarded: 0,
        });
        let mut space = [0; 16 << 10];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.activity.progress();
                    linger.discarded += buffer.filled().len() as u64;
                    if linger.discarded > LINGER_BYTES || Instant::now() >= linger.deadline {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        let pause = Instant::from_std(self.activity.last_progress()) + LINGER_PAUSE;
        let deadline = pause.min(linger.deadline);
        self.linger = Some(linger);
        self.read_timer.poll_until(deadline, context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if read.is_ready() {
            this.received(buffer.filled().len() - before);
            return read;
        }
        loop {
            let now = Instant::now();
            let deadline = this.read_deadline();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            // hyper does not ask again when the phase changes, so that no later phase's deadline
            // may be missed meanwhile.
            let next_phase = now + this.deadlines.head.min(this.deadlines.idle);
            let wake_up = deadline.map_or(next_phase, |deadline| deadline.min(next_phase));
            ready!(this.read_timer.poll_until(wake_up, context));
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TimedStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.poll_sent(written, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.poll_sent(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    /// Closes the sending side at once, and then waits for a client that has not been heard out.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            if this.activity.unread() == 0 {
                return Poll::Ready(Ok(()));
            }
            this.activity.progress();
        }
        ready!(this.poll_linger(context));
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// A client that makes room for one byte a millisecond.
    #[derive(Default)]
    struct Trickle(Timer, Option<Instant>);

    impl AsyncWrite for Trickle {
        fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            let Self(timer, next) = self.get_mut();
            let deadline = *next.get_or_insert_with(|| Instant::now() + Duration::from_millis(1));
            ready!(timer.poll_until(deadline, context));
            *next = None;
            Poll::Ready(Ok(1))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncRead for Trickle {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_client_that_reads_a_byte_now_and_then_is_cut_off() {
        let write = Duration::from_millis(50);
        let deadlines = Deadlines {
            head: write,
            idle: write,
            write,
        };
        let mut stream = TimedStream::new(Trickle::default(), Arc::new(Activity::new()), deadlines);
        let sent = stream.write_all(&[0; 1 << 20]).await;
        assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
