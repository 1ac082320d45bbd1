//! What is on the disk, what was there before, and what is configured.

use std::path::Path;

use super::*;
use crate::program::{Running, ended, truehit};
use crate::sidecar::Scratch;

async fn stored() -> (Origin, tokio::sync::mpsc::UnboundedReceiver<(http::request::Parts, Bytes)>) {
    Origin::telling(|| Response::builder().header("etag", "\"1\"").body(full(vec![7; 100_000])).unwrap()).await
}

/// The regular files that a process has open.
fn open_files(id: u32) -> Vec<std::path::PathBuf> {
    let descriptors = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap();
    let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    targets.filter(|target| target.is_absolute() && target.is_file()).collect()
}

/// A program that runs in this folder, and nowhere else to write to.
async fn start_in(folder: &Path, origin: &Origin) -> Running {
    let mut command = truehit(&["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--access-log"]);
    command.args(["--origin", &origin.url(), "--verify", "60s"]).current_dir(folder).env("TMPDIR", folder);
    Running::of(command).await
}

#[tokio::test]
async fn g2_no_file_is_written() {
    let (origin, _asks) = stored().await;
    let scratch = Scratch::new();
    let mut permissions = std::fs::metadata(&scratch.0).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&scratch.0, permissions).unwrap();
    let proxy = start_in(&scratch.0, &origin).await;
    for target in ["/1", "/2", "/1", "/2"] {
        assert_eq!(proxy.get(target).await.body.len(), 100_000);
        assert_eq!(open_files(proxy.id()), Vec::<std::path::PathBuf>::new());
    }
    assert_eq!(proxy.metric("truehit_store_entries").await, 2.0);
    assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), 0);
}

#[tokio::test]
async fn g3_what_lies_about_from_an_earlier_run_is_not_looked_at() {
    let (origin, _asks) = stored().await;
    let scratch = Scratch::new();
    let names = ["cache", "store", "truehit.db", "truehit.cache", "core", ".truehit", "truehit.pid"];
    for name in names {
        scratch.file(name, "\u{0}half of something\u{7f}");
    }
    let proxy = start_in(&scratch.0, &origin).await;
    assert_eq!(proxy.metric("truehit_store_entries").await, 0.0);
    assert!(proxy.get("/").await.field("cache-status").contains("fwd=uri-miss"));
    assert!(proxy.get("/").await.field("cache-status").contains("hit"));
    assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), names.len());
    for name in names {
        assert_eq!(std::fs::read_to_string(scratch.0.join(name)).unwrap(), "\u{0}half of something\u{7f}");
    }
}

#[tokio::test]
async fn g5_what_was_stored_before_a_kill_is_not_served_after_it() {
    let (old, _) = Origin::telling(|| Response::builder().header("etag", "\"1\"").body(full("old")).unwrap()).await;
    let (new, _) = Origin::telling(|| Response::builder().header("etag", "\"2\"").body(full("new")).unwrap()).await;
    let scratch = Scratch::new();
    for _ in 0..3 {
        let mut first = start_in(&scratch.0, &old).await;
        for _ in 0..2 {
            assert_eq!(first.get("/").await.text(), "old");
        }
        first.signal("KILL").await;
        assert_eq!(soon(first.child.wait()).await.unwrap().code(), None);
        let second = start_in(&scratch.0, &new).await;
        let answer = second.get("/").await;
        assert_eq!(answer.text(), "new");
        assert!(answer.field("cache-status").contains("fwd=uri-miss"), "{answer:?}");
    }
}

#[tokio::test]
async fn g7_a_configuration_that_is_wrong_is_refused_and_says_where() {
    let scratch = Scratch::new();
    let origin = "[origin]\nurl = \"http://127.0.0.1:1\"\n";
    for (more, says) in [
        ("[listen]\nadress = \"127.0.0.1:0\"", &["truehit.toml:4", "listen.adress", "unknown key", "\"address\""][..]),
        ("[limits]\nconnections = \"many\"", &["truehit.toml:4", "limits.connections", "\"many\"", "an integer"]),
        ("[limits]\nconnections = 0", &["truehit.toml:4", "limits.connections", "found 0", "from 1 to 1000000"]),
        ("[limits]\nwrite_timeout = \"0s\"", &["truehit.toml:4", "limits.write_timeout", "0s", "allowed"]),
        ("[limits]\ncontent_timeout = 5", &["truehit.toml:4", "limits.content_timeout", "5", "allowed"]),
        ("[admin]\ntoken_file = \"/nowhere/token\"", &["truehit.toml:4", "admin.token_file", "/nowhere/token", "read"]),
        ("[admin]\ntoken_file = \"/dev/null\"", &["truehit.toml:4", "admin.token_file", "16 to 1024"]),
        ("[listen.tls]\ncertificate = \"/nowhere/a\"\nprivate_key = \"/nowhere/b\"", &["/nowhere/a", "/nowhere/b"]),
        ("not toml", &["truehit.toml:3"]),
    ] {
        let file = scratch.file("truehit.toml", &format!("{origin}{more}\n"));
        for command in [&["run"][..], &["config", "check"]] {
            let args = [command, &["--config", file.to_str().unwrap()]].concat();
            let (code, said) = ended(&args).await;
            assert_eq!(code, Some(78), "{more}: {said}");
            for word in says {
                assert!(said.contains(word), "{more}: {word:?} is not in {said}");
            }
        }
    }
}

#[tokio::test]
async fn g9_a_name_that_does_not_resolve_is_502_and_no_end() {
    // The name is for this: RFC 6761 §6.4.
    let proxy = Running::start(&["--origin", "http://truehit.invalid:1"]).await;
    for _ in 0..2 {
        let answer = proxy.get("/").await;
        assert_eq!((answer.status.as_u16(), answer.field("proxy-status")), (502, "truehit; error=dns_error"));
    }
    assert_eq!(proxy.metric("truehit_ready").await, 1.0);
}

#[tokio::test]
async fn g9_a_name_is_looked_up_each_time_and_its_last_addresses_kept() {
    use std::io::{Error, ErrorKind};
    use truehit::origin::{Names, OriginError};
    let (one, two) = (([10, 0, 0, 1], 80).into(), ([10, 0, 0, 2], 80).into());
    let away = || async { Err(Error::from(ErrorKind::TimedOut)) };
    let names = Names::default();
    assert!(matches!(names.resolve(away()).await, Err(OriginError::Dns(_))));
    assert_eq!(*names.resolve(async { Ok(vec![one, two]) }).await.unwrap(), [one, two]);
    assert_eq!(*names.resolve(away()).await.unwrap(), [one, two], "the name server is away");
    assert_eq!(*names.resolve(async { Ok(Vec::new()) }).await.unwrap(), [one, two], "or has forgotten");
    assert_eq!(*names.resolve(async { Ok(vec![two]) }).await.unwrap(), [two], "a change is followed");
    assert_eq!(*names.resolve(away()).await.unwrap(), [two]);
}
