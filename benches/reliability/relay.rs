//! `Relay`: what stands between truehit and its origin when the network is bad.
//!
//! It copies bytes both ways. Of what the origin sends, each piece may be late, be the last one before a reset or a clean
//! end, or never come while the connection stays open.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::dice::Dice;

/// How bad it is. Shares are of a thousand pieces.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// The longest that a piece is late.
    pub jitter: Duration,
    /// How many are cut in half, and followed by a reset.
    pub resets: u64,
    /// The same, by a clean end.
    pub cuts: u64,
    /// How many never come.
    pub stalls: u64,
    /// How long a connection on which nothing comes any longer is kept.
    pub stalled_for: Duration,
}

/// What was done.
#[derive(Debug, Default)]
pub struct Damage {
    pub resets: AtomicU64,
    pub cuts: AtomicU64,
    pub stalls: AtomicU64,
}

pub struct Relay {
    pub address: SocketAddr,
    pub damage: Arc<Damage>,
}

impl Relay {
    pub async fn start(origin: SocketAddr, weather: Weather) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port on loopback");
        let address = listener.local_addr().expect("a bound socket has an address");
        let damage = Arc::new(Damage::default());
        let done = Arc::clone(&damage);
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((near, _)) = listener.accept().await {
                number += 1;
                tokio::spawn(carry(near, origin, weather, Dice::new(number), Arc::clone(&done)));
            }
        });
        Self { address, damage }
    }
}

async fn carry(near: TcpStream, origin: SocketAddr, weather: Weather, dice: Dice, damage: Arc<Damage>) {
    let Ok(far) = TcpStream::connect(origin).await else { return };
    // A socket that refuses is about to fail.
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = copy(near_read, far_write) => {}
        () = damaged(far_read, near_write, weather, dice, &damage) => {}
    }
}

/// Carries bytes as they are.
async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let mut piece = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}

/// Carries them in bad weather.
async fn damaged(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, weather: Weather, mut dice: Dice, damage: &Damage) {
    let mut piece = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let longest = u64::try_from(weather.jitter.as_micros()).unwrap_or(u64::MAX);
        sleep(Duration::from_micros(dice.below(longest + 1))).await;
        let fate = dice.below(1000);
        if fate < weather.stalls {
            damage.stalls.fetch_add(1, Ordering::Relaxed);
            return sleep(weather.stalled_for).await;
        }
        if fate < weather.stalls + weather.resets + weather.cuts {
            let _ = to.write_all(&piece[..length / 2]).await;
            if fate < weather.stalls + weather.resets {
                damage.resets.fetch_add(1, Ordering::Relaxed);
                // What is closed with this set is reset.
                let _ = to.as_ref().set_zero_linger();
            } else {
                damage.cuts.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
