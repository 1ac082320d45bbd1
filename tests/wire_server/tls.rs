//! TLS on the listening side, and its certificate's replacement.

use std::path::PathBuf;

use rcgen::CertifiedKey;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

/// The files of a certificate, in a directory of this test's own.
struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("truehit-server-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a new certificate and gives it.
    fn renew(&self) -> CertificateDer<'static> {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["truehit.test".to_owned()]).unwrap();
        std::fs::write(self.listen().certificate, cert.pem()).unwrap();
        std::fs::write(self.listen().private_key, signing_key.serialize_pem()).unwrap();
        cert.der().clone()
    }

    fn listen(&self) -> ListenTls {
        ListenTls { certificate: self.0.join("tls.crt"), private_key: self.0.join("tls.key") }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn connect(
    server: &Running,
    trusted: &CertificateDer<'static>,
    alpn: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    let name = ServerName::try_from("truehit.test").unwrap();
    soon(TlsConnector::from(Arc::new(config)).connect(name, server.connect().await.stream)).await
}

#[tokio::test]
async fn alpn_chooses_the_version() {
    let files = Files::new("alpn");
    let certificate = files.renew();
    let server = run(Server::bind(&listen(Some(files.listen())), &limits()).unwrap());
    let mut one = Raw::new(connect(&server, &certificate, b"http/1.1").await.unwrap());
    one.write(GET).await;
    assert_eq!(answer(&mut one).await.1, "tls=true HTTP/1.1");
    let (mut two, _driver) = h2(connect(&server, &certificate, b"h2").await.unwrap()).await;
    assert_eq!(h2_get(&mut two, "/").await.unwrap(), "tls=true HTTP/2.0");
}

#[tokio::test]
async fn a_reloaded_certificate_is_served_and_a_broken_one_is_not() {
    let files = Files::new("reload");
    let old = files.renew();
    let server = Server::bind(&listen(Some(files.listen())), &limits()).unwrap();
    let certificates = server.certificates().unwrap();
    let server = run(server);
    connect(&server, &old, b"http/1.1").await.unwrap();

    let new = files.renew();
    certificates.reload().unwrap();
    connect(&server, &new, b"http/1.1").await.unwrap();
    assert!(connect(&server, &old, b"http/1.1").await.is_err());

    std::fs::write(files.listen().certificate, "no certificate").unwrap();
    let broken = certificates.reload().unwrap_err().to_string();
    assert!(broken.contains("tls.crt"), "{broken}");
    connect(&server, &new, b"http/1.1").await.unwrap();
}

#[tokio::test]
async fn a_key_of_another_certificate_is_refused() {
    let files = Files::new("mismatch");
    files.renew();
    let certificate = std::fs::read(files.listen().certificate).unwrap();
    files.renew();
    std::fs::write(files.listen().certificate, certificate).unwrap();
    assert!(Server::bind(&listen(Some(files.listen())), &limits()).is_err());
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_closed() {
    let files = Files::new("handshake");
    files.renew();
    let limits = Limits { head_timeout: Duration::from_millis(100), ..limits() };
    let server = run(Server::bind(&listen(Some(files.listen())), &limits).unwrap());
    server.connect().await.closed().await;
}
