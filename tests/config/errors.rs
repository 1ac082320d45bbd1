//! What stops the start, and what it says: the place, the key, what was found, what is allowed, the nearest name.

use crate::support::{minimal, nothing};

/// Every key of a route, in the order of their declaration.
fn keys_of_a_route() -> String {
    let schema = truehit::config::schema();
    let keys = schema.pointer("/properties/route/items/properties").and_then(serde_json::Value::as_object).unwrap();
    assert!(keys.contains_key("name") && keys.contains_key("verify"));
    keys.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Each row: what it is about, the file, the one line that is said.
#[test]
fn each_mistake_in_a_file_is_named_with_its_line_and_its_remedy() {
    let duration = r#"a duration above zero, as "250ms", "1.5s" or "5m""#;
    for (name, text, expected) in [
        (
            "an unknown key",
            "[origin]\nconect_timeout = \"1s\"\n",
            "t.toml:2: origin.conect_timeout: unknown key; allowed: url, protocol, host, connect_timeout, response_timeout, progress_timeout, total_timeout, idle_timeout, idle_max, age_max, connections_max, queue_max, breaker, tls; did you mean \"connect_timeout\"?".to_owned(),
        ),
        (
            "a key in the wrong table",
            "[cache]\nverify = \"off\"\n",
            "t.toml:2: cache.verify: unknown key; allowed: memory, fill_memory, variants_max, uncacheable_for, relearn_after; did you mean \"defaults.verify\"?".to_owned(),
        ),
        (
            "a path in quotes, which is one name",
            "\"log.access\" = true\n",
            "t.toml:1: log.access: unknown key; allowed: listen, origin, cache, defaults, route, limits, log, admin, drain, runtime; did you mean \"log.access\"?".to_owned(),
        ),
        (
            "an unknown table",
            "\n[orign]\nurl = \"x\"\n",
            "t.toml:2: orign: unknown key; allowed: listen, origin, cache, defaults, route, limits, log, admin, drain, runtime; did you mean \"origin\"?".to_owned(),
        ),
        (
            "an unknown key of a route",
            "[[route]]\nname = \"a\"\n[[route]]\nname = \"b\"\noverlaps = 1\n",
            "t.toml:5: route[1].overlaps: unknown key; allowed: KEYS_OF_A_ROUTE; did you mean \"overlap\"?".to_owned(),
        ),
        ("a value where a table belongs", "origin = \"http://a\"\n", "t.toml:1: origin: found \"http://a\"; allowed: a table".to_owned()),
        ("a table where a value belongs", "[log.level]\nx = 1\n", "t.toml:1: log.level: found { x = 1 }; allowed: \"error\", \"warn\", \"info\", \"debug\", \"trace\", \"off\", or a filter as \"info,truehit::origin=debug\"".to_owned()),
        ("one table where a list belongs", "[route]\nname = \"a\"\n", "t.toml:1: route: found { name = \"a\" }; allowed: a list of tables".to_owned()),
        ("a wrong type", "[log]\naccess = \"yes\"\n", "t.toml:2: log.access: found \"yes\"; allowed: true or false".to_owned()),
        ("a word that is nearly right", "[[route]]\nname = \"a\"\nverify = \"every-hti\"\n", "t.toml:3: route[0].verify: found \"every-hti\"; allowed: \"every-hit\", \"when-stale\", \"off\" or a duration above zero, as \"250ms\" (a lease); did you mean \"every-hit\"?".to_owned()),
        ("a lease of nothing", "[defaults]\nverify = \"0s\"\n", "t.toml:2: defaults.verify: found \"0s\"; allowed: \"every-hit\", \"when-stale\", \"off\" or a duration above zero, as \"250ms\" (a lease)".to_owned()),
        ("a duration without unit", "[origin]\nconnect_timeout = 5\n", format!("t.toml:2: origin.connect_timeout: found 5; allowed: {duration}")),
        ("a senseless zero", "[origin]\nresponse_timeout = \"0s\"\n", format!("t.toml:2: origin.response_timeout: found \"0s\"; allowed: {duration}")),
        ("no room for an exchange", "[defaults]\noverlap = 0\n", "t.toml:2: defaults.overlap: found 0; allowed: an integer from 1 to 16".to_owned()),
        ("a negative count", "[limits]\nconnections = -1\n", "t.toml:2: limits.connections: found -1; allowed: an integer from 1 to 1000000".to_owned()),
        ("a share above one", "[defaults]\ngather = 1.5\n", "t.toml:2: defaults.gather: found 1.5; allowed: a number from 0 to 1".to_owned()),
        ("an element of a list", "[defaults]\ntrust = [\n  \"weak-etag\",\n  \"weak-tag\",\n]\n", "t.toml:4: defaults.trust[1]: found \"weak-tag\"; allowed: \"weak-etag\" or \"last-modified\"; did you mean \"weak-etag\"?".to_owned()),
        ("a value where a list belongs", "[defaults]\ntrust = \"weak-etag\"\n", "t.toml:2: defaults.trust: found \"weak-etag\"; allowed: a list, as [\"a\", \"b\"]; in it \"weak-etag\" or \"last-modified\"; did you mean \"weak-etag\"?".to_owned()),
        ("a small method", "[[route]]\nname = \"a\"\nmethods = [\"get\"]\n", "t.toml:3: route[0].methods[0]: found \"get\"; allowed: a method in capitals, as \"GET\" or \"HEAD\"".to_owned()),
        ("a glob that no path has", "[[route]]\nname = \"a\"\npaths = [\"users/*\"]\n", "t.toml:3: route[0].paths[0]: found \"users/*\"; allowed: a glob that starts with \"/\" or \"*\", as \"/users/*\" or \"/static/**\"".to_owned()),
        ("a template of another scheme", "[defaults]\ndigest_endpoint = \"ftp://a/{path}\"\n", "t.toml:2: defaults.digest_endpoint: found \"ftp://a/{path}\"; allowed: a template that starts with \"/\", \"http://\" or \"https://\", with the placeholders {path} and {query}".to_owned()),
        ("an unknown placeholder", "[defaults]\ndigest_endpoint = \"/d/{key}\"\n", "t.toml:2: defaults.digest_endpoint: found \"/d/{key}\"; allowed: a template that starts with \"/\", \"http://\" or \"https://\", with the placeholders {path} and {query}".to_owned()),
        ("the name of the last route", "[[route]]\nname = \"default\"\n", "t.toml:2: route[0].name: found \"default\"; allowed: 1 to 64 letters, digits, \"-\", \"_\" or \".\", other than \"default\"".to_owned()),
        ("a log level that would be a target", "[log]\nlevel = \"inof\"\n", "t.toml:2: log.level: found \"inof\"; allowed: \"error\", \"warn\", \"info\", \"debug\", \"trace\", \"off\", or a filter as \"info,truehit::origin=debug\"; did you mean \"info\"?".to_owned()),
    ] {
        let expected = expected.replace("KEYS_OF_A_ROUTE", &keys_of_a_route());
        assert_eq!(minimal().toml(text).error(), expected, "{name}");
    }
}

/// Each row: what it is about, the file, the one line that is said.
#[test]
fn keys_that_contradict_each_other_are_named_with_what_would_agree() {
    for (name, text, expected) in [
        (
            "no name",
            "[[route]]\nverify = \"off\"\n",
            "t.toml:1: route[0].name: not set; allowed: a name that no other route has",
        ),
        (
            "two of a name",
            "[[route]]\nname = \"a\"\npaths = [\"/\"]\n[[route]]\nname = \"a\"\n",
            "t.toml:5: route[1].name: found \"a\"; allowed: a name that no other route has; route[0] has it",
        ),
        (
            "a route that is empty",
            "[[route]]\nname = \"a\"\nmethods = []\n",
            "t.toml:3: route[0].methods: found []; the route would never match; allowed: at least one, or no such key, which agrees with everything",
        ),
        (
            "a route behind one that takes everything",
            "[[route]]\nname = \"a\"\n[[route]]\nname = \"b\"\n",
            "t.toml:4: route[1].name: found \"b\"; never reached, because route[0] takes every request; allowed: a place before that route",
        ),
        (
            "checked under a lease",
            "[defaults]\nverify = \"1s\"\ncookies = \"checked\"\n",
            "t.toml:3: defaults.cookies: found \"checked\"; allowed: \"checked\" only with verify = \"every-hit\", where the origin is asked for each reader",
        ),
        (
            "checked by a digest endpoint",
            "[[route]]\nname = \"a\"\nauthorization = \"checked\"\ncheck = \"digest-endpoint\"\ndigest_endpoint = \"/d{path}\"\n",
            "t.toml:3: route[0].authorization: found \"checked\"; allowed: \"checked\" only with check = \"conditional\", \"head\" or \"body\", or \"auto\" without digest_endpoint, which does not say who may read",
        ),
        (
            "checked where auto may ask the digest endpoint",
            "[[route]]\nname = \"a\"\nauthorization = \"checked\"\ndigest_endpoint = \"/d{path}\"\n",
            "t.toml:3: route[0].authorization: found \"checked\"; allowed: \"checked\" only with check = \"conditional\", \"head\" or \"body\", or \"auto\" without digest_endpoint, which does not say who may read",
        ),
        (
            "checked with a weak proof",
            "[defaults]\ntrust = [\"weak-etag\"]\n[[route]]\nname = \"a\"\ncookies = \"checked\"\n",
            "t.toml:5: route[0].cookies: found \"checked\"; allowed: \"checked\" only with trust = [], because a weak proof may be another user's",
        ),
        (
            "checked and served unchecked",
            "[defaults]\ncookies = \"checked\"\non_check_error = \"serve-stale\"\n",
            "t.toml:2: defaults.cookies: found \"checked\"; allowed: \"checked\" only with on_check_error = \"fail\", because an unchecked body may be another user's",
        ),
        (
            "a digest endpoint that is nowhere",
            "[[route]]\nname = \"a\"\ncheck = \"digest-endpoint\"\n",
            "t.toml:3: route[0].check: found \"digest-endpoint\"; allowed: only together with digest_endpoint",
        ),
        (
            "one address for two listeners",
            "[listen]\naddress = \"127.0.0.1:9090\"\n",
            "admin.address: found \"127.0.0.1:9090\"; allowed: another address or port than listen.address",
        ),
        (
            "an object that would fill more than the store",
            "[cache]\nmemory = \"4MiB\"\n",
            "defaults.object_max: found \"8MiB\"; allowed: at most cache.memory, which is 4MiB",
        ),
        (
            "an object that could never arrive",
            "[cache]\nfill_memory = \"4MiB\"\n",
            "t.toml:2: cache.fill_memory: found \"4MiB\"; allowed: at least 12MiB, or the largest object_max, 8MiB, could never be stored",
        ),
        (
            "a head that fits no buffer",
            "[limits]\nhead_bytes = \"4KiB\"\n",
            "t.toml:2: limits.head_bytes: found \"4KiB\"; allowed: a size from 8KiB to 1MiB",
        ),
        (
            "a file that is not there",
            "[origin.tls]\nca_file = \"/nowhere/ca.pem\"\n",
            "t.toml:2: origin.tls.ca_file: found \"/nowhere/ca.pem\"; cannot be read (No such file or directory (os error 2)); allowed: the path of a readable file",
        ),
        (
            "a certificate without its key",
            "[listen.tls]\ncertificate = \"Cargo.toml\"\n",
            "t.toml:2: listen.tls.certificate: found \"Cargo.toml\"; allowed: only together with listen.tls.private_key",
        ),
    ] {
        assert_eq!(minimal().toml(text).error(), expected, "{name}");
    }
}

#[test]
fn a_problem_of_the_defaults_is_said_once_however_many_routes_have_it() {
    let text = "[defaults]\nverify = \"off\"\ncookies = \"checked\"\n[[route]]\nname = \"a\"\npaths = [\"/a\"]\n[[route]]\nname = \"b\"\n";
    assert_eq!(minimal().toml(text).error().lines().count(), 1);
}

#[test]
fn the_same_problem_of_two_routes_is_said_for_each() {
    let route = r#"{ name = "NAME", paths = ["/NAME"], check = "digest-endpoint" }"#;
    let routes = format!("[{}, {}]", route.replace("NAME", "a"), route.replace("NAME", "b"));
    let error = minimal().var("TRUEHIT_ROUTE", &routes).error();
    assert_eq!(error.lines().count(), 2, "{error}");
}

#[test]
fn mistakes_in_the_environment_name_the_variable() {
    for (variable, value, expected) in [
        (
            "TRUEHIT_CACHE__MEMROY",
            "1GiB",
            "TRUEHIT_CACHE__MEMROY: cache.memroy: unknown key; allowed: TRUEHIT_, then a key in capitals with \"__\" for each \".\"; did you mean TRUEHIT_CACHE__MEMORY?",
        ),
        (
            "TRUEHIT_ORIGIN_URL",
            "http://a",
            "TRUEHIT_ORIGIN_URL: origin_url: unknown key; allowed: TRUEHIT_, then a key in capitals with \"__\" for each \".\"; did you mean TRUEHIT_ORIGIN__URL?",
        ),
        (
            "TRUEHIT_ORIGIN",
            "http://a",
            "TRUEHIT_ORIGIN: origin: unknown key; allowed: TRUEHIT_, then a key in capitals with \"__\" for each \".\"; did you mean TRUEHIT_ORIGIN__URL?",
        ),
        (
            "TRUEHIT_LISTEN_PORT",
            "8080",
            "TRUEHIT_LISTEN_PORT: listen_port: unknown key; allowed: TRUEHIT_, then a key in capitals with \"__\" for each \".\"; did you mean TRUEHIT_LISTEN__ADDRESS?",
        ),
        (
            "TRUEHIT_ORIGIN__IDLE_MAX",
            "many",
            "TRUEHIT_ORIGIN__IDLE_MAX: origin.idle_max: found \"many\"; allowed: an integer from 0 to 65536",
        ),
        (
            "TRUEHIT_LISTEN__ADDRESS",
            ":80",
            "TRUEHIT_LISTEN__ADDRESS: listen.address: found \":80\"; allowed: an IP address and a port, as \"127.0.0.1:8080\" or \"[::]:8080\"",
        ),
        (
            "TRUEHIT_LOG",
            "loud",
            "TRUEHIT_LOG: log.level: found \"loud\"; allowed: \"error\", \"warn\", \"info\", \"debug\", \"trace\", \"off\", or a filter as \"info,truehit::origin=debug\"",
        ),
        (
            "TRUEHIT_ROUTE",
            "[{ name = \"a\", verfy = \"off\" }]",
            "TRUEHIT_ROUTE: route[0].verfy: unknown key; allowed: KEYS_OF_A_ROUTE; did you mean \"verify\"?",
        ),
    ] {
        let expected = expected.replace("KEYS_OF_A_ROUTE", &keys_of_a_route());
        assert_eq!(minimal().var(variable, value).error(), expected);
    }
}

#[test]
fn mistakes_on_the_command_line_name_the_flag() {
    let mut written = minimal();
    written.flags.origin = Some("localhost:8000".to_owned());
    written.flags.check = Some("heads".to_owned());
    assert_eq!(
        written.error(),
        "--check: defaults.check: found \"heads\"; allowed: \"auto\", \"digest-endpoint\", \"conditional\", \"head\" or \"body\"; did you mean \"head\"?\n\
         --origin: origin.url: found \"localhost:8000\"; allowed: \"http://host:port\", \"https://host:port\" (without path, query or credentials) or \"unix:/path\""
    );
}

#[test]
fn without_an_origin_every_way_to_set_it_is_named() {
    assert_eq!(
        nothing().error(),
        "origin.url: not set; allowed: \"http://host:port\", \"https://host:port\" (without path, query or credentials) or \"unix:/path\", in the file, as TRUEHIT_ORIGIN__URL or by --origin"
    );
}

#[test]
fn addresses_that_are_not_an_origin_are_refused() {
    for url in [
        "",
        "http://",
        "http://a/b",
        "http://a?q",
        "http://u@a",
        "http://u:p@a",
        "http://a:0",
        "http://a:x",
        "http://a:99999",
        "ftp://a",
        "unix:a",
        "unix:",
        "//a",
        "http://a#f",
        "http://a b",
        "http://:80",
    ] {
        let mut written = minimal();
        written.flags.origin = Some(url.to_owned());
        assert!(written.error().starts_with("--origin: origin.url: found "), "{url}");
    }
}

#[test]
fn an_origin_that_is_truehit_itself_is_refused() {
    for (listen, origin, refused) in [
        ("0.0.0.0:8080", "http://127.0.0.1:8080", true),
        ("0.0.0.0:8080", "http://localhost:8080", true),
        ("[::]:8080", "http://[::1]:8080", true),
        ("10.0.0.1:8080", "http://10.0.0.1:8080", true),
        ("0.0.0.0:8080", "http://10.0.0.1:8080", false),
        ("127.0.0.1:8080", "http://127.0.0.1:8000", false),
        ("127.0.0.1:8080", "http://127.0.0.2:8080", false),
    ] {
        let mut written = minimal();
        written.flags.listen = Some(listen.to_owned());
        written.flags.origin = Some(origin.to_owned());
        assert_eq!(written.load().is_err(), refused, "{listen} {origin}");
    }
}

#[test]
fn all_mistakes_of_all_layers_are_said_at_once_in_the_order_of_their_places() {
    let text =
        "[cache]\nmemory = \"much\"\nmemroy = 1\n[[route]]\nverify = 5\nname = \"a b\"\n[[route]]\ncheck = \"x\"\n";
    let mut written = minimal().toml(text).var("TRUEHIT_LOG__ACCESS", "1").var("TRUEHIT_DRAIN__DALAY", "1s");
    written.flags.admin = Some("here".to_owned());
    let error = written.error();
    let places: Vec<_> = error.lines().map(|line| line.splitn(3, ": ").take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        places,
        [
            "t.toml:2 cache.memory",
            "t.toml:3 cache.memroy",
            "t.toml:5 route[0].verify",
            "t.toml:6 route[0].name",
            "t.toml:8 route[1].check",
            "TRUEHIT_DRAIN__DALAY drain.dalay",
            "TRUEHIT_LOG__ACCESS log.access",
            "--admin admin.address",
        ]
    );
}

#[test]
fn files_that_are_not_toml_or_yaml_are_named_with_the_line() {
    for (name, text, start) in [
        ("t.toml", "[origin]\nurl = \n", "t.toml:2: "),
        ("t.toml", "[origin]\nurl = \"a\"\nurl = \"b\"\n", "t.toml:3: duplicate key"),
        ("t.yaml", "origin:\n  url: \"a\n", "t.yaml:"),
        ("t.yaml", "origin:\n  url: a\n  url: b\n", "t.yaml:3: duplicate mapping key"),
        ("t.yaml", "a: 1\n---\nb: 2\n", "t.yaml:3: multiple YAML documents detected"),
        ("t.yml", "- a\n", "t.yml:1: found a file that is no table"),
    ] {
        let error = minimal().file(name, text).error();
        assert!(error.starts_with(start) && error.lines().count() == 1, "{error}");
    }
    let error = minimal().file("config.json", "{}").error();
    assert!(
        error.ends_with(
            "config.json: found a file of unknown format; allowed: a name that ends in .toml, .yaml or .yml"
        ),
        "{error}"
    );
}

#[test]
fn mistakes_in_yaml_have_the_same_names_and_lines() {
    let text =
        "origin:\n  url: http://a\nroute:\n  - name: a\n    verify: ofF\n  - name: b\n    colapse: true\n  - x\n";
    let error = nothing().file("t.yaml", text).error();
    let starts = [
        "t.yaml:5: route[0].verify: found \"ofF\"; ",
        "t.yaml:7: route[1].colapse: unknown key; ",
        "t.yaml:8: route[2]: found \"x\"; allowed: a table",
    ];
    for (line, start) in error.lines().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
    assert_eq!(error.lines().count(), 3, "{error}");
}
