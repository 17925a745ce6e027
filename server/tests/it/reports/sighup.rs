//! A server is killed by the SIGHUP of logrotate, of `ExecReload`, or of a closed terminal.

use std::io::{BufRead as _, BufReader};

use tempfile::TempDir;

use crate::process::{Server, auditstream, signal};
use crate::tls::{Pair, ask, get};

/// The log of a server, line by line.
fn log_lines(server: &mut Server) -> impl Iterator<Item = String> + use<> {
    let stderr = server.child.stderr.take().unwrap();
    BufReader::new(stderr).lines().map_while(Result::ok)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_certificate_ignores_it() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::spawn(&mut auditstream(folder.path(), &["serve"]));
    let mut log = log_lines(&mut server);
    for (name, line) in [
        ("HUP", "received SIGHUP"),
        ("USR1", "ignored SIGUSR1"),
        ("USR2", "ignored SIGUSR2"),
        ("HUP", "received SIGHUP"),
    ] {
        signal(&server, name);
        assert!(log.any(|found| found.contains(line)), "{name}");
    }
    let ready = reqwest::get(format!("{}/readyz", server.address)).await.unwrap();
    assert_eq!(ready.status(), 200);
    signal(&server, "TERM");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_certificate_loads_it_again() {
    let folder = TempDir::new().unwrap();
    let pair = Pair::make(folder.path(), "served");
    let mut command = auditstream(folder.path(), &["serve"]);
    command
        .env("AUDITSTREAM_TLS_CERT", &pair.cert)
        .env("AUDITSTREAM_TLS_KEY", &pair.key);
    let mut server = Server::spawn(&mut command);
    let mut log = log_lines(&mut server);
    let renewed = Pair::make(folder.path(), "renewed");
    std::fs::copy(&renewed.cert, &pair.cert).unwrap();
    std::fs::copy(&renewed.key, &pair.key).unwrap();
    signal(&server, "HUP");
    assert!(log.any(|line| line.contains("the TLS certificate has been reloaded")));
    let (_, answer) = ask(&server.address, &renewed.cert, &get("/healthz")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
