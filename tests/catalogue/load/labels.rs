//! What of a client's words becomes a label or a line of a log.

use std::collections::BTreeSet;

use tokio::io::AsyncReadExt;

use super::*;
use crate::program::Running;
use crate::sidecar::Scratch;

/// The series that there are, by name and labels.
async fn series(sidecar: &Sidecar) -> BTreeSet<String> {
    let page = sidecar.admin("/metrics").await;
    let lines = page.text().lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect()
}

#[tokio::test]
async fn f13_what_clients_and_the_origin_say_makes_no_series() {
    let origin = Origin::start(async |request: Request<hyper::body::Incoming>| {
        let status = request.uri().path().trim_start_matches("/status-").parse().unwrap_or(200);
        Response::builder().status(status).header("cache-control", "max-age=1").body(full("1")).unwrap()
    })
    .await;
    let more = "defaults.verify = \"when-stale\"\ndefaults.key_headers = [\"x-tenant\"]";
    let sidecar = Sidecar::start(&origin.url(), more).await;
    for round in 0..2 {
        let mut client = sidecar.client().await;
        for number in 0..25 {
            let name = format!("{round}-{number}");
            for method in ["GET", "POST", &format!("M{name}")] {
                let status = 200 + (number * 7 + round * 3) % 400;
                let target = format!("/status-{status}?{name}={name}");
                let request = Request::builder().method(method).uri(&target).header("host", format!("h{name}.test"));
                let request = request.header("x-tenant", &name).header("user-agent", &name);
                let request = request.header(format!("x-{name}"), &name).header("forwarded", format!("for={name}"));
                client.fetch(request.body(empty()).unwrap()).await;
            }
            client.get(&format!("/{name}/{name}.{name}")).await;
        }
        // Which of the series that may be there are there is a matter of time; there are no others.
        let now = series(&sidecar).await;
        assert!(now.len() <= truehit::metrics::series_ceiling(1), "{}", now.len());
        assert!(now.iter().all(|series| !series.contains(&format!("{round}-"))), "{now:#?}");
    }
}

#[tokio::test]
async fn f14_a_line_of_the_log_is_one_line_of_bounded_length() {
    // What a log reader would take for a line of its own, for a colour, or for the end of a string.
    const HOSTILE: [&str; 8] = [
        "%0d%0a{\"outcome\":\"checked\"}",
        "\\r\\n\\u001b[31m",
        "\",\"status\":200,\"x\":\"",
        "%1b[2J%1b]0;title%07",
        "a\u{85}b\u{2028}c",
        "\u{202e}txt.exe",
        "%00",
        "\u{ff}\u{fe}",
    ];
    let (origin, _asks) = Origin::telling(|| Response::new(full("1"))).await;
    let scratch = Scratch::new();
    let file =
        scratch.file("truehit.toml", "limits.head_bytes = \"256KiB\"\nlog.level = \"trace\"\ndrain.delay = \"0s\"\n");
    let args = ["--origin", &origin.url(), "--config", file.to_str().unwrap(), "--access-log"];
    let mut proxy = Running::start(&args).await;
    let long = "y".repeat(64 * 1024);
    let mut heads: Vec<Vec<u8>> = Vec::new();
    for word in HOSTILE.iter().copied().chain([&*long]) {
        heads.push(format!("GET /{word} HTTP/1.1\r\nHost: api.test\r\n").into());
        heads.push(format!("GET /?{word}={word} HTTP/1.1\r\nHost: api.test\r\n").into());
        heads.push(format!("GET / HTTP/1.1\r\nHost: {word}\r\n").into());
        heads
            .push(format!("GET / HTTP/1.1\r\nHost: api.test\r\nUser-Agent: {word}\r\nX-Request-Id: {word}\r\n").into());
        heads.push(format!("{word} / HTTP/1.1\r\nHost: api.test\r\n").into());
    }
    for raw in [&b"\x1b[31mred"[..], b"a\rb", b"a\nb", b"\x00", b"\x7f", b"\xff\xfe"] {
        heads.push([b"GET /", raw, b" HTTP/1.1\r\nHost: api.test\r\n"].concat());
        heads.push([b"GET / HTTP/1.1\r\nHost: ", raw, b"\r\n"].concat());
        heads.push([b"GET / HTTP/1.1\r\nHost: api.test\r\nReferer: ", raw, b"\r\n"].concat());
    }
    for head in heads {
        let mut client = Raw::connect(proxy.address).await;
        client.write([&head, &b"Connection: close\r\n\r\n"[..]].concat()).await;
        client.closed().await;
    }
    proxy.signal("TERM").await;
    let mut log = Vec::new();
    soon(proxy.log.get_mut().read_to_end(&mut log)).await.unwrap();
    let mut said = Vec::new();
    soon(proxy.said.get_mut().read_to_end(&mut said)).await.unwrap();
    assert_eq!(soon(proxy.child.wait()).await.unwrap().code(), Some(0));
    for (name, lines, most, bytes) in [("access log", 20, 4_500, log), ("text log", 3, 1_000, said)] {
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.lines().count() >= lines, "{name}: {text}");
        for line in text.lines() {
            assert!(line.len() < most, "{name}: {} bytes", line.len());
            assert!(!line.contains(|c: char| c.is_ascii_control()), "{name}: {line:?}");
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(line.is_object(), "{name}: {line}");
        }
    }
}
