//! What this executable does when the harness starts it again: it serves, and says on standard output where.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::origin::Site;

pub const ORIGIN: &str = "--origin";
pub const STATIC: &str = "--serve-static";

/// Plays the role that the arguments name; `false` if they name none.
pub fn play(arguments: &[String]) -> bool {
    let after = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1)?.parse::<u64>().ok()
    };
    if let Some(delay_ms) = after(ORIGIN) {
        let site = Arc::new(Site::new(Duration::from_millis(delay_ms)));
        serve(move |request| {
            let site = Arc::clone(&site);
            async move { site.answer(&request).await }
        });
        return true;
    }
    if let Some(size) = after(STATIC) {
        let body = Bytes::from(vec![b'x'; usize::try_from(size).expect("a body fits in memory")]);
        serve(move |_| std::future::ready(plain(body.clone())));
        return true;
    }
    false
}

/// The line that says where it serves begins so.
pub const SERVING: &str = "serving 127.0.0.1:";

/// Serves HTTP/1.1 on a port of the system's choice until the process is killed, with as many threads as there are
/// cores.
fn serve<A, F>(answer: A)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port on loopback");
        println!("{SERVING}{}", listener.local_addr().expect("a bound socket has an address").port());
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            let answer = answer.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let response = answer(request);
                    async move { Ok::<_, Infallible>(response.await) }
                });
                // A client that hangs up is no concern of ours.
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}

fn plain(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response
}
