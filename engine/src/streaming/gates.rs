//! What toggles and runs of this process agree on.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, mpsc};

/// The gate of one destination.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// Held while an attempt is recorded and its PUT begins, and while a toggle is saved: so that none begins after the
    /// toggle was answered. Never held while S3 is waited for.
    pub(crate) start: AsyncMutex<()>,
    /// Held by the one run that is under way.
    pub(crate) run: AsyncMutex<()>,
    /// Whether a further run waits for it: one is enough, it will see all that is there when it begins.
    pub(crate) waits: AtomicBool,
}

/// All gates, and the way to ask for a run.
#[derive(Debug)]
pub(crate) struct Gates {
    gates: Mutex<HashMap<i64, Arc<Gate>>>,
    wanted: mpsc::UnboundedSender<i64>,
    wanted_end: Mutex<Option<mpsc::UnboundedReceiver<i64>>>,
}

impl Default for Gates {
    fn default() -> Self {
        let (wanted, wanted_end) = mpsc::unbounded_channel();
        Self {
            gates: Mutex::default(),
            wanted,
            wanted_end: Mutex::new(Some(wanted_end)),
        }
    }
}

impl Gates {
    /// The gate of a destination.
    pub(crate) fn of(&self, destination_id: i64) -> Arc<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(gates.entry(destination_id).or_default())
    }

    /// Asks for a run now. Nothing happens where no scheduler runs, as in a command beside the server.
    pub(crate) fn want_run(&self, destination_id: i64) {
        let _ = self.wanted.send(destination_id);
    }

    /// The scheduler's end; there is one.
    pub(crate) fn take_wanted(&self) -> Option<mpsc::UnboundedReceiver<i64>> {
        self.wanted_end.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
