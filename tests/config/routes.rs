//! Which route takes a request.

use http::Method;
use truehit::routes::Routes;

use crate::support::nothing;

const ROUTES: &str = r#"
origin.url = "http://a"
[[route]]
name = "writes"
methods = ["POST", "PUT", "DELETE"]
[[route]]
name = "user"
paths = ["/users/*", "/accounts/{a,b}"]
[[route]]
name = "static"
paths = ["/static/**", "**/*.css"]
hosts = ["www.example.com", "*.static.example.com"]
[[route]]
name = "head"
methods = ["HEAD"]
paths = ["/", "/a b"]
[[route]]
name = "six"
hosts = ["[::1]"]
"#;

#[test]
fn the_first_route_that_agrees_in_method_path_and_host_decides() {
    let routes = Routes::new(nothing().toml(ROUTES).load().unwrap().config.routes).unwrap();
    let www = Some("www.example.com");
    for (name, method, host, path) in [
        ("writes", Method::POST, www, "/users/1"),
        ("user", Method::GET, None, "/users/1"),
        ("user", Method::GET, None, "/users/"),
        ("user", Method::GET, None, "/accounts/b"),
        ("default", Method::GET, None, "/accounts/c"),
        ("default", Method::GET, None, "/users"),
        ("default", Method::GET, None, "/users/1/posts"),
        ("default", Method::GET, None, "/USERS/1"),
        ("default", Method::GET, None, "/%75sers/1"),
        ("user", Method::GET, None, "/users/%2F"),
        ("static", Method::GET, www, "/static/a/b/c.js"),
        ("static", Method::GET, www, "/deep/down/a.css"),
        ("static", Method::GET, Some("WWW.Example.com:8080"), "/static/a"),
        ("static", Method::GET, Some("www.example.com."), "/static/a"),
        ("static", Method::GET, Some("a.b.static.example.com"), "/static/a"),
        ("default", Method::GET, Some("static.example.com"), "/static/a"),
        ("default", Method::GET, Some("notstatic.example.com"), "/static/a"),
        ("default", Method::GET, None, "/static/a"),
        ("default", Method::GET, Some("äöü.example.org"), "/static/a"),
        ("head", Method::HEAD, None, "/"),
        ("head", Method::HEAD, None, "/a b"),
        ("default", Method::GET, None, "/"),
        ("six", Method::GET, Some("[::1]:8080"), "/x"),
        ("six", Method::GET, Some("[::1]"), "/x"),
        ("default", Method::OPTIONS, None, "*"),
    ] {
        let policy = routes.select(&method, host.map_or(&[][..], str::as_bytes), path);
        assert_eq!(&*policy.name, name, "{method} {host:?} {path}");
    }
}

#[test]
fn every_policy_stands_at_its_index_and_the_last_is_the_default() {
    let routes = Routes::new(nothing().toml(ROUTES).load().unwrap().config.routes).unwrap();
    let policies: Vec<_> = routes.policies().collect();
    assert!(policies.iter().enumerate().all(|(index, policy)| policy.index == index));
    assert_eq!(&*policies.last().unwrap().name, "default");
    assert!(Routes::new(Vec::new()).is_none());
}
