//! `Story`: one origin behind one truehit, and a reader who remembers nothing.
//!
//! The binary is started as an operator would start it, with all defaults. It says on standard error where it listens.

use std::path::PathBuf;
use std::process::Command;

use http::StatusCode;

use crate::client::{Answer, Client};
use crate::origin::Origin;
use crate::process::Process;

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

    /// Reads `target` until a stored body has been served, and returns that answer. An origin is learned by asking, so
    /// this may take a few reads; every one of them must have the same body.
    pub(crate) async fn read_until_checked(&self, target: &str) -> Answer {
        let first = self.read(target).await;
        for _ in 0..5 {
            let answer = self.read(target).await;
            assert_eq!(answer.body, first.body, "nothing was written between two reads of {target}");
            if is_checked(&answer) {
                return answer;
            }
        }
        panic!("{target} was never served from the store; metrics:\n{}", self.metrics().await);
    }

    /// How many checks truehit has made with `strategy`.
    pub(crate) async fn checks(&self, strategy: &str) -> f64 {
        sum(&self.metrics().await, "truehit_checks_total", &format!("strategy=\"{strategy}\""))
    }

    /// The strategy that `auto` is on, and why, as the metric says it.
    pub(crate) async fn strategy(&self) -> (String, String) {
        let metrics = self.metrics().await;
        metrics
            .lines()
            .filter(|line| line.starts_with("truehit_check_strategy_info{") && line.contains("route=\"default\""))
            .filter(|line| line.ends_with(" 1"))
            .find_map(|line| Some((label(line, "strategy")?, label(line, "reason")?)))
            .unwrap_or_else(|| panic!("no truehit_check_strategy_info for the default route; metrics:\n{metrics}"))
    }

    /// Writes around truehit with `write`, then reads: fails at the first read that does not contain what was written.
    pub(crate) async fn write_and_read(&self, target: &str, values: &[String], write: impl AsyncFn(&str)) {
        for value in values {
            write(value).await;
            let answer = self.read(target).await;
            assert!(
                answer.text().contains(value.as_str()),
                "{value:?} was written, and then {:?} was read ({:?})",
                answer.text(),
                answer.field("cache-status"),
            );
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

/// Values of equal length that all differ, as many as `count`.
pub(crate) fn values(count: u32) -> Vec<String> {
    (0..count).map(|number| format!("value-{number:04}")).collect()
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
