//! One signed POST. Redirects are not followed, and the addresses that [`EgressPolicy`] forbids are
//! not contacted under any name.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use sha2::Sha256;
use tower::Service;

use super::outbox::Message;
use super::receiver::Receiver;
use crate::database::now;
use crate::egress_policy::{EgressPolicy, Unresolved};
use crate::error::{Error, Result};

/// How long the receiver may take to connect, and to respond.
const TIMEOUT: Duration = Duration::from_secs(10);
const SIGNATURE_VERSION: &str = "v1";

#[derive(Clone)]
pub(crate) struct Client {
    egress_policy: EgressPolicy,
    http: legacy::Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    pub(crate) fn new(egress_policy: EgressPolicy) -> Result<Self> {
        let mut http = HttpConnector::new_with_resolver(Resolver(egress_policy));
        http.enforce_http(false);
        http.set_connect_timeout(Some(TIMEOUT));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Broken(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        // Messages are rare, so connections are not reused.
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Ok(Self { egress_policy, http })
    }

    /// Sends a message. The error contains no more of the response than its status code.
    pub(crate) async fn post(&self, receiver: &Receiver, message: &Message) -> Result<(), String> {
        self.egress_policy
            .check_url(&receiver.url)
            .map_err(|refusal| refusal.to_string())?;
        let timestamp = (now() / 1000).to_string();
        let request = Request::post(&receiver.url)
            .header("content-type", "application/json")
            .header("user-agent", concat!("auditstream/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", &timestamp)
            .header("webhook-signature", sign(&receiver.secret, message, &timestamp)?)
            .body(Full::new(Bytes::from(message.body.clone())))
            .map_err(|error| error.to_string())?;
        match tokio::time::timeout(TIMEOUT, self.http.request(request)).await {
            Err(_) => Err(format!(
                "The receiver did not respond within {} seconds.",
                TIMEOUT.as_secs()
            )),
            Ok(Err(error)) => Err(root_cause(&error)),
            Ok(Ok(response)) if response.status().is_success() => Ok(()),
            Ok(Ok(response)) => Err(format!(
                "The receiver responded with HTTP {}.",
                response.status().as_u16()
            )),
        }
    }
}

/// Signs a message as the Standard Webhooks specification requires: HMAC-SHA256 of
/// `id.timestamp.body`.
fn sign(secret: &[u8], message: &Message, timestamp: &str) -> Result<String, String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|error| error.to_string())?;
    for part in [message.id.as_str(), ".", timestamp, ".", message.body.as_str()] {
        mac.update(part.as_bytes());
    }
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    Ok(format!("{SIGNATURE_VERSION},{signature}"))
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// The system's resolver, restricted by the policy. Used for every connection, since the addresses
/// of a name may change.
#[derive(Clone, Copy, Debug)]
struct Resolver(EgressPolicy);

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Unresolved;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Unresolved>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let egress_policy = self.0;
        Box::pin(async move {
            let found = egress_policy.resolve(name.as_str()).await?;
            let found: Vec<_> = found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(found.into_iter())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_matches_the_example_of_the_specification() {
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
