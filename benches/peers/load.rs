//! `Load`: what a load generator is asked to do, and the figures that it prints.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::client::HOST;
use crate::process::source;

/// A run of a load generator against any target.
#[derive(Clone, Debug)]
pub enum Load {
    /// wrk with one thread: HTTP/1.1, each connection with one request at a time.
    Wrk {
        connections: usize,
        /// A script of benches/peers/wrk.
        script: &'static str,
        /// What the script is told. `{round}` stands for a number that no other run of the row has.
        arguments: Vec<String>,
        /// The target asked for, where the script chooses none.
        path: String,
        tls: bool,
    },
    /// h2load with one thread: HTTP/2 over TLS.
    H2load { connections: usize, streams: usize, path: String },
}

/// What it measured.
#[derive(Debug, Default)]
pub struct Figures {
    pub requests: u64,
    pub seconds: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Bytes of responses, heads included.
    pub bytes: u64,
    /// Requests that failed or were answered with an error, by what wrk and h2load call them; empty if there are none.
    pub errors: Vec<String>,
}

impl Load {
    /// wrk asking for one path.
    pub fn of(connections: usize, path: String) -> Self {
        Self::Wrk { connections, script: "figures.lua", arguments: Vec::new(), path, tls: false }
    }

    /// wrk asking for one path over TLS.
    pub fn over_tls(connections: usize, path: String) -> Self {
        Self::Wrk { connections, script: "figures.lua", arguments: Vec::new(), path, tls: true }
    }

    /// wrk with a script that chooses the targets.
    pub fn scripted(connections: usize, script: &'static str, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self::Wrk { connections, script, arguments, path: "/".to_owned(), tls: false }
    }

    /// Loads the target for some seconds; `round` tells the runs of a row apart.
    pub fn run(&self, target: SocketAddr, seconds: u64, round: usize, scratch: &Path) -> Figures {
        match self {
            Self::Wrk { connections, script, arguments, path, tls } => {
                let scheme = if *tls { "https" } else { "http" };
                let mut command = Command::new("wrk");
                command.current_dir(source("wrk"));
                command.args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "--timeout", "10s"]);
                command.args(["--latency", "-H", &format!("Host: {HOST}"), "-s", script]);
                command.arg(format!("{scheme}://{target}{path}")).arg("--");
                command.args(arguments.iter().map(|argument| argument.replace("{round}", &round.to_string())));
                wrk_figures(&printed_by(command))
            }
            Self::H2load { connections, streams, path } => {
                let log = scratch.join("h2load.log");
                // It appends.
                let _ = std::fs::remove_file(&log);
                let mut command = Command::new("h2load");
                command.args(["-t1", &format!("-c{connections}"), &format!("-m{streams}"), &format!("-D{seconds}")]);
                command.arg(format!("--log-file={}", log.display())).arg(format!("https://{target}{path}"));
                h2load_figures(&printed_by(command), &std::fs::read_to_string(&log).unwrap_or_default())
            }
        }
    }
}

fn printed_by(mut command: Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {printed}{}", String::from_utf8_lossy(&output.stderr));
    printed
}

/// Reads the line that wrk/figures.lua prints.
fn wrk_figures(printed: &str) -> Figures {
    let line = printed.lines().find_map(|line| line.strip_prefix("figures "));
    let line = line.unwrap_or_else(|| panic!("no figures from wrk:\n{printed}"));
    let value = |name: &str| {
        let found = line.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse::<f64>().ok());
        found.unwrap_or_else(|| panic!("no {name} in: {line}"))
    };
    let kinds = ["connect", "read", "write", "timeout", "status"];
    let errors = kinds.iter().filter(|kind| value(kind) > 0.0).map(|kind| format!("{} {kind}", value(kind)));
    Figures {
        requests: whole(value("requests")),
        seconds: value("microseconds") / 1e6,
        p50_ms: value("p50") / 1e3,
        p99_ms: value("p99") / 1e3,
        bytes: whole(value("bytes")),
        errors: errors.collect(),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "printed as a whole number")]
const fn whole(number: f64) -> u64 {
    number as u64
}

/// Reads what h2load prints, and its log: a line for each request, with when it began, its status, and how long it took
/// in microseconds.
fn h2load_figures(printed: &str, log: &str) -> Figures {
    let number_before = |line: &str, what: &str| {
        let end = line.find(what)?;
        line[..end].trim_end().rsplit([' ', ',', ':', '(']).next()?.parse::<u64>().ok()
    };
    let on_line = |start: &str, what: &str| {
        let found = printed.lines().find(|line| line.starts_with(start)).and_then(|line| number_before(line, what));
        found.unwrap_or_else(|| panic!("no `{start}` with `{what}` from h2load:\n{printed}"))
    };
    let requests = on_line("requests:", "succeeded");
    let kinds = [("failed", "requests:"), ("errored", "requests:"), ("timeout", "requests:"), ("4xx", "status codes:")];
    let kinds = kinds.into_iter().chain([("3xx", "status codes:"), ("5xx", "status codes:")]);
    let errors = kinds.map(|(kind, line)| (on_line(line, kind), kind)).filter(|(count, _)| *count > 0);
    let mut times: Vec<(u64, u64)> = log
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (begun, took) = (fields.next()?.parse::<u64>().ok()?, fields.nth(1)?.parse::<u64>().ok()?);
            Some((took, begun + took))
        })
        .collect();
    let (first, last) =
        times.iter().fold((u64::MAX, 0), |(first, last), (took, ended)| (first.min(ended - took), last.max(*ended)));
    times.sort_unstable();
    let percentile = |hundredths: usize| {
        let place = (times.len() * hundredths / 100).min(times.len().saturating_sub(1));
        times.get(place).map_or(f64::NAN, |(took, _)| crate::statistic::figure(*took) / 1e3)
    };
    Figures {
        requests,
        seconds: crate::statistic::figure(last.saturating_sub(first)) / 1e6,
        p50_ms: percentile(50),
        p99_ms: percentile(99),
        bytes: on_line("traffic:", ") total"),
        errors: errors.map(|(count, kind)| format!("{count} {kind}")).collect(),
    }
}
