//! Recording a body: chunks pushed, read by one reader, and made a stored response.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use futures_util::FutureExt;
use http::header::{CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use truehit::fill::{Fill, FillMemory};
use truehit::rules::moment::{Moment, Now};
use truehit::rules::policy::Policy;
use truehit::rules::request_fields::RequestFields;
use truehit::rules::stored::{Recorded, Standing, StoredHead, StoredResponse};

/// How much of a body arrives at once.
const CHUNK: usize = 16 * 1024;

#[divan::bench(args = [1024, 256 * 1024])]
fn bytes(bencher: Bencher<'_, '_>, length: usize) {
    let chunks: Vec<_> = (0..length.div_ceil(CHUNK)).map(|_| Bytes::from(vec![b'1'; length.min(CHUNK)])).collect();
    let memory = Arc::new(FillMemory::new(u64::MAX));
    let policy = crate::house::configured(|_| {}).routes.pop().unwrap().policy;
    let fields: HeaderMap =
        [(CONTENT_TYPE, HeaderValue::from_static("application/json")), (ETAG, HeaderValue::from_static("\"1\""))]
            .into_iter()
            .collect();
    bencher.counter(BytesCount::new(length)).bench_local(|| record(&chunks, &memory, &policy, &fields, length as u64));
}

fn record(
    chunks: &[Bytes],
    memory: &Arc<FillMemory>,
    policy: &Policy,
    fields: &HeaderMap,
    length: u64,
) -> StoredResponse {
    let now = Now { at: Moment::default(), wall: SystemTime::UNIX_EPOCH };
    let (fill, pump) = Fill::start(Arc::clone(memory), policy.object_max);
    let mut reader = fill.reader().unwrap();
    for chunk in chunks {
        pump.push(chunk.clone());
        let frame = reader.frame().now_or_never().unwrap().unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap().len(), chunk.len());
    }
    let recorded = Recorded::complete(&pump.recorded(None).unwrap(), Some(length), fields, None).unwrap();
    pump.finish(None);
    assert!(reader.frame().now_or_never().unwrap().is_none());
    let head = StoredHead::read(StatusCode::OK, fields, policy, now.wall, now);
    StoredResponse::new(
        head,
        recorded,
        &RequestFields::new(HeaderMap::new(), false),
        Standing { confirmed: now.at, epoch: 0 },
    )
}
