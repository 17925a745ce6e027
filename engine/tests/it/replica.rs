//! One more server on a database, which may die or freeze at any moment, as a process does.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use auditstream_engine::{Config, Engine};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

enum Order {
    /// Do nothing at all until this is sent.
    Freeze(Receiver<()>),
    Die,
}

/// It has one thread, on which all its tasks run: when this does nothing, nothing of it does.
pub struct Replica {
    orders: UnboundedSender<Order>,
    thread: Option<JoinHandle<()>>,
}

impl Replica {
    /// Starts it, and returns when its scheduler runs.
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
                    // Also when the test has ended.
                    let _ = thaw.recv();
                }
            });
            // Without a word to anybody: neither the database nor the store is told.
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

    /// Keeps it from doing anything until the sender is used.
    pub fn freeze(&self) -> Sender<()> {
        let (thaw, until) = channel();
        self.orders.send(Order::Freeze(until)).ok().unwrap();
        thaw
    }

    fn end(&mut self) {
        let _ = self.orders.send(Order::Die);
        if let Some(thread) = self.thread.take() {
            // A test that fails has said why already.
            let _ = thread.join();
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.end();
    }
}
