//! Caddy serving files: like nginx, a tag made of the time in whole seconds and the length, but of another shape. What
//! gives it away is not how it looks but the `Last-Modified` beside it.

use http::{Method, StatusCode};

use crate::origin::{Folder, Origin, system};
use crate::story::{Story, values};

async fn start(folder: &Folder) -> Origin {
    Origin::told_its_port("Caddy", |port| {
        let mut command = system("caddy");
        command.args(["file-server", "--listen", &format!("127.0.0.1:{port}"), "--root"]).arg(folder.file("site"));
        // It keeps state, and must not find an operator's.
        command.env("HOME", folder.path()).env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME");
        command
    })
    .await
}

fn site() -> Folder {
    let folder = Folder::new("caddy");
    std::fs::create_dir_all(folder.file("site")).expect("the folder is writable");
    folder
}

#[tokio::test]
async fn the_tag_of_caddy_is_strong_in_form_and_repeated_by_its_304() {
    let folder = site();
    let origin = start(&folder).await;
    folder.write("site/page.txt", "one");
    let first = origin.client().get("/page.txt").await;
    let tag = first.field("etag").expect("Caddy sends a tag");
    assert!(tag.starts_with('"') && !tag.contains('-'), "a strong tag of another shape than nginx's: {tag}");
    assert!(first.field("last-modified").is_some());
    let second = origin.client().send(Method::GET, "/page.txt", &[("if-none-match", tag)], "").await;
    assert_eq!((second.status, second.field("etag")), (StatusCode::NOT_MODIFIED, Some(tag)));
}

#[tokio::test]
async fn rewrites_of_the_same_length_within_the_second_are_never_missed() {
    let folder = site();
    let story = Story::before(start(&folder).await);
    folder.write("site/page.txt", "value-none");
    story.read("/page.txt").await;
    story.write_and_read("/page.txt", &values(50), async |value| drop(folder.write("site/page.txt", value))).await;
}
