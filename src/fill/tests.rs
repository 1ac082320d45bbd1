//! One pump, and readers that come, read and leave as they like.

use std::future::poll_fn;

use futures_util::FutureExt;
use http_body_util::BodyExt;

use super::*;

fn fill(object_max: u64, memory: u64) -> (Arc<Fill>, Pump) {
    Fill::start(Arc::new(FillMemory::new(memory)), object_max)
}

fn read(reader: &mut Reader) -> Option<Option<Bytes>> {
    match reader.frame().now_or_never() {
        None => None,
        Some(None) => Some(None),
        Some(Some(frame)) => Some(Some(frame.unwrap().into_data().unwrap())),
    }
}

#[test]
fn every_reader_gets_every_byte_at_its_own_pace() {
    let (fill, pump) = fill(100, 100);
    let mut early = fill.reader().unwrap();
    assert_eq!(read(&mut early), None, "nothing has arrived");
    pump.push(Bytes::from_static(b"one"));
    assert_eq!(read(&mut early), Some(Some(Bytes::from_static(b"one"))));
    let mut late = fill.reader().unwrap();
    pump.push(Bytes::from_static(b"two"));
    assert_eq!(read(&mut late), Some(Some(Bytes::from_static(b"one"))));
    assert_eq!(pump.recorded(None).unwrap().concat(), b"onetwo");
    pump.finish(None);
    assert_eq!(read(&mut late), Some(Some(Bytes::from_static(b"two"))));
    assert_eq!(read(&mut late), Some(None));
    assert_eq!(read(&mut early), Some(Some(Bytes::from_static(b"two"))));
    assert_eq!(read(&mut early), Some(None));
}

#[test]
fn a_body_that_breaks_off_never_looks_whole() {
    let (fill, pump) = fill(100, 100);
    let mut reader = fill.reader().unwrap();
    pump.push(Bytes::from_static(b"half"));
    drop(pump);
    assert_eq!(read(&mut reader), Some(Some(Bytes::from_static(b"half"))));
    assert_eq!(read(&mut reader), None, "first there is time to send what came before");
    let broken = reader.frame().now_or_never().unwrap().unwrap();
    assert!(matches!(broken, Err(OriginError::ResponseIncomplete(_))));
    assert!(!fill.records());
}

#[test]
fn a_body_that_outgrows_its_bound_passes_on_and_is_not_recorded() {
    let (fill, pump) = fill(4, 100);
    let mut reader = fill.reader().unwrap();
    pump.push(Bytes::from_static(b"1234"));
    pump.push(Bytes::from_static(b"5"));
    assert!(!fill.records());
    assert_eq!(read(&mut reader), Some(Some(Bytes::from_static(b"1234"))));
    assert_eq!(read(&mut reader), Some(Some(Bytes::from_static(b"5"))));
    assert!(fill.reader().is_none(), "the first bytes are gone: nobody can join");
    assert_eq!(pump.recorded(None), Err(SkipReason::TooLarge));
}

#[test]
fn a_body_is_not_given_up_while_readers_are_to_come() {
    let (fill, pump) = fill(4, 100);
    let hold = fill.hold();
    pump.push(Bytes::from_static(b"12345"));
    let room = |pump: &Pump| poll_fn(|cx| pump.poll_room(cx)).now_or_never();
    assert_eq!(room(&pump), Some(Ok(())));
    let mut reader = fill.reader().unwrap();
    assert_eq!(read(&mut reader), Some(Some(Bytes::from_static(b"12345"))));
    drop((hold, reader));
    assert_eq!(room(&pump), Some(Err(SkipReason::TooLarge)), "nobody reads, nobody will, and nothing is recorded");
}

#[test]
fn the_pump_waits_for_the_slowest_reader_once_nothing_is_recorded() {
    let (fill, pump) = fill(4, 1 << 20);
    let mut reader = fill.reader().unwrap();
    pump.push(Bytes::from(vec![0; WINDOW]));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pump.poll_room(&mut cx).is_pending());
    assert!(read(&mut reader).is_some());
    assert_eq!(pump.poll_room(&mut cx), Poll::Ready(Ok(())));
    drop(reader);
    assert_eq!(pump.poll_room(&mut cx), Poll::Ready(Err(SkipReason::TooLarge)), "nobody wants it");
}

#[test]
fn fills_share_one_budget_and_give_it_back() {
    let memory = Arc::new(FillMemory::new(6));
    let (one, first) = Fill::start(Arc::clone(&memory), 100);
    let (two, second) = Fill::start(Arc::clone(&memory), 100);
    first.push(Bytes::from_static(b"1234"));
    second.push(Bytes::from_static(b"1234"));
    assert!(one.records());
    assert!(!two.records());
    assert_eq!(second.recorded(None), Err(SkipReason::FillMemory));
    assert_eq!(memory.used(), 4);
    drop((first, one));
    assert_eq!(memory.used(), 0);
}

#[test]
fn a_body_that_is_not_recorded_gives_back_what_has_been_read_of_it() {
    let memory = Arc::new(FillMemory::new(100));
    let (fill, pump) = Fill::start(Arc::clone(&memory), 4);
    let mut reader = fill.reader().unwrap();
    pump.push(Bytes::from_static(b"1234"));
    pump.push(Bytes::from_static(b"5"));
    assert_eq!(memory.used(), 5);
    assert!(read(&mut reader).is_some());
    assert_eq!(memory.used(), 1);
    assert!(read(&mut reader).is_some());
    assert_eq!(memory.used(), 0);
}

#[test]
fn without_memory_a_body_goes_on_a_chunk_at_a_time() {
    let memory = Arc::new(FillMemory::new(6));
    let (other, first) = Fill::start(Arc::clone(&memory), 100);
    first.push(Bytes::from_static(b"123456"));
    let (fill, pump) = Fill::start(Arc::clone(&memory), 100);
    let mut reader = fill.reader().unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        assert_eq!(pump.poll_room(&mut cx), Poll::Ready(Ok(())), "one chunk is always taken in");
        pump.push(Bytes::from_static(b"1234"));
        assert!(pump.poll_room(&mut cx).is_pending(), "nothing is left for a second one");
        assert!(read(&mut reader).is_some());
    }
    assert_eq!(memory.used(), 6);
    drop((first, other));
    pump.push(Bytes::from_static(b"1234"));
    assert_eq!(pump.poll_room(&mut cx), Poll::Ready(Ok(())), "there is room for a window again");
    assert_eq!(memory.used(), 4);
}

#[test]
fn chunks_of_any_length_are_kept_in_blocks_and_not_in_the_buffer_that_they_were_read_into() {
    let (fill, pump) = fill(1 << 20, 1 << 20);
    let mut reader = fill.reader().unwrap();
    let buffer = Bytes::from_iter((0..100_000u32).map(|at| u8::try_from(at % 251).unwrap()));
    let mut cut = 0;
    for length in [1, 1024, BLOCK - 1025, 5, BLOCK, 3 * BLOCK, 17] {
        pump.push(buffer.slice(cut..cut + length));
        cut += length;
    }
    let mut got = Vec::new();
    while let Some(Some(chunk)) = read(&mut reader) {
        assert!(chunk.len() <= BLOCK);
        got.extend_from_slice(&chunk);
    }
    assert_eq!(got, &buffer[..cut]);
    assert!(buffer.is_unique(), "nothing holds the buffer");
}

#[test]
fn trailers_reach_every_reader() {
    let (fill, pump) = fill(100, 100);
    let mut reader = fill.reader().unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", http::HeaderValue::from_static("1"));
    pump.finish(Some(trailers.clone()));
    let frame = reader.frame().now_or_never().unwrap().unwrap().unwrap();
    assert_eq!(frame.into_trailers().unwrap(), trailers);
}
