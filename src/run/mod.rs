//! The assembly: from a loaded configuration to a running sidecar, and to its end.
//!
//! [`run`] reads from top to bottom as the life of the process: bind, build, announce, live, drain. Everything that may
//! fail does so before the first request: a process that says it is started has its addresses, its certificates and
//! its origin's settings. What is built once and outlives every reload is [`Parts`]; what answers requests is a [`Core`].

mod descriptors;
mod sidecar;
mod watching;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use self::sidecar::Running;
use self::watching::Watching;
use crate::access_log::AccessLog;
use crate::admin::{self, AdminState, Gate};
use crate::cli;
use crate::clock::Clock;
use crate::config::{Config, Limits, Loaded, OriginPlace, Overrides};
use crate::lifecycle::{self, End, Event};
use crate::metrics::Metrics;
use crate::origin::{BoxError, OriginCounters};
use crate::readiness::Readiness;
use crate::server::{BindError, Closings, Drain, Handler, Server};
use crate::text_log::TextLog;

/// What answers requests, as the assembly sees it: the proxy, and the plain answers of the assembly's own tests.
pub trait Core: Handler + Sized {
    /// Builds it. What it knows for a scrape, it adds by [`Metrics::on_scrape`].
    ///
    /// # Errors
    ///
    /// If what the configuration names cannot be used (a certificate file, say). The process then does not start.
    fn build(config: &Config, parts: &Parts) -> Result<Self, BoxError>;

    /// Takes a new configuration into use as a whole, or not at all. Requests under way end under the old one.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build); the old configuration is then still in use.
    fn replace(&self, config: &Config, parts: &Parts) -> Result<(), BoxError>;
}

/// What is built once per process.
#[derive(Clone)]
pub struct Parts {
    /// The time.
    pub clock: Clock,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The access log.
    pub access_log: Arc<AccessLog>,
    /// What happens on the connections to the origin; every `NetworkOrigin` of the process counts here.
    pub origin_counters: Arc<OriginCounters>,
    /// Where the process is in its life.
    pub readiness: Arc<Readiness>,
    /// Ends client connections; tunnels hold it too.
    pub drain: Drain,
}

/// What to run.
#[derive(Debug)]
pub struct Launch {
    /// What the command line says: it goes on overriding when the configuration is reloaded.
    pub overrides: Overrides,
    /// Whether the command line asks for the access log, whatever the configuration says.
    pub access_log: bool,
    /// The configuration at the start.
    pub loaded: Loaded,
    /// The text log, if the process has one to be changed by a reload.
    pub text_log: Option<TextLog>,
}

/// The addresses that were bound: with port 0 configured, the ports that the system chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where probes and metrics are served.
    pub admin: SocketAddr,
}

/// Why a process could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The listening side could not be opened.
    #[error(transparent)]
    Listen(#[from] BindError),
    /// The admin listener could not be opened.
    #[error("cannot listen on {address} for probes and metrics: {reason}")]
    Admin {
        /// Its address.
        address: SocketAddr,
        /// The system's reason.
        reason: io::Error,
    },
    /// What the configuration names cannot be used.
    #[error("{0}")]
    Core(BoxError),
}

impl RunError {
    /// The exit code.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Listen(BindError::Listen { .. }) | Self::Admin { .. } => cli::exit::IO,
            Self::Listen(BindError::Certificate(_)) | Self::Core(_) => cli::exit::CONFIG,
        }
    }
}

/// Runs a sidecar until its end. `events` is its only way to hear from outside (see [`lifecycle::forward_signals`]);
/// `started` learns the addresses once everything is up.
///
/// # Errors
///
/// [`RunError`] if it cannot start; afterwards nothing fails it.
pub async fn run<C: Core>(
    launch: Launch,
    events: (mpsc::Sender<Event>, mpsc::Receiver<Event>),
    started: impl FnOnce(Addresses),
) -> Result<End, RunError> {
    let Launch { overrides, access_log, loaded, text_log } = launch;
    let config = &loaded.config;
    let (sender, mut events) = events;

    let admin = TcpListener::bind(config.admin.address).await.and_then(|bound| Ok((bound.local_addr()?, bound)));
    let refused = |reason| RunError::Admin { address: config.admin.address, reason };
    let (admin_address, admin_listener) = admin.map_err(refused)?;
    let connections = descriptors::connections(config.limits.connections);
    let server = Server::bind(&config.listen, &Limits { connections, ..config.limits.clone() })?;
    let addresses = Addresses { listen: server.local_addr(), admin: admin_address };

    // Dropped last: what the last requests logged is then written out.
    let (log, _flush) = AccessLog::stdout(config.log.access || access_log);
    let parts = Parts {
        clock: Clock::system(),
        metrics: Metrics::new(cli::VERSION, cli::REVISION),
        access_log: Arc::new(log),
        origin_counters: Arc::default(),
        readiness: Arc::default(),
        drain: server.drain(),
    };
    add_readings(&parts, server.closings());
    let core = Arc::new(C::build(config, &parts).map_err(RunError::Core)?);
    parts.metrics.config_loaded(parts.clock.wall());

    let gate = Arc::new(Gate::new(&config.admin, admin_address));
    let state =
        AdminState { metrics: parts.metrics.clone(), readiness: parts.readiness.clone(), gate: Arc::clone(&gate) };
    let probes = tokio::spawn(admin::serve(admin_listener, state));
    let certificates = server.certificates();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(server.run(core.clone(), async {
        // A sender that is gone has stopped as well.
        let _ = stopped.await;
    }));
    let watching = Watching::begin(&loaded, &sender);
    parts.readiness.serve();
    announce(addresses, config);
    started(addresses);

    let readiness = parts.readiness.clone();
    let mut running = Running {
        core,
        parts,
        loaded,
        overrides,
        access_log,
        text_log,
        certificates,
        gate,
        events: sender,
        watching,
        stop: Some(stop),
    };
    let end = lifecycle::live(&mut running, &readiness, &mut events).await;
    probes.abort();
    Ok(end)
}

/// What the assembly's own parts know for a scrape.
fn add_readings(parts: &Parts, closings: Arc<Closings>) {
    let Parts { access_log, origin_counters, readiness, drain, .. } = parts.clone();
    parts.metrics.on_scrape(move |readings| {
        readings.ready = readiness.is_ready();
        readings.log_lines_dropped = access_log.dropped_lines();
        readings.connections = u64::try_from(drain.busy_count()).unwrap_or(u64::MAX);
        readings.client_closings = closings.counts();
        readings.origin_connections = origin_counters.dials.load(Ordering::Relaxed);
        readings.origin_retries = origin_counters.retries.load(Ordering::Relaxed);
        readings.origin_desyncs = origin_counters.desyncs.load(Ordering::Relaxed);
    });
}

/// The line that says that it runs, and where: for people and for whoever started it with port 0.
fn announce(addresses: Addresses, config: &Config) {
    tracing::info!(
        listen = %addresses.listen,
        admin = %addresses.admin,
        origin = %origin_text(&config.origin.place),
        version = cli::VERSION,
        "serving"
    );
}

fn origin_text(place: &OriginPlace) -> String {
    match place {
        OriginPlace::Tcp { tls, host, port } => {
            let scheme = if *tls { "https" } else { "http" };
            if host.contains(':') { format!("{scheme}://[{host}]:{port}") } else { format!("{scheme}://{host}:{port}") }
        }
        OriginPlace::Unix(path) => format!("unix:{}", path.display()),
    }
}
