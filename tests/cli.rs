//! The command line as scripts and containers see it: help, exit codes, standard output and error.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::process::Output;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::process::Command;
use truehit::admin::{AdminState, Gate, serve};
use truehit::config::Admin;
use truehit::metrics::Metrics;
use truehit::readiness::Readiness;

async fn truehit(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_truehit"));
    command.args(args).env_clear().kill_on_drop(true).output().await.unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// An address where nothing listens.
async fn nowhere() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

#[tokio::test]
async fn help_is_a_page_and_exits_0() {
    for (name, args) in [
        ("help", vec!["--help"]),
        ("help_probe", vec!["probe", "--help"]),
        ("help_health", vec!["health", "--help"]),
        ("help_drain", vec!["drain", "--help"]),
        ("help_config", vec!["config", "--help"]),
        ("help_config_check", vec!["config", "check", "--help"]),
    ] {
        let output = truehit(&args).await;
        assert_eq!(code(&output), 0, "{args:?}");
        insta::assert_snapshot!(name, stdout(&output));
    }
}

#[tokio::test]
async fn a_wrong_command_line_exits_64() {
    for args in [
        &["nonsense"][..],
        &[],
        &["probe"],
        &["probe", "ftp://x/"],
        &["probe", "no url"],
        &["probe", "http://x/", "-H", "no colon"],
        &["health", "--admin", "here"],
    ] {
        let output = truehit(args).await;
        assert_eq!(code(&output), 64, "{args:?}: {}", stderr(&output));
    }
}

#[tokio::test]
async fn a_credential_given_wrongly_is_not_repeated() {
    let output = truehit(&["probe", "http://x/", "-H", "Authorization: s3cret\u{7}"]).await;
    assert!(!stderr(&output).contains("s3cret"), "{}", stderr(&output));
}

#[tokio::test]
async fn version_says_which() {
    let output = truehit(&["version"]).await;
    assert_eq!((code(&output), stdout(&output)), (0, format!("truehit {}\n", env!("CARGO_PKG_VERSION"))));
}

#[tokio::test]
async fn an_origin_that_is_not_there_exits_69_and_says_why() {
    let output = truehit(&["probe", &format!("http://{}/", nowhere().await)]).await;
    assert_eq!(code(&output), 69);
    assert!(stderr(&output).contains("refused"), "{}", stderr(&output));
}

/// An admin listener that is open to all addresses.
fn admin(readiness: Arc<Readiness>) -> AdminState {
    let admin = Admin { address: ([0; 4], 0).into(), hosts: Vec::new(), token: None };
    let gate = Arc::new(Gate::new(&admin, admin.address));
    AdminState { metrics: Metrics::new("1.2.3", ""), readiness, gate }
}

#[tokio::test]
async fn drain_is_for_the_machine_that_it_runs_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let readiness = Arc::new(Readiness::default());
    readiness.serve();
    tokio::spawn(serve(listener, admin(readiness.clone())));
    assert_eq!(code(&truehit(&["drain", "--admin", &address]).await), 0);
    assert!(!readiness.is_ready());
    assert_eq!(code(&truehit(&["drain", "--admin", &nowhere().await]).await), 69);
}

#[tokio::test]
async fn health_follows_the_life_of_the_process_it_asks() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let readiness = Arc::new(Readiness::default());
    let state = admin(readiness.clone());
    tokio::spawn(serve(listener, state));
    let health = async |args: &[&str]| code(&truehit(&[&["health", "--admin", &address], args].concat()).await);

    assert_eq!((health(&[]).await, health(&["--ready"]).await), (0, 69), "starting");
    readiness.serve();
    assert_eq!((health(&[]).await, health(&["--ready"]).await), (0, 0), "serving");
    readiness.drain();
    assert_eq!((health(&[]).await, health(&["--ready"]).await), (0, 69), "draining");
}

#[tokio::test]
async fn health_of_nobody_exits_69() {
    let output = truehit(&["health", "--admin", &nowhere().await]).await;
    assert_eq!(code(&output), 69);
}

#[tokio::test]
async fn health_finds_the_admin_listener_by_the_environment_that_configured_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let state = admin(Arc::default());
    tokio::spawn(serve(listener, state));
    let mut command = Command::new(env!("CARGO_BIN_EXE_truehit"));
    command.arg("health").env_clear().env("TRUEHIT_ADMIN__ADDRESS", format!("0.0.0.0:{port}"));
    assert_eq!(command.kill_on_drop(true).output().await.unwrap().status.code(), Some(0));
}

#[tokio::test]
async fn a_configuration_that_is_valid_is_shown_with_the_source_of_each_value() {
    let output = truehit(&["config", "check", "--origin", "http://127.0.0.1:8000"]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let page = stdout(&output);
    let origin = page.lines().find(|line| line.starts_with("origin.url ")).unwrap();
    assert!(origin.contains("http://127.0.0.1:8000") && origin.ends_with("--origin"), "{origin}");
}

#[tokio::test]
async fn a_configuration_that_is_not_valid_exits_78_and_names_the_key() {
    let output = truehit(&["config", "check", "--origin", "http://127.0.0.1:8000", "--verify", "sometimes"]).await;
    assert_eq!(code(&output), 78);
    assert!(stderr(&output).contains("verify"), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
}

#[tokio::test]
async fn schema_default_and_reference_are_printed() {
    for (command, words) in [("schema", "\"$schema\""), ("default", "[origin]"), ("reference", "TRUEHIT_ORIGIN__URL")] {
        let output = truehit(&["config", command]).await;
        assert_eq!(code(&output), 0, "{command}");
        assert!(stdout(&output).contains(words), "{command}: {}", stdout(&output));
    }
}
