//! Whom an account tells of destinations that fail, stay behind or recover.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::EpochMillis;

/// How long a destination may stay behind before it is told of, unless set: 2 hours.
pub const LAG_LIMIT_SECONDS: u32 = 2 * 3_600;

/// A webhook as it is sent. Its `Debug` hides the secret, and the address, which may hold one.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookInput {
    /// Where to POST: http or https.
    #[cfg_attr(
        feature = "openapi",
        schema(
            max_length = 2048,
            pattern = r"^https?://[A-Za-z0-9.-]+(:[0-9]{1,4})?(/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?$"
        )
    )]
    pub url: String,
    /// What signs the messages: `whsec_` and base64 of 24 to 64 bytes. Never sent back; left out on a replace it stays, for
    /// as long as the address does.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(pattern = r"^(whsec_)?(([A-Za-z0-9+/]{4}){8,20}([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?|([A-Za-z0-9+/]{4}){21}([A-Za-z0-9+/][AQgw]==)?)$", format = Password))]
    pub secret: Option<String>,
    /// After how many seconds a destination that is behind is told of; 7,200 unless set.
    #[serde(default, deserialize_with = "crate::whole::optional")]
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

/// A webhook as it comes back, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Webhook {
    /// Where it POSTs.
    pub url: String,
    /// After how many seconds a destination that is behind is told of.
    pub lag_limit_seconds: u32,
    /// When it was made, epoch ms.
    pub created: EpochMillis,
    /// When it was last changed, epoch ms.
    pub updated: EpochMillis,
}

/// How a message of the test went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookTest {
    /// Whether it was taken: answered with 2xx.
    pub status: crate::Outcome,
    /// What came of it.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_secret_nor_address() {
        let sent = WebhookInput {
            url: "https://hooks.example.com/psst".to_owned(),
            secret: Some("hush".to_owned()),
            lag_limit_seconds: Some(60),
        };
        let shown = format!("{sent:?}");
        assert!(
            shown.contains("60") && !shown.contains("hush") && !shown.contains("psst"),
            "{shown}"
        );
    }
}
