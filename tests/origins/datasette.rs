//! Datasette on a SQLite file: no validator at all, and a `max-age` of five seconds that is a lie after any write.

use crate::origin::{Folder, Origin, python};
use crate::story::Story;

const BOOKS: &str = "/library/books.json?_shape=array";

fn start(folder: &Folder) -> Origin {
    let mut command = python("datasette");
    command.arg("serve").arg(folder.file("library.db")).args(["--port", "0"]);
    Origin::printing_its_address("Datasette", command)
}

/// Writes straight into the file, as another process.
async fn write(folder: &Folder, title: &str) {
    let mut command = python("python");
    command.arg("library.py").arg(folder.file("library.db")).arg(title);
    let written = tokio::process::Command::from(command).status().await;
    assert!(written.expect("Python runs").success(), "the library was not written");
}

#[tokio::test]
async fn datasette_sends_no_validator_and_calls_its_answer_fresh_for_five_seconds() {
    let folder = Folder::new("datasette");
    write(&folder, "Emma").await;
    let origin = start(&folder);
    let answer = origin.client().get(BOOKS).await;
    assert_eq!(answer.text(), r#"[{"id": 1, "title": "Emma"}]"#);
    assert_eq!((answer.field("etag"), answer.field("last-modified")), (None, None));
    assert_eq!(answer.field("cache-control"), Some("max-age=5"));
}

#[tokio::test]
async fn a_datasette_table_is_checked_by_its_body_and_never_stale() {
    let folder = Folder::new("datasette");
    write(&folder, "Emma").await;
    let story = Story::before(start(&folder));
    story.settle(BOOKS, "body").await;
    story.stays_true(BOOKS, 10, async |value| write(&folder, value).await).await;
    story.settle(BOOKS, "body").await;
}
