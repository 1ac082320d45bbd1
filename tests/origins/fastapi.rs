//! FastAPI under uvicorn: nothing to ask but the whole body.

use http::{Method, StatusCode};

use crate::client::Client;
use crate::origin::{Origin, python};
use crate::story::{Story, is_checked, values};

fn start() -> Origin {
    let mut command = python("uvicorn");
    command.args(["fastapi_app:app", "--port", "0"]);
    Origin::printing_its_address("uvicorn", command)
}

async fn put(api: &Client, name: &str) {
    let json = format!(r#"{{"name": "{name}", "price": 3}}"#);
    let answer = api.send(Method::PUT, "/items/tea", &[("content-type", "application/json")], &json).await;
    assert_eq!(answer.status, StatusCode::OK);
}

#[tokio::test]
async fn fastapi_answers_head_with_405_and_sends_no_validator() {
    let origin = start();
    let api = origin.client();
    put(&api, "green").await;
    let answer = api.get("/items/tea").await;
    assert_eq!(answer.text(), r#"{"name":"green","price":3}"#);
    assert_eq!((answer.field("etag"), answer.field("last-modified")), (None, None));
    assert_eq!(api.send(Method::HEAD, "/items/tea", &[], "").await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_fastapi_route_is_checked_by_its_body_and_never_stale() {
    let story = Story::before(start());
    let api = story.around();
    put(&api, "green").await;
    assert!(is_checked(&story.read_until_checked("/items/tea").await));
    assert_eq!(story.strategy().await.0, "body");
    story.write_and_read("/items/tea", &values(20), async |value| put(&api, value).await).await;
    assert_eq!(story.strategy().await.0, "body");
}
