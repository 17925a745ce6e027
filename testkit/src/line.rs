//! A line between a client and a server that can be slow or go silent without being closed.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

/// How a line carries bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// As fast as they come.
    Fast,
    /// Towards the server, at most this number of bytes per second on each connection.
    Slow(u32),
    /// Not at all. Connections stay open, and new ones are accepted.
    Silent,
}

/// A line on loopback to a server.
#[derive(Debug)]
pub struct Line {
    /// `http://127.0.0.1:PORT`
    pub endpoint: String,
    /// How it carries bytes from now on, on all connections.
    pub quality: watch::Sender<Quality>,
}

/// Bytes that a slow line carries at once. Also the size of its receive buffer, so that what it has
/// not carried yet stays with the sender.
const PIECE: u32 = 16 << 10;

impl Line {
    /// Starts a line to `endpoint`, an `http://` address.
    pub async fn start(endpoint: &str, quality: Quality) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(PIECE).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(64).unwrap();
        let line = Self {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            quality: watch::Sender::new(quality),
        };
        let upstream = endpoint.trim_start_matches("http://").to_owned();
        let quality = line.quality.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (upstream, quality) = (upstream.clone(), quality.clone());
                tokio::spawn(async move {
                    let server = TcpStream::connect(&upstream).await.ok()?;
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    let up = carry(from_client, to_server, quality.clone(), true);
                    let down = carry(from_server, to_client, quality, false);
                    tokio::join!(up, down);
                    Some(())
                });
            }
        });
        line
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut quality: watch::Receiver<Quality>,
    is_slowed: bool,
) -> Option<()> {
    let mut piece = vec![0; PIECE as usize];
    loop {
        let read = from.read(&mut piece).await.ok()?;
        // Fails when the test has ended.
        let now = *quality.wait_for(|quality| *quality != Quality::Silent).await.ok()?;
        if read == 0 {
            return to.shutdown().await.ok();
        }
        if let (Quality::Slow(rate), true) = (now, is_slowed) {
            let time = Duration::from_secs(read as u64) / rate;
            tokio::time::sleep(time).await;
        }
        to.write_all(&piece[..read]).await.ok()?;
    }
}
