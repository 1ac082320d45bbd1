//! Caddy serving files: like nginx, a tag made of the time in whole seconds and the length, but of another shape. What
//! gives it away is not how it looks but the `Last-Modified` beside it.

use std::cell::RefCell;
use std::net::TcpListener;
use std::process::Command;

use http::{Method, StatusCode};

use crate::origin::{Folder, Origin, system};
use crate::story::Story;

async fn start(folder: &Folder) -> Origin {
    Origin::told_its_port("Caddy", |port| serve(folder, port)).await
}

fn serve(folder: &Folder, port: u16) -> Command {
    let mut command = system("caddy");
    command.args(["file-server", "--listen", &format!("127.0.0.1:{port}"), "--root"]).arg(folder.file("site"));
    // It keeps state, and must not find an operator's.
    command.env("HOME", folder.path()).env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME");
    command
}

fn site() -> Folder {
    let folder = Folder::new("caddy");
    std::fs::create_dir_all(folder.file("site")).expect("the folder is writable");
    folder
}

#[tokio::test]
async fn a_server_whose_port_another_takes_first_is_given_the_next() {
    let folder = site();
    folder.write("site/page.txt", "one");
    let thief = RefCell::new(None);
    let origin = Origin::told_its_port("Caddy", |port| {
        thief.borrow_mut().get_or_insert_with(|| TcpListener::bind(("127.0.0.1", port)).expect("it is free"));
        serve(&folder, port)
    })
    .await;
    let stolen = thief.take().expect("it was tried").local_addr().expect("it is bound");
    assert_ne!(origin.address(), stolen.to_string());
    assert_eq!(origin.client().get("/page.txt").await.text(), "one");
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
    story.stays_true("/page.txt", 50, async |value| folder.replace("site/page.txt", value)).await;
}
