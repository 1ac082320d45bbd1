//! Section I: the admin listener, and what is beside it.

use std::net::{IpAddr, SocketAddr};

use tokio::net::{TcpSocket, TcpStream};

use super::sidecar::Scratch;
use super::*;

pub const ROWS: &[Row] = &[
    held(
        1,
        "The admin listener on an address that others reach, without a token",
        "They may look (probes, metrics) and have nothing done: `/drain` is for this machine, or for the token of \
         `admin.token_file`.",
    ),
    held(
        2,
        "DNS rebinding: a request to the admin listener for another name",
        "403, unless the name is an address, `localhost` or in `admin.hosts`. Off loopback that is for `/drain` alone.",
    ),
    held(
        3,
        "CSRF: a web page has its visitor's browser send a request",
        "403 by `Origin` and `Sec-Fetch-Site`. There are no cookies, and no CORS.",
    ),
    held(
        4,
        "Guessing the token",
        "Digests are compared to their last byte; ten wrong tokens a minute from one address, then 429.",
    ),
    held(
        5,
        "Markup in a path, for whoever reads the admin listener in a browser",
        "Answers are text or JSON, with `nosniff` and a policy under which nothing runs.",
    ),
    held(6, "A URL for the admin listener to fetch", "It takes none: an absolute target is its path."),
    held(
        7,
        "Bodies, keys and credentials, in what the admin listener shows",
        "None of them: no label and no line is made of what passes through.",
    ),
    held(8, "`/metrics`, `/livez` and `/drain` on the proxy's own port", "Forwarded like every path."),
];

const TOKEN: &str = "correct-horse-battery-staple";

/// An address of this machine that is not loopback, if there is one: the way out, by which nothing is sent.
fn other_address() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().unwrap().ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

/// A sidecar whose admin listener is on all addresses, and how others reach it.
struct Open {
    sidecar: Sidecar,
    from: IpAddr,
}

impl Open {
    /// `None` on a machine that nobody else could reach: then `admin::gate` alone shows it.
    async fn start(token: bool) -> Option<Self> {
        let from = other_address()?;
        let scratch = Scratch::new();
        let file = scratch.file("token", &format!("{TOKEN}\n"));
        let token = if token { format!("admin.token_file = {file:?}\n") } else { String::new() };
        let text = format!(
            "listen.address = \"127.0.0.1:0\"\nadmin.address = \"0.0.0.0:0\"\norigin.url = \"http://127.0.0.1:1\"\n\
             drain.delay = \"0s\"\n{token}"
        );
        Some(Self { sidecar: Sidecar::of(&text).await, from })
    }

    /// Asks from elsewhere.
    async fn ask(&self, request: http::request::Builder) -> Answer {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(self.from, 0)).unwrap();
        let address = SocketAddr::new(self.from, self.sidecar.addresses.admin.port());
        let stream: TcpStream = soon(socket.connect(address)).await.unwrap();
        let request = request.header("host", address.to_string());
        Client::h1(stream).await.fetch(request.body(empty()).unwrap()).await
    }

    async fn status(&self, path: &str, authorization: Option<&str>) -> u16 {
        let request = authorization
            .into_iter()
            .fold(Request::get(path), |request, value| request.header("authorization", format!("Bearer {value}")));
        self.ask(request).await.status.as_u16()
    }
}

#[tokio::test]
async fn i1_whoever_is_elsewhere_may_look_and_not_drain() {
    let Some(open) = Open::start(false).await else { return };
    for path in ["/metrics", "/livez", "/readyz", "/startupz"] {
        assert_eq!(open.status(path, None).await, 200, "{path}");
    }
    for token in [None, Some(TOKEN), Some("")] {
        assert_eq!(open.status("/drain", token).await, 403);
    }
    assert_eq!(open.sidecar.admin("/readyz").await.status, 200);
    assert_eq!(open.sidecar.admin("/drain").await.status, 200, "from here it may");
}

#[tokio::test]
async fn i1_the_token_lets_others_drain() {
    let Some(open) = Open::start(true).await else { return };
    assert_eq!(open.status("/drain", None).await, 401);
    assert_eq!(open.status("/readyz", None).await, 200);
    assert_eq!(open.status("/drain", Some(TOKEN)).await, 200);
    assert_eq!(open.status("/readyz", None).await, 503);
}

#[tokio::test]
async fn i2_another_name_is_none_of_ours() {
    let sidecar = Sidecar::start("http://127.0.0.1:1", "admin.hosts = [\"truehit.example\"]").await;
    let port = sidecar.addresses.admin.port();
    for path in ["/drain", "/metrics", "/livez", "/nowhere"] {
        for name in ["evil.test".to_owned(), format!("evil.test:{port}"), "127.0.0.1.evil.test".to_owned()] {
            assert_eq!(sidecar.admin_asked(Request::get(path).header("host", name)).await.status, 403, "{path}");
        }
    }
    assert_eq!(sidecar.admin("/readyz").await.status, 200);
    for name in ["localhost", "127.0.0.1", "[::1]", "truehit.example"] {
        let named = Request::get("/livez").header("host", format!("{name}:{port}"));
        assert_eq!(sidecar.admin_asked(named).await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn i3_a_web_page_has_nothing_done() {
    let sidecar = Sidecar::start("http://127.0.0.1:1", "").await;
    for (field, value) in [
        ("origin", "http://evil.test"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "same-origin"),
    ] {
        for method in ["GET", "POST"] {
            let request = Request::builder().method(method).uri("/drain").header("host", "localhost");
            let request = request.header("content-type", "application/x-www-form-urlencoded").header(field, value);
            let answer = sidecar.admin_asked(request).await;
            assert_eq!((answer.status.as_u16(), answer.field("access-control-allow-origin")), (403, ""), "{value}");
        }
    }
    assert_eq!(sidecar.admin("/readyz").await.status, 200);
    let preflight = Request::builder().method("OPTIONS").uri("/drain").header("host", "localhost");
    assert_eq!(sidecar.admin_asked(preflight).await.status, 405);
}

#[tokio::test]
async fn i4_ten_wrong_tokens_are_enough() {
    let Some(open) = Open::start(true).await else { return };
    for number in 0..10 {
        assert_eq!(open.status("/drain", Some(&format!("wrong-{number}"))).await, 401);
    }
    let request = Request::get("/drain").header("authorization", format!("Bearer {TOKEN}"));
    let answer = open.ask(request).await;
    assert_eq!(answer.status, 429, "not even the right one");
    assert!((1..=60).contains(&answer.field("retry-after").parse::<u64>().unwrap()));
    assert_eq!(open.status("/readyz", None).await, 200, "looking goes on");
}

#[tokio::test]
async fn i5_nothing_runs_in_a_browser_that_looks() {
    let sidecar = Sidecar::start("http://127.0.0.1:1", "").await;
    for path in ["/metrics", "/livez", "/readyz?verbose=%3Cscript%3E", "/%3Cscript%3Ealert(1)", "/drain"] {
        let answer = sidecar.admin(path).await;
        let kind = answer.field("content-type");
        assert!(kind.starts_with("text/plain") || kind == "application/problem+json", "{path}: {kind}");
        assert_eq!(answer.field("x-content-type-options"), "nosniff");
        assert_eq!(answer.field("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
        assert_eq!(answer.field("cache-control"), "no-store");
    }
}

#[tokio::test]
async fn i6_a_url_is_not_fetched() {
    let (origin, mut asks) = Origin::telling(|| Response::new(full("fetched"))).await;
    let sidecar = Sidecar::start("http://127.0.0.1:1", "").await;
    let url = origin.url();
    for target in [format!("{url}/livez"), format!("{url}/secret"), format!("/livez?url={url}/secret")] {
        let mut admin = Raw::connect(sidecar.addresses.admin).await;
        admin.write(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await;
        let said = String::from_utf8(admin.closed().await).unwrap();
        assert!(said.starts_with("HTTP/1.1 ") && !said.contains("fetched"), "{said}");
    }
    assert!(asks.try_recv().is_err());
}

#[tokio::test]
async fn i7_what_passes_through_is_not_shown() {
    const SECRET: &str = "s3cr3t-of-somebody";
    let answer = || Response::builder().header("etag", format!("\"{SECRET}\"")).body(full(SECRET)).unwrap();
    let (origin, _asks) = Origin::telling(answer).await;
    let more = "defaults.key_headers = [\"x-tenant\"]\nadmin.hosts = []";
    let sidecar = Sidecar::start(&origin.url(), more).await;
    for method in ["GET", "GET", "POST", SECRET] {
        let request = ask(method, &format!("/{SECRET}?{SECRET}={SECRET}")).header("x-tenant", SECRET);
        let request = request.header("authorization", format!("Bearer {SECRET}")).header("cookie", SECRET);
        assert_eq!(sidecar.client().await.fetch(request.body(empty()).unwrap()).await.status, 200);
    }
    assert!(sidecar.metric("truehit_store_entries").await > 0.0);
    for path in
        ["/metrics", "/livez?verbose", "/readyz?verbose", "/startupz?verbose", "/", "/debug", "/config", "/drain"]
    {
        let answer = sidecar.admin(path).await;
        assert!(!answer.text().contains(SECRET) && !format!("{:?}", answer.fields).contains(SECRET), "{path}");
    }
}

#[tokio::test]
async fn i8_the_proxys_own_port_has_no_paths_of_its_own() {
    let (origin, mut asks) = Origin::telling(|| Response::new(full("the origin's"))).await;
    let sidecar = Sidecar::start(&origin.url(), "").await;
    for path in ["/metrics", "/livez", "/healthz", "/readyz", "/startupz", "/drain", "/admin"] {
        for method in ["GET", "POST"] {
            let request = ask(method, path).body(empty()).unwrap();
            assert_eq!(sidecar.client().await.fetch(request).await.text(), "the origin's");
            assert_eq!(soon(asks.recv()).await.unwrap().0.uri, path);
        }
    }
    assert_eq!(sidecar.admin("/readyz").await.status, 200, "nobody was drained");
}
