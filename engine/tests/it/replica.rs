//! Another server on a database, which can be killed or frozen at any moment, as a process can.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use auditstream_engine::{Config, Engine};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

enum Order {
    /// Does nothing until this is sent.
    Freeze(Receiver<()>),
    Die,
}

/// All its tasks run on one thread, which can be stopped.
pub struct Replica {
    orders: UnboundedSender<Order>,
    thread: Option<JoinHandle<()>>,
}

impl Replica {
    /// Starts it and returns once its scheduler runs.
    pub async fn start(config: Config) -> Self {
        let (orders, mut received) = unbounded_channel();
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let engine = Engine::open(config).await.unwrap();
                let _background = engine.start();
                ready.send(()).unwrap();
                while let Some(Order::Freeze(thaw)) = received.recv().await {
                    // Fails when the test has ended.
                    let _ = thaw.recv();
                }
            });
            // Ends without notifying the database or the store.
            runtime.shutdown_background();
        });
        is_ready.await.unwrap();
        Self {
            orders,
            thread: Some(thread),
        }
    }

    /// Stops it without warning.
    pub fn kill(mut self) {
        self.end();
    }

    /// Freezes it until the sender is used.
    pub fn freeze(&self) -> Sender<()> {
        let (thaw, until) = channel();
        self.orders.send(Order::Freeze(until)).ok().unwrap();
        thaw
    }

    fn end(&mut self) {
        let _ = self.orders.send(Order::Die);
        if let Some(thread) = self.thread.take() {
            // A failed test has already reported why.
            let _ = thread.join();
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.end();
    }
}
