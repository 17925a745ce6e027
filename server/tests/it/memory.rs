//! The memory that attacks may take, measured on the binary as a process: rule 11.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Client;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::app::event;
use crate::process::{Server, auditstream, token};

struct Target {
    _folder: TempDir,
    server: Server,
    ingest: String,
    client: Client,
}

impl Target {
    async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let server = Server::start_with(&mut auditstream(folder.path(), &["serve"]));
        let ingest = token(folder.path(), "ingest");
        let target = Self {
            _folder: folder,
            server,
            ingest,
            client: Client::new(),
        };
        target.accepts_events("before").await;
        target.server.forget_peak();
        target
    }

    async fn send(&self, kind: &str, encoding: &str, body: Vec<u8>) -> u16 {
        let request = self.client.post(format!("{}/v1/audit-events", self.server.address));
        let request = request.bearer_auth(&self.ingest).header("content-type", kind);
        let request = request.header("content-encoding", encoding).body(body);
        request.send().await.unwrap().status().as_u16()
    }

    async fn accepts_events(&self, id: &str) {
        let sent = self
            .send("application/json", "identity", event(id).to_string().into())
            .await;
        assert_eq!(sent, 200, "ingest works");
    }

    async fn connect(&self) -> TcpStream {
        let address = self.server.address.trim_start_matches("http://");
        TcpStream::connect(address).await.unwrap()
    }

    /// Checks that the attack took at most this much memory, in MiB.
    fn took_at_most(&self, before: u64, limit: u64) {
        let taken = self.server.peak_memory() - before;
        assert!(taken <= limit, "{taken} MiB were taken, {limit} MiB are allowed");
    }
}

fn gzip(plain: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(plain.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_errors_or_elements_takes_little_more_than_its_own_size() {
    let target = Target::start().await;
    let before = target.server.peak_memory();
    let pairs: Vec<_> = (0..50_000).map(|n| format!(r#""{n}":1,"{n}":1"#)).collect();
    let twice = format!("{{{}}}", pairs.join(","));
    let errors = gzip(&format!("[{}]", vec![twice; 6].join(",")));
    let elements = gzip(&format!("[{}]", vec!["1"; 8_000_000].join(",")));
    let lines = gzip(&"1\n".repeat(8_000_000));
    for (kind, body, expected) in [
        ("application/json", errors, 422),
        ("application/json", elements, 413),
        ("application/x-ndjson", lines, 413),
    ] {
        let sent = (0..4).map(|_| target.send(kind, "gzip", body.clone()));
        let statuses = futures::future::join_all(sent).await;
        assert!(statuses.contains(&expected), "{statuses:?}");
        assert!(
            statuses.iter().all(|status| [expected, 503].contains(status)),
            "{statuses:?}"
        );
    }
    // Of each body 16 MiB, and half as much while its memory grows; of each event in turn a
    // multiple of 1 MiB.
    target.took_at_most(before, 224);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_take_neither_memory_nor_the_places_of_others() {
    let target = Target::start().await;
    let before = target.server.peak_memory();
    let mut sockets = Vec::new();
    for (path, announced, sent) in [("/x", 2_097_152, 2_097_151), ("/sign-in", 65_536, 65_535)] {
        for _ in 0..64 {
            let mut socket = target.connect().await;
            let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {announced}\r\n\r\n");
            socket.write_all(head.as_bytes()).await.unwrap();
            // Those of `/x`, which has no handler, are refused while they arrive.
            let _ = socket.write_all(&vec![b' '; sent]).await;
            sockets.push(socket);
        }
    }
    for _ in 0..128 {
        let mut socket = target.connect().await;
        socket.write_all(b"GET /healthz HTTP/1.1\r\nx: ").await.unwrap();
        let _ = socket.write_all(&vec![b'x'; 31 << 10]).await;
        sockets.push(socket);
    }
    target.accepts_events("during").await;
    let large = gzip(&"\n".repeat(15 << 20));
    assert_eq!(target.send("application/x-ndjson", "gzip", large).await, 200);
    // 4 MiB of bodies, 32 KiB of each head, and the 16 MiB of the event's sender.
    target.took_at_most(before, 96);
}

#[tokio::test(flavor = "multi_thread")]
async fn zstd_takes_no_more_than_its_limits() {
    let target = Target::start().await;
    let before = target.server.peak_memory();
    let bomb = zstd::encode_all(&vec![b' '; 256 << 20][..], 3).unwrap();
    // A frame without content that announces a window of 128 MiB.
    let window = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x88, 0x01, 0x00, 0x00];
    for (body, expected) in [(bomb, 413), (window, 400)] {
        let sent = (0..24).map(|_| target.send("application/x-ndjson", "zstd", body.clone()));
        let statuses = futures::future::join_all(sent).await;
        assert!(statuses.contains(&expected), "{statuses:?}");
        assert!(
            statuses.iter().all(|status| [expected, 503].contains(status)),
            "{statuses:?}"
        );
    }
    target.accepts_events("after").await;
    target.took_at_most(before, 160);
}
