//! Over what the requests travel: HTTP/2, TLS, Unix sockets.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use raw::{Raw, RawOrigin, ok};

/// A directory of this test's own, removed with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("truehit-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issue(authority: &CertifiedIssuer<'static, KeyPair>, name: &str) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    (certificate, key)
}

fn acceptor(
    (certificate, key): &(rcgen::Certificate, KeyPair),
    clients: Option<&CertificateDer<'static>>,
    alpn: &[&[u8]],
) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

fn secure(server: &RawOrigin, ca_file: &Path) -> config::Origin {
    let tls =
        OriginTls { ca_file: Some(ca_file.to_owned()), server_name: Some("origin.test".to_owned()), client: None };
    let place = OriginPlace::Tcp { tls: true, host: "127.0.0.1".to_owned(), port: server.address.port() };
    config::Origin { tls, ..settings(place) }
}

/// Answers every request on one HTTP/2 connection with what it asked.
async fn serve_h2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let service = service_fn(|request: Request<Incoming>| async move {
        assert!(!request.headers().contains_key("host"));
        let seen = format!("{} {}", request.method(), request.uri());
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(seen))))
    });
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

#[tokio::test]
async fn http2_with_prior_knowledge_shares_one_connection() {
    let server = RawOrigin::start().await;
    let origin = client(&config::Origin { protocol: OriginProtocol::H2, ..settings(place(server.address)) });
    let script = tokio::spawn(async move { serve_h2(server.accept().await.stream).await });
    for target in ["/a/../b?c='", "/%2e%2e", "//evil/x", "/{}|"] {
        let response = fetch(&origin, get(target)).await.unwrap();
        assert_eq!(text(response).await.unwrap(), format!("GET http://example.test{target}"));
    }
    assert_eq!(dials(&origin), 1);
    drop(origin);
    soon(script).await.unwrap();
}

#[tokio::test]
async fn requests_over_http2_are_bounded_as_connections_are() {
    let server = RawOrigin::start().await;
    let bound = config::Origin {
        connections_max: 1,
        connect_timeout: Duration::from_millis(100),
        ..settings(place(server.address))
    };
    let origin = client(&config::Origin { protocol: OriginProtocol::H2, ..bound });
    let script = tokio::spawn(async move { serve_h2(server.accept().await.stream).await });
    let held = fetch(&origin, get("/1")).await.unwrap();
    assert_eq!(fetch(&origin, get("/2")).await.err(), Some(OriginError::ConnectionLimit));
    text(held).await.unwrap();
    text(fetch(&origin, get("/3")).await.unwrap()).await.unwrap();
    drop(origin);
    soon(script).await.unwrap();
}

/// G9, over HTTP/2.
#[tokio::test]
async fn an_old_http2_connection_makes_room_for_another() {
    let server = RawOrigin::start().await;
    let old = config::Origin { age_max: Duration::from_nanos(1), ..settings(place(server.address)) };
    let origin = client(&config::Origin { protocol: OriginProtocol::H2, ..old });
    let script = tokio::spawn(async move {
        for _ in 0..2 {
            serve_h2(server.accept().await.stream).await;
        }
    });
    for target in ["/1", "/2"] {
        text(fetch(&origin, get(target)).await.unwrap()).await.unwrap();
    }
    assert_eq!(dials(&origin), 2);
    drop(origin);
    soon(script).await.unwrap();
}

#[tokio::test]
async fn an_http2_connection_that_died_is_replaced() {
    let server = RawOrigin::start().await;
    let origin = client(&config::Origin { protocol: OriginProtocol::H2, ..settings(place(server.address)) });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let script = tokio::spawn(async move {
        let first = server.accept().await.stream;
        tokio::select! { () = serve_h2(first) => {}, _ = stopped => {} }
        serve_h2(server.accept().await.stream).await;
    });
    text(fetch(&origin, get("/1")).await.unwrap()).await.unwrap();
    stop.send(()).unwrap();
    assert_eq!(text(fetch(&origin, get("/2")).await.unwrap()).await.unwrap(), "GET http://example.test/2");
    assert_eq!(dials(&origin), 2);
    script.abort();
}

#[tokio::test]
async fn alpn_chooses_http2() {
    let scratch = Scratch::new("alpn");
    let authority = authority();
    let ca = scratch.file("ca.pem", &authority.pem());
    let tls = acceptor(&issue(&authority, "origin.test"), None, &[b"h2", b"http/1.1"]);
    let server = RawOrigin::start().await;
    let origin = client(&secure(&server, &ca));
    let script = tokio::spawn(async move {
        let stream = tls.accept(server.accept().await.stream).await.unwrap();
        serve_h2(stream).await;
    });
    for target in ["/1", "/2"] {
        let response = fetch(&origin, get(target)).await.unwrap();
        assert_eq!(text(response).await.unwrap(), format!("GET https://example.test{target}"));
    }
    assert_eq!(dials(&origin), 1);
    script.abort();
}

#[tokio::test]
async fn tls_verifies_the_configured_name_with_the_configured_authority() {
    let scratch = Scratch::new("tls");
    let authority = authority();
    let ca = scratch.file("ca.pem", &authority.pem());
    let tls = acceptor(&issue(&authority, "origin.test"), None, &[]);
    let server = RawOrigin::start().await;
    let origin = client(&secure(&server, &ca));
    let script = async {
        let stream = soon(tls.accept(server.accept().await.stream)).await.unwrap();
        assert_eq!(stream.get_ref().1.server_name(), Some("origin.test"));
        Raw::new(stream).answer(ok("safe")).await;
    };
    let requests = async { text(fetch(&origin, get("/")).await.unwrap()).await };
    assert_eq!(tokio::join!(script, requests).1.unwrap(), "safe");
}

#[tokio::test]
async fn a_certificate_of_another_authority_or_for_another_name_is_refused() {
    let scratch = Scratch::new("refused");
    let (trusted, other) = (authority(), authority());
    let ca = scratch.file("ca.pem", &trusted.pem());
    for pair in [issue(&other, "origin.test"), issue(&trusted, "another.test")] {
        let tls = acceptor(&pair, None, &[]);
        let server = RawOrigin::start().await;
        let origin = client(&secure(&server, &ca));
        let script = async { soon(tls.accept(server.accept().await.stream)).await.map(drop) };
        let (_, failed) = tokio::join!(script, fetch(&origin, get("/")));
        assert!(matches!(failed, Err(OriginError::TlsCertificate(_))), "{:?}", failed.err());
    }
}

#[tokio::test]
async fn an_origin_that_asks_for_a_client_certificate_gets_the_configured_one() {
    let scratch = Scratch::new("client");
    let authority = authority();
    let ca = scratch.file("ca.pem", &authority.pem());
    let (certificate, key) = issue(&authority, "truehit.test");
    let pair = (scratch.file("client.pem", &certificate.pem()), scratch.file("client.key", &key.serialize_pem()));
    let tls = acceptor(&issue(&authority, "origin.test"), Some(authority.der()), &[]);
    let server = RawOrigin::start().await;
    let script = async {
        let stream = soon(tls.accept(server.accept().await.stream)).await.unwrap();
        assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], *certificate.der());
        Raw::new(stream).answer(ok("known")).await;
    };
    let mut with = secure(&server, &ca);
    with.tls.client = Some(pair);
    let with = client(&with);
    let requests = async { text(fetch(&with, get("/")).await.unwrap()).await };
    assert_eq!(tokio::join!(script, requests).1.unwrap(), "known");

    let without = client(&secure(&server, &ca));
    let script = async { soon(tls.accept(server.accept().await.stream)).await.map(drop) };
    let (_, failed) = tokio::join!(script, fetch(&without, get("/")));
    assert!(matches!(failed, Err(OriginError::TlsProtocol(_))), "{:?}", failed.err());
}

#[tokio::test]
async fn a_unix_socket_is_an_origin() {
    let scratch = Scratch::new("unix");
    let path = scratch.0.join("origin.sock");
    let origin = client(&settings(OriginPlace::Unix(path.clone())));
    assert_eq!(fetch(&origin, get("/")).await.err(), Some(OriginError::ConnectionRefused));

    let listener = UnixListener::bind(&path).unwrap();
    let script = async { Raw::new(soon(listener.accept()).await.unwrap().0).answer(ok("local")).await };
    let requests = async { text(fetch(&origin, get("/a/../b")).await.unwrap()).await };
    let (head, body) = tokio::join!(script, requests);
    assert_eq!(body.unwrap(), "local");
    assert!(head.starts_with("GET /a/../b HTTP/1.1\r\n"));
}
