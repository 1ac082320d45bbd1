//! Express with its defaults: a weak entity tag that is the body's length and SHA-1, and so as good as a strong one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::{Method, StatusCode};
use sha1::{Digest, Sha1};

use crate::client::Client;
use crate::origin::{Origin, here, system};
use crate::story::{Story, is_checked, values};

fn start() -> Origin {
    let folder = here().join("node");
    assert!(folder.join("node_modules/express").exists(), "Express is not installed: run `make setup`");
    let mut command = system("node");
    command.arg("app.js").current_dir(folder);
    Origin::printing_its_address("Express", command)
}

async fn put(api: &Client, title: &str) {
    let json = format!(r#"{{"title":"{title}"}}"#);
    let answer = api.send(Method::PUT, "/posts/1", &[("content-type", "application/json")], &json).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn the_weak_tag_of_express_is_the_length_and_the_sha_1_of_the_body() {
    let origin = start();
    let api = origin.client();
    put(&api, "first").await;
    let answer = api.get("/posts/1").await;
    let digest = STANDARD_NO_PAD.encode(Sha1::digest(&answer.body));
    assert_eq!(answer.field("etag"), Some(format!("W/\"{:x}-{digest}\"", answer.body.len()).as_str()));
}

#[tokio::test]
async fn an_express_route_is_checked_by_its_recognised_tag_and_never_stale() {
    let story = Story::before(start());
    let api = story.around();
    put(&api, "first").await;
    let answer = story.read_until_checked("/posts/1").await;
    assert!(answer.field("cache-status").is_some_and(|status| status.contains("fwd-status=304")), "{answer:?}");
    assert_eq!(story.strategy().await.0, "conditional");
    story.write_and_read("/posts/1", &values(50), async |value| put(&api, value).await).await;
    assert!(is_checked(&story.read("/posts/1").await));
    assert_eq!(story.strategy().await.0, "conditional");
}
