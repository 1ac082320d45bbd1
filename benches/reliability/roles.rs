//! What this executable does when it is started again: it is the origin, and says on standard output where.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::site::Site;

/// `--origin PORT DELAY_MS VERSION`.
pub const ORIGIN: &str = "--origin";

/// The line that says where it serves begins so.
pub const SERVING: &str = "serving 127.0.0.1:";

/// How many bytes of what it sends may wait in the kernel.
#[cfg(target_os = "linux")]
const UNSENT_MAX: u32 = 128 * 1024;

/// Plays the role that the arguments name; `false` if they name none.
pub fn play(arguments: &[String]) -> bool {
    let Some(place) = arguments.iter().position(|argument| argument == ORIGIN) else { return false };
    let number = |at: usize| arguments.get(place + at).and_then(|word| word.parse::<u64>().ok()).unwrap_or_default();
    let site = Arc::new(Site::new(Duration::from_millis(number(2)), number(3)));
    let port = u16::try_from(number(1)).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        // The port may be one that an origin had which was killed a moment ago: tokio asks for it to be reused.
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await.expect("a port on loopback");
        println!("{SERVING}{}", listener.local_addr().expect("a bound socket has an address").port());
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&site)));
            }
        }
    });
    true
}

async fn serve(stream: TcpStream, site: Arc<Site>) {
    let _ = stream.set_nodelay(true);
    // An origin on another machine would take that machine's memory for what it cannot send; this one takes truehit's.
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_MAX);
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { site.answer(request).await }
    });
    // A client that hangs up is no concern of ours.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
