//! TLS on the listening side: a certificate that can be replaced while connections are served.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::config::ListenTls;
use crate::origin::{PemError, pem};

/// Why a certificate cannot be used. The fault is the operator's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// A PEM file could not be read.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The private key is of no known kind, or belongs to another certificate.
    #[error("the certificate and the private key: {0}")]
    Pair(String),
    /// TLS refuses its own settings.
    #[error("TLS: {0}")]
    Tls(String),
}

/// The certificate in use, and the files it came from.
pub struct Certificates {
    files: ListenTls,
    current: ArcSwap<CertifiedKey>,
}

impl Certificates {
    /// Reads the files.
    pub fn load(files: ListenTls) -> Result<Self, CertificateError> {
        let current = ArcSwap::from_pointee(read(&files)?);
        Ok(Self { files, current })
    }

    /// Reads the files again. New connections get the new certificate; on an error, they go on getting the old one.
    pub fn reload(&self) -> Result<(), CertificateError> {
        self.current.store(Arc::new(read(&self.files)?));
        Ok(())
    }

    /// The files, for whoever watches them.
    #[must_use]
    pub const fn files(&self) -> &ListenTls {
        &self.files
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("files", &self.files).finish_non_exhaustive()
    }
}

fn read(files: &ListenTls) -> Result<CertifiedKey, CertificateError> {
    let chain = pem::certificates(&files.certificate)?;
    let key = pem::private_key(&files.private_key)?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|error| CertificateError::Pair(error.to_string()))
}

/// TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1.
pub(super) fn acceptor(certificates: Arc<Certificates>) -> Result<TlsAcceptor, CertificateError> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| CertificateError::Tls(error.to_string()))?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
