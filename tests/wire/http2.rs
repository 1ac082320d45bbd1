//! What a server makes of a client's frames, clause by clause (RFC 9113, RFC 7541): each row is a connection of its own.

use std::net::SocketAddr;

use super::*;
use crate::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, field, frame, get, post, rst, section, status_in, window,
};

const PRIORITY: u8 = 2;
const PUSH_PROMISE: u8 = 5;
const PADDED: u8 = 8;

const PROTOCOL: u32 = 1;
const FLOW_CONTROL: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE: u32 = 6;
const COMPRESSION: u32 = 9;

/// What follows. §5.4: "a generic error code (such as PROTOCOL_ERROR or INTERNAL_ERROR) can always be used in place of more
/// specific error codes"; h2 says PROTOCOL_ERROR of all that it cannot decode.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// GOAWAY with one of these codes or PROTOCOL_ERROR, and the end of the connection (§5.4.1).
    Ends(&'static [u32]),
    /// The stream ends with one of these codes or PROTOCOL_ERROR (§5.4.2), or the connection, as §5.4.1 leaves open.
    Resets(&'static [u32]),
    /// The request is malformed: a stream error of type PROTOCOL_ERROR (§8.1.1), before which a server may answer; ours
    /// answers 400.
    Refuses,
    /// The connection goes on.
    GoesOn,
}

use Then::{Ends, GoesOn, Refuses, Resets};

/// The target of a request that is never answered.
const HELD: &str = "/held";

/// A request whose field section is these lines.
fn lines(lines: &[(&str, &str)]) -> Vec<u8> {
    let block: Vec<u8> = lines.iter().flat_map(|(name, value)| field(name, value)).collect();
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block)
}

/// A GET with these lines besides.
fn with(more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &section("GET", "/", more))
}

/// A GET whose field section goes on with these bytes.
fn and_bytes(more: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &[section("GET", "/", &[]), more.to_vec()].concat())
}

/// One setting.
fn setting(name: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

/// A request and what is sent of its content, whose length it tells.
fn content(told: &str, pieces: &[&[u8]]) -> Vec<u8> {
    let mut bytes = frame(HEADERS, END_HEADERS, 1, &section("POST", "/", &[("content-length", told)]));
    for (number, piece) in pieces.iter().enumerate() {
        bytes.extend(frame(DATA, if number + 1 == pieces.len() { END_STREAM } else { 0 }, 1, piece));
    }
    bytes
}

type Row = (&'static str, Vec<u8>, Then);

/// Frames, whatever they carry.
fn frames() -> Vec<Row> {
    let open = |kind, flags| frame(kind, flags, 1, &section("GET", HELD, &[]));
    let unfinished = open(HEADERS, END_STREAM);
    let held = get(1, HELD);
    let then = |first: &[u8], second: Vec<u8>| [first.to_vec(), second].concat();
    let half = post(1, HELD);
    vec![
        ("§4.1 a frame of an unknown type is ignored", frame(0x16, 0, 0, &[0; 8]), GoesOn),
        ("§4.1 so are flags without a meaning", frame(PING, 0xfe & !ACK, 0, &[1; 8]), GoesOn),
        ("§4.1 and the reserved bit", frame(PING, 0, 1 << 31, &[1; 8]), GoesOn),
        (
            "§4.2 DATA above the size allowed",
            then(&half, frame(DATA, END_STREAM, 1, &[0; 16_385])),
            Resets(&[FRAME_SIZE]),
        ),
        ("§4.2 HEADERS above it", frame(HEADERS, END_HEADERS, 1, &[0; 16_385]), Ends(&[FRAME_SIZE])),
        ("§4.2 SETTINGS above it", frame(SETTINGS, 0, 0, &[0; 16_386]), Ends(&[FRAME_SIZE])),
        ("§4.3 a field section that is none", frame(HEADERS, END_HEADERS, 1, &[0x40]), Ends(&[COMPRESSION])),
        ("§4.3 PRIORITY within one", then(&unfinished, frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])), Ends(&[])),
        ("§4.3 another stream's HEADERS within one", then(&unfinished, get(3, "/")), Ends(&[])),
        ("§5.1 DATA on an idle stream", frame(DATA, END_STREAM, 1, b"x"), Ends(&[])),
        ("§5.1 RST_STREAM on an idle stream", rst(1, 8), Ends(&[])),
        ("§5.1 WINDOW_UPDATE on an idle stream", window(1, 100), Ends(&[])),
        ("§5.1 CONTINUATION on an idle stream", open(CONTINUATION, END_HEADERS), Ends(&[])),
        (
            "§5.1 DATA after the end of a request",
            then(&held, frame(DATA, END_STREAM, 1, b"x")),
            Resets(&[STREAM_CLOSED]),
        ),
        ("§5.1 HEADERS after it", then(&held, get(1, HELD)), Resets(&[STREAM_CLOSED])),
        ("§5.1 CONTINUATION after it", then(&held, open(CONTINUATION, END_HEADERS)), Ends(&[STREAM_CLOSED])),
        ("§5.1 WINDOW_UPDATE after it", then(&held, window(1, 1)), GoesOn),
        ("§5.1 PRIORITY in any state", frame(PRIORITY, 0, 7, &[0, 0, 0, 0, 1]), GoesOn),
        ("§5.1.1 a stream of an even number", get(2, "/"), Ends(&[])),
        ("§5.1.1 a stream below an earlier one", then(&get(5, HELD), get(3, HELD)), Ends(&[STREAM_CLOSED])),
        ("§5.5 an extension's frame within a field section", then(&unfinished, frame(0x16, 0, 1, &[0; 8])), Ends(&[])),
        ("§6.1 DATA on stream 0", frame(DATA, END_STREAM, 0, b"x"), Ends(&[])),
        ("§6.1 DATA with more padding than it is long", then(&half, frame(DATA, PADDED, 1, &[9, 1, 2])), Ends(&[])),
        ("§6.2 HEADERS on stream 0", get(0, "/"), Ends(&[])),
        ("§6.2 HEADERS with too much padding", frame(HEADERS, END_HEADERS | PADDED, 1, &[9, 1, 2]), Ends(&[])),
        ("§6.3 PRIORITY on stream 0", frame(PRIORITY, 0, 0, &[0, 0, 0, 1, 1]), Ends(&[])),
        ("§6.3 PRIORITY of four bytes", then(&held, frame(PRIORITY, 0, 1, &[0; 4])), Resets(&[FRAME_SIZE])),
        ("§6.4 RST_STREAM on stream 0", rst(0, 8), Ends(&[])),
        ("§6.4 RST_STREAM of three bytes", then(&held, frame(RST_STREAM, 0, 1, &[0; 3])), Ends(&[FRAME_SIZE])),
        (
            "§6.5 an acknowledgement of settings that says something",
            frame(SETTINGS, ACK, 0, &[0; 6]),
            Ends(&[FRAME_SIZE]),
        ),
        ("§6.5 SETTINGS on a stream", frame(SETTINGS, 0, 1, &[]), Ends(&[])),
        ("§6.5 SETTINGS of three bytes", frame(SETTINGS, 0, 0, &[0; 3]), Ends(&[FRAME_SIZE])),
        ("§6.5.2 SETTINGS_ENABLE_PUSH that is neither 0 nor 1", setting(2, 2), Ends(&[])),
        ("§6.5.2 SETTINGS_INITIAL_WINDOW_SIZE above 2^31 - 1", setting(4, 1 << 31), Ends(&[FLOW_CONTROL])),
        ("§6.5.2 SETTINGS_MAX_FRAME_SIZE below 2^14", setting(5, (1 << 14) - 1), Ends(&[])),
        ("§6.5.2 SETTINGS_MAX_FRAME_SIZE above 2^24 - 1", setting(5, 1 << 24), Ends(&[])),
        ("§6.5.2 an unknown setting is ignored", setting(0xff, 1), GoesOn),
        ("§6.6 PUSH_PROMISE from a client", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]), Ends(&[])),
        ("§6.7 PING on a stream", frame(PING, 0, 1, &[0; 8]), Ends(&[])),
        ("§6.7 PING of six bytes", frame(PING, 0, 0, &[0; 6]), Ends(&[FRAME_SIZE])),
        ("§6.7 the acknowledgement of a PING that nobody sent", frame(PING, ACK, 0, &[1; 8]), GoesOn),
        ("§6.8 GOAWAY on a stream", frame(GOAWAY, 0, 1, &[0; 8]), Ends(&[])),
        ("§6.9 WINDOW_UPDATE by 0", window(0, 0), Ends(&[])),
        ("§6.9 WINDOW_UPDATE by 0 on a stream", then(&held, window(1, 0)), Resets(&[])),
        ("§6.9 WINDOW_UPDATE of three bytes", frame(WINDOW_UPDATE, 0, 0, &[0; 3]), Ends(&[FRAME_SIZE])),
        ("§6.9.1 a window above 2^31 - 1", window(0, i32::MAX as u32).repeat(2), Ends(&[FLOW_CONTROL])),
        ("§6.9.1 a stream's window above it", then(&held, window(1, i32::MAX as u32)), Resets(&[FLOW_CONTROL])),
        (
            "§6.9.2 a setting that makes a window larger than it may be",
            then(&then(&held, window(1, i32::MAX as u32 - 70_000)), setting(4, i32::MAX as u32)),
            Ends(&[FLOW_CONTROL]),
        ),
        ("§6.10 CONTINUATION on stream 0", then(&unfinished, frame(CONTINUATION, END_HEADERS, 0, &[])), Ends(&[])),
        ("§6.10 CONTINUATION after a whole field section", then(&half, open(CONTINUATION, 0)), Ends(&[])),
        (
            "§6.10 CONTINUATION after DATA",
            then(&half, then(&frame(DATA, 0, 1, b"x"), open(CONTINUATION, 0))),
            Ends(&[]),
        ),
    ]
}

/// Requests that are none.
fn requests() -> Vec<Row> {
    let [method, scheme, authority, path] =
        [(":method", "GET"), (":scheme", "http"), (":authority", "api.test"), (":path", "/")];
    let trailers = |line: (&str, &str), flags| {
        [post(1, HELD), frame(HEADERS, END_HEADERS | flags, 1, &field(line.0, line.1))].concat()
    };
    vec![
        ("§8.1 a second field section that does not end the request", trailers(("x-a", "1"), 0), Refuses),
        // §8.3 wants this refused as malformed; h2 drops the pseudo-field, and nothing of it goes on.
        ("§8.3 pseudo-fields among trailers", trailers(path, END_STREAM), GoesOn),
        ("§8.1.1 content shorter than it was told", content("9", &[b"four"]), Refuses),
        ("§8.1.1 content longer than it was told", content("3", &[b"four"]), Refuses),
        ("§8.1.1 the same in pieces", content("5", &[b"four", b"four"]), Refuses),
        ("§8.2.1 a name in upper case", with(&[("X-A", "1")]), Refuses),
        ("§8.2.1 a line break in a value", with(&[("x-a", "1\r\nx-b: 2")]), Refuses),
        ("§8.2.2 a field of a connection", with(&[("connection", "keep-alive")]), Refuses),
        ("§8.2.2 TE other than trailers", with(&[("te", "trailers, deflate")]), Refuses),
        ("§8.2.2 Transfer-Encoding", with(&[("transfer-encoding", "chunked")]), Refuses),
        ("§8.3 a pseudo-field that is none", lines(&[method, scheme, authority, path, (":test", "x")]), Refuses),
        ("§8.3 one of responses", lines(&[method, scheme, authority, path, (":status", "200")]), Refuses),
        ("§8.3 one after another field", lines(&[method, scheme, authority, ("x-a", "1"), path]), Refuses),
        ("§8.3.1 no :method", lines(&[scheme, authority, path]), Refuses),
        ("§8.3.1 no :scheme", lines(&[method, authority, path]), Refuses),
        ("§8.3.1 no :path", lines(&[method, scheme, authority]), Refuses),
        ("§8.3.1 an empty :path", lines(&[method, scheme, authority, (":path", "")]), Refuses),
        ("§8.3.1 two :method", lines(&[method, method, scheme, authority, path]), Refuses),
        ("§8.3.1 two :scheme", lines(&[method, scheme, scheme, authority, path]), Refuses),
        ("§8.3.1 two :path", lines(&[method, scheme, authority, path, path]), Refuses),
        ("RFC 7541 §2.3.3 an index beyond both tables", and_bytes(&[0xc6]), Ends(&[COMPRESSION])),
        ("RFC 7541 §4.2 a change of the table's size at the end", and_bytes(&[0x20]), Ends(&[COMPRESSION])),
        (
            "RFC 7541 §5.2 padding of more than seven bits",
            and_bytes(&[0, 0x82, 0xf9, 0xff, 0x81, 0x07]),
            Ends(&[COMPRESSION]),
        ),
        (
            "RFC 7541 §5.2 EOS within a string",
            and_bytes(&[0, 0x84, 0xff, 0xff, 0xff, 0xff, 1, b'x']),
            Ends(&[COMPRESSION]),
        ),
        ("RFC 7541 §6.1 index 0", and_bytes(&[0x80]), Ends(&[COMPRESSION])),
        (
            "RFC 7541 §6.3 a table larger than it may be",
            frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                1,
                &[vec![0x3f, 0xe1, 0xff, 0x03], section("GET", "/", &[])].concat(),
            ),
            Ends(&[COMPRESSION]),
        ),
    ]
}

/// What came of it: the kind of the frame that tells, and its code or status; `None` where a PING that followed was acknowledged first.
async fn ending(connection: &mut Frames) -> Option<(u8, u32)> {
    loop {
        let read = connection.read().await;
        match read.kind {
            GOAWAY | RST_STREAM => return Some((read.kind, read.code())),
            HEADERS => return Some((HEADERS, status_in(&read.payload).into())),
            PING if read.flags & ACK != 0 && read.payload == [7; 8] => return None,
            _ => {}
        }
    }
}

/// Plays a row; what was wrong with it.
async fn play(address: SocketAddr, (sentence, bytes, then): Row) -> Option<String> {
    let mut connection = Frames::begin(Raw::connect(address).await, 65_535).await;
    // Settled, so that all that comes is about the row.
    connection.write(frame(PING, 0, 0, &[6; 8])).await;
    while connection.until(PING, 0).await.payload != [6; 8] {}
    connection.flood(&bytes).await;
    if matches!(then, GoesOn) {
        connection.flood(&frame(PING, 0, 0, &[7; 8])).await;
    }
    let ending = ending(&mut connection).await;
    let expected = match (then, ending) {
        (Ends(codes), Some((GOAWAY, code))) | (Resets(codes), Some((GOAWAY | RST_STREAM, code))) => {
            code == PROTOCOL || codes.contains(&code)
        }
        (Refuses, Some((GOAWAY | RST_STREAM, PROTOCOL) | (HEADERS, 400))) | (GoesOn, None) => true,
        _ => false,
    };
    if let Some((GOAWAY, _)) = ending {
        connection.0.closed().await;
    }
    (!expected).then(|| format!("{sentence}: expected {then:?}, was {ending:?}"))
}

/// Plays rows side by side.
async fn check(rows: Vec<Row>) {
    let sidecar = sidecar().await;
    let played: Vec<_> = rows.into_iter().map(|row| (row.0, tokio::spawn(play(sidecar.address(), row)))).collect();
    let mut wrong = Vec::new();
    for (sentence, row) in played {
        wrong.extend(row.await.unwrap_or_else(|_| Some(format!("{sentence}: nothing followed"))));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn sidecar() -> Sidecar {
    let origin = Origin::start(|request| async move {
        if request.uri().path() == HELD {
            std::future::pending::<()>().await;
        }
        Response::new(full("ok"))
    });
    let origin = origin.await;
    Sidecar::start(&origin.url(), "").await
}

#[tokio::test]
async fn frames_that_are_wrong_end_what_they_must_and_no_more() {
    check(frames()).await;
}

#[tokio::test]
async fn requests_that_are_malformed_are_refused() {
    check(requests()).await;
}
