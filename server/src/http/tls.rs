//! Built-in TLS: a certificate and its key from PEM files, reloaded when they change.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

const RELOAD_INTERVAL: Duration = Duration::from_secs(60);

/// Why TLS cannot be set up, with the files and settings to correct.
#[derive(Debug, Error)]
pub enum TlsError {
    /// Only one of the two files is set.
    #[error("AUDITSTREAM_TLS_CERT and AUDITSTREAM_TLS_KEY belong together: set both, or neither")]
    Incomplete,
    /// The file named by a variable cannot be read.
    #[error("{0}: {path} cannot be read: {2}", path = .1.display())]
    Unreadable(&'static str, PathBuf, #[source] std::io::Error),
    /// The certificate is not PEM.
    #[error("AUDITSTREAM_TLS_CERT: {path} is not PEM: {1}", path = .0.display())]
    NotPem(PathBuf, #[source] pem::Error),
    /// The file contains no certificate.
    #[error(
        "AUDITSTREAM_TLS_CERT: {path} has no certificate in it; it must be PEM, with this server's own certificate first",
        path = .0.display()
    )]
    NoCertificate(PathBuf),
    /// The file contains no readable private key.
    #[error(
        "AUDITSTREAM_TLS_KEY: {path} has no readable private key in it ({1}); it must be PEM, without a password",
        path = .0.display()
    )]
    NoKey(PathBuf, #[source] pem::Error),
    /// The key belongs to another certificate.
    #[error(
        "the key in {key} (AUDITSTREAM_TLS_KEY) does not match the certificate in {chain} (AUDITSTREAM_TLS_CERT)",
        key = .key.display(),
        chain = .chain.display()
    )]
    #[expect(missing_docs, reason = "the message names both")]
    KeyMismatch { chain: PathBuf, key: PathBuf },
    /// Certificate and key cannot be used for another reason.
    #[error(
        "the certificate in {chain} and the key in {key} cannot be used: {source}",
        key = .key.display(),
        chain = .chain.display()
    )]
    #[expect(missing_docs, reason = "the message names all")]
    Unusable {
        chain: PathBuf,
        key: PathBuf,
        source: rustls::Error,
    },
    /// The TLS library refuses its configuration.
    #[error("cannot set up TLS: {0}")]
    Setup(#[source] rustls::Error),
}

/// Accepts TLS handshakes; cheap to clone.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
}

#[derive(Debug)]
struct Certificate {
    chain_file: PathBuf,
    key_file: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    last_digest: Mutex<u64>,
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

impl Tls {
    /// Reads the certificate and its key; `None` if neither is set.
    pub fn open(chain: Option<&Path>, key: Option<&Path>) -> Result<Option<Self>, TlsError> {
        let set = |path: Option<&Path>| path.filter(|path| !path.as_os_str().is_empty()).map(Path::to_owned);
        let (chain_file, key_file) = match (set(chain), set(key)) {
            (Some(chain), Some(key)) => (chain, key),
            (None, None) => return Ok(None),
            _ => return Err(TlsError::Incomplete),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let content = Content::read(&chain_file, &key_file)?;
        let certificate = Arc::new(Certificate {
            current: RwLock::new(Arc::new(content.parse(&chain_file, &key_file, &provider)?)),
            last_digest: Mutex::new(content.digest()),
            chain_file,
            key_file,
            provider: Arc::clone(&provider),
        });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificate) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Some(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate,
        }))
    }

    pub(super) fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Reloads the files whenever they change; never completes.
    pub(crate) async fn reload_periodically(&self) {
        loop {
            tokio::time::sleep(RELOAD_INTERVAL).await;
            let tls = self.clone();
            let _ = tokio::task::spawn_blocking(move || tls.reload()).await;
        }
    }

    /// Reads the files again and uses them from now on if they have changed and are valid. Invalid
    /// files are logged once, and the previous certificate stays in use. Blocks.
    pub fn reload(&self) {
        let Certificate {
            chain_file,
            key_file,
            provider,
            current,
            last_digest,
        } = &*self.certificate;
        let content = match Content::read(chain_file, key_file) {
            Ok(content) => content,
            Err(error) => {
                tracing::warn!(%error, "cannot read the TLS files; the previous certificate stays in use");
                return;
            }
        };
        let digest = content.digest();
        let mut last_digest = last_digest.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *last_digest, digest) == digest {
            return;
        }
        match content.parse(chain_file, key_file, provider) {
            Ok(renewed) => {
                *current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(renewed);
                tracing::info!("the TLS certificate has been reloaded");
            }
            Err(error) => tracing::error!(%error, "the new TLS certificate is invalid; the previous one stays in use"),
        }
    }
}

struct Content {
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl Content {
    fn read(chain_file: &Path, key_file: &Path) -> Result<Self, TlsError> {
        let read = |variable, file: &Path| {
            std::fs::read(file).map_err(|error| TlsError::Unreadable(variable, file.to_owned(), error))
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

    fn parse(&self, chain_file: &Path, key_file: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let (chain_path, key_path) = (|| chain_file.to_owned(), || key_file.to_owned());
        let chain = CertificateDer::pem_slice_iter(&self.chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| TlsError::NotPem(chain_path(), error))?;
        if chain.is_empty() {
            return Err(TlsError::NoCertificate(chain_path()));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| TlsError::NoKey(key_path(), error))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::KeyMismatch {
                key: key_path(),
                chain: chain_path(),
            },
            source => TlsError::Unusable {
                chain: chain_path(),
                key: key_path(),
                source,
            },
        })
    }
}
