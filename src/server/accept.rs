//! Accepting: one connection at a time, when there is a place for it, and slowly where the system has no room.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The first pause after an accept that failed for want of something (descriptors, memory). Doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// The last.
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// The next connection. At `limits.connections` it waits for one to end, and the kernel's backlog fills.
pub(super) async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    next_of(|| listener.accept(), places).await
}

async fn next_of<T, F>(accept: impl Fn() -> F, places: &Arc<Semaphore>) -> (T, SocketAddr, OwnedSemaphorePermit)
where
    F: Future<Output = io::Result<(T, SocketAddr)>>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        let Ok(place) = Arc::clone(places).acquire_owned().await else {
            // Only a closed semaphore refuses, and nothing closes this one.
            return std::future::pending().await;
        };
        match accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
            // The client left before its turn came; the next one may be well.
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                tracing::warn!(%error, pause_ms = pause.as_millis(), "cannot accept connections");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
        }
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::time::Instant;

    use super::*;

    const PEER: ([u8; 4], u16) = ([127, 0, 0, 1], 1);

    /// Accepts by a system that has no descriptors for so long. Says how long that took, and how often it was asked.
    async fn without_descriptors(lasting: Duration) -> (Duration, u32) {
        const EMFILE: i32 = 24;
        let (began, asked) = (Instant::now(), AtomicU32::new(0));
        let accept = || {
            asked.fetch_add(1, Ordering::Relaxed);
            let lacks = began.elapsed() < lasting;
            async move { if lacks { Err(io::Error::from_raw_os_error(EMFILE)) } else { Ok(((), PEER.into())) } }
        };
        drop(next_of(accept, &Arc::new(Semaphore::new(1))).await);
        (began.elapsed(), asked.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn want_of_descriptors_makes_it_wait_and_not_spin() {
        let (took, asked) = without_descriptors(Duration::from_secs(60)).await;
        assert!(took < Duration::from_secs(60) + LAST_PAUSE * 2, "{took:?}");
        assert!((60..80).contains(&asked), "{asked} times in a minute");
        assert_eq!(without_descriptors(Duration::from_millis(1)).await.1, 2, "a short want is a short wait");
    }

    #[tokio::test]
    async fn a_client_that_left_before_its_turn_costs_nothing() {
        let asked = AtomicU32::new(0);
        let accept = || {
            let first = asked.fetch_add(1, Ordering::Relaxed) < 100;
            async move { if first { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(((), PEER.into())) } }
        };
        let places = Arc::new(Semaphore::new(1));
        let (_, _, place) = next_of(accept, &places).await;
        assert_eq!((asked.load(Ordering::Relaxed), places.available_permits()), (101, 0));
        drop(place);
        assert_eq!(places.available_permits(), 1);
    }
}
