//! `Story`: one origin behind one truehit, and a reader who remembers nothing.
//!
//! The binary is started as an operator would start it, with all defaults. It says on standard error where it listens.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::{Method, StatusCode};

use crate::client::{Answer, Client};
use crate::origin::Origin;
use crate::process::Process;

/// How many checked hits `auto` may need to find the strategy that it stays with: a failed try of each cheaper one.
const SETTLED_WITHIN: u32 = 5;

/// How many read while values are written and read.
const READERS: usize = 4;

/// Stands where the number of the last acknowledged write stands, when there will be no more.
const THE_END: u32 = u32::MAX;

/// A truehit in front of an origin. Both end with the value.
pub(crate) struct Story {
    reader: Client,
    admin: Client,
    // Held for their drop, the proxy's first.
    _truehit: Process,
    origin: Origin,
}

impl Story {
    /// Starts truehit in front of `origin`.
    pub(crate) fn before(origin: Origin) -> Self {
        let mut command = Command::new(truehit());
        command.args(["run", "--origin", &format!("http://{}", origin.address())]);
        command.args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        let mut truehit = Process::start("truehit", command);
        let (listen, admin) = truehit.wait_for(addresses_in);
        Self { reader: Client::new(listen), admin: Client::new(admin), _truehit: truehit, origin }
    }

    /// A client that goes around truehit.
    pub(crate) fn around(&self) -> Client {
        self.origin.client()
    }

    /// Reads `target` through truehit; the answer is a 200 that says what truehit did.
    pub(crate) async fn read(&self, target: &str) -> Answer {
        let answer = self.reader.get(target).await;
        assert_eq!(answer.status, StatusCode::OK, "GET {target}: {answer:?}");
        assert!(answer.field("cache-status").is_some(), "GET {target} says nothing of what truehit did: {answer:?}");
        answer
    }

    /// Reads a part of `target` through truehit; the answer is a 206.
    pub(crate) async fn read_part(&self, target: &str, range: &str) -> Answer {
        let answer = self.reader.send(Method::GET, target, &[("range", range)], "").await;
        assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT, "GET {target}, {range}: {answer:?}");
        answer
    }

    /// Reads `target` until a stored body has been served and `auto` is on `strategy`, and returns the last answer. An
    /// origin is learned by asking it, so this takes a few reads; every one of them must have the same body.
    pub(crate) async fn settle(&self, target: &str, strategy: &str) -> Answer {
        let first = self.read(target).await;
        for _ in 0..SETTLED_WITHIN {
            let answer = self.read(target).await;
            assert_eq!(answer.body, first.body, "nothing was written between two reads of {target}");
            if is_checked(&answer) && self.strategy().await.as_deref() == Some(strategy) {
                return answer;
            }
        }
        panic!(
            "{target} was not checked by {strategy} after {SETTLED_WITHIN} hits; metrics:\n{}",
            self.metrics().await
        );
    }

    /// How many checks truehit has made with `strategy`.
    pub(crate) async fn checks(&self, strategy: &str) -> f64 {
        sum(&self.metrics().await, "truehit_checks_total", &format!("strategy=\"{strategy}\""))
    }

    /// The strategy that `auto` is on, as the metric says it.
    pub(crate) async fn strategy(&self) -> Option<String> {
        let metrics = self.metrics().await;
        let series = metrics.lines().filter(|line| line.starts_with("truehit_check_strategy_info{"));
        let mut current = series.filter(|line| line.contains("route=\"default\"") && line.ends_with(" 1"));
        let line = current.next()?;
        assert_eq!(current.next(), None, "two strategies at once:\n{metrics}");
        label(line, "strategy")
    }

    /// Writes around truehit `writes` times, reads after each, and has others read all the while. A value must be there
    /// in every read that began after its write had been acknowledged.
    pub(crate) async fn stays_true(&self, target: &'static str, writes: u32, write: impl AsyncFn(&str)) {
        write(&value(0)).await;
        let acknowledged = Arc::new(AtomicU32::new(0));
        let others: Vec<_> = (0..READERS)
            .map(|_| tokio::spawn(keep_reading(self.reader.clone(), target, acknowledged.clone())))
            .collect();
        for number in 1..=writes {
            write(&value(number)).await;
            acknowledged.store(number, Ordering::SeqCst);
            must_have(&self.read(target).await, number);
        }
        acknowledged.store(THE_END, Ordering::SeqCst);
        for other in others {
            assert!(other.await.expect("no reader met an old value") > 0, "a reader read nothing");
        }
    }

    async fn metrics(&self) -> String {
        self.admin.get("/metrics").await.text().to_owned()
    }
}

/// Whether the answer's body came from truehit's store, confirmed by the origin.
pub(crate) fn is_checked(answer: &Answer) -> bool {
    answer.field("cache-status").is_some_and(|status| status.contains("detail=checked"))
}

/// Reads until the story's end; says how often.
async fn keep_reading(reader: Client, target: &str, acknowledged: Arc<AtomicU32>) -> u32 {
    let mut reads = 0;
    loop {
        let written = acknowledged.load(Ordering::SeqCst);
        if written == THE_END {
            return reads;
        }
        must_have(&reader.get(target).await, written);
        reads += 1;
    }
}

/// A value for each number, all of one length.
fn value(number: u32) -> String {
    format!("value-{number:04}")
}

/// Fails unless the answer has the value of that number or of a later one.
fn must_have(answer: &Answer, number: u32) {
    let text = answer.text();
    let found = text.split_once("value-").and_then(|(_, rest)| rest.get(..4)?.parse::<u32>().ok());
    assert!(
        found.is_some_and(|found| found >= number),
        "{} was written, and then {text:?} was read ({}, {:?})",
        value(number),
        answer.status,
        answer.field("cache-status"),
    );
}

/// The binary under test, or another build of it that `TRUEHIT_BIN` names: a release build, say.
fn truehit() -> PathBuf {
    std::env::var_os("TRUEHIT_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_truehit")), PathBuf::from)
}

/// The addresses in truehit's first log line, `{…, "listen": "127.0.0.1:1", "admin": "127.0.0.1:2"}`.
fn addresses_in(line: &str) -> Option<(String, String)> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let field = |name: &str| line.get(name).or_else(|| line.get("fields")?.get(name))?.as_str().map(str::to_owned);
    Some((field("listen")?, field("admin")?))
}

/// The sum of all series of `metric` whose labels contain `with`.
fn sum(metrics: &str, metric: &str, with: &str) -> f64 {
    let series = format!("{metric}{{");
    let lines = metrics.lines().filter(|line| line.starts_with(&series) && line.contains(with));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

/// The value of `name` among the labels of one series.
fn label(line: &str, name: &str) -> Option<String> {
    let rest = line.split_once(&format!("{name}=\""))?.1;
    Some(rest.split_once('"')?.0.to_owned())
}
