//! Over what requests travel: HTTP/2, TLS and Unix sockets, on either side.

use hyper::body::Incoming;
use tokio::net::{TcpListener, UnixListener};

use super::secrets::Authority;
use super::sidecar::Scratch;
use super::*;

/// Answers with the version that the request came in.
async fn version(request: Request<Incoming>) -> Response<Content> {
    Response::new(full(format!("{:?}", request.version())))
}

#[tokio::test]
async fn each_side_speaks_its_own_version() {
    let origin = Origin::start(version).await;
    for (protocol, expected) in [("auto", "HTTP/1.1"), ("http1", "HTTP/1.1"), ("h2", "HTTP/2.0")] {
        let sidecar = Sidecar::start(&origin.url(), &format!("origin.protocol = \"{protocol}\"")).await;
        for mut client in [sidecar.client().await, sidecar.h2_client().await] {
            let first = client.get("/").await;
            assert_eq!((first.status.as_u16(), first.text()), (200, expected));
            let second = client.get("/").await;
            assert_eq!(second.text(), expected);
            assert_eq!(client.fetch(ask("POST", "/").body(full("x")).unwrap()).await.text(), expected);
        }
    }
}

#[tokio::test]
async fn requests_of_one_http2_client_run_side_by_side() {
    let gate = std::sync::Arc::new(tokio::sync::Barrier::new(8));
    let origin = Origin::start(move |request: Request<Incoming>| {
        let gate = std::sync::Arc::clone(&gate);
        async move {
            // Nobody is answered before all have come.
            gate.wait().await;
            Response::new(full(request.uri().path().to_owned()))
        }
    });
    let url = origin.await.url();
    for protocol in ["http1", "h2"] {
        let sidecar = Sidecar::start(&url, &format!("origin.protocol = \"{protocol}\"")).await;
        let client = sidecar.h2_client().await;
        let (requests, mut answers) = tokio::sync::mpsc::unbounded_channel();
        for number in 0..8 {
            client.concurrent(ask("GET", &format!("/{number}")).body(empty()).unwrap(), requests.clone());
        }
        let mut paths = Vec::new();
        for _ in 0..8 {
            paths.push(soon(answers.recv()).await.unwrap().text().to_owned());
        }
        paths.sort();
        assert_eq!(paths, ["/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7"]);
    }
}

/// An origin that shows a certificate for `origin.test` and wants to see one of the same authority.
#[tokio::test]
async fn tls_to_the_origin_with_its_own_authority_name_and_client_certificate() {
    let (authority, scratch) = (Authority::new(), Scratch::new());
    let ca = scratch.file("ca.pem", &authority.pem());
    let ours = authority.issue("truehit.test");
    let (certificate, key) = ours.write(&scratch, "client");
    for (alpn, expected) in
        [(&[&b"h2"[..], b"http/1.1"][..], "HTTP/2.0"), (&[b"http/1.1"], "HTTP/1.1"), (&[], "HTTP/1.1")]
    {
        let acceptor = authority.acceptor(&authority.issue("origin.test"), alpn);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let seen = ours.der().clone();
        let serving = tokio::spawn(async move {
            loop {
                let Ok(stream) = acceptor.accept(listener.accept().await.unwrap().0).await else { continue };
                let connection = stream.get_ref().1;
                assert_eq!(connection.server_name(), Some("origin.test"));
                assert_eq!(connection.peer_certificates().unwrap().first(), Some(&seen));
                tokio::spawn(peers::serve(stream, version));
            }
        });
        let trusting = format!("origin.tls.ca_file = {ca:?}\norigin.tls.server_name = \"origin.test\"\n");
        let known = format!("origin.tls.client_certificate = {certificate}\norigin.tls.client_key = {key}");
        let sidecar = Sidecar::start(&url, &format!("{trusting}{known}")).await;
        let answer = sidecar.get("/").await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, expected));

        let stranger = Sidecar::start(&url, &trusting).await;
        let refused = stranger.get("/").await;
        assert_eq!(refused.status, 502);
        let untrusting = Sidecar::start(&url, &format!("origin.tls.ca_file = {ca:?}\n{known}")).await;
        let refused = untrusting.get("/").await;
        assert_eq!(refused.status, 502);
        assert_eq!(refused.field("proxy-status"), "truehit; error=tls_certificate_error", "127.0.0.1 is not its name");
        assert!(!serving.is_finished());
    }
}

#[tokio::test]
async fn tls_on_the_listening_side_is_served_and_its_certificate_replaced_by_a_reload() {
    let (old, scratch) = (Authority::new(), Scratch::new());
    let (certificate, key) = old.issue("truehit.test").write(&scratch, "listen");
    let (origin, mut asks) = Origin::telling(|| Response::new(full("safe"))).await;
    let more = format!("listen.tls.certificate = {certificate}\nlisten.tls.private_key = {key}");
    let sidecar = Sidecar::start(&origin.url(), &more).await;
    let connect = async |authority: &Authority, alpn: &[u8]| {
        authority.connect(sidecar.stream().await, "truehit.test", alpn).await
    };
    let mut kept = Client::h1(connect(&old, b"http/1.1").await.unwrap()).await;
    for _ in 0..2 {
        let mut two = Client::h2(connect(&old, b"h2").await.unwrap()).await;
        for client in [&mut kept, &mut two] {
            assert_eq!(client.get("/").await.text(), "safe");
            let (head, _) = asks.recv().await.unwrap();
            assert_eq!(head.headers["x-forwarded-proto"], "https");
        }
    }

    let new = Authority::new();
    new.issue("truehit.test").write(&scratch, "listen");
    sidecar.reload().await;
    let mut client = Client::h1(connect(&new, b"http/1.1").await.unwrap()).await;
    assert_eq!(client.get("/").await.text(), "safe");
    assert!(connect(&old, b"http/1.1").await.is_err(), "the old certificate is gone");
    assert_eq!(kept.get("/").await.text(), "safe", "connections that stand are not disturbed");

    scratch.file("listen.crt", "no certificate");
    sidecar.reload().await;
    assert!(connect(&new, b"http/1.1").await.is_ok(), "a broken one is not taken into use");
    assert_eq!(sidecar.metric("truehit_config_last_reload_successful").await, 0.0);
}

#[tokio::test]
async fn a_unix_socket_is_an_origin() {
    // The path of a socket is short; that of a target directory may not be.
    let name = format!("truehit-wire-{}.sock", std::process::id());
    let path = std::env::temp_dir().join(name);
    let _ = std::fs::remove_file(&path);
    let sidecar = Sidecar::start(&format!("unix:{}", path.display()), "").await;
    let absent = sidecar.get("/").await;
    assert_eq!((absent.status.as_u16(), absent.field("proxy-status")), (502, "truehit; error=connection_refused"));

    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(peers::serve(stream, async |request: Request<Incoming>| {
                let host = request.headers()["host"].to_str().unwrap();
                Response::new(full(format!("{host}{}", request.uri())))
            }));
        }
    });
    assert_eq!(sidecar.get("/a/../b?c").await.text(), "api.test/a/../b?c");
    let _ = std::fs::remove_file(&path);
}
