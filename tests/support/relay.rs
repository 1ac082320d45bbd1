//! A bad network between truehit and its origin: connections that are slow, stall, break off or are reset, each by a
//! plan of its own, and in both directions.
//!
//! [`Relay`] is one on real sockets: it stands between the two, and can lead elsewhere from one connection to the next,
//! as to an origin that was killed and started again. [`carry`] does the same between any two streams, so that a network
//! in memory can be as bad on a paused clock. Plans are drawn from a seed: the same seed, the same plans, in the order
//! of the connections.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::dice::Dice;

/// What befalls one connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    /// From truehit to the origin.
    pub up: Course,
    /// From the origin to truehit.
    pub down: Course,
}

/// What befalls one direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Course {
    /// How long each piece is held up.
    pub delay: Duration,
    /// The longest piece that goes through at a time, in bytes; with a delay it is a rate.
    pub piece: Option<usize>,
    /// What happens after so many bytes.
    pub fault: Option<(usize, Fault)>,
}

/// How a direction comes to its end before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing goes through any more, and nobody is told.
    Stall,
    /// Both ends are reset.
    Reset,
    /// This direction ends as if its sender had closed it; the other one lives.
    HalfClose,
    /// The connection ends as if both sides had closed it.
    Close,
}

/// How bad a network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Fair,
    /// Everything comes late, by up to so many milliseconds.
    Jitter(u64),
    /// One connection in so many goes wrong, somewhere in its first few thousand bytes; the others are late.
    Flaky(u64),
    /// A few bytes at a time.
    Slow,
}

impl Weather {
    /// The plan of the next connection.
    pub fn plan(self, dice: &mut Dice) -> Plan {
        match self {
            Self::Fair => Plan::default(),
            Self::Jitter(most) => {
                let mut late = || Course { delay: dice.wait(most), ..Course::default() };
                Plan { up: late(), down: late() }
            }
            Self::Slow => {
                let down = Course { delay: Duration::from_millis(1), piece: Some(96), fault: None };
                Plan { up: Course::default(), down }
            }
            Self::Flaky(one_in) => {
                let late = Course { delay: dice.wait(3), ..Course::default() };
                let mut plan = Plan { up: late, down: late };
                if dice.below(one_in) == 0 {
                    let all = [Fault::Stall, Fault::Reset, Fault::HalfClose, Fault::Close];
                    let fault = all[usize::try_from(dice.below(4)).unwrap()];
                    let at = usize::try_from(dice.below(4_000)).unwrap();
                    let course = if dice.below(4) == 0 { &mut plan.up } else { &mut plan.down };
                    course.fault = Some((at, fault));
                }
                plan
            }
        }
    }
}

/// A relay on a port of the system's choice.
pub struct Relay {
    pub address: SocketAddr,
    to: Arc<Mutex<SocketAddr>>,
}

impl Relay {
    /// Starts one that leads to `to`.
    pub async fn start(to: SocketAddr, weather: Weather, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay = Self { address: listener.local_addr().unwrap(), to: Arc::new(Mutex::new(to)) };
        let (to, mut dice) = (Arc::clone(&relay.to), Dice::new(seed));
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (to, plan) = (*to.lock().unwrap(), weather.plan(&mut dice));
                tokio::spawn(connect(client, to, plan));
            }
        });
        relay
    }

    /// Leads connections elsewhere from now on. Those that are there stay.
    pub fn lead_to(&self, to: SocketAddr) {
        *self.to.lock().unwrap() = to;
    }
}

/// Where nobody listens, the client is reset.
async fn connect(mut client: TcpStream, to: SocketAddr, plan: Plan) {
    let reset = |stream: &TcpStream| {
        // A socket that is gone already needs none.
        let _ = stream.set_zero_linger();
    };
    let Ok(mut origin) = TcpStream::connect(to).await else { return reset(&client) };
    for stream in [&client, &origin] {
        let _ = stream.set_nodelay(true);
    }
    if carry(&mut client, &mut origin, plan).await == Ended::Reset {
        reset(&client);
        reset(&origin);
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Closed,
    Reset,
}

/// How one direction ended.
enum Way {
    /// Its sender closed it, or it half-closed by plan: its receiver has been told.
    Over,
    Stalled,
    Closed,
    Reset,
}

/// Carries bytes both ways between `client` and `origin` until the plan or either of them ends it. Both are to be dropped
/// then.
pub async fn carry<C, O>(client: &mut C, origin: &mut O, plan: Plan) -> Ended
where
    C: AsyncRead + AsyncWrite + Unpin,
    O: AsyncRead + AsyncWrite + Unpin,
{
    let (from_client, to_client) = tokio::io::split(client);
    let (from_origin, to_origin) = tokio::io::split(origin);
    let mut up = std::pin::pin!(pass_on(from_client, to_origin, plan.up));
    let mut down = std::pin::pin!(pass_on(from_origin, to_client, plan.down));
    let (mut up_goes_on, mut down_goes_on) = (true, true);
    let mut stalled = false;
    while up_goes_on || down_goes_on {
        let way = tokio::select! {
            way = &mut up, if up_goes_on => { up_goes_on = false; way }
            way = &mut down, if down_goes_on => { down_goes_on = false; way }
        };
        match way {
            Way::Reset => return Ended::Reset,
            Way::Closed => return Ended::Closed,
            Way::Over => {}
            Way::Stalled => stalled = true,
        }
    }
    // Of two directions, one that stalls ends with the other: whoever gave up waiting has closed it.
    if stalled { Ended::Reset } else { Ended::Closed }
}

async fn pass_on(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, course: Course) -> Way {
    let mut buffer = vec![0; course.piece.unwrap_or(8 * 1024)];
    let mut passed = 0;
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(0) => {
                let _the_receiver_may_be_gone = to.shutdown().await;
                return Way::Over;
            }
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Way::Reset,
            Err(_) => return Way::Closed,
        };
        sleep(course.delay).await;
        let left = course.fault.map_or(usize::MAX, |(at, _)| at - passed);
        let some = read.min(left);
        if to.write_all(&buffer[..some]).await.is_err() || to.flush().await.is_err() {
            return Way::Reset;
        }
        passed += some;
        match course.fault {
            Some((at, fault)) if passed == at => {
                return match fault {
                    Fault::Reset => Way::Reset,
                    Fault::Close => Way::Closed,
                    Fault::Stall => Way::Stalled,
                    Fault::HalfClose => {
                        let _the_receiver_may_be_gone = to.shutdown().await;
                        Way::Over
                    }
                };
            }
            _ => {}
        }
    }
}
