//! `python -m http.server`: HTTP/1.0, no entity tag, and a `Last-Modified` in whole seconds that proves nothing.

use http::Method;

use crate::origin::{Folder, Origin, python};
use crate::story::{Story, values};

fn start(folder: &Folder) -> Origin {
    let mut command = python("python");
    command.args(["-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"]).arg(folder.path());
    Origin::printing_its_address("http.server", command)
}

#[tokio::test]
async fn the_server_of_python_has_no_tag_and_only_a_date_in_whole_seconds() {
    let folder = Folder::new("python");
    let origin = start(&folder);
    folder.write("page.txt", "one");
    let answer = origin.client().send(Method::HEAD, "/page.txt", &[], "").await;
    assert_eq!(answer.field("etag"), None);
    assert_eq!(answer.field("content-length"), Some("3"));
    assert!(answer.field("last-modified").is_some());
}

#[tokio::test]
async fn files_with_only_a_date_are_checked_by_their_body_and_never_stale() {
    let folder = Folder::new("python");
    let story = Story::before(start(&folder));
    folder.write("page.txt", "value-none");
    story.read_until_checked("/page.txt").await;
    story.write_and_read("/page.txt", &values(50), async |value| drop(folder.write("page.txt", value))).await;
    assert!(story.checks("body").await > 0.0);
}
