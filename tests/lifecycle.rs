//! How a sidecar ends and reloads, told on paused time: no signal is sent and nothing sleeps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, advance};
use truehit::config;
use truehit::lifecycle::{End, Event, Fingerprint, ReloadCause, Sidecar, Signal, follow, live, watch};
use truehit::readiness::Readiness;

const SECOND: Duration = Duration::from_secs(1);
const DELAY: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(20);

/// What the sidecar was told, and when, in seconds.
type Diary = Arc<Mutex<Vec<(String, u64)>>>;

/// A sidecar that does what it is told and writes it down. Its last connection closes when the test says so.
struct Script {
    start: Instant,
    diary: Diary,
    last_connection: oneshot::Receiver<()>,
}

impl Script {
    fn note(&self, what: &str) {
        self.diary.lock().unwrap().push((what.to_owned(), self.start.elapsed().as_secs()));
    }
}

impl Sidecar for Script {
    fn drain_settings(&self) -> config::Drain {
        config::Drain { delay: DELAY, timeout: TIMEOUT }
    }

    async fn reload(&mut self, cause: ReloadCause) {
        self.note(cause.as_str());
    }

    fn close(&mut self) {
        self.note("close");
    }

    async fn finish(&mut self, deadline: Instant) -> usize {
        usize::from(tokio::time::timeout_at(deadline, &mut self.last_connection).await.is_err())
    }
}

struct Life {
    start: Instant,
    readiness: Arc<Readiness>,
    events: mpsc::Sender<Event>,
    diary: Diary,
    last_connection: Option<oneshot::Sender<()>>,
    end: JoinHandle<(End, u64)>,
}

impl Life {
    fn begin() -> Self {
        let start = Instant::now();
        let readiness = Arc::new(Readiness::default());
        readiness.serve();
        let (events, mut incoming) = mpsc::channel(16);
        let (last_connection, receiver) = oneshot::channel();
        let diary = Diary::default();
        let mut script = Script { start, diary: diary.clone(), last_connection: receiver };
        let end = tokio::spawn({
            let readiness = readiness.clone();
            async move { (live(&mut script, &readiness, &mut incoming).await, start.elapsed().as_secs()) }
        });
        Self { start, readiness, events, diary, last_connection: Some(last_connection), end }
    }

    async fn tell(&self, event: Event) {
        self.events.send(event).await.unwrap();
        settle().await;
    }

    async fn at(&self, second: u64) {
        let to = Duration::from_secs(second).saturating_sub(self.start.elapsed());
        advance(to).await;
        settle().await;
    }

    async fn last_connection_closes(&mut self) {
        let _ = self.last_connection.take().unwrap().send(());
        settle().await;
    }

    fn diary(&self) -> Vec<(String, u64)> {
        self.diary.lock().unwrap().clone()
    }
}

/// Lets every task do what it can do now.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

fn entry(what: &str, second: u64) -> (String, u64) {
    (what.to_owned(), second)
}

#[tokio::test(start_paused = true)]
async fn sigterm_turns_readiness_off_serves_on_then_closes_and_exits_0() {
    let mut life = Life::begin();
    life.at(1).await;
    life.tell(Event::End(Signal::Terminate)).await;
    assert!(!life.readiness.is_ready());
    assert_eq!(life.diary(), [], "it serves on, and connections stay");
    life.at(6).await;
    assert_eq!(life.diary(), [entry("close", 6)]);
    life.at(9).await;
    life.last_connection_closes().await;

    let (end, second) = life.end.await.unwrap();
    assert_eq!((end, second), (End::Finished, 9));
    assert_eq!(end.exit_code(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_second_sigterm_cuts_the_delay_short() {
    let mut life = Life::begin();
    life.tell(Event::End(Signal::Terminate)).await;
    life.at(2).await;
    life.tell(Event::End(Signal::Terminate)).await;
    assert_eq!(life.diary(), [entry("close", 2)]);
    life.last_connection_closes().await;
    assert_eq!(life.end.await.unwrap(), (End::Finished, 2));
}

#[tokio::test(start_paused = true)]
async fn a_signal_while_connections_close_cuts_everything_short() {
    let life = Life::begin();
    life.tell(Event::End(Signal::Interrupt)).await;
    life.at(7).await;
    life.tell(Event::End(Signal::Interrupt)).await;
    let (end, second) = life.end.await.unwrap();
    assert_eq!((end, second), (End::CutShort(Signal::Interrupt), 7));
    assert_eq!(end.exit_code(), 130);
}

#[tokio::test(start_paused = true)]
async fn requests_that_outlast_the_timeout_fail_the_drain() {
    let life = Life::begin();
    life.tell(Event::End(Signal::Terminate)).await;
    life.at(5).await;
    life.at(25).await;
    let (end, second) = life.end.await.unwrap();
    assert_eq!((end, second), (End::Overdue(Signal::Terminate), 25));
    assert_eq!(end.exit_code(), 143);
}

#[tokio::test(start_paused = true)]
async fn after_pre_stop_the_delay_counts_from_drain_and_sigterm_may_come_late() {
    let mut life = Life::begin();
    life.readiness.drain();
    life.at(60).await;
    assert_eq!(life.diary(), [], "a native sidecar serves its application until SIGTERM");
    life.tell(Event::End(Signal::Terminate)).await;
    assert_eq!(life.diary(), [entry("close", 60)], "endpoints have been gone for long");
    life.last_connection_closes().await;
    assert_eq!(life.end.await.unwrap(), (End::Finished, 60));
}

#[tokio::test(start_paused = true)]
async fn the_configuration_is_reloaded_while_serving_and_not_while_draining() {
    let mut life = Life::begin();
    life.tell(Event::Reload(ReloadCause::Hangup)).await;
    life.at(1).await;
    life.tell(Event::Reload(ReloadCause::Files)).await;
    life.tell(Event::End(Signal::Terminate)).await;
    life.tell(Event::Reload(ReloadCause::Hangup)).await;
    life.at(6).await;
    life.last_connection_closes().await;
    life.end.await.unwrap();
    let diary = life.diary.lock().unwrap().clone();
    assert_eq!(diary, [entry("SIGHUP", 0), entry("files", 1), entry("close", 6)]);
}

// --- files -----------------------------------------------------------------------------------------------------

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lifecycle-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Writes one version of a volume as the kubelet does: a new folder, and `..data` renamed over to point at it.
fn publish(volume: &Path, version: &str, content: &str) {
    let data = volume.join(format!("..{version}"));
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("truehit.toml"), content).unwrap();
    let link = volume.join("..data_tmp");
    std::os::unix::fs::symlink(format!("..{version}"), &link).unwrap();
    std::fs::rename(link, volume.join("..data")).unwrap();
}

#[tokio::test]
async fn a_config_map_update_is_noticed_although_the_file_itself_never_changes() {
    let volume = folder("config-map");
    publish(&volume, "2026_01", "version one");
    let file = volume.join("truehit.toml");
    std::os::unix::fs::symlink("..data/truehit.toml", &file).unwrap();

    let files = vec![file];
    let (nudge, mut nudges) = mpsc::channel(1);
    let watcher = watch(&files, nudge).unwrap();
    let before = Fingerprint::of(&files);
    publish(&volume, "2026_02", "version two");
    nudges.recv().await.unwrap();
    assert_ne!(Fingerprint::of(&files), before);
    drop(watcher);
}

/// A fingerprint of a file with this content, made by hand.
fn content(name: &str, text: &str) -> Fingerprint {
    let file = folder(name).join("file");
    std::fs::write(&file, text).unwrap();
    Fingerprint::of(&[file])
}

struct Follower {
    nudge: mpsc::Sender<()>,
    events: mpsc::Receiver<Event>,
    content: Arc<Mutex<Fingerprint>>,
    looks: Arc<Mutex<Vec<u64>>>,
}

impl Follower {
    fn begin(name: &str) -> Self {
        let start = Instant::now();
        let (nudge, nudges) = mpsc::channel(1);
        let (sender, events) = mpsc::channel(16);
        let content = Arc::new(Mutex::new(content(name, "one")));
        let looks = Arc::new(Mutex::new(Vec::new()));
        let seen = content.lock().unwrap().clone();
        let look = {
            let (content, looks) = (content.clone(), looks.clone());
            move || {
                looks.lock().unwrap().push(u64::try_from(start.elapsed().as_millis()).unwrap());
                std::future::ready(content.lock().unwrap().clone())
            }
        };
        tokio::spawn(follow(seen, look, nudges, sender));
        Self { nudge, events, content, looks }
    }
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_nudges_is_one_look_and_the_same_content_no_reload() {
    let mut follower = Follower::begin("burst");
    settle().await;
    for _ in 0..5 {
        follower.nudge.try_send(()).unwrap();
        settle().await;
        advance(Duration::from_millis(100)).await;
        settle().await;
    }
    assert!(follower.looks.lock().unwrap().is_empty(), "the directory is not quiet yet");
    advance(Duration::from_millis(100)).await;
    settle().await;
    assert_eq!(*follower.looks.lock().unwrap(), [600]);
    assert!(follower.events.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn an_endless_burst_cannot_put_the_look_off_for_ever() {
    let follower = Follower::begin("endless");
    settle().await;
    for _ in 0..40 {
        let _ = follower.nudge.try_send(());
        settle().await;
        advance(Duration::from_millis(100)).await;
        settle().await;
    }
    let looks = follower.looks.lock().unwrap().clone();
    assert!(looks.first().is_some_and(|first| *first <= 2_100), "{looks:?}");
}

#[tokio::test(start_paused = true)]
async fn new_content_reloads_once_even_where_the_file_system_gives_no_nudge() {
    let mut follower = Follower::begin("silent");
    settle().await;
    *follower.content.lock().unwrap() = content("silent-two", "two");
    advance(30 * SECOND).await;
    assert_eq!(follower.events.recv().await, Some(Event::Reload(ReloadCause::Files)));
    advance(30 * SECOND).await;
    settle().await;
    assert!(follower.events.try_recv().is_err());
}
