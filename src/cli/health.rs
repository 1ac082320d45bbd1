//! `truehit health` and `truehit drain`: one question to a running process's admin listener, for images without a shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{DrainArgs, HealthArgs, exit};
use crate::origin::BoxError;

/// How long the whole question may take. Docker's own limit for a health check is 30 s.
const PATIENCE: Duration = Duration::from_secs(5);

/// How much of an answer is printed, in bytes.
const ANSWER_MAX: usize = 4096;

/// The admin listener's address where neither flag nor environment says another.
const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// Asks, prints what is wrong if something is, and gives the exit code. `admin_in_environment` is the value of
/// `TRUEHIT_ADMIN__ADDRESS`.
pub async fn health(args: &HealthArgs, admin_in_environment: Option<&str>) -> u8 {
    put(args.admin, admin_in_environment, if args.ready { "/readyz" } else { "/livez" }).await
}

/// Tells it to drain; otherwise like [`health`]. It is asked from its own machine, so it wants no token.
pub async fn drain(args: &DrainArgs, admin_in_environment: Option<&str>) -> u8 {
    put(args.admin, admin_in_environment, "/drain").await
}

async fn put(admin: Option<SocketAddr>, admin_in_environment: Option<&str>, path: &str) -> u8 {
    let address = match (admin, admin_in_environment.map(str::parse)) {
        (Some(address), _) | (None, Some(Ok(address))) => address,
        (None, None) => DEFAULT_ADMIN,
        (None, Some(Err(error))) => {
            eprintln!("truehit: TRUEHIT_ADMIN__ADDRESS is no address: {error}");
            return exit::USAGE;
        }
    };
    match timeout(PATIENCE, ask(reachable(address), path)).await {
        Ok(Ok((StatusCode::OK, _))) => exit::CLEAN,
        Ok(Ok((status, answer))) => {
            eprint!("truehit: {address}{path} answers {status}\n{answer}");
            exit::UNAVAILABLE
        }
        Ok(Err(error)) => {
            eprintln!("truehit: {address}: {error}");
            exit::UNAVAILABLE
        }
        Err(_) => {
            eprintln!("truehit: {address}: no answer within {} s", PATIENCE.as_secs());
            exit::UNAVAILABLE
        }
    }
}

/// A listener on all addresses is reached by loopback.
const fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

async fn ask(address: SocketAddr, path: &str) -> Result<(StatusCode, String), BoxError> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get(path).header("host", address.to_string()).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let answer = Limited::new(response.into_body(), ANSWER_MAX).collect().await?.to_bytes();
    connection.abort();
    Ok((status, String::from_utf8_lossy(&answer).into_owned()))
}
