//! Built-in TLS: serving, invalid files, renewed certificates, slow handshakes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use auditstream_server::cli::serve;
use auditstream_server::http::connections::{self, Listener};
use auditstream_server::http::tls::Tls;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::app::{App, PASSWORD};
use crate::process::{Server, auditstream, refused};

/// A certificate for `localhost` and its key, as files.
pub(crate) struct Pair {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Pair {
    pub(crate) fn make(folder: &Path, name: &str) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let pair = Self {
            cert: folder.join(format!("{name}.crt")),
            key: folder.join(format!("{name}.key")),
        };
        std::fs::write(&pair.cert, cert.pem()).unwrap();
        std::fs::write(&pair.key, signing_key.serialize_pem()).unwrap();
        pair
    }

    fn open(&self) -> Tls {
        Tls::open(Some(&self.cert), Some(&self.key)).unwrap().unwrap()
    }
}

/// Sends a request as a client that only trusts this certificate. Returns the negotiated protocol
/// and the response.
pub(crate) async fn ask(address: &str, trusted: &Path, request: &str) -> std::io::Result<(Option<Vec<u8>>, String)> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let socket = TcpStream::connect(address.trim_start_matches("https://")).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
    let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    Ok((protocol, answer))
}

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_certificate_everything_is_served_over_tls() {
    let folder = TempDir::new().unwrap();
    let pair = Pair::make(folder.path(), "here");
    let mut command = auditstream(folder.path(), &["serve"]);
    command
        .env("AUDITSTREAM_TLS_CERT", &pair.cert)
        .env("AUDITSTREAM_TLS_KEY", &pair.key)
        .env("AUDITSTREAM_ADMIN_EMAIL", "ada@example.com")
        .env("AUDITSTREAM_ADMIN_PASSWORD", PASSWORD);
    let server = Server::start_with(&mut command);
    assert!(server.address.starts_with("https://127.0.0.1:"), "{}", server.address);
    let (protocol, page) = ask(&server.address, &pair.cert, &get("/sign-in")).await.unwrap();
    assert_eq!(protocol.as_deref(), Some(b"http/1.1".as_slice()));
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    // Its listen address is the public one: cookies require TLS, and its loopback names may ask for
    // changes.
    let body = format!("email=ada%40example.com&password={}", PASSWORD.replace(' ', "+"));
    let port = server.address.rsplit(':').next().unwrap();
    let sign_in = |origin: String| {
        format!(
            "POST /sign-in HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\norigin: {origin}\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let own = sign_in(format!("https://localhost:{port}"));
    let (_, answer) = ask(&server.address, &pair.cert, &own).await.unwrap();
    assert!(answer.contains("set-cookie: __Host-auditstream_session="), "{answer}");
    let plain = sign_in(format!("http://localhost:{port}"));
    let (_, answer) = ask(&server.address, &pair.cert, &plain).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    // Plain HTTP fails.
    let plain = reqwest::get(server.address.replace("https://", "http://")).await;
    assert!(plain.is_err(), "{plain:?}");
}

#[test]
fn invalid_certificates_and_keys_are_reported_in_one_line() {
    let folder = TempDir::new().unwrap();
    let (one, other) = (Pair::make(folder.path(), "one"), Pair::make(folder.path(), "other"));
    let broken = folder.path().join("broken.pem");
    std::fs::write(
        &broken,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    let missing = folder.path().join("missing.pem");
    for (cert, key, text) in [
        (Some(&one.cert), None, "set both, or neither"),
        (None, Some(&one.key), "set both, or neither"),
        (Some(&missing), Some(&one.key), "missing.pem cannot be read"),
        (Some(&one.cert), Some(&missing), "missing.pem cannot be read"),
        (Some(&one.key), Some(&one.key), "one.key has no certificate"),
        (Some(&one.cert), Some(&one.cert), "one.crt has no readable private key"),
        (Some(&one.cert), Some(&other.key), "does not match the certificate"),
        (Some(&broken), Some(&one.key), "cannot be used"),
    ] {
        let mut command = auditstream(folder.path(), &["serve"]);
        let files = [("AUDITSTREAM_TLS_CERT", cert), ("AUDITSTREAM_TLS_KEY", key)];
        for (name, file) in files {
            if let Some(file) = file {
                command.env(name, file);
            }
        }
        refused(&command.output().unwrap(), text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_loaded_and_an_invalid_one_is_not() {
    let app = App::start().await;
    let folder = TempDir::new().unwrap();
    let (served, renewed) = (
        Pair::make(folder.path(), "served"),
        Pair::make(folder.path(), "renewed"),
    );
    let first = folder.path().join("first.crt");
    std::fs::copy(&served.cert, &first).unwrap();
    let tls = served.open();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", tcp.local_addr().unwrap());
    let state = serve::state(app.engine.clone(), &address);
    let listener = Listener::new(tcp, Some(tls.clone()));
    tokio::spawn(serve::serve(listener, state, std::future::pending()));
    let trusts = async |trusted: &Path| ask(&address, trusted, &get("/healthz")).await.is_ok();
    assert!(trusts(&first).await && !trusts(&renewed.cert).await);

    std::fs::copy(&renewed.cert, &served.cert).unwrap();
    tls.reload();
    assert!(trusts(&first).await, "its key has not been replaced yet");
    std::fs::copy(&renewed.key, &served.key).unwrap();
    tls.reload();
    assert!(trusts(&renewed.cert).await && !trusts(&first).await);
    std::fs::write(&served.cert, "no certificate").unwrap();
    tls.reload();
    std::fs::remove_file(&served.key).unwrap();
    tls.reload();
    assert!(trusts(&renewed.cert).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_handshake_delays_no_other_connection_and_is_abandoned() {
    let app = App::start().await;
    let folder = TempDir::new().unwrap();
    let pair = Pair::make(folder.path(), "here");
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let router = auditstream_server::router(serve::state(app.engine.clone(), &app.address));
    let head = Duration::from_secs(2);
    let serving = tokio::spawn(connections::serve(
        Listener::new(tcp, Some(pair.open())),
        router,
        connections::Limits {
            head,
            ..connections::Limits::default()
        },
        async move { drop(stopped.await) },
    ));
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut begun = TcpStream::connect(address).await.unwrap();
    begun.write_all(&[0x16, 0x03, 0x01, 0x02]).await.unwrap();
    let asked = Instant::now();
    let (_, answer) = ask(&format!("https://{address}"), &pair.cert, &get("/healthz"))
        .await
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && asked.elapsed() < head, "{answer}");
    for socket in [&mut silent, &mut begun] {
        let closed = tokio::time::timeout(Duration::from_secs(10), socket.read(&mut [0; 64])).await;
        assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
    }
    // Nor does it delay the shutdown.
    let _silent = TcpStream::connect(address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let asked = Instant::now();
    stop.send(()).unwrap();
    serving.await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
}
