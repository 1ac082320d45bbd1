//! `Origin`: a server that runs for one test, with its address and the folder that it serves or keeps its data in.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::client::Client;
use crate::process::{Process, address_in, probably_free_port};

/// How often a server that cannot choose its own port is started before the test gives up.
const PORT_TRIES: u32 = 10;

/// A running origin. It ends with the value.
pub(crate) struct Origin {
    address: String,
    // Held for its drop.
    _process: Process,
}

impl Origin {
    /// Starts a server that chooses its port and prints the address as `http://address:port`.
    pub(crate) fn printing_its_address(name: &str, command: Command) -> Self {
        let mut process = Process::start(name, command);
        let address = process.wait_for(address_in);
        Self { address, _process: process }
    }

    /// Starts a server that must be told its port and prints nothing: `command` gets a port that was free a moment ago,
    /// and another if the server ends instead of listening there.
    pub(crate) async fn told_its_port(name: &str, command: impl Fn(u16) -> Command) -> Self {
        let mut last = String::new();
        for _ in 0..PORT_TRIES {
            let port = probably_free_port();
            let mut process = Process::start(name, command(port));
            if listens(&mut process, port).await {
                return Self { address: format!("127.0.0.1:{port}"), _process: process };
            }
            // It has ended, so this reads what is left to read and returns.
            process.wait_or_end(|_| None::<()>);
            last = process.printed();
        }
        panic!("{name} did not start on any of {PORT_TRIES} ports; it printed last:\n{last}");
    }

    /// `address:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A client that speaks to the origin directly.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address())
    }
}

/// Looks until the server itself listens at the port, or has ended: somebody else may have taken the port before it. The
/// only wait by trying in these tests: at most 30 seconds.
async fn listens(process: &mut Process, port: u16) -> bool {
    for _ in 0..600 {
        let listener = listener_at(port);
        if listener.is_some_and(|listener| holds(process.id(), &listener)) {
            return true;
        }
        if !process.runs() {
            return false;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("nothing listens at port {port}; the server printed:\n{}", process.printed());
}

/// The socket that listens at the port on IPv4, as Linux names it among the descriptors of whoever holds it.
fn listener_at(port: u16) -> Option<PathBuf> {
    const LISTEN: &str = "0A";
    let sockets = std::fs::read_to_string("/proc/net/tcp").expect("Linux tells its sockets");
    sockets.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, LISTEN, _, _, _, _, _, inode, ..] = *fields else { return None };
        let here = local.split_once(':')?.1 == format!("{port:04X}");
        here.then(|| PathBuf::from(format!("socket:[{inode}]")))
    })
}

/// Whether the process has this socket.
fn holds(process: u32, socket: &Path) -> bool {
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd"));
    descriptors.into_iter().flatten().flatten().any(|one| std::fs::read_link(one.path()).is_ok_and(|to| to == socket))
}

/// A new, empty folder for one test, under cargo's folder for the files of tests. Removed with the value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A folder whose name begins with `name`.
    pub(crate) fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for the test's files");
        Self(path)
    }

    /// Where `name` is or would be.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes `name` in place.
    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.file(name);
        std::fs::write(&path, content).expect("the folder is writable");
        path
    }

    /// Puts a new file in the place of `name`, so that nobody reads half of it.
    pub(crate) fn replace(&self, name: &str, content: &str) {
        let new = self.write(&format!("{name}.new"), content);
        std::fs::rename(new, self.file(name)).expect("a file can take another's place");
    }

    /// The folder's path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays behind is untidy, not wrong.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The folder of these tests in the source tree.
pub(crate) fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/origins")
}

/// A program that `make setup` put into the virtual environment, started in the folder of the Python applications.
pub(crate) fn python(program: &str) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin").join(program);
    assert!(path.exists(), "{} is missing: run `make setup`", path.display());
    let mut command = Command::new(path);
    command.current_dir(here().join("python")).env("PYTHONUNBUFFERED", "1").env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// A program of the system's packages.
pub(crate) fn system(program: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Servers live in sbin, which is not on everyone's path.
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/bin".into()])
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.exists());
    Command::new(found.unwrap_or_else(|| panic!("{program} is not installed: run `make setup`")))
}
