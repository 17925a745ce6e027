//! TLS of our own: a certificate and its key from PEM files, read again when they are renewed.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::cli::fatal::Fatal;

/// Between two looks at the files.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What answers handshakes; cheap to clone.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
}

/// The files, and what was in them when they were last good.
#[derive(Debug)]
struct Certificate {
    chain_file: PathBuf,
    key_file: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    /// The content that was last looked at, good or not.
    seen: Mutex<u64>,
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

impl Tls {
    /// Reads the certificate and its key; none when neither is set.
    ///
    /// # Errors
    /// One without the other; a file that cannot be read or does not hold what it should; a key of another certificate.
    pub fn open(chain: Option<&Path>, key: Option<&Path>) -> Result<Option<Self>, Fatal> {
        let set = |path: Option<&Path>| path.filter(|path| !path.as_os_str().is_empty()).map(Path::to_owned);
        let (chain_file, key_file) = match (set(chain), set(key)) {
            (Some(chain), Some(key)) => (chain, key),
            (None, None) => return Ok(None),
            _ => {
                return Err(Fatal::new(
                    "AUDITSTREAM_TLS_CERT and AUDITSTREAM_TLS_KEY belong together: set both, or neither",
                ));
            }
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let content = Content::read(&chain_file, &key_file)?;
        let certificate = Arc::new(Certificate {
            current: RwLock::new(Arc::new(content.parse(&chain_file, &key_file, &provider)?)),
            seen: Mutex::new(content.digest()),
            chain_file,
            key_file,
            provider: Arc::clone(&provider),
        });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Fatal::new(format!("TLS cannot be set up: {error}")))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificate) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Some(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate,
        }))
    }

    pub(crate) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Takes renewed files on, for as long as it is polled.
    pub(crate) async fn renew(&self) {
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            let tls = self.clone();
            let _ = tokio::task::spawn_blocking(move || tls.look_again()).await;
        }
    }

    /// Reads the files again and, where they have changed and are good, answers with what is in them from now on. Broken ones
    /// are logged once, and the certificate stays as it was. Blocks.
    pub fn look_again(&self) {
        let Certificate {
            chain_file,
            key_file,
            provider,
            current,
            seen,
        } = &*self.certificate;
        let content = match Content::read(chain_file, key_file) {
            Ok(content) => content,
            Err(error) => {
                tracing::warn!(%error, "the TLS certificate stays as it was");
                return;
            }
        };
        let digest = content.digest();
        let before = std::mem::replace(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner), digest);
        if before == digest {
            return;
        }
        match content.parse(chain_file, key_file, provider) {
            Ok(renewed) => {
                *current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(renewed);
                tracing::info!("the TLS certificate was renewed");
            }
            Err(error) => tracing::error!(%error, "the renewed TLS certificate cannot be used; it stays as it was"),
        }
    }
}

/// The bytes of both files.
struct Content {
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl Content {
    fn read(chain_file: &Path, key_file: &Path) -> Result<Self, Fatal> {
        let read = |what: &str, file: &Path| {
            std::fs::read(file)
                .map_err(|error| Fatal::new(format!("{what}: {} cannot be read: {error}", file.display())))
        };
        Ok(Self {
            chain: read("AUDITSTREAM_TLS_CERT", chain_file)?,
            key: read("AUDITSTREAM_TLS_KEY", key_file)?,
        })
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.chain, &self.key).hash(&mut hasher);
        hasher.finish()
    }

    fn parse(&self, chain_file: &Path, key_file: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, Fatal> {
        let (chain_shown, key_shown) = (chain_file.display(), key_file.display());
        let chain = CertificateDer::pem_slice_iter(&self.chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Fatal::new(format!("AUDITSTREAM_TLS_CERT: {chain_shown} is not PEM: {error}")))?;
        if chain.is_empty() {
            return Err(Fatal::new(format!(
                "AUDITSTREAM_TLS_CERT: {chain_shown} has no certificate in it; it must be PEM, this server's own certificate first"
            )));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| {
            Fatal::new(format!(
                "AUDITSTREAM_TLS_KEY: {key_shown} has no private key that can be read in it ({error}); it must be PEM, without a password"
            ))
        })?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| {
            Fatal::new(match error {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => format!(
                    "the key in {key_shown} (AUDITSTREAM_TLS_KEY) is not the one of the certificate in {chain_shown} \
                     (AUDITSTREAM_TLS_CERT)"
                ),
                other => format!("the certificate in {chain_shown} and the key in {key_shown} cannot be used: {other}"),
            })
        })
    }
}
