//! A running sidecar, its configuration file and its events.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Request;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use truehit::cli;
use truehit::config::{self, Overrides};
use truehit::front::Front;
use truehit::lifecycle::{End, Event, ReloadCause, Signal};
use truehit::run::{Addresses, Core, Launch, RunError, run};

use super::peers::{Answer, Client, ask, empty};
use super::raw::{Raw, soon};

/// A folder of a test's own, removed with it.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("scratch-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Writes a file as editors and the kubelet do: there is no moment with half of it.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let (path, new) = (self.0.join(name), self.0.join(format!("{name}.new")));
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, &path).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub struct Sidecar {
    pub addresses: Addresses,
    events: mpsc::Sender<Event>,
    scratch: Scratch,
    end: JoinHandle<Result<End, RunError>>,
}

/// The configuration of these tests: ports of the system's choice, and what a test adds in dotted keys.
fn text(origin: &str, delay: &str, more: &str) -> String {
    format!(
        "listen.address = \"127.0.0.1:0\"\nadmin.address = \"127.0.0.1:0\"\norigin.url = \"{origin}\"\n\
         drain.delay = \"{delay}\"\n{more}\n"
    )
}

impl Sidecar {
    /// Starts one in front of `origin`, a URL.
    pub async fn start(origin: &str, more: &str) -> Self {
        Self::of(&text(origin, "0s", more)).await
    }

    /// The same, with this `drain.delay`.
    pub async fn delayed(origin: &str, delay: &str) -> Self {
        Self::of(&text(origin, delay, "")).await
    }

    pub async fn of(text: &str) -> Self {
        Self::assembled::<Front>(text).await
    }

    /// Starts another core in front of `origin`.
    pub async fn with<C: Core>(origin: &str) -> Self {
        Self::assembled::<C>(&text(origin, "0s", "")).await
    }

    async fn assembled<C: Core>(text: &str) -> Self {
        // As the program does, for clients that are built without naming one. The second time it is there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let scratch = Scratch::new();
        let file = scratch.file("truehit.toml", text);
        let overrides = Overrides { config: Some(file), ..Overrides::default() };
        let loaded = config::load(&overrides, cli::environment()).unwrap();
        let launch = Launch { overrides, access_log: false, loaded, text_log: None };
        // One event waits at most, so that sending the second but next means that the first was handled.
        let (events, incoming) = mpsc::channel(1);
        let (started, addresses) = oneshot::channel();
        let sender = events.clone();
        let end = tokio::spawn(async move {
            run::<C>(launch, (sender, incoming), |addresses| started.send(addresses).unwrap()).await
        });
        Self { addresses: soon(addresses).await.unwrap(), events, scratch, end }
    }

    pub fn address(&self) -> SocketAddr {
        self.addresses.listen
    }

    /// An HTTP/1.1 connection to the listening side.
    pub async fn client(&self) -> Client {
        Client::h1(self.stream().await).await
    }

    /// An HTTP/2 connection to the listening side, with prior knowledge.
    pub async fn h2_client(&self) -> Client {
        Client::h2(self.stream().await).await
    }

    /// The same by hand.
    pub async fn raw(&self) -> Raw<TcpStream> {
        Raw::connect(self.address()).await
    }

    pub async fn stream(&self) -> TcpStream {
        let stream = soon(TcpStream::connect(self.address())).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// `GET target` on a connection of its own.
    pub async fn get(&self, target: &str) -> Answer {
        self.client().await.get(target).await
    }

    /// A request without content, with these fields, on a connection of its own.
    pub async fn send(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
        let request = fields.iter().fold(ask(method, target), |request, (name, value)| request.header(*name, *value));
        self.client().await.fetch(request.body(empty()).unwrap()).await
    }

    pub async fn admin(&self, path: &str) -> Answer {
        self.admin_asked(Request::get(path).header("host", "localhost")).await
    }

    pub async fn admin_asked(&self, request: http::request::Builder) -> Answer {
        let stream = soon(TcpStream::connect(self.addresses.admin)).await.unwrap();
        Client::h1(stream).await.fetch(request.body(empty()).unwrap()).await
    }

    /// The value of a series; 0 if it is not there.
    pub async fn metric(&self, series: &str) -> f64 {
        let page = self.admin("/metrics").await;
        let line = page.text().lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
    }

    /// Waits until a series has this value.
    pub async fn until_metric(&self, series: &str, value: f64) {
        let reached = async {
            while self.metric(series).await != value {
                tokio::task::yield_now().await;
            }
        };
        soon(reached).await;
    }

    pub async fn tell(&self, event: Event) {
        soon(self.events.send(event)).await.unwrap();
    }

    /// Replaces the configuration file.
    pub fn configure(&self, origin: &str, more: &str) {
        self.write(&text(origin, "0s", more));
    }

    pub fn write(&self, text: &str) {
        self.scratch.file("truehit.toml", text);
    }

    /// Tells it to reload and waits until it has.
    pub async fn reload(&self) {
        for _ in 0..3 {
            self.tell(Event::Reload(ReloadCause::Hangup)).await;
        }
    }

    /// Tells it to end.
    pub async fn terminate(&self) {
        self.tell(Event::End(Signal::Terminate)).await;
    }

    /// Waits for the end.
    pub async fn ended(self) -> End {
        soon(self.end).await.unwrap().unwrap()
    }
}
