//! One signed POST, through the same proxies and with the same certificates as the requests to
//! custom endpoints. Redirects are not followed, and the addresses that [`EgressPolicy`] forbids
//! are not contacted under any name.

use std::fmt;
use std::time::Duration;

use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, Uri};
use sha2::Sha256;

use super::outbox::Message;
use super::receiver::Receiver;
use crate::aws::restricted_connector;
use crate::database::now;
use crate::egress_policy::{AddressPolicy, EgressPolicy};

const SIGNATURE_VERSION: &str = "v1";

#[derive(Clone)]
pub(crate) struct Client {
    egress_policy: EgressPolicy,
    /// For accounts that can reach private addresses, and for the others.
    private_connector: SharedHttpConnector,
    public_connector: SharedHttpConnector,
    timeout: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    pub(crate) fn new(egress_policy: EgressPolicy, timeout: Duration) -> Self {
        Self {
            egress_policy,
            private_connector: restricted_connector(AddressPolicy { private: true }),
            public_connector: restricted_connector(AddressPolicy { private: false }),
            timeout,
        }
    }

    /// Contacts a URL on behalf of an account, and returns the `Date` header of its response,
    /// whatever its status.
    pub(crate) async fn date(&self, account: &str, url: &Uri) -> Result<Option<String>, String> {
        let request = Request::head(url)
            .header("user-agent", concat!("auditstream/", env!("CARGO_PKG_VERSION")))
            .body(SdkBody::empty())
            .map_err(|error| error.to_string())?;
        let request = HttpRequest::try_from(request).map_err(|error| error.to_string())?;
        match tokio::time::timeout(self.timeout, self.connector(account).call(request)).await {
            Err(_) => Err(format!(
                "It did not respond within {} seconds.",
                self.timeout.as_secs_f64()
            )),
            Ok(Err(error)) => Err(format!("It cannot be reached: {}.", root_cause(&error))),
            Ok(Ok(response)) => Ok(response.headers().get("date").map(str::to_owned)),
        }
    }

    fn connector(&self, account: &str) -> &SharedHttpConnector {
        if self.egress_policy.of(account).private {
            &self.private_connector
        } else {
            &self.public_connector
        }
    }

    /// Sends a message. The error contains no more of the response than its status code.
    pub(crate) async fn post(&self, receiver: &Receiver, message: &Message) -> Result<(), String> {
        let timestamp = (now() / 1000).to_string();
        let request = Request::post(&receiver.url)
            .header("content-type", "application/json")
            .header("user-agent", concat!("auditstream/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", &timestamp)
            .header("webhook-signature", sign(&receiver.secret, message, &timestamp)?)
            .body(SdkBody::from(message.body.as_str()))
            .map_err(|error| error.to_string())?;
        let request = HttpRequest::try_from(request).map_err(|error| error.to_string())?;
        match tokio::time::timeout(self.timeout, self.connector(&receiver.account).call(request)).await {
            Err(_) => Err(format!(
                "The receiver did not respond within {} seconds.",
                self.timeout.as_secs_f64()
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
