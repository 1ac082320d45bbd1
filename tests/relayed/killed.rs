//! An origin that is a process: killed without warning, in the middle of whatever it does, and started again.
//!
//! The process is this test binary, run once more for [`the_origin_itself`]. What it keeps is a file that the test
//! writes, so a version survives its reader; and it answers slowly, in chunks, so that a kill hits heads, bodies and
//! idle connections alike.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, sleep};

use super::*;
use crate::dice::{Dice, number_or};
use crate::process::{Process, address_in};
use crate::register::{PacedBody, content};
use crate::sidecar::Scratch;

/// How the process is told where the versions are.
const FILE: &str = "TRUEHIT_TEST_ORIGIN";

/// How often the origin is killed; `KILLS` says otherwise.
const KILLS: u64 = 12;

fn version(file: &Path) -> u64 {
    std::fs::read_to_string(file).unwrap().parse().unwrap()
}

/// Not a test of anything: the origin, if it is run as one.
#[tokio::test]
async fn the_origin_itself() {
    let Some(file) = std::env::var_os(FILE).map(PathBuf::from) else { return };
    let origin = Origin::start(move |request: Request<Incoming>| {
        let version = version(&file);
        let tag = format!("\"v{version}\"");
        let unchanged =
            request.headers().get(header::IF_NONE_MATCH).is_some_and(|asked| asked.as_bytes() == tag.as_bytes());
        async move {
            sleep(Duration::from_millis(2)).await;
            let mut response = Response::new(PacedBody::empty());
            if unchanged {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
            } else {
                let content = content(0, version);
                *response.body_mut() = PacedBody::new(&content, vec![Duration::from_millis(2); 3]);
                // Every other body declares no length: it is the end that must be seen.
                if version.is_multiple_of(2) {
                    response.headers_mut().insert(header::CONTENT_LENGTH, content.len().into());
                }
            }
            response.headers_mut().insert(header::ETAG, HeaderValue::try_from(tag).unwrap());
            response.map(|body| -> Content { body.map_err(Into::into).boxed_unsync() })
        }
    })
    .await;
    println!("listening on http://{}", origin.address);
    std::future::pending().await
}

fn start(file: &Path) -> (Process, SocketAddr) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "killed::the_origin_itself", "--nocapture"]).env(FILE, file);
    let mut process = Process::start("the origin", command);
    let address = process.wait_for(address_in).parse().unwrap();
    (process, address)
}

/// G05: an origin that dies in the middle makes reads fail, and none wrong, cut short or stale.
#[tokio::test]
async fn an_origin_that_is_killed_and_started_again() {
    let scratch = Scratch::new();
    let file = scratch.file("version", "0");
    let (mut process, address) = start(&file);
    let relay = Relay::start(address, Weather::Fair, run::seed()).await;
    let sidecar = Sidecar::start(&format!("http://{}", relay.address), IMPATIENT).await;
    let mut dice = Dice::new(run::seed());
    let kills = number_or("KILLS", KILLS);
    let (mut whole, mut failed, mut written) = (0, 0, 0);
    for _ in 0..kills {
        let readers = (0..8).map(|_| tokio::spawn(read_until_one_fails(sidecar.address(), file.clone())));
        let readers: Vec<_> = readers.collect();
        for _ in 0..4 {
            sleep(dice.wait(12)).await;
            written += 1;
            scratch.file("version", &written.to_string());
        }
        // Dropped, it is killed, and waited for.
        tokio::task::spawn_blocking(move || drop(process)).await.unwrap();
        for reader in readers {
            whole += soon(reader).await.unwrap();
            failed += 1;
        }
        let next = file.clone();
        let address;
        (process, address) = tokio::task::spawn_blocking(move || start(&next)).await.unwrap();
        relay.lead_to(address);
        let listening = Instant::now();
        let mut client = sidecar.client().await;
        // The connections to the one before are dead, and truehit finds out.
        loop {
            let answer = client.get("/k/0").await;
            if answer.status == StatusCode::OK {
                assert_eq!(answer.body, content(0, written), "after a restart the truth is served, and nothing else");
                break;
            }
            assert!(listening.elapsed() < raw::PATIENCE, "{answer:?}");
        }
    }
    println!("{kills} kills: {whole} reads were whole, {failed} failed");
    assert!(whole > 0);
}

/// Reads until a read fails, and gives how many did not. What is whole must be a version that was current meanwhile.
async fn read_until_one_fails(address: SocketAddr, file: PathBuf) -> usize {
    let mut whole = 0;
    loop {
        let before = version(&file);
        let stream = soon(tokio::net::TcpStream::connect(address)).await.unwrap();
        let mut client = Client::h1(stream).await;
        let request = peers::ask("GET", "/k/0").body(empty()).unwrap();
        let Ok(response) = client.try_send(request).await else { return whole };
        let status = response.status();
        let Ok(answer) = Answer::of(response).await else { return whole };
        if status != StatusCode::OK {
            assert!(matches!(status.as_u16(), 502..=504), "{answer:?}");
            return whole;
        }
        let after = version(&file);
        let read = (before..=after).any(|version| answer.body == content(0, version));
        assert!(read, "versions {before} to {after} were current, and this was read: {}", answer.text());
        whole += 1;
    }
}
