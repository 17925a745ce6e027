//! An account's webhook, which is notified of destinations that fail, lag or recover.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{EpochMillis, Outcome};

/// The default of `lag_limit_seconds`: 2 hours.
pub const DEFAULT_LAG_LIMIT_SECONDS: u32 = 2 * 3_600;

/// A webhook as a client sends it. `Debug` hides the secret, and the URL, which may contain one.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookInput {
    /// The URL to POST to: http or https.
    #[cfg_attr(
        feature = "openapi",
        schema(
            max_length = 2048,
            pattern = r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,4})?(/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?$"
        )
    )]
    pub url: String,
    /// The key that signs the messages: `whsec_` and base64 of 24 to 64 bytes. Never sent back. If
    /// a replace omits it, the stored key is kept, unless the URL changes.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(pattern = r"^(whsec_)?(([A-Za-z0-9+/]{4}){8,20}([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?|([A-Za-z0-9+/]{4}){21}([A-Za-z0-9+/][AQgw]==)?)$", format = Password))]
    pub secret: Option<String>,
    /// Seconds that a destination may lag before the webhook is notified; 7,200 by default.
    #[serde(default, deserialize_with = "crate::lenient_integer::optional")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 2_592_000))]
    pub lag_limit_seconds: Option<u32>,
}

impl fmt::Debug for WebhookInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookInput")
            .field("lag_limit_seconds", &self.lag_limit_seconds)
            .finish_non_exhaustive()
    }
}

/// A webhook without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Webhook {
    /// The URL that it POSTs to.
    pub url: String,
    /// Seconds that a destination may lag before the webhook is notified.
    pub lag_limit_seconds: u32,
    /// When it was created, epoch ms.
    pub created: EpochMillis,
    /// When it was last changed, epoch ms.
    pub updated: EpochMillis,
}

/// The result of a test message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookTest {
    /// Whether the receiver responded with 2xx.
    pub status: Outcome,
    /// The response, or why there was none.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_secret_and_url() {
        let input = WebhookInput {
            url: "https://hooks.example.com/psst".to_owned(),
            secret: Some("hush".to_owned()),
            lag_limit_seconds: Some(60),
        };
        let shown = format!("{input:?}");
        assert!(
            shown.contains("60") && !shown.contains("hush") && !shown.contains("psst"),
            "{shown}"
        );
    }
}
