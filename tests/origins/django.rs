//! Django with `ConditionalGetMiddleware`, under waitress: a strong entity tag that is the MD5 of the body.

use http::{Method, StatusCode};

use crate::client::Client;
use crate::origin::{Origin, python};
use crate::story::{Story, is_checked, values};

fn start() -> Origin {
    let mut command = python("waitress-serve");
    command.args(["--listen=127.0.0.1:0", "django_app:application"]);
    Origin::printing_its_address("waitress", command)
}

async fn post(api: &Client, text: &str) {
    let answer = api.send(Method::POST, "/notes/1", &[("content-type", "text/plain")], text).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn the_tag_of_django_is_the_md5_of_the_body_and_its_304_repeats_it() {
    let origin = start();
    let api = origin.client();
    post(&api, "first").await;
    let first = api.get("/notes/1").await;
    assert_eq!(first.text(), r#"{"key": "1", "text": "first"}"#);
    let tag = first.field("etag").expect("the middleware sets a tag");
    assert_eq!(tag, md5_tag(&first.body));
    let second = api.send(Method::GET, "/notes/1", &[("if-none-match", tag)], "").await;
    assert_eq!((second.status, second.field("etag")), (StatusCode::NOT_MODIFIED, Some(tag)));
}

#[tokio::test]
async fn a_django_view_is_checked_by_its_tag_and_never_stale() {
    let story = Story::before(start());
    let api = story.around();
    post(&api, "first").await;
    let answer = story.read_until_checked("/notes/1").await;
    assert!(answer.field("cache-status").is_some_and(|status| status.contains("fwd-status=304")), "{answer:?}");
    story.write_and_read("/notes/1", &values(50), async |value| post(&api, value).await).await;
    assert!(is_checked(&story.read("/notes/1").await));
    assert_eq!(story.strategy().await.0, "conditional");
}

fn md5_tag(body: &[u8]) -> String {
    use md5::Digest;
    let digest = md5::Md5::digest(body);
    format!("\"{}\"", digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}
