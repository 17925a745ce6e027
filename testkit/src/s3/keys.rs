//! The access keys that the stand-ins for S3 and STS accept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use s3s::S3Result;
use s3s::auth::{S3Auth, SecretKey};

/// The access key that a new store accepts.
pub const ACCESS_KEY: &str = "AKIATEST";
/// The secret of [`ACCESS_KEY`].
pub const SECRET: &str = "canary-secret-1f0c9a";

/// The secret of an access key, and what belongs to it.
#[derive(Clone, Debug)]
pub struct Key {
    /// The secret access key.
    pub secret: String,
    /// The session token that requests must carry; `None` for a permanent key.
    pub token: Option<String>,
    /// When the key expires; `None` for a permanent key.
    pub expires: Option<SystemTime>,
    /// The principal that the key authenticates.
    pub arn: String,
}

/// All keys, by access key. S3 and STS share them, so that the store accepts what STS has issued.
pub type Keys = Arc<Mutex<HashMap<String, Key>>>;

pub(super) fn initial() -> Keys {
    let key = Key {
        secret: SECRET.into(),
        token: None,
        expires: None,
        arn: "arn:aws:iam::123456789012:user/audit".into(),
    };
    Arc::new(Mutex::new(HashMap::from([(ACCESS_KEY.into(), key)])))
}

pub(super) struct KeyRing(pub(super) Keys);

#[async_trait::async_trait]
impl S3Auth for KeyRing {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let keys = self.0.lock().unwrap();
        let key = keys.get(access_key).ok_or_else(|| s3s::s3_error!(InvalidAccessKeyId))?;
        if key.expires.is_some_and(|expires| expires < SystemTime::now()) {
            return Err(s3s::s3_error!(ExpiredToken));
        }
        Ok(key.secret.as_str().into())
    }
}
