//! A TCP proxy that breaks the network: connections that go silent without being closed, answers
//! that get lost, connections that are cut.
//!
//! It knows no protocol, so it can be in front of PostgreSQL, a store, STS or a webhook.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

use crate::wait;

/// Where a proxy leads.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// The state of a connection through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Works,
    /// Open, but no byte passes in either direction.
    Silent,
    /// Bytes pass to the server, and its answers are lost.
    Deaf,
    Cut,
}

/// The fault that a connection meets whose client sends certain bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes do not arrive, and the connection goes silent.
    Silence,
    /// The bytes arrive, and the answer and everything after it are lost.
    LostAnswer,
}

#[derive(Clone)]
struct Trap {
    /// The bytes that one connection must send, one after the other.
    steps: Vec<Vec<u8>>,
    fault: Fault,
    /// Whether it is gone once a connection has met it.
    once: bool,
}

#[derive(Default)]
struct State {
    /// Of each connection since the start.
    lines: Vec<watch::Sender<Line>>,
    trap: Option<Trap>,
    /// Whether connections are silent from their beginning.
    silent_at_first: bool,
}

/// A proxy on loopback that ends with the test.
#[derive(Clone)]
pub struct TcpProxy {
    /// Its own address.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    open: Arc<AtomicUsize>,
    trapped: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
}

impl TcpProxy {
    /// Starts a proxy that passes everything on.
    pub async fn start(upstream: Upstream) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
            open: Arc::default(),
            trapped: Arc::default(),
            sent: Arc::default(),
        };
        let accepting = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(accepting.clone().connect(client, upstream.clone()));
            }
        });
        proxy
    }

    /// Makes the connections that are open go silent, without closing them. New ones work.
    pub fn silence(&self) {
        self.all_to(Line::Silent);
    }

    /// Makes new connections silent, or lets them work again.
    pub fn silence_new(&self, silent: bool) {
        self.state.lock().unwrap().silent_at_first = silent;
    }

    /// Lets connections that are silent work again.
    pub fn resume(&self) {
        self.all_to(Line::Works);
    }

    /// Closes the connections that are open. New ones work.
    pub fn cut(&self) {
        self.all_to(Line::Cut);
    }

    /// Sets the fault that the next connection meets whose client sends these bytes, in this order;
    /// each of them in one piece.
    pub fn trap(&self, steps: &[&[u8]], fault: Fault) {
        self.set_trap(steps, fault, true);
    }

    /// Sets the fault that every connection meets until [`Self::disarm`].
    pub fn trap_each(&self, steps: &[&[u8]], fault: Fault) {
        self.set_trap(steps, fault, false);
    }

    /// Lets connections that have met no fault work.
    pub fn disarm(&self) {
        self.state.lock().unwrap().trap = None;
    }

    fn set_trap(&self, steps: &[&[u8]], fault: Fault, once: bool) {
        let steps = steps.iter().map(|step| step.to_vec()).collect();
        self.state.lock().unwrap().trap = Some(Trap { steps, fault, once });
    }

    /// Waits until `count` connections have met their fault.
    pub async fn trapped(&self, count: usize) {
        wait::until("a connection meets its fault", async || {
            self.trapped.load(Ordering::SeqCst) >= count
        })
        .await;
    }

    /// Returns how often clients have sent something.
    #[must_use]
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::SeqCst)
    }

    /// Returns the number of connections that clients have open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    fn all_to(&self, line: Line) {
        for state in &self.state.lock().unwrap().lines {
            state.send_if_modified(|now| *now != Line::Cut && std::mem::replace(now, line) != line);
        }
    }

    async fn connect(self, client: TcpStream, upstream: Upstream) {
        let (sender, line) = watch::channel(Line::Works);
        {
            let mut state = self.state.lock().unwrap();
            if state.silent_at_first {
                sender.send_replace(Line::Silent);
            }
            state.lines.push(sender.clone());
        }
        self.open.fetch_add(1, Ordering::SeqCst);
        match upstream {
            Upstream::Tcp(address) => {
                let server = TcpStream::connect(address).await.unwrap();
                self.pass(client, server, &sender, line).await;
            }
            Upstream::Unix(path) => {
                let server = UnixStream::connect(path).await.unwrap();
                self.pass(client, server, &sender, line).await;
            }
        }
        self.open.fetch_sub(1, Ordering::SeqCst);
    }

    async fn pass<S>(&self, client: TcpStream, server: S, sender: &watch::Sender<Line>, mut line: watch::Receiver<Line>)
    where
        S: AsyncRead + AsyncWrite,
    {
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = tokio::io::split(server);
        let mut answers = line.clone();
        let there = async {
            let mut bytes = vec![0; 1 << 16];
            let mut met = 0;
            while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
                self.sent.fetch_add(1, Ordering::SeqCst);
                self.meet_trap(&bytes[..count], &mut met, sender);
                if *line.borrow_and_update() == Line::Deaf || line.wait_for(|line| *line == Line::Works).await.is_ok() {
                    let _ = to_server.write_all(&bytes[..count]).await;
                }
            }
        };
        let back = async {
            let mut bytes = vec![0; 1 << 16];
            while let Ok(count @ 1..) = from_server.read(&mut bytes).await {
                // A deaf line waits here until the client gives up.
                let _ = answers.wait_for(|line| *line == Line::Works).await;
                let _ = to_client.write_all(&bytes[..count]).await;
            }
        };
        let mut cut = sender.subscribe();
        tokio::select! {
            () = there => {}
            () = back => {}
            _ = cut.wait_for(|line| *line == Line::Cut) => {}
        }
    }

    /// Counts the steps that a connection has `met`, and applies the fault after the last one.
    fn meet_trap(&self, bytes: &[u8], met: &mut usize, sender: &watch::Sender<Line>) {
        let mut state = self.state.lock().unwrap();
        let Some(trap) = state.trap.clone() else { return };
        let Some(step) = trap.steps.get(*met) else { return };
        if !bytes.windows(step.len()).any(|window| window == step) {
            return;
        }
        *met += 1;
        if *met == trap.steps.len() {
            if trap.once {
                state.trap = None;
            }
            sender.send_replace(match trap.fault {
                Fault::Silence => Line::Silent,
                Fault::LostAnswer => Line::Deaf,
            });
            self.trapped.fetch_add(1, Ordering::SeqCst);
        }
    }
}
