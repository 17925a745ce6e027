//! The signals of `serve`: the first SIGTERM or SIGINT stops the server, the second ends it at
//! once, SIGHUP loads the TLS certificate again. SIGUSR1 and SIGUSR2, which some tools for log
//! files send, are ignored.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::fatal::Fatal;
use crate::http::tls::Tls;

const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

/// The signals that arrive. None of them ends the process by itself any more.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
}

impl Signals {
    pub(super) fn install() -> Result<Self, Fatal> {
        let install = |kind| signal(kind).map_err(|error| Fatal::new(format!("cannot listen for signals: {error}")));
        Ok(Self {
            terminate: install(SignalKind::terminate())?,
            interrupt: install(SignalKind::interrupt())?,
            hangup: install(SignalKind::hangup())?,
            user1: install(SignalKind::user_defined1())?,
            user2: install(SignalKind::user_defined2())?,
        })
    }

    /// Returns the number of the next signal that asks the server to stop.
    pub(super) async fn stop(&mut self, tls: Option<&Tls>) -> u8 {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return SIGTERM,
                _ = self.interrupt.recv() => return SIGINT,
                _ = self.hangup.recv() => reload(tls),
                _ = self.user1.recv() => tracing::info!("ignored SIGUSR1"),
                _ = self.user2.recv() => tracing::info!("ignored SIGUSR2"),
            }
        }
    }

    /// Forwards the first signal to stop, and returns the number of the second.
    pub(super) async fn stop_twice(mut self, first: oneshot::Sender<()>, tls: Option<Tls>) -> u8 {
        self.stop(tls.as_ref()).await;
        // Fails if the server has ended by itself.
        let _ = first.send(());
        self.stop(tls.as_ref()).await
    }
}

fn reload(tls: Option<&Tls>) {
    let Some(tls) = tls.cloned() else {
        tracing::info!("received SIGHUP: there is nothing to load again");
        return;
    };
    tracing::info!("received SIGHUP: loading the TLS certificate again");
    drop(tokio::task::spawn_blocking(move || tls.reload()));
}
