//! The outlet by hand, byte by byte, and under hyper's own server.

use std::convert::Infallible;
use std::task::{Wake, Waker};

use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::rules::interim::HEADS_MAX;

/// A stream that takes as many bytes as it has room for.
struct Wire {
    room: usize,
    sent: Vec<u8>,
    vectored: bool,
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let taken = buf.len().min(self.room);
        if taken == 0 {
            return Poll::Pending;
        }
        self.room -= taken;
        self.sent.extend_from_slice(&buf[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        self.poll_write(cx, first)
    }
}

/// A connection whose server is the test.
struct Connection {
    mailbox: Arc<Mailbox>,
    outlet: Outlet<Wire>,
}

impl Connection {
    fn new() -> Self {
        let mailbox = Arc::new(Mailbox::default());
        let wire = Wire { room: usize::MAX, sent: Vec::new(), vectored: false };
        Self { outlet: Outlet::new(wire, Arc::clone(&mailbox)), mailbox }
    }

    fn request(&self) -> Turn {
        self.mailbox.open(Version::HTTP_11)
    }

    /// How hyper's attempt to flush ends, with nothing left to write.
    fn flush(&mut self) -> bool {
        Pin::new(&mut self.outlet).poll_flush(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// How many bytes hyper's attempt to write hands over.
    fn write(&mut self, bytes: &[u8]) -> usize {
        let cx = &mut Context::from_waker(Waker::noop());
        let polled = if self.outlet.is_write_vectored() {
            Pin::new(&mut self.outlet).poll_write_vectored(cx, &[IoSlice::new(bytes)])
        } else {
            Pin::new(&mut self.outlet).poll_write(cx, bytes)
        };
        match polled {
            Poll::Ready(written) => written.unwrap(),
            Poll::Pending => 0,
        }
    }

    fn sent(&self) -> &str {
        std::str::from_utf8(&self.outlet.stream.sent).unwrap()
    }
}

#[test]
fn what_is_posted_during_a_turn_goes_out_at_the_next_flush() {
    let mut connection = Connection::new();
    let turn = connection.request();
    assert!(turn.sink().push(b"one ") && turn.sink().push(b"two "));
    assert_eq!(connection.sent(), "");
    assert!(connection.flush());
    assert_eq!(connection.sent(), "one two ");
    assert_eq!(turn.end().now_or_never(), Some(()));
    connection.write(b"final");
    assert_eq!(connection.sent(), "one two final");
}

#[test]
fn a_turn_does_not_end_before_what_was_posted_is_on_its_way() {
    let mut connection = Connection::new();
    let turn = connection.request();
    assert!(connection.flush());
    assert!(turn.sink().push(b"one "));
    let mut end = Box::pin(turn.end());
    assert_eq!(end.as_mut().now_or_never(), None);
    assert!(connection.flush());
    assert_eq!(end.as_mut().now_or_never(), Some(()));
    connection.write(b"final");
    assert_eq!(connection.sent(), "one final");
}

#[test]
fn nothing_is_posted_after_the_turn() {
    let mut connection = Connection::new();
    let turn = connection.request();
    let sink = turn.sink();
    assert!(connection.flush() && sink.accepts());
    assert_eq!(turn.end().now_or_never(), Some(()));
    assert!(!sink.accepts() && !sink.push(b"late "));
    let next = connection.request();
    assert!(!sink.accepts() && !sink.push(b"later "), "nor in the turn of another");
    assert!(connection.flush() && next.sink().accepts());
    assert_eq!(connection.sent(), "");
}

#[test]
fn a_message_under_way_is_not_broken() {
    for vectored in [false, true] {
        let mut connection = Connection::new();
        connection.outlet.stream.vectored = vectored;
        let turn = connection.request();
        connection.outlet.stream.room = 2;
        assert_eq!(connection.write(b"100 "), 2);
        assert!(turn.sink().push(b"one "));
        assert_eq!(connection.write(b"0 "), 0, "no room");
        connection.outlet.stream.room = usize::MAX;
        connection.write(b"0 ");
        assert_eq!(connection.sent(), "100 ", "hyper may have more of it");
        assert!(connection.flush());
        assert_eq!(connection.sent(), "100 one ");
    }
}

#[test]
fn what_was_begun_is_finished_before_anything_else() {
    for vectored in [false, true] {
        let mut connection = Connection::new();
        connection.outlet.stream.vectored = vectored;
        let turn = connection.request();
        assert!(turn.sink().push(b"one "));
        connection.outlet.stream.room = 1;
        assert!(!connection.flush());
        assert_eq!(turn.end().now_or_never(), Some(()));
        connection.outlet.stream.room = 2;
        assert_eq!(connection.write(b"final"), 0);
        assert_eq!(connection.sent(), "one");
        connection.outlet.stream.room = usize::MAX;
        assert_eq!(connection.write(b"final"), 5);
        assert_eq!(connection.sent(), "one final");
    }
}

/// A handler that is dropped or panics does not wait.
#[test]
fn what_a_turn_left_behind_is_not_the_next_ones() {
    let mut connection = Connection::new();
    let turn = connection.request();
    assert!(turn.sink().push(b"one "));
    drop(turn);
    assert!(connection.flush());
    let next = connection.request();
    assert!(connection.flush());
    assert!(next.sink().push(b"two "));
    assert!(connection.flush());
    assert_eq!(connection.sent(), "two ");
    assert_eq!(next.end().now_or_never(), Some(()));
}

#[test]
fn a_stream_that_takes_nothing_is_an_error_and_not_a_loop() {
    struct Full;
    impl AsyncWrite for Full {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(0))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    let mailbox = Arc::new(Mailbox::default());
    let mut outlet = Outlet::new(Full, Arc::clone(&mailbox));
    let turn = mailbox.open(Version::HTTP_11);
    assert!(turn.sink().push(b"one "));
    let error = outlet.flush().now_or_never().unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
}

/// RFC 9110 §15.2 forbids it for HTTP/1.0; for HTTP/2 hyper has no way.
#[test]
fn other_versions_get_none() {
    let connection = Connection::new();
    for version in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_2] {
        let turn = connection.mailbox.open(version);
        assert!(turn.sink().is_nowhere() && !turn.sink().accepts() && !turn.sink().push(b"one "), "{version:?}");
    }
    assert!(!connection.request().sink().is_nowhere());
    assert!(InterimSink::default().is_nowhere());
}

#[test]
fn each_request_has_its_own_bound() {
    let mut connection = Connection::new();
    for _ in 0..2 {
        let turn = connection.request();
        let taken = (0..HEADS_MAX + 4).filter(|_| connection.flush() && turn.sink().push(b"x")).count();
        assert_eq!(taken, HEADS_MAX, "counted over all flushes of the turn");
        assert!(!turn.sink().accepts());
        assert!(connection.flush());
    }
    assert_eq!(connection.sent().len(), 2 * HEADS_MAX);
}

#[test]
fn posting_wakes_the_connection_and_what_is_left_of_it_does_not_keep_its_task() {
    struct Count(AtomicU64);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let task = Arc::new(Count(AtomicU64::new(0)));
    let Connection { mailbox, mut outlet } = Connection::new();
    let turn = mailbox.open(Version::HTTP_11);
    let waker = Waker::from(Arc::clone(&task));
    assert!(Pin::new(&mut outlet).poll_flush(&mut Context::from_waker(&waker)).is_ready());
    drop(waker);
    assert!(turn.sink().push(b"one "));
    assert_eq!(task.0.load(Ordering::Relaxed), 1);
    let waker = Waker::from(Arc::clone(&task));
    assert!(Pin::new(&mut outlet).poll_flush(&mut Context::from_waker(&waker)).is_ready());
    assert_eq!(task.0.load(Ordering::Relaxed), 2, "for the turn, which may wait to end");
    drop((waker, outlet));
    assert_eq!(Arc::strong_count(&task), 1, "though a sink is still held");
    assert!(turn.sink().push(b"two "), "which writes to nobody");
}

/// One request of a client that does not wait for answers.
#[derive(Clone, Debug)]
struct Story {
    interims: usize,
    /// What the handler does between two of them, and before its answer: lets others run.
    yields: usize,
    /// The content, and whether the client announces it with an expectation.
    content: Option<(usize, bool)>,
    /// How long the answer's content is.
    answer: usize,
}

impl Story {
    fn request(&self, number: usize) -> String {
        let Self { interims, yields, content, answer } = self;
        let target = format!("/{number}/{interims}/{yields}/{answer}");
        match content {
            None => format!("GET {target} HTTP/1.1\r\n\r\n"),
            Some((length, expects)) => {
                let expect = if *expects { "Expect: 100-continue\r\n" } else { "" };
                format!("POST {target} HTTP/1.1\r\nContent-Length: {length}\r\n{expect}\r\n{}", "c".repeat(*length))
            }
        }
    }
}

/// Serves as the listening side does; what a request gets is told by its target. The content of a POST is not waited for.
async fn serve(stream: DuplexStream) {
    let mailbox = Arc::new(Mailbox::default());
    let outlet = Outlet::new(stream, Arc::clone(&mailbox));
    let service = service_fn(move |request: Request<Incoming>| {
        let turn = mailbox.open(request.version());
        async move {
            let numbers: Vec<usize> = request.uri().path().split('/').filter_map(|part| part.parse().ok()).collect();
            let [number, interims, yields, answer] = numbers[..] else { panic!("{numbers:?}") };
            let sink = turn.sink();
            let reading = http_body_util::BodyExt::collect(request.into_body());
            let told = tokio::spawn(async move {
                for index in 0..interims {
                    assert!(
                        sink.push(format!("HTTP/1.1 103 Early Hints\r\nx-of: {number}.{index}\r\n\r\n").as_bytes())
                    );
                    for _ in 0..yields {
                        tokio::task::yield_now().await;
                    }
                }
            });
            let read = async {
                // Half of them read what was sent, and the others answer without.
                if number % 2 == 0 {
                    let _ = reading.await;
                }
            };
            tokio::join!(told, read).0.unwrap();
            turn.end().await;
            let content = number.to_string().repeat(answer);
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(content))))
        }
    });
    let http = auto::Builder::new(TokioExecutor::new());
    // An error is that of a client which has sent everything and closed.
    let _ = http.serve_connection_with_upgrades(TokioIo::new(outlet), service).await;
}

/// Sends all requests at once and gives all that comes back, through a pipe of `room` bytes each way. With more than one
/// thread, what is announced may come while the connection is at anything.
fn talk(stories: &[Story], room: usize, threads: usize) -> String {
    use tokio::runtime::Builder;
    let mut builder = if threads == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.worker_threads(threads).build().unwrap().block_on(async {
        let (client, server) = duplex(room);
        let (mut from, mut to) = tokio::io::split(client);
        let requests: String = stories.iter().enumerate().map(|(number, story)| story.request(number)).collect();
        let writing = async {
            // The server may close before it has read what it will not answer.
            let _ = to.write_all(requests.as_bytes()).await;
        };
        let mut answers = Vec::new();
        let reading = async {
            while read(std::str::from_utf8(&answers).unwrap(), stories).len() < stories.len() {
                if from.read_buf(&mut answers).await.unwrap_or_default() == 0 {
                    break;
                }
            }
        };
        tokio::select! {
            () = async { serve(server).await; std::future::pending().await } => {}
            _ = async { tokio::join!(writing, reading) } => {}
        }
        String::from_utf8(answers).unwrap()
    })
}

/// Reads answers: for each, which interim responses came ahead of it, by number. Panics at anything else.
fn read(mut text: &str, stories: &[Story]) -> Vec<Vec<usize>> {
    let mut answered = Vec::new();
    let mut interims = Vec::new();
    while let Some((head, rest)) = text.split_once("\r\n\r\n") {
        let number = answered.len();
        text = rest;
        if head == "HTTP/1.1 100 Continue" {
            continue;
        }
        if let Some(of) = head.strip_prefix("HTTP/1.1 103 Early Hints\r\nx-of: ") {
            let (whose, index) = of.split_once('.').unwrap();
            assert_eq!(whose, number.to_string(), "another request's");
            interims.push(index.parse().unwrap());
            continue;
        }
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head:?}");
        let content = number.to_string().repeat(stories[number].answer);
        let Some(rest) = text.strip_prefix(&content) else { break };
        text = rest;
        answered.push(std::mem::take(&mut interims));
    }
    answered
}

fn story() -> impl Strategy<Value = Story> {
    let content = proptest::option::of((1_usize..40, any::<bool>()));
    (0..=HEADS_MAX, 0_usize..3, content, 1_usize..60).prop_map(|(interims, yields, content, answer)| Story {
        interims,
        yields,
        content,
        answer,
    })
}

proptest! {
    #[test]
    fn whatever_a_client_asks_and_however_slowly_it_reads_messages_stay_whole_and_none_is_lost(
        stories in proptest::collection::vec(story(), 1..6),
        room in 1_usize..300,
        threads in 1_usize..3,
    ) {
        let answered = read(&talk(&stories, room, threads), &stories);
        for (interims, story) in answered.iter().zip(&stories) {
            prop_assert_eq!(interims, &(0..story.interims).collect::<Vec<_>>());
        }
        // A connection whose content was not read may close after its answer.
        if stories.iter().all(|story| story.content.is_none()) {
            prop_assert_eq!(answered.len(), stories.len());
        }
    }
}
