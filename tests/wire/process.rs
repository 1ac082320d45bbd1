//! The program itself: how it starts, what it says, and with which code it ends.

use tokio::net::TcpListener;

use super::program::{Running, ended};
use super::sidecar::Scratch;
use super::*;

#[tokio::test]
async fn it_announces_its_port_serves_and_exits_0_on_sigterm_and_on_sigint() {
    let (origin, _) = Origin::telling(|| Response::new(full("served"))).await;
    let scratch = Scratch::new();
    let file = scratch.file("truehit.toml", "drain.delay = \"0s\"\n");
    for signal in ["TERM", "INT"] {
        let mut running = Running::start(&["--origin", &origin.url(), "--config", file.to_str().unwrap()]).await;
        let mut client = running.client().await;
        assert_eq!(client.get("/").await.text(), "served");
        running.signal(signal).await;
        let status = soon(running.child.wait()).await.unwrap();
        assert_eq!(status.code(), Some(0), "SIG{signal}");
        let mut last = String::new();
        while let Some(line) = running.said.next_line().await.unwrap() {
            last = line;
        }
        assert!(last.contains("drained"), "{last}");
        assert!(client.try_send(ask("GET", "/").body(empty()).unwrap()).await.is_err());
    }
}

#[tokio::test]
async fn a_hangup_is_no_end() {
    let (origin, _) = Origin::telling(|| Response::new(full("served"))).await;
    let scratch = Scratch::new();
    let file = scratch.file("truehit.toml", "drain.delay = \"0s\"\n");
    let mut running = Running::start(&["--origin", &origin.url(), "--config", file.to_str().unwrap()]).await;
    running.signal("HUP").await;
    loop {
        let line = soon(running.said.next_line()).await.unwrap().unwrap();
        if line.contains("reloaded") {
            break;
        }
    }
    let mut client = running.client().await;
    assert_eq!(client.get("/").await.text(), "served");
    running.signal("TERM").await;
    assert_eq!(soon(running.child.wait()).await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_configuration_that_is_not_valid_exits_78_and_names_what_is_wrong() {
    let scratch = Scratch::new();
    let file = scratch.file("truehit.toml", "origin.url = \"http://127.0.0.1:1\"\nlisten.adress = \"127.0.0.1:0\"\n");
    let (code, said) = ended(&["run", "--config", file.to_str().unwrap()]).await;
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("adress"), "{said}");
    for args in [&["run"][..], &["run", "--origin", "ftp://x"], &["run", "--config", "/nowhere/truehit.toml"]] {
        let (code, said) = ended(args).await;
        assert_eq!(code, Some(78), "{args:?}: {said}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_exits_74_and_names_it() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (listen, admin) in [(&*address, "127.0.0.1:0"), ("127.0.0.1:0", &*address)] {
        let (code, said) =
            ended(&["run", "--origin", "http://127.0.0.1:1", "--listen", listen, "--admin", admin]).await;
        assert_eq!(code, Some(74), "{said}");
        assert!(said.contains(&address), "{said}");
    }
}

#[tokio::test]
async fn flags_that_are_not_known_exit_64() {
    for args in [&["run", "--nonsense"][..], &["serve"], &["run", "--origin"], &[]] {
        let (code, said) = ended(args).await;
        assert_eq!(code, Some(64), "{args:?}: {said}");
    }
}
