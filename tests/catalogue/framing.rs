//! Section A: how a request is delimited, and what tries to be two requests.

mod smuggler;

use http_body::Frame;
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;

use super::*;
use crate::peers::{channel, data};
use crate::stage::Stage;

pub const ROWS: &[Row] = &[
    held(
        1,
        "`Content-Length` beside `Transfer-Encoding: chunked`",
        "one request, framed by its chunks; then the connection closes",
    ),
    held(2, "a transfer coding that is no list of names ending in `chunked`", "400, closed"),
    held(3, "`Transfer-Encoding: gzip, chunked`", "501, closed"),
    held(4, "`chunked` twice, after an empty member, or after a coding that nobody registered", "400, closed"),
    held(5, "`Transfer-Encoding` in HTTP/1.0", "400, closed"),
    held(6, "lengths that differ, lists of them, and what is no number", "400, closed"),
    held(7, "the same length twice; a length with zeros before it", "one length goes on; 400, closed"),
    held(8, "a folded field, a space before a name or before its colon", "400, closed"),
    held(9, "lines that end without CR", "one request in canonical form"),
    held(10, "bare CR, NUL and other controls in a value", "400, closed"),
    held(11, "an empty field name, a line without colon", "400, closed"),
    held(
        12,
        "a chunk that ends in a bare LF, a bare CR in its extension",
        "the upload breaks off at the origin too; closed",
    ),
    held(
        13,
        "a chunk size that is no hexadecimal number, or too large",
        "the upload breaks off at the origin too; closed",
    ),
    held(14, "a space after a chunk size", "chunked anew, without it"),
    held(15, "20 KB of chunk extensions", "the upload breaks off at the origin too; closed"),
    held(16, "trailers that frame, route or authorise", "dropped"),
    held(
        17,
        "content in a GET that is a hit, and a request behind it",
        "the content passes with its request and is never one of its own",
    ),
    held(
        18,
        "bytes that come early behind a request to upgrade that is not granted",
        "a request of their own, never forwarded raw",
    ),
    held(19, "`Upgrade: h2c`", "goes on without `Upgrade` and `HTTP2-Settings`, and is answered as it is"),
    held(
        20,
        "an expectation other than `100-continue`; a final answer ahead of the content",
        "417; the answer goes out, and the origin's connection is not used again",
    ),
    held(
        21,
        "664 spellings of `Transfer-Encoding`, each beside a length",
        "the origin sees one request for one, never with both fields",
    ),
    held(22, "`Content_Length`, `Transfer_Encoding`; `X_Forwarded_For`", "400; dropped"),
    held(23, "a bare semicolon after a chunk size", "chunked anew, without it"),
    held(24, "an upload that breaks off", "a request that breaks off, at its origin too"),
];

fn post(fields: &str, content: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: api.test\r\n{fields}\r\n{content}")
}

/// A request in chunks; `content` is what follows its head.
fn chunked(content: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", content)
}

#[tokio::test]
async fn a1_a_length_beside_chunks_is_not_believed_and_goes_no_further() {
    let stage = Stage::new().await;
    for fields in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 500\r\n",
    ] {
        let fate = stage.passes(fields, post(fields, "3\r\nabc\r\n0\r\n\r\n"), "abc").await;
        assert!(!fate.lasted, "{fields}: RFC 9112 §6.1: the connection is closed after it");
    }
}

#[tokio::test]
async fn a2_a_coding_that_does_not_end_with_chunked_is_refused() {
    let stage = Stage::new().await;
    for coding in ["xchunked", "chunked, gzip", "chunked;x=1", "\x0bchunked", "gzip", ""] {
        let request = post(&format!("Transfer-Encoding: {coding}\r\n"), "3\r\nabc\r\n0\r\n\r\n");
        stage.refuses(coding, request, 400).await;
    }
}

#[tokio::test]
async fn a3_a_coding_under_the_chunks_is_not_understood() {
    let stage = Stage::new().await;
    for coding in ["gzip, chunked", "GZip , Chunked", "deflate,gzip,chunked"] {
        let request = post(&format!("Transfer-Encoding: {coding}\r\n"), "3\r\nabc\r\n0\r\n\r\n");
        stage.refuses(coding, request, 501).await;
    }
    let counted = "truehit_refused_total{reason=\"transfer-coding\"}";
    assert_eq!(stage.sidecar.metric(counted).await, 3.0);
}

#[tokio::test]
async fn a4_chunked_is_said_once_and_alone() {
    let stage = Stage::new().await;
    for fields in [
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: ,chunked\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: cow, chunked\r\n",
    ] {
        stage.refuses(fields, post(fields, "3\r\nabc\r\n0\r\n\r\n"), 400).await;
    }
}

#[tokio::test]
async fn a5_http_1_0_has_no_transfer_codings() {
    let stage = Stage::new().await;
    let request = "POST /a HTTP/1.0\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    stage.refuses("HTTP/1.0", request, 400).await;
}

#[tokio::test]
async fn a6_a_length_is_one_number() {
    let stage = Stage::new().await;
    for fields in [
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Content-Length: 3, 3\r\n",
        "Content-Length: +3\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x3\r\n",
        "Content-Length: 3 3\r\n",
        "Content-Length: \r\n",
        "Content-Length: 18446744073709551616\r\n",
    ] {
        stage.refuses(fields, post(fields, "abc"), 400).await;
    }
}

#[tokio::test]
async fn a7_a_length_is_forwarded_once_and_in_one_form() {
    let stage = Stage::new().await;
    let twice = "Content-Length: 3\r\nContent-Length: 3\r\n";
    let fate = stage.passes("twice", post(twice, "abc"), "abc").await;
    assert_eq!(fate.heard[0].values("content-length"), ["3"]);
    stage.refuses("octal to some", post("Content-Length: 003\r\n", "abc"), 400).await;
}

#[tokio::test]
async fn a8_a_field_is_one_line_with_its_name_first() {
    let stage = Stage::new().await;
    for fields in ["X-A: 1\r\n 2\r\n", "X-A: 1\r\n\tTransfer-Encoding: chunked\r\n", " X-A: 1\r\n", "X-A : 1\r\n"] {
        stage.refuses(fields, post(fields, ""), 400).await;
    }
}

#[tokio::test]
async fn a9_lines_without_cr_leave_with_it() {
    let stage = Stage::new().await;
    for request in [
        "POST /a HTTP/1.1\nHost: api.test\nContent-Length: 3\n\nabc",
        "POST /a HTTP/1.1\r\nHost: api.test\nContent-Length: 3\r\n\nabc",
    ] {
        let fate = stage.passes(request, request, "abc").await;
        assert!(!fate.heard[0].head.replace("\r\n", "").contains('\n'), "{:?}", fate.heard);
    }
}

#[tokio::test]
async fn a10_controls_are_no_part_of_a_value() {
    let stage = Stage::new().await;
    for byte in ["\r", "\0", "\x01", "\x0b", "\x7f", "\x1b"] {
        let row = format!("{byte:?}");
        stage.refuses(&row, post(&format!("X-A: a{byte}b\r\n"), ""), 400).await;
        stage.refuses(&row, post(&format!("X-A: a{byte}Transfer-Encoding: chunked\r\n"), ""), 400).await;
    }
    assert!(stage.fate(post("X-A: \u{ff}\r\n", "")).await.lasted, "RFC 9110 §5.5: obs-text is data");
}

#[tokio::test]
async fn a11_a_field_has_a_name_and_a_colon() {
    let stage = Stage::new().await;
    for fields in [": 1\r\n", "X-A\r\n", "X A: 1\r\n", "X-A\0: 1\r\n", "\"X-A\": 1\r\n", "(X-A): 1\r\n"] {
        stage.refuses(fields, post(fields, ""), 400).await;
    }
    stage.sidecar.until_metric("truehit_client_closings_total{reason=\"malformed\"}", 6.0).await;
}

#[tokio::test]
async fn a12_a_chunk_ends_as_it_must() {
    let stage = Stage::new().await;
    for content in
        ["3\nabc\r\n0\r\n\r\n", "3\r\nabc\n0\r\n\r\n", "3;a\rb\r\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n"]
    {
        stage.breaks_off(content, chunked(content)).await;
    }
}

#[tokio::test]
async fn a13_a_chunk_size_is_a_hexadecimal_number() {
    let stage = Stage::new().await;
    for size in ["0x3", "+3", "-1", "3_0", "fffffffffffffffff", "g", ""] {
        stage.breaks_off(size, chunked(&format!("{size}\r\nabc\r\n0\r\n\r\n"))).await;
    }
}

#[tokio::test]
async fn a14_a_space_after_a_chunk_size_goes_no_further() {
    let stage = Stage::new().await;
    stage.passes("a space", chunked("3 \r\nabc\r\n0\r\n\r\n"), "abc").await;
}

#[tokio::test]
async fn a15_chunk_extensions_have_a_bound() {
    let stage = Stage::new().await;
    stage.passes("an extension", chunked("3;a=b\r\nabc\r\n0\r\n\r\n"), "abc").await;
    stage.breaks_off("20 KB", chunked(&format!("3;a={}\r\nabc\r\n0\r\n\r\n", "b".repeat(20_000)))).await;
    let many = "1;aaaaaaaaaaaaaaaa\r\na\r\n".repeat(1500);
    stage.breaks_off("1,500 short ones", chunked(&format!("{many}0\r\n\r\n"))).await;
}

#[tokio::test]
async fn a16_trailers_frame_route_and_authorise_nothing() {
    let witness = RawOrigin::start().await;
    let sidecar = Sidecar::start(&format!("http://{}", witness.address), "").await;
    let forbidden = "Content-Length: 9\r\nTransfer-Encoding: chunked\r\nHost: evil.test\r\nAuthorization: Basic YQ==\r\n\
                     X-Forwarded-For: 10.0.0.1\r\nX_Forwarded_For: 10.0.0.1\r\nX-HTTP-Method-Override: DELETE\r\n\
                     Cookie: a=1\r\nConnection: x\r\n";
    let mut client = sidecar.raw().await;
    let fields = "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n";
    client.write(post(fields, &format!("3\r\nabc\r\n0\r\n{forbidden}X-Sum: 6\r\n\r\n"))).await;
    let mut origin = witness.accept().await;
    origin.head().await;
    let content = String::from_utf8(origin.until(b"\r\n\r\n").await).unwrap();
    assert_eq!(content, "3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n");
    // HTTP/2 has them as a block of fields.
    let mut h2 = sidecar.h2_client().await;
    let (frames, body) = channel();
    let request = ask("POST", "/a").header("trailer", "x-sum").body(body).unwrap();
    tokio::spawn(async move { h2.try_send(request).await });
    frames.send(data("abc")).await.unwrap();
    let trailers = [("content-length", "9"), ("host", "evil.test"), ("authorization", "Basic YQ=="), ("x-sum", "6")];
    let trailers = trailers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    frames.send(Ok(Frame::trailers(trailers.into_iter().collect()))).await.unwrap();
    drop(frames);
    let mut origin = witness.accept().await;
    origin.head().await;
    let content = String::from_utf8(origin.until(b"\r\n\r\n").await).unwrap();
    assert_eq!(content, "3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n");
}

#[tokio::test]
async fn a17_content_behind_a_hit_is_never_a_request() {
    let stage = Stage::new().await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n";
    for request in [
        format!("GET /a HTTP/1.1\r\nHost: api.test\r\nContent-Length: {}\r\n\r\n{smuggled}", smuggled.len()),
        format!(
            "GET /a HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{smuggled}\r\n0\r\n\r\n",
            smuggled.len()
        ),
    ] {
        assert_eq!(stage.sidecar.get("/a").await.status, 200);
        stage.witness.heard();
        let fate = stage.passes("content", request, smuggled).await;
        assert!(fate.lasted && fate.heard[0].line() == "GET /a HTTP/1.1", "{:?}", fate.heard);
    }
    assert_eq!(stage.sidecar.metric("truehit_pass_total{reason=\"content\"}").await, 2.0);
}

#[tokio::test]
async fn a18_bytes_behind_an_upgrade_that_is_not_granted_are_a_request() {
    let stage = Stage::new().await;
    let upgrade = "GET /up HTTP/1.1\r\nHost: api.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let early = "GET /early HTTP/1.1\r\nHost: api.test\r\n\r\n";
    let fate = stage.fate(format!("{upgrade}{early}")).await;
    assert_eq!(fate.statuses.first(), Some(&200), "the origin does not want to");
    let lines: Vec<_> = fate.heard.iter().map(Heard::line).collect();
    assert!(lines == ["GET /up HTTP/1.1", "GET /early HTTP/1.1"] || lines == ["GET /up HTTP/1.1"], "{lines:?}");
    assert!(fate.heard.iter().all(|heard| heard.whole && heard.content.is_empty()), "{:?}", fate.heard);
    let raw = stage.fate(format!("{upgrade}\x00\x01raw\r\n\r\n")).await;
    assert_eq!(raw.heard.len(), 1, "what is no request goes nowhere: {:?}", raw.heard);
}

#[tokio::test]
async fn a19_http_2_in_clear_text_is_not_asked_for() {
    let stage = Stage::new().await;
    for (connection, protocol) in
        [("Upgrade, HTTP2-Settings", "h2c"), ("upgrade", "websocket, h2c"), ("upgrade", "H2C/1")]
    {
        let request = format!(
            "GET /a HTTP/1.1\r\nHost: api.test\r\nConnection: {connection}\r\nUpgrade: {protocol}\r\n\
             HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
        );
        let fate = stage.passes(protocol, request, "").await;
        for name in ["upgrade", "http2-settings", "connection"] {
            assert!(fate.heard[0].values(name).is_empty(), "{protocol}: {:?}", fate.heard);
        }
        assert!(fate.lasted);
    }
}

#[tokio::test]
async fn a20_one_expectation_is_met_and_an_early_answer_ends_the_connection() {
    let stage = Stage::new().await;
    for value in ["y 100-continue", "100-continue, x", "x", ""] {
        stage.refuses(value, post(&format!("Expect: {value}\r\nContent-Length: 3\r\n"), "abc"), 417).await;
    }
    let server = RawOrigin::start().await;
    let sidecar = Sidecar::start(&format!("http://{}", server.address), "").await;
    let mut client = sidecar.raw().await;
    client.write(post("Expect: 100-continue\r\nContent-Length: 30\r\n", "")).await;
    let mut origin = server.accept().await;
    origin.answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await;
    let answers = String::from_utf8(client.closed().await).unwrap();
    assert!(answers.contains("HTTP/1.1 403 Forbidden\r\n"), "{answers}");
    assert!(origin.closed().await.is_empty(), "nothing more is sent on it");
    let next = tokio::spawn(async move { sidecar.get("/next").await });
    server.accept().await.answer(ok("fresh")).await;
    assert_eq!(soon(next).await.unwrap().text(), "fresh");
}

#[tokio::test]
async fn a21_the_smugglers_list_makes_no_second_request() {
    let stage = Stage::new().await;
    let mutations = smuggler::mutations();
    assert_eq!(mutations.len(), 664);
    let (mut refused, mut passed) = (0, 0);
    for mutation in mutations {
        let row = String::from_utf8_lossy(&mutation).into_owned();
        // By its length it holds a request; by its chunks that request comes after it.
        let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: api.test\r\nX: ";
        let head = format!("POST /a HTTP/1.1\r\nHost: api.test\r\nContent-Length: {}\r\n", smuggled.len());
        let request = [head.as_bytes(), &mutation, b"\r\n\r\n", smuggled.as_bytes()].concat();
        let fate = stage.fate(request).await;
        assert!(fate.heard.iter().all(|heard| heard.whole), "{row}: {:?}", fate.heard);
        let asked = fate.heard.iter().filter(|heard| heard.line() == "POST /a HTTP/1.1").count();
        for heard in &fate.heard {
            let both = !heard.values("content-length").is_empty() && !heard.values("transfer-encoding").is_empty();
            assert!(!both, "{row}: {heard:?}");
        }
        assert_eq!(fate.heard.len(), asked, "{row}: {:?}", fate.heard);
        match *fate.statuses {
            [400 | 501] if asked == 0 => refused += 1,
            // What is left over where a line feed ended the head is no request.
            [200] | [200, 400] if asked == 1 => passed += 1,
            _ => panic!("{row}: {:?}", fate.statuses),
        }
    }
    println!("{refused} refused, {passed} passed as one request");
}

#[tokio::test]
async fn a22_names_that_stand_for_others_go_no_further() {
    let stage = Stage::new().await;
    for name in ["Content_Length", "Transfer_Encoding", "Content_Type", "Content_Encoding"] {
        stage.refuses(name, post(&format!("{name}: 3\r\n"), ""), 400).await;
    }
    let fields =
        "X_Forwarded_For: 10.0.0.1\r\nX_HTTP_Method_Override: DELETE\r\nX_Original_URL: /admin\r\nApi_Key: 1\r\n";
    let fate = stage.passes("claims", post(fields, ""), "").await;
    for name in ["x_forwarded_for", "x_http_method_override", "x_original_url"] {
        assert!(fate.heard[0].values(name).is_empty(), "{name}: {:?}", fate.heard);
    }
    assert_eq!(fate.heard[0].values("api_key"), ["1"], "what stands for nothing passes");
    let mut h2 = stage.sidecar.h2_client().await;
    let refused = h2.fetch(ask("POST", "/a").header("content_length", "3").body(empty()).unwrap()).await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn a23_a_bare_semicolon_goes_no_further() {
    let stage = Stage::new().await;
    stage.passes("a semicolon", chunked("3;\r\nabc\r\n0\r\n\r\n"), "abc").await;
}

#[tokio::test]
async fn a24_an_upload_that_breaks_off_never_looks_whole() {
    for protocol in ["http1", "h2"] {
        let (told, mut tells) = tokio::sync::mpsc::unbounded_channel();
        let origin = Origin::start(move |request| {
            let told = told.clone();
            async move {
                told.send("began").unwrap();
                let whole = request.into_body().collect().await.is_ok();
                told.send(if whole { "whole" } else { "broken" }).unwrap();
                Response::new(empty())
            }
        })
        .await;
        let sidecar = Sidecar::start(&origin.url(), &format!("origin.protocol = \"{protocol}\"")).await;
        for request in [
            post("Content-Length: 10\r\n", "abc"),
            chunked("3\r\nabc\r\n"),
            chunked("3\r\nabc\r\n0\r\n"),
            chunked("3\r\nab"),
        ] {
            for reset in [false, true] {
                let mut client = sidecar.raw().await;
                client.write(&request).await;
                assert_eq!(soon(tells.recv()).await, Some("began"), "{protocol}, {request:?}");
                if reset {
                    client.stream.set_zero_linger().unwrap();
                } else {
                    client.stream.shutdown().await.unwrap();
                }
                drop(client);
                assert_eq!(soon(tells.recv()).await, Some("broken"), "{protocol}, {request:?}, reset: {reset}");
            }
        }
        // What is no chunk may break it off before the origin has heard of it.
        let mut client = sidecar.raw().await;
        client.write(chunked("3\r\nabc\r\nx\r\n\r\n")).await;
        client.closed().await;
        sidecar.until_metric("truehit_requests_in_flight", 0.0).await;
        // HTTP/2 resets the stream.
        let mut h2 = sidecar.h2_client().await;
        let (frames, body) = channel();
        let sent = tokio::spawn(async move { h2.try_send(ask("POST", "/a").body(body).unwrap()).await });
        frames.send(data("abc")).await.unwrap();
        frames.send(Err("broken".into())).await.unwrap();
        soon(sent).await.unwrap().unwrap_err();
        sidecar.until_metric("truehit_requests_in_flight", 0.0).await;
        while let Ok(told) = tells.try_recv() {
            assert_ne!(told, "whole", "{protocol}");
        }
    }
}
