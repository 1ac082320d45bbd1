//! Which layer wins, and where each value says it came from.

use std::path::PathBuf;
use std::time::Duration;

use truehit::config::{OriginPlace, OriginProtocol};
use truehit::rules::policy::{Credentials, OnCheckError, Verify};

use crate::support::{bare, minimal, nothing};

#[test]
fn the_origin_alone_is_enough_and_everything_else_has_its_default() {
    let config = minimal().load().unwrap().config;
    assert_eq!(config.origin.place, OriginPlace::Tcp { tls: false, host: "127.0.0.1".to_owned(), port: 8000 });
    assert_eq!(config.origin.protocol, OriginProtocol::Auto);
    assert_eq!(config.origin.idle_timeout, Duration::from_secs(4));
    assert_eq!(config.listen.address.to_string(), "127.0.0.1:8080");
    assert_eq!(config.admin.address.to_string(), "127.0.0.1:9090");
    assert_eq!((config.cache.memory, config.cache.fill_memory), (1 << 30, 256 << 20));
    assert_eq!(config.workers, None);
    assert_eq!(config.routes.len(), 1);
    let policy = &config.routes[0].policy;
    assert_eq!((&*policy.name, policy.index, policy.verify), ("default", 0, Verify::EveryHit));
    assert_eq!((policy.authorization, policy.cookies), (Credentials::Key, Credentials::Key));
    assert_eq!((policy.on_check_error, policy.set_cookie), (OnCheckError::Fail, false));
    assert_eq!(policy.object_max, 8 << 20);
}

#[test]
fn a_flag_beats_a_variable_which_beats_the_file_which_beats_the_default() {
    let file = nothing()
        .toml("[origin]\nurl = \"http://file:1\"\nconnect_timeout = \"2s\"\n[listen]\naddress = \"127.0.0.1:1\"\n");
    let mut written = file.var("TRUEHIT_ORIGIN__URL", "http://env:2").var("TRUEHIT_ORIGIN__CONNECT_TIMEOUT", "3s");
    written.flags.origin = Some("http://flag:3".to_owned());
    let loaded = written.load().unwrap();
    let place = |key: &str| bare(&loaded.place(key).to_string()).to_owned();
    assert_eq!(loaded.config.origin.place, OriginPlace::Tcp { tls: false, host: "flag".to_owned(), port: 3 });
    assert_eq!(place("origin.url"), "--origin");
    assert_eq!(loaded.config.origin.connect_timeout, Duration::from_secs(3));
    assert_eq!(place("origin.connect_timeout"), "TRUEHIT_ORIGIN__CONNECT_TIMEOUT");
    assert_eq!(place("listen.address"), "t.toml:5");
    assert_eq!(place("admin.address"), "default");
}

#[test]
fn every_type_can_come_from_the_environment() {
    let config = minimal()
        .var("TRUEHIT_ORIGIN__IDLE_MAX", "7")
        .var("TRUEHIT_CACHE__MEMORY", "67108864")
        .var("TRUEHIT_DEFAULTS__GATHER", "0.5")
        .var("TRUEHIT_DEFAULTS__COLLAPSE", "false")
        .var("TRUEHIT_DEFAULTS__TRUST", r#"["weak-etag"]"#)
        .var("TRUEHIT_DEFAULTS__VERIFY", "250ms")
        .var("TRUEHIT_RUNTIME__WORKERS", "3")
        .var("TRUEHIT_ROUTE", r#"[{ name = "a", paths = ["/a"], verify = "off" }]"#)
        .var("TRUEHIT_LOG", "debug")
        .load()
        .unwrap()
        .config;
    assert_eq!((config.origin.idle_max, config.cache.memory, config.workers), (7, 64 << 20, Some(3)));
    assert_eq!(config.log.level, "debug");
    let (route, last) = (&config.routes[0].policy, &config.routes[1].policy);
    assert_eq!((&*route.name, route.verify, route.index), ("a", Verify::Off, 0));
    assert_eq!((&*last.name, last.verify, last.index), ("default", Verify::Lease(Duration::from_millis(250)), 1));
    assert!(last.trust.weak_etag && !last.trust.last_modified && !last.collapse.enabled);
    assert!((last.collapse.gather - 0.5).abs() < f64::EPSILON);
}

#[test]
fn the_short_variable_for_the_log_gives_way_to_the_full_one() {
    let written = minimal().var("TRUEHIT_LOG__LEVEL", "warn").var("TRUEHIT_LOG", "debug");
    assert_eq!(written.load().unwrap().config.log.level, "warn");
}

#[test]
fn the_variable_names_a_file_and_the_flag_names_another() {
    let error = nothing().var("TRUEHIT_CONFIG", "/nowhere/a.toml").error();
    assert!(error.starts_with("/nowhere/a.toml: cannot be read: "), "{error}");
    let mut written = nothing().var("TRUEHIT_CONFIG", "/nowhere/a.toml");
    written.flags.config = Some(PathBuf::from("/nowhere/b.yaml"));
    assert!(written.error().starts_with("/nowhere/b.yaml: "));
}

#[test]
fn service_links_of_kubernetes_are_ignored() {
    let links = [
        ("TRUEHIT_PORT", "tcp://10.0.0.1:8080"),
        ("TRUEHIT_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("TRUEHIT_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("TRUEHIT_PORT_8080_TCP_PORT", "8080"),
        ("TRUEHIT_PORT_8080_TCP_PROTO", "tcp"),
        ("TRUEHIT_PORT_53_UDP_ADDR", "10.0.0.1"),
        ("TRUEHIT_SERVICE_HOST", "10.0.0.1"),
        ("TRUEHIT_SERVICE_PORT", "8080"),
        ("TRUEHIT_SERVICE_PORT_HTTP", "8080"),
        // Services named truehit-admin and truehit-origin-cache: they begin like tables of ours.
        ("TRUEHIT_ADMIN_PORT", "tcp://10.0.0.1:9090"),
        ("TRUEHIT_ADMIN_PORT_9090_TCP_ADDR", "10.0.0.1"),
        ("TRUEHIT_ADMIN_SERVICE_HOST", "10.0.0.1"),
        ("TRUEHIT_ADMIN_SERVICE_PORT_TH_METRICS", "9090"),
        ("TRUEHIT_ORIGIN_CACHE_SERVICE_PORT", "9090"),
    ];
    let written = links.into_iter().fold(minimal(), |written, (name, value)| written.var(name, value));
    assert!(written.load().is_ok());
}

#[test]
fn variables_of_others_and_words_that_are_no_keys_are_ignored() {
    let written =
        minimal().var("TRUEHIT_VERSION", "1").var("TRUEHITS__X", "1").var("PATH", "/bin").var("truehit_origin__x", "1");
    assert!(written.load().is_ok());
}

#[test]
fn a_route_takes_what_it_leaves_out_from_the_defaults_and_says_so() {
    let text = r#"
[origin]
url = "unix:/run/app.sock"
[defaults]
verify = "1s"
stale_max = "5m"
object_max = "1MiB"
[[route]]
name = "a"
on_check_error = "serve-stale"
"#;
    let loaded = nothing().toml(text).load().unwrap();
    let route = &loaded.config.routes[0].policy;
    assert_eq!(loaded.config.origin.place, OriginPlace::Unix(PathBuf::from("/run/app.sock")));
    assert_eq!(route.verify, Verify::Lease(Duration::from_secs(1)));
    assert_eq!(route.on_check_error, OnCheckError::ServeStale(Duration::from_secs(300)));
    assert_eq!(route.object_max, 1 << 20);
    let place = |key: &str| bare(&loaded.place(key).to_string()).to_owned();
    assert_eq!(place("route[0].on_check_error"), "t.toml:10");
    assert_eq!(place("route[0].verify"), "t.toml:5");
    assert_eq!(place("route[0].check"), "default");
}

#[test]
fn what_a_credential_means_by_default_follows_when_the_route_checks() {
    for (verify, authorization, cookies) in [
        ("every-hit", Credentials::Key, Credentials::Key),
        ("250ms", Credentials::Key, Credentials::Key),
        ("when-stale", Credentials::Rfc, Credentials::Pass),
    ] {
        let mut written = minimal();
        written.flags.verify = Some(verify.to_owned());
        let config = written.load().unwrap().config;
        let policy = &config.routes[0].policy;
        assert_eq!((policy.authorization, policy.cookies), (authorization, cookies), "{verify}");
    }
}

#[test]
fn yaml_says_the_same_as_toml() {
    let yaml = r#"
origin:
  url: https://api.example.com
  idle_max: 3
defaults:
  verify: off
  gather: 1
  trust: [weak-etag]
route:
  - name: a
    paths: ["/a/**"]
    verify: 1.5s
cache:
log: { access: true }
"#;
    let toml = r#"
route = [{ name = "a", paths = ["/a/**"], verify = "1.5s" }]
log.access = true
[origin]
url = "https://api.example.com"
idle_max = 3
[defaults]
verify = "off"
gather = 1
trust = ["weak-etag"]
"#;
    let yaml = nothing().file("t.yaml", yaml).load().unwrap();
    let toml = nothing().toml(toml).load().unwrap();
    assert_eq!(format!("{:?}", yaml.config), format!("{:?}", toml.config));
    assert_eq!(bare(&yaml.place("defaults.verify").to_string()), "t.yaml:6");
    assert_eq!(bare(&yaml.place("route[0].verify").to_string()), "t.yaml:12");
}

#[test]
fn explain_shows_every_key_with_its_value_and_its_place() {
    let text = "[origin]\nurl = \"http://a\"\n[[route]]\nname = \"slow\"\nverify = \"when-stale\"\n";
    let loaded = nothing().toml(text).var("TRUEHIT_CACHE__FILL_MEMORY", "64MiB").load().unwrap();
    let explained: String = loaded
        .explain()
        .lines()
        .map(|line| line.replace(&*loaded.file.as_ref().unwrap().to_string_lossy(), "t.toml") + "\n")
        .collect();
    for row in [
        "origin.url = \"http://a\" t.toml:2",
        "cache.memory = \"auto\" (1GiB) default",
        "cache.fill_memory = \"64MiB\" TRUEHIT_CACHE__FILL_MEMORY",
        "defaults.authorization = (\"key\") default",
        "route[0].verify = \"when-stale\" t.toml:5",
        "route[0].authorization = (\"rfc\") default",
        "route[0].paths = (all) default",
        "runtime.workers = (not set) default",
    ] {
        let found = explained.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") == row);
        assert!(found, "{row}\nis not in\n{explained}");
    }
}
