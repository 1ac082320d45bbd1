//! Datasette on a SQLite file: no validator at all, and a `max-age` of five seconds that is a lie after any write.

use crate::origin::{Folder, Origin, python};
use crate::story::{Story, values};

const BOOKS: &str = "/library/books.json?_shape=array";

fn start(folder: &Folder) -> Origin {
    let mut command = python("datasette");
    command.arg("serve").arg(folder.file("library.db")).args(["--port", "0"]);
    Origin::printing_its_address("Datasette", command)
}

/// Writes straight into the file, as another process.
fn write(folder: &Folder, title: &str) {
    let written = python("python").arg("library.py").arg(folder.file("library.db")).arg(title).status();
    assert!(written.expect("Python runs").success(), "the library was not written");
}

#[tokio::test]
async fn datasette_sends_no_validator_and_calls_its_answer_fresh_for_five_seconds() {
    let folder = Folder::new("datasette");
    write(&folder, "Emma");
    let origin = start(&folder);
    let answer = origin.client().get(BOOKS).await;
    assert_eq!(answer.text(), r#"[{"id": 1, "title": "Emma"}]"#);
    assert_eq!((answer.field("etag"), answer.field("last-modified")), (None, None));
    assert_eq!(answer.field("cache-control"), Some("max-age=5"));
}

#[tokio::test]
async fn a_datasette_table_is_checked_by_its_body_and_never_stale() {
    let folder = Folder::new("datasette");
    write(&folder, "Emma");
    let story = Story::before(start(&folder));
    story.read_until_checked(BOOKS).await;
    assert_eq!(story.strategy().await.0, "body");
    story.write_and_read(BOOKS, &values(10), async |value| write(&folder, value)).await;
    assert_eq!(story.strategy().await.0, "body");
}
