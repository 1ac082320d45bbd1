//! TLS towards the origin: whom to trust, how to name it, who we are, and which HTTP version to offer.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_rustls::TlsConnector;

use super::pem::{self, PemError};
use crate::config;
use crate::config::OriginProtocol;

/// Why an origin could not be set up from its configuration. The fault is the operator's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginSetupError {
    /// A PEM file could not be read.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The name to verify is not a DNS name or an address.
    #[error("{0:?} is not a name that TLS can verify")]
    ServerName(String),
    /// The host and port cannot be written as an authority.
    #[error("{0:?} is not an authority")]
    Authority(String),
    /// TLS refuses these settings.
    #[error("TLS: {0}")]
    Tls(String),
}

impl From<rustls::Error> for OriginSetupError {
    fn from(error: rustls::Error) -> Self {
        Self::Tls(error.to_string())
    }
}

/// What a handshake with the origin needs.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) connector: TlsConnector,
    pub(super) name: ServerName<'static>,
}

impl Tls {
    pub(super) fn new(host: &str, tls: &config::OriginTls, protocol: OriginProtocol) -> Result<Self, OriginSetupError> {
        let name = tls.server_name.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned()).map_err(|_| OriginSetupError::ServerName(name.to_owned()))?;
        Ok(Self { connector: TlsConnector::from(Arc::new(client_config(tls, protocol)?)), name })
    }
}

fn client_config(tls: &config::OriginTls, protocol: OriginProtocol) -> Result<ClientConfig, OriginSetupError> {
    // The provider is given, not installed for the process: a library that installs another one cannot change it.
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    let builder = match &tls.ca_file {
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in pem::certificates(path)? {
                roots.add(certificate)?;
            }
            builder.with_root_certificates(roots)
        }
        None => builder.with_platform_verifier()?,
    };
    let mut config = match &tls.client {
        Some((chain, key)) => builder.with_client_auth_cert(pem::certificates(chain)?, pem::private_key(key)?)?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = match protocol {
        OriginProtocol::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        OriginProtocol::Http1 => vec![b"http/1.1".to_vec()],
        OriginProtocol::H2 => vec![b"h2".to_vec()],
    };
    Ok(config)
}
