//! nginx serving files: a tag that looks strong and is the modification time in whole seconds and the length, so that a
//! rewrite of the same length within the second goes unnoticed by whoever asks with it.

use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};

use crate::origin::{Folder, Origin, system};
use crate::story::{Story, is_checked};

async fn start(folder: &Folder) -> Origin {
    Origin::told_its_port("nginx", |port| {
        let path = folder.path().display();
        let configuration = format!(
            "daemon off; master_process off; pid {path}/nginx.pid; error_log stderr;\n\
             events {{}}\n\
             http {{\n\
               access_log off; client_body_temp_path {path}/t1; proxy_temp_path {path}/t2;\n\
               fastcgi_temp_path {path}/t3; uwsgi_temp_path {path}/t4; scgi_temp_path {path}/t5;\n\
               server {{ listen 127.0.0.1:{port}; root {path}; }}\n\
             }}\n"
        );
        let file = folder.write("nginx.conf", &configuration);
        let mut command = system("nginx");
        command.arg("-p").arg(folder.path()).arg("-c").arg(file).args(["-e", "stderr"]);
        command
    })
    .await
}

/// Writes a file and says that it was written long ago.
fn write_old(folder: &Folder, name: &str, content: &str) {
    let path = folder.write(name, content);
    let file = std::fs::File::options().write(true).open(path).expect("it was just written");
    file.set_modified(an_hour_ago()).expect("a file system with times");
}

fn an_hour_ago() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

#[tokio::test]
async fn a_rewrite_of_the_same_length_at_the_same_second_keeps_the_tag_of_nginx() {
    let folder = Folder::new("nginx");
    let origin = start(&folder).await;
    write_old(&folder, "page.txt", "one");
    let first = origin.client().get("/page.txt").await;
    write_old(&folder, "page.txt", "two");
    let tag = first.field("etag").expect("nginx sends a tag");
    let second = origin.client().send(Method::GET, "/page.txt", &[("if-none-match", tag)], "").await;
    assert_eq!(second.status, StatusCode::NOT_MODIFIED);
    assert!(tag.starts_with('"') && tag.ends_with("-3\""), "length 3 in {tag}");
}

#[tokio::test]
async fn a_young_file_is_checked_by_its_body_so_that_no_rewrite_within_the_second_is_missed() {
    let folder = Folder::new("nginx");
    let story = Story::before(start(&folder).await);
    folder.write("page.txt", "value-none");
    story.read("/page.txt").await;
    let before = story.checks("body").await;
    story.stays_true("/page.txt", 50, async |value| folder.replace("page.txt", value)).await;
    assert!(story.checks("body").await > before, "rewrites of a young file were not checked by the body");
}

#[tokio::test]
async fn parts_of_a_file_are_kept_joined_and_completed() {
    let folder = Folder::new("nginx");
    let story = Story::before(start(&folder).await);
    write_old(&folder, "page.txt", "0123456789");
    let part = async |range: &str| {
        let answer = story.read_part("/page.txt", range).await;
        let field = |name| answer.field(name).unwrap_or_default().to_owned();
        (answer.text().to_owned(), field("content-range"), field("cache-status"))
    };
    let (text, range, status) = part("bytes=2-4").await;
    assert_eq!((&*text, &*range), ("234", "bytes 2-4/10"));
    assert!(status.contains("fwd=uri-miss; fwd-status=206; stored"), "{status}");
    let (text, range, status) = part("bytes=3-4").await;
    assert_eq!((&*text, &*range), ("34", "bytes 3-4/10"));
    assert!(status.contains("fwd-status=304; detail=checked"), "{status}");
    let (text, _, status) = part("bytes=0-1").await;
    assert_eq!(text, "01");
    assert!(status.contains("fwd=partial; fwd-status=206; stored"), "{status}");
    let whole = story.read("/page.txt").await;
    assert_eq!(whole.text(), "0123456789", "made of the parts and of what they lacked");
    assert!(
        whole.field("cache-status").is_some_and(|status| status.contains("fwd=partial; fwd-status=206")),
        "{whole:?}"
    );
    let (text, range, status) = part("bytes=-3").await;
    assert_eq!((&*text, &*range), ("789", "bytes 7-9/10"));
    assert!(status.contains("fwd-status=304; detail=checked"), "{status}");
}

#[tokio::test]
async fn a_file_older_than_a_second_is_checked_by_its_tag() {
    let folder = Folder::new("nginx");
    let story = Story::before(start(&folder).await);
    write_old(&folder, "page.txt", "value-none");
    let answer = story.settle("/page.txt", "conditional").await;
    assert!(answer.field("cache-status").is_some_and(|status| status.contains("fwd-status=304")), "{answer:?}");
    // A write of today changes the tag, and what is read from then on is young.
    story.stays_true("/page.txt", 5, async |value| folder.replace("page.txt", value)).await;
    assert!(is_checked(&story.read("/page.txt").await));
}
