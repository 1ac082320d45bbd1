//! The assembly with a core of plain answers: start, reload and end, on real sockets and ports of the system's choice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::LazyLock;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;
use truehit::cli;
use truehit::config::{self, Config, Overrides};
use truehit::lifecycle::{End, Event, ReloadCause, Signal};
use truehit::origin::BoxError;
use truehit::run::{Addresses, Core, Launch, Parts, RunError, run};
use truehit::server::{Content, Handler, Peer};

/// Says the name of the first route of each configuration that was taken into use.
static TAKEN: LazyLock<broadcast::Sender<String>> = LazyLock::new(|| broadcast::Sender::new(64));

/// Says that a request to `/slow` is being handled, and lets it end.
static ARRIVED: Notify = Notify::const_new();
static RELEASE: Notify = Notify::const_new();

/// Answers with the name of its first route.
struct Plain {
    route: ArcSwap<String>,
}

fn first_route(config: &Config) -> String {
    config.routes[0].policy.name.to_string()
}

impl Core for Plain {
    fn build(config: &Config, _parts: &Parts) -> Result<Self, BoxError> {
        Ok(Self { route: ArcSwap::from_pointee(first_route(config)) })
    }

    fn replace(&self, config: &Config, _parts: &Parts) -> Result<(), BoxError> {
        if first_route(config) == "refused" {
            return Err("this one is refused".into());
        }
        self.route.store(first_route(config).into());
        let _ = TAKEN.send(first_route(config));
        Ok(())
    }
}

impl Handler for Plain {
    type Body = Full<Bytes>;

    async fn handle(self: Arc<Self>, request: Request<Content>, _peer: Peer) -> Response<Full<Bytes>> {
        if request.uri().path() == "/slow" {
            ARRIVED.notify_one();
            RELEASE.notified().await;
        }
        Response::new(Full::from(self.route.load().to_string()))
    }

    fn panicked(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    }
}

struct Process {
    addresses: Addresses,
    events: mpsc::Sender<Event>,
    file: PathBuf,
    end: JoinHandle<Result<End, RunError>>,
}

/// A configuration whose first route has this name.
fn write(file: &Path, route: &str) {
    let text = format!(
        "[listen]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
         [origin]\nurl = \"http://127.0.0.1:1\"\n[drain]\ndelay = \"0s\"\ntimeout = \"60s\"\n\
         [[route]]\nname = \"{route}\"\npaths = [\"/{route}\"]\n"
    );
    // As editors and the kubelet do: no moment with half a file.
    let new = file.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file).unwrap();
}

fn launch(name: &str) -> (Launch, PathBuf) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("run-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("truehit.toml");
    write(&file, name);
    let overrides = Overrides { config: Some(file.clone()), ..Overrides::default() };
    let loaded = config::load(&overrides, cli::environment()).unwrap();
    (Launch { overrides, access_log: false, loaded, text_log: None }, file)
}

impl Process {
    async fn start(name: &str) -> Self {
        let (launch, file) = launch(name);
        // One event waits at most, so that sending the second but next means that the first was handled.
        let (events, incoming) = mpsc::channel(1);
        let (started, addresses) = oneshot::channel();
        let sender = events.clone();
        let end = tokio::spawn(async move {
            run::<Plain>(launch, (sender, incoming), |addresses| started.send(addresses).unwrap()).await
        });
        Self { addresses: addresses.await.unwrap(), events, file, end }
    }

    async fn tell(&self, event: Event) {
        self.events.send(event).await.unwrap();
    }

    /// Tells it to reload and waits until it has.
    async fn reload(&self) {
        for _ in 0..3 {
            self.tell(Event::Reload(ReloadCause::Hangup)).await;
        }
    }

    async fn get(&self, path: &str) -> String {
        let (status, body) = get(self.addresses.listen, path).await.unwrap();
        assert_eq!(status, 200);
        body
    }

    async fn admin(&self, path: &str) -> (StatusCode, String) {
        get(self.addresses.admin, path).await.unwrap()
    }

    async fn end(self) -> End {
        self.tell(Event::End(Signal::Terminate)).await;
        self.end.await.unwrap().unwrap()
    }
}

async fn get(address: std::net::SocketAddr, path: &str) -> Result<(StatusCode, String), BoxError> {
    let stream = TcpStream::connect(address).await?;
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "localhost").body(Empty::<Bytes>::new())?;
    let response = client.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec())?))
}

#[tokio::test]
async fn a_sidecar_serves_and_ends_when_the_last_answer_is_out() {
    let process = Process::start("life").await;
    assert_eq!(process.get("/").await, "life");
    assert_eq!(process.admin("/readyz").await, (StatusCode::OK, String::from("ok\n")));
    let (_, metrics) = process.admin("/metrics").await;
    assert!(metrics.contains("truehit_ready 1\n") && metrics.contains("truehit_config_last_reload_successful 1\n"));

    let listen = process.addresses.listen;
    let slow = tokio::spawn(async move { get(listen, "/slow").await.unwrap() });
    ARRIVED.notified().await;
    process.tell(Event::End(Signal::Terminate)).await;
    // The listener closes while the answer is still owed; what cannot connect any more was turned away, not dropped.
    while TcpStream::connect(listen).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!process.end.is_finished());
    assert_eq!(process.admin("/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    RELEASE.notify_one();
    assert_eq!(slow.await.unwrap(), (StatusCode::OK, String::from("life")));
    let end = process.end.await.unwrap().unwrap();
    assert_eq!((end, end.exit_code()), (End::Finished, 0));
}

#[tokio::test]
async fn a_configuration_that_is_not_valid_leaves_the_old_one_in_use_and_says_so() {
    let process = Process::start("valid").await;
    std::fs::write(&process.file, "[listen]\nadress = \"127.0.0.1:0\"\n").unwrap();
    process.reload().await;
    assert_eq!(process.get("/").await, "valid");
    let (_, metrics) = process.admin("/metrics").await;
    assert!(metrics.contains("truehit_config_last_reload_successful 0\n"), "{metrics}");
    assert!(!metrics.contains("truehit_config_reloads_total{result=\"error\"} 0\n"));
    assert_eq!(process.admin("/readyz").await.0, StatusCode::OK);
    assert_eq!(process.end().await, End::Finished);
}

#[tokio::test]
async fn a_configuration_that_the_core_refuses_leaves_the_old_one_in_use() {
    let process = Process::start("accepted").await;
    write(&process.file, "refused");
    process.reload().await;
    assert_eq!(process.get("/").await, "accepted");
    let (_, metrics) = process.admin("/metrics").await;
    assert!(metrics.contains("truehit_config_last_reload_successful 0\n"), "{metrics}");
    assert_eq!(process.end().await, End::Finished);
}

#[tokio::test]
async fn a_file_that_changes_is_taken_into_use_without_a_signal() {
    let mut taken = TAKEN.subscribe();
    let process = Process::start("before").await;
    write(&process.file, "after");
    while taken.recv().await.unwrap() != "after" {}
    assert_eq!(process.get("/").await, "after");
    assert_eq!(process.end().await, End::Finished);
}

#[tokio::test]
async fn an_address_that_is_taken_exits_74() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for flag in ["listen", "admin"] {
        let (mut launch, _) = launch(flag);
        let address = Some(taken.local_addr().unwrap().to_string());
        match flag {
            "listen" => launch.overrides.listen = address,
            _ => launch.overrides.admin = address,
        }
        launch.loaded = config::load(&launch.overrides, cli::environment()).unwrap();
        let error = run::<Plain>(launch, mpsc::channel(1), |_| panic!("it started")).await.unwrap_err();
        assert_eq!(error.exit_code(), 74, "{error}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_there_exits_78() {
    let (mut launch, file) = launch("tls");
    let tls = config::ListenTls { certificate: file.with_extension("crt"), private_key: file.with_extension("key") };
    launch.loaded.config.listen.tls = Some(tls);
    let error = run::<Plain>(launch, mpsc::channel(1), |_| panic!("it started")).await.unwrap_err();
    assert_eq!(error.exit_code(), 78, "{error}");
}
