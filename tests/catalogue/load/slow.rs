//! Clients that are slow or silent.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::*;
use crate::frames::{self, Frames};
use crate::peers::{channel, data};
use crate::program::Running;
use crate::sidecar::Scratch;

/// Closings by a reason.
fn closings(why: &str) -> String {
    format!("truehit_client_closings_total{{reason=\"{why}\"}}")
}

/// Sends a byte now and then until the other side has had enough, and gives what it said.
async fn drip(mut connection: Raw<tokio::net::TcpStream>) -> String {
    let mut said = Vec::new();
    let dripping = async {
        loop {
            tokio::select! {
                read = connection.stream.read_buf(&mut said) => if !matches!(read, Ok(1..)) { return },
                () = tokio::time::sleep(Duration::from_millis(20)) => {
                    if tokio::io::AsyncWriteExt::write_all(&mut connection.stream, b"x").await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    soon(dripping).await;
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn f1_a_head_that_does_not_end_is_not_waited_for() {
    let (origin, mut asks) = Origin::telling(|| Response::new(full("1"))).await;
    let sidecar = Sidecar::start(&origin.url(), "limits.head_timeout = \"100ms\"").await;
    let beginnings = ["", "G", "GET / HTTP/1.1\r\nHost: api.test", "PRI * HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"];
    for beginning in beginnings {
        let mut client = sidecar.raw().await;
        client.write(beginning).await;
        client.closed().await;
    }
    sidecar.until_metric(&closings("head-late"), 5.0).await;
    let mut slowloris = sidecar.raw().await;
    slowloris.write("GET / HTTP/1.1\r\nHost: api.test\r\nX: ").await;
    drip(slowloris).await;
    sidecar.until_metric(&closings("head-late"), 6.0).await;
    assert!(asks.try_recv().is_err());
}

#[tokio::test]
async fn f1_half_a_handshake_is_not_waited_for() {
    let scratch = Scratch::new();
    let signed = rcgen::generate_simple_self_signed(["api.test".to_owned()]).unwrap();
    let certificate = scratch.file("tls.crt", &signed.cert.pem());
    let key = scratch.file("tls.key", &signed.signing_key.serialize_pem());
    let more = format!(
        "limits.head_timeout = \"100ms\"\nlisten.tls.certificate = {certificate:?}\nlisten.tls.private_key = {key:?}"
    );
    let sidecar = Sidecar::start("http://127.0.0.1:1", &more).await;
    for beginning in [&b""[..], b"\x16\x03\x01"] {
        let mut client = sidecar.raw().await;
        client.write(beginning).await;
        client.closed().await;
    }
    sidecar.until_metric(&closings("head-late"), 2.0).await;
}

/// An origin that reads all content and tells whether it came whole.
async fn reading() -> (Origin, mpsc::UnboundedReceiver<bool>) {
    let (whole, told) = mpsc::unbounded_channel();
    let origin = Origin::start(move |request: Request<Incoming>| {
        let whole = whole.clone();
        async move {
            whole.send(request.into_body().collect().await.is_ok()).unwrap();
            Response::new(full("read"))
        }
    });
    (origin.await, told)
}

#[tokio::test]
async fn f2_content_that_does_not_come_is_408_and_never_looks_whole() {
    let (origin, mut told) = reading().await;
    for protocol in ["http1", "h2"] {
        let more = format!("limits.content_timeout = \"100ms\"\norigin.protocol = \"{protocol}\"");
        let sidecar = Sidecar::start(&origin.url(), &more).await;
        for (mut client, connection) in [(sidecar.client().await, "close"), (sidecar.h2_client().await, "")] {
            let (sender, content) = channel();
            sender.send(data("some")).await.unwrap();
            let answer = client.fetch(ask("POST", "/").body(content).unwrap()).await;
            assert_eq!((answer.status.as_u16(), answer.field("connection")), (408, connection));
            assert_eq!(answer.field("proxy-status"), "truehit; error=http_request_error");
            assert_eq!(soon(told.recv()).await, Some(false), "it broke off");
        }
        sidecar.until_metric(&closings("content-late"), 2.0).await;
    }
}

#[tokio::test]
async fn f2_a_byte_of_content_now_and_then_holds_nothing_for_ever() {
    let (origin, mut told) = reading().await;
    let sidecar = Sidecar::start(&origin.url(), "limits.content_timeout = \"200ms\"").await;
    let mut client = sidecar.raw().await;
    client.write("POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: 1000000\r\n\r\n").await;
    let said = drip(client).await;
    assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("\r\nconnection: close\r\n"), "{said}");
    assert_eq!(soon(told.recv()).await, Some(false));
}

/// An origin with a large thing that may be stored.
async fn large() -> Origin {
    Origin::telling(|| Response::builder().header("etag", "\"1\"").body(full(vec![7; LARGE])).unwrap()).await.0
}

const LARGE: usize = 10_000_000;

/// A configuration under which it is stored and served.
const STORED: &str = "defaults.object_max = \"16MiB\"\ncache.memory = \"64MiB\"\ndefaults.verify = \"60s\"";

#[tokio::test]
async fn f2_a_reader_that_takes_nothing_is_closed() {
    let origin = large().await;
    let sidecar = Sidecar::start(&origin.url(), &format!("{STORED}\nlimits.write_timeout = \"1s\"")).await;
    assert_eq!(sidecar.get("/").await.body.len(), LARGE);
    let mut one = sidecar.raw().await;
    one.write("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n").await;
    sidecar.until_metric(&closings("write-late"), 1.0).await;
    // All the windows are open, and nobody reads the socket.
    let mut two = Frames::begin(sidecar.raw().await, i32::MAX as u32).await;
    two.write(frames::get(1, "/")).await;
    sidecar.until_metric(&closings("write-late"), 2.0).await;
    sidecar.until_metric("truehit_connections", 0.0).await;
    drop((one, two));
}

#[tokio::test]
async fn f2_a_stream_whose_window_stays_shut_is_reset_and_the_others_go_on() {
    // More than a window, and less than a socket takes by itself.
    let (origin, _asks) =
        Origin::telling(|| Response::builder().header("etag", "\"1\"").body(full(vec![7; 100_000])).unwrap()).await;
    let sidecar = Sidecar::start(&origin.url(), "limits.write_timeout = \"200ms\"").await;
    for window in [0, 1, 65_535] {
        let mut client = Frames::begin(sidecar.raw().await, window).await;
        client.write(frames::get(1, "/")).await;
        assert_eq!(client.status(1).await, 200);
        client.until(frames::RST_STREAM, 1).await;
        // This one opens its window, and has its answer.
        client.write([frames::get(3, "/"), frames::window(3, 200_000)].concat()).await;
        let mut came = 0;
        while came < 100_000 {
            came += client.until(frames::DATA, 3).await.payload.len();
        }
    }
    sidecar.until_metric(&closings("stream-late"), 3.0).await;
    assert_eq!(sidecar.metric(&closings("write-late")).await, 0.0);
}

#[tokio::test]
async fn f2_nobody_is_hurried_while_the_origin_is_silent() {
    let (kept, mut senders) = mpsc::unbounded_channel();
    let origin = Origin::start(move |request: Request<Incoming>| {
        let kept = kept.clone();
        async move {
            if request.headers().contains_key("upgrade") {
                tokio::spawn(async move {
                    let mut tunnel = hyper_util::rt::TokioIo::new(hyper::upgrade::on(request).await.unwrap());
                    let (mut read, mut write) = tokio::io::split(&mut tunnel);
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
                let switch = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "echo");
                return switch.body(empty()).unwrap();
            }
            let (frames, body) = channel();
            frames.send(data("event")).await.unwrap();
            kept.send(frames).unwrap();
            Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
        }
    });
    let more = "limits.write_timeout = \"50ms\"\nlimits.content_timeout = \"50ms\"\nlimits.head_timeout = \"500ms\"\n\
                limits.idle_timeout = \"50ms\"\norigin.progress_timeout = \"60s\"";
    let sidecar = Sidecar::start(&origin.await.url(), more).await;
    let mut tunnel = sidecar.raw().await;
    tunnel.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await;
    assert!(tunnel.head().await.starts_with("HTTP/1.1 101"));
    let mut streams = Vec::new();
    for multiplexed in [false, true] {
        let mut client = if multiplexed { sidecar.h2_client().await } else { sidecar.client().await };
        let mut events = client.send(ask("GET", "/").body(empty()).unwrap()).await.into_body();
        assert_eq!(soon(events.frame()).await.unwrap().unwrap().into_data().unwrap(), "event");
        streams.push((client, events, soon(senders.recv()).await.unwrap()));
    }
    // Those who ask for nothing go meanwhile: twenty times as long as a write or an idle client may take passes.
    for number in 1..=2 {
        sidecar.raw().await.closed().await;
        sidecar.until_metric(&closings("head-late"), f64::from(number)).await;
    }
    for (_client, events, sender) in &mut streams {
        sender.send(data("another")).await.unwrap();
        assert_eq!(soon(events.frame()).await.unwrap().unwrap().into_data().unwrap(), "another");
    }
    tunnel.write("still here!").await;
    assert_eq!(tunnel.until(b"!").await, b"still here!");
}

#[tokio::test]
async fn f2_a_tunnel_whose_client_takes_nothing_is_closed() {
    let origin = Origin::start(|request: Request<Incoming>| async move {
        tokio::spawn(async move {
            let mut tunnel = hyper_util::rt::TokioIo::new(hyper::upgrade::on(request).await.unwrap());
            while tokio::io::AsyncWriteExt::write_all(&mut tunnel, &[7; 65_536]).await.is_ok() {}
        });
        let switch = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "noise");
        switch.body(empty()).unwrap()
    });
    let sidecar = Sidecar::start(&origin.await.url(), "limits.write_timeout = \"200ms\"").await;
    let mut tunnel = sidecar.raw().await;
    tunnel.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: noise\r\n\r\n").await;
    sidecar.until_metric(&closings("write-late"), 1.0).await;
    sidecar.until_metric("truehit_connections", 0.0).await;
    drop(tunnel);
}

/// 50 readers that never read, of something stored and of something that passes, in both versions. What the kernel holds
/// for their sockets is not counted: it has its own bound (`net.ipv4.tcp_wmem`).
#[tokio::test]
async fn f2_a_reader_that_takes_nothing_holds_less_than_a_megabyte() {
    const READERS: u64 = 50;
    let origin = large().await;
    let scratch = Scratch::new();
    let config = format!("{STORED}\nroute = [{{ name = \"passing\", paths = [\"/passing\"], verify = \"off\" }}]\n");
    for (target, protocol) in [("/stored", "http1"), ("/passing", "http1"), ("/passing", "h2")] {
        let file = scratch.file("truehit.toml", &format!("{config}[origin]\nprotocol = \"{protocol}\"\n"));
        let proxy = Running::start(&["--origin", &origin.url(), "--config", file.to_str().unwrap()]).await;
        for target in [target, "/stored"] {
            assert_eq!(proxy.get(target).await.body.len(), LARGE);
        }
        for multiplexed in [false, true] {
            let before = proxy.memory();
            let mut readers = Vec::new();
            for _ in 0..READERS {
                let mut reader = Raw::connect(proxy.address).await;
                if multiplexed {
                    let mut reader = Frames::begin(reader, i32::MAX as u32).await;
                    reader.write(frames::get(1, target)).await;
                    assert_eq!(reader.status(1).await, 200);
                    readers.push(reader);
                } else {
                    reader.write(format!("GET {target} HTTP/1.1\r\nHost: api.test\r\n\r\n")).await;
                    assert!(reader.head().await.starts_with("HTTP/1.1 200"));
                    readers.push(Frames(reader));
                }
            }
            let mut most = before;
            // Others are served meanwhile, and give it the time to take what it will.
            for _ in 0..8 {
                assert_eq!(proxy.get("/stored").await.body.len(), LARGE);
                most = most.max(proxy.memory());
            }
            let each = (most - before) / READERS;
            assert!(
                each < 1_000_000,
                "{each} bytes for each reader of {target} over {protocol}, itself over HTTP/2: {multiplexed}"
            );
            eprintln!("{each} bytes for each reader of {target} over {protocol}, itself over HTTP/2: {multiplexed}");
            drop(readers);
        }
    }
}

/// 64 descriptors: a quarter is kept, so 48 clients are let in. The origin is reached over new connections all the while.
#[tokio::test]
async fn f11_without_descriptors_the_next_client_waits_and_the_others_are_served() {
    const PLACES: usize = 48;
    let (origin, _asks) =
        Origin::telling(|| Response::builder().header("connection", "close").body(full("1")).unwrap()).await;
    let proxy = Running::with_descriptors(64, &["--origin", &origin.url()]).await;
    let mut served = vec![proxy.client().await];
    assert_eq!(served[0].get("/").await.text(), "1");
    while served.len() < PLACES {
        let mut client = proxy.client().await;
        assert_eq!(client.get("/").await.text(), "1", "client {}", served.len());
        served.push(client);
    }
    // These are connected by the kernel, and nobody reads what they say.
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut client = Raw::connect(proxy.address).await;
        client.write("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n").await;
        waiting.push(client);
    }
    let before = processor_ticks(proxy.id());
    for _ in 0..3 {
        for client in &mut served {
            assert_eq!(client.get("/").await.text(), "1");
        }
    }
    let spent = processor_ticks(proxy.id()) - before;
    assert!(spent < 300, "{spent} hundredths of a second for 144 requests");
    assert_eq!(proxy.metric("truehit_connections").await, 48.0);
    for mut client in waiting {
        served.pop();
        assert!(client.head().await.starts_with("HTTP/1.1 200"));
        drop(client);
    }
}

/// What a process has spent of a processor, in hundredths of a second.
fn processor_ticks(id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
