//! A run: readers through the real proxy, writers around it, and the history they leave.

use std::collections::HashMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use tokio::time::{sleep, timeout};
use truehit::origin::Origin;
use truehit::rules::policy::Verify;
use truehit::server::{InterimSink, Peer};

use crate::dice::{Dice, number_or};
use crate::history::{History, Read};
use crate::house::House;
use crate::register::{Kind, Manners, Register, content};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub kind: Kind,
    pub keys: usize,
    /// The policy.
    pub overlap: usize,
    pub verify: Verify,
    /// How many reads in all, by how many readers.
    pub reads: usize,
    pub readers: usize,
    pub writers: usize,
    /// The longest pause of a writer between its writes.
    pub writer_pause_ms: u64,
    /// What the origin does wrong, in thousandths: see [`Manners`].
    pub failing: u64,
    pub breaking: u64,
    pub short: u64,
    /// Of a thousand readers, how many leave before they have read everything.
    pub leaving: u64,
    pub seed: u64,
}

impl Plan {
    /// Sixty-four readers and eight writers, an origin that does nothing wrong, and clients that stay.
    pub fn calm(kind: Kind, keys: usize, overlap: usize, reads: usize) -> Self {
        Self {
            kind,
            keys,
            overlap,
            verify: Verify::EveryHit,
            reads,
            readers: 64,
            writers: 8,
            // On one key, about every second exchange finds a new version.
            writer_pause_ms: 300 / keys as u64,
            failing: 0,
            breaking: 0,
            short: 0,
            leaving: 0,
            seed: seed(),
        }
    }
}

/// What came of it.
pub struct Outcome {
    pub history: History,
    pub register: Register,
    /// Reads that got an error for an answer, or half of one.
    pub failed: usize,
    /// Reads whose reader left.
    pub left: usize,
    /// S4: replies that contradict themselves.
    pub torn: Vec<String>,
    /// Replies that were shared with others.
    pub collapsed: usize,
}

impl Outcome {
    /// Everything that a register behind a proxy that keeps its promise cannot have done.
    pub fn found(&self) -> Vec<String> {
        let broken = self.history.violations().into_iter().chain(self.history.unasked());
        self.torn.iter().cloned().chain(broken.map(|violation| format!("{violation:?}"))).collect()
    }
}

/// How a reader's requests get to the proxy.
pub trait Way: Clone + Send + 'static {
    /// What comes back.
    type Body: Body<Data = Bytes, Error: Debug> + Send + Unpin;

    /// Sends a request; gives the head of its reply, or nothing if there was none.
    fn send(&mut self, request: Request<Empty<Bytes>>) -> impl Future<Output = Option<Response<Self::Body>>> + Send;
}

impl<O: Origin> Way for House<O> {
    type Body = truehit::body::Body<O::Body>;

    async fn send(&mut self, request: Request<Empty<Bytes>>) -> Option<Response<Self::Body>> {
        let peer =
            Peer { address: SocketAddr::from(([127, 0, 0, 1], 40_000)), tls: false, interim: InterimSink::default() };
        Some(Arc::clone(&self.proxy).handle(request, peer).await)
    }
}

/// The longest wait at the origin before anything takes effect, and again after it.
const WAIT_MS: u64 = 20;

/// A seed to run with instead of the usual one: `LINEAR_SEED=7 cargo test --test linear`.
pub fn seed() -> u64 {
    number_or("LINEAR_SEED", 1)
}

/// How many reads, if `LINEAR_READS` does not say: `LINEAR_READS=10000000 cargo test --release --test linear`.
pub fn reads_or(usual: usize) -> usize {
    usize::try_from(number_or("LINEAR_READS", usual as u64)).unwrap()
}

/// The register of a plan.
pub fn register(plan: &Plan) -> Register {
    let &Plan { kind, keys, failing, breaking, short, .. } = plan;
    Register::new(Manners { kind, keys, wait_ms: WAIT_MS, failing, breaking, short }, plan.seed)
}

/// The proxy of a plan, without sockets.
pub fn house<O: Origin>(plan: &Plan, origin: O) -> House<O> {
    House::with(origin, |policy| {
        policy.verify = plan.verify;
        policy.collapse.overlap = plan.overlap;
    })
}

/// Runs a plan to its end, in process. Call it on paused time and one thread: then a seed repeats a run.
pub async fn run(plan: Plan) -> Outcome {
    let register = register(&plan);
    let house = house(&plan, register.clone());
    run_over(plan, register, house).await
}

/// Runs a plan over proxies that `way` leads to, and that have `register` for an origin.
pub async fn run_over<W: Way>(plan: Plan, register: Register, way: W) -> Outcome {
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..plan.writers)
        .map(|writer| tokio::spawn(write_on(plan, writer, register.clone(), Arc::clone(&done))))
        .collect();
    let readers: Vec<_> =
        (0..plan.readers).map(|at| tokio::spawn(Reader::new(plan, at, &way, &register).read_on())).collect();
    let (mut reads, mut failed, mut left, mut torn) = (Vec::new(), 0, 0, Vec::new());
    let mut collapsed = 0;
    for reader in readers {
        let reader = reader.await.unwrap();
        reads.extend(reader.reads);
        failed += reader.failed;
        left += reader.left;
        torn.extend(reader.torn);
        collapsed += reader.collapsed;
    }
    done.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let history = History { reads, writes: register.writes(), exchanges: register.exchanges() };
    Outcome { history, register, failed, left, torn, collapsed }
}

async fn write_on(plan: Plan, writer: usize, register: Register, done: Arc<AtomicBool>) {
    let mut dice = Dice::new(plan.seed ^ (0xb00c << 32) ^ writer as u64);
    while !done.load(Ordering::Relaxed) {
        sleep(dice.wait(plan.writer_pause_ms)).await;
        register.write(pick(&mut dice, plan.keys)).await;
    }
}

fn pick(dice: &mut Dice, keys: usize) -> usize {
    usize::try_from(dice.below(keys as u64)).unwrap()
}

struct Reader<W> {
    plan: Plan,
    at: usize,
    way: W,
    register: Register,
    dice: Dice,
    /// The latest tag of each key, and the version that each tag has stood for.
    tags: HashMap<usize, String>,
    versions: HashMap<(usize, String), u64>,
    reads: Vec<Read>,
    failed: usize,
    left: usize,
    torn: Vec<String>,
    collapsed: usize,
}

impl<W: Way> Reader<W> {
    fn new(plan: Plan, at: usize, way: &W, register: &Register) -> Self {
        Self {
            plan,
            at,
            way: way.clone(),
            register: register.clone(),
            dice: Dice::new(plan.seed ^ (0x4ead << 32) ^ at as u64),
            tags: HashMap::new(),
            versions: HashMap::new(),
            reads: Vec::new(),
            failed: 0,
            left: 0,
            torn: Vec::new(),
            collapsed: 0,
        }
    }

    async fn read_on(mut self) -> Self {
        for _ in 0..self.plan.reads / self.plan.readers {
            // Half of the reads follow the last one at once.
            let think = if self.dice.below(2) == 0 { Duration::ZERO } else { self.dice.wait(2 * WAIT_MS) };
            sleep(think).await;
            let leaves = self.dice.below(1000) < self.plan.leaving;
            let patience = if leaves { self.dice.wait(3 * WAIT_MS) } else { Duration::MAX };
            if timeout(patience, self.read()).await.is_err() {
                self.left += 1;
            }
        }
        self
    }

    async fn read(&mut self) {
        let key = pick(&mut self.dice, self.plan.keys);
        let mut request = Request::get(format!("/k/{key}")).header(header::HOST, "api.test");
        // Some clients have a copy of their own.
        let own = self.tags.get(&key).filter(|_| self.dice.below(4) == 0);
        if let Some(tag) = own {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        let own = own.cloned();
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let sent = self.register.stamp();
        let Some(response) = self.way.send(request).await else {
            self.failed += 1;
            return;
        };
        let answered = self.register.stamp();
        let (head, body) = response.into_parts();
        let content = body.collect().await.map(http_body_util::Collected::to_bytes);
        let text = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        self.collapsed += usize::from(text("cache-status").is_some_and(|status| status.contains("; collapsed")));
        let tag = text("etag");
        let declared = text("content-length").filter(|_| head.status == StatusCode::OK);
        let version = match (head.status, content) {
            // What breaks off, or is not as long as it says: any client sees through that.
            (_, Err(_)) => {
                self.failed += 1;
                return;
            }
            (_, Ok(bytes)) if declared.is_some_and(|length| length != bytes.len().to_string()) => {
                self.failed += 1;
                return;
            }
            (StatusCode::OK, Ok(bytes)) => self.version_in(key, tag, &bytes),
            // Whose tag, if not the one that was asked about?
            (StatusCode::NOT_MODIFIED, Ok(_)) if tag == own => own
                .and_then(|tag| self.versions.get(&(key, tag)).copied())
                .ok_or_else(|| "304 to a tag never seen".to_owned()),
            (StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT | StatusCode::SERVICE_UNAVAILABLE, _) => {
                self.failed += 1;
                return;
            }
            (status, content) => Err(format!("{status} with {tag:?} and {content:?}")),
        };
        match version {
            Ok(version) => self.reads.push(Read { reader: self.at, key, version, sent, answered }),
            Err(contradiction) => self.torn.push(contradiction),
        }
    }

    /// S4: the content is one version of this key, whole, and a tag always stands for one version.
    fn version_in(&mut self, key: usize, tag: Option<String>, bytes: &Bytes) -> Result<u64, String> {
        let text = String::from_utf8_lossy(bytes);
        let version = text.split(' ').nth(3).and_then(|version| version.parse().ok());
        let version = version.filter(|version| content(key, *version) == *bytes);
        let version = version.ok_or_else(|| format!("foreign or torn, for key {key}: {text}"))?;
        // Such a tag stands for two.
        if let Some(tag) = tag.filter(|_| self.plan.kind != Kind::Weak) {
            let before = *self.versions.entry((key, tag.clone())).or_insert(version);
            if before != version {
                return Err(format!("{tag} was version {before} of key {key}, and now is {version}"));
            }
            self.tags.insert(key, tag);
        }
        Ok(version)
    }
}
