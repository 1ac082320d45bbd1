//! `Sidecar`: `truehit run` as a child process, as an operator would start it.
//!
//! It chooses its ports and says which in the first line of its log. The log is kept in a file. It ends with the value.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use crate::client::AnyError;

/// The longest that it may take to listen.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A running truehit.
#[derive(Debug)]
pub(crate) struct Sidecar {
    /// Where clients go.
    pub(crate) listen: String,
    /// Where its metrics are.
    pub(crate) admin: String,
    child: Child,
}

impl Sidecar {
    /// Starts `program` in front of `origin` and waits until it listens.
    pub(crate) async fn start(
        program: &Path,
        origin: &str,
        listen: &str,
        more: &[String],
        log: &Path,
    ) -> Result<Self, AnyError> {
        let log_file = File::create(log).await?;
        let mut child = Command::new(program)
            .args(["run", "--origin", origin, "--listen", listen, "--admin", "127.0.0.1:0"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(log_file.try_clone().await?.into_std().await)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("{} could not be started: {error}", program.display()))?;
        let stderr = child.stderr.take().ok_or("standard error was piped")?;
        let mut lines = BufReader::new(stderr).lines();
        let Ok(found) = timeout(READY_WITHIN, addresses(&mut lines)).await else {
            return Err(format!("truehit did not listen within {READY_WITHIN:?}").into());
        };
        let (listen, admin) = found?;
        tokio::spawn(keep(lines, log_file));
        Ok(Self { listen, admin, child })
    }

    /// Waits until it ends by itself, which it should not.
    pub(crate) async fn ended(&mut self) -> AnyError {
        match self.child.wait().await {
            Ok(status) => format!("truehit ended: {status}").into(),
            Err(error) => error.into(),
        }
    }
}

/// The program given, or the one beside this program, which is where cargo puts both.
pub(crate) fn find(given: Option<PathBuf>) -> Result<PathBuf, AnyError> {
    if let Some(path) = given {
        return Ok(path);
    }
    let beside = std::env::current_exe()?.with_file_name(format!("truehit{}", std::env::consts::EXE_SUFFIX));
    if !beside.exists() {
        return Err(format!(
            "there is no {}: build it with `cargo build -p truehit`, or say where it is with --truehit",
            beside.display()
        )
        .into());
    }
    Ok(beside)
}

/// Reads log lines until one names both addresses.
async fn addresses(lines: &mut Lines<BufReader<ChildStderr>>) -> Result<(String, String), AnyError> {
    let mut printed = String::new();
    while let Some(line) = lines.next_line().await? {
        let fields: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
        let field = |name: &str| fields.get(name).or_else(|| fields.get("fields")?.get(name))?.as_str();
        if let (Some(listen), Some(admin)) = (field("listen"), field("admin")) {
            return Ok((listen.to_owned(), admin.to_owned()));
        }
        printed.push_str(&line);
        printed.push('\n');
    }
    Err(format!("truehit ended before it listened; it printed:\n{printed}").into())
}

/// Keeps the rest of the log, so that truehit never waits for a reader.
async fn keep(mut lines: Lines<BufReader<ChildStderr>>, mut file: File) {
    while let Ok(Some(line)) = lines.next_line().await {
        if file.write_all(format!("{line}\n").as_bytes()).await.is_err() {
            break;
        }
    }
}
