//! One signed POST. Redirects are not followed, and addresses at which hosts and clouds keep what is not for others
//! (link-local, instance metadata) are not spoken to, whatever name they have.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, Uri};
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use sha2::Sha256;
use tower::Service;

use super::outbox::Message;
use crate::error::{Error, Result};
use crate::store::now;

/// How long the receiver may take to connect and to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Instance metadata of EC2 over IPv6.
const EC2_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
const SIGNATURE_VERSION: &str = "v1";

/// Where a message goes and what signs it.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) url: Uri,
    pub(crate) secret: Vec<u8>,
}

/// Speaks HTTP to receivers; cheap to clone.
#[derive(Clone)]
pub(crate) struct Client(legacy::Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// Trusts what the system trusts.
    pub(crate) fn new() -> Result<Self> {
        let mut http = HttpConnector::new_with_resolver(Resolver);
        http.enforce_http(false);
        http.set_connect_timeout(Some(PATIENCE));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let roots = rustls_native_certs::load_native_certs();
        let mut store = rustls::RootCertStore::empty();
        store.add_parsable_certificates(roots.certs);
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Broken(error.to_string()))?
            .with_root_certificates(store)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        // Messages are rare: no connection is kept.
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Ok(Self(client))
    }

    /// Sends a message, and says why it was not taken. Nothing of the answer but its status is told.
    pub(crate) async fn post(&self, receiver: &Receiver, message: &Message) -> Result<(), String> {
        if let Some(ip) = literal(&receiver.url)
            && is_refused(ip)
        {
            return Err(refusal(ip));
        }
        let timestamp = (now() / 1000).to_string();
        let request = Request::post(&receiver.url)
            .header("content-type", "application/json")
            .header("user-agent", concat!("auditstream/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", &timestamp)
            .header("webhook-signature", sign(&receiver.secret, message, &timestamp)?)
            .body(Full::new(Bytes::from(message.body.clone())))
            .map_err(|error| error.to_string())?;
        match tokio::time::timeout(PATIENCE, self.0.request(request)).await {
            Err(_) => Err(format!(
                "The receiver did not answer within {} seconds.",
                PATIENCE.as_secs()
            )),
            Ok(Err(error)) => Err(innermost(&error)),
            Ok(Ok(answer)) if answer.status().is_success() => Ok(()),
            Ok(Ok(answer)) => Err(format!("The receiver answered with HTTP {}.", answer.status().as_u16())),
        }
    }
}

/// As the Standard Webhooks specification has it: HMAC-SHA256 of `id.timestamp.body`.
fn sign(secret: &[u8], message: &Message, timestamp: &str) -> Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|error| error.to_string())?;
    for part in [message.id.as_str(), ".", timestamp, ".", message.body.as_str()] {
        mac.update(part.as_bytes());
    }
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    Ok(format!("{SIGNATURE_VERSION},{signature}"))
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn refusal(ip: IpAddr) -> String {
    format!("{ip} is a link-local or metadata address, to which nothing is sent.")
}

/// The address in an URL that has no name in it.
pub(super) fn literal(url: &Uri) -> Option<IpAddr> {
    let host = url.host()?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether nothing is ever sent there.
pub(super) fn is_refused(ip: IpAddr) -> bool {
    let link_local = |ip: Ipv4Addr| ip.is_link_local();
    match ip {
        IpAddr::V4(ip) => link_local(ip),
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip == EC2_METADATA || ip.to_ipv4().is_some_and(link_local),
    }
}

/// The system's resolver without the addresses that are refused. It is asked at each try: a name may get another address.
#[derive(Clone, Copy, Debug)]
struct Resolver;

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            match found.iter().find(|address| is_refused(address.ip())) {
                Some(address) => Err(io::Error::other(refusal(address.ip()))),
                None => Ok(found.into_iter()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_local_and_metadata_addresses_are_refused_in_every_form() {
        for (url, refused) in [
            ("http://169.254.169.254/latest", true),
            ("http://[fe80::1]:80/", true),
            ("http://[fd00:ec2::254]/", true),
            ("http://[::ffff:169.254.169.254]/", true),
            ("http://127.0.0.1:9/", false),
            ("http://10.0.0.1/", false),
            ("https://[2001:db8::1]/", false),
        ] {
            let ip = literal(&url.parse().unwrap()).unwrap();
            assert_eq!(is_refused(ip), refused, "{url}");
        }
        assert_eq!(literal(&Uri::from_static("https://hooks.example.com/x")), None);
    }

    #[tokio::test]
    async fn a_name_that_leads_to_such_an_address_is_refused() {
        // Resolvers read these as numbers.
        let refused = Resolver.call("169.254.43518".parse().unwrap()).await.unwrap_err();
        assert!(refused.to_string().contains("metadata"), "{refused}");
        assert!(Resolver.call("localhost".parse().unwrap()).await.is_ok());
    }

    #[test]
    fn the_signature_is_the_one_of_the_specification() {
        let secret = BASE64_STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let message = Message {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek".into(),
            body: r#"{"test": 2432232314}"#.into(),
        };
        assert_eq!(
            sign(&secret, &message, "1614265330").unwrap(),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }
}
