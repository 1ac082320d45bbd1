//! The questions: at most [`QUESTIONS_MAX`] requests, one after another, with what the user would send.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use reqwest::{Client, Url, redirect};
use tokio::time::Instant;

use super::ProbeError;
use crate::rules::integrity::{self, WANT_REPR_DIGEST};

/// How many requests a probe makes at most.
pub const QUESTIONS_MAX: usize = 7;

/// How much of a response's content is read, in bytes.
pub const BODY_MAX: usize = 16 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(30);

/// A tag that no origin has: one that answers 304 to it would answer 304 to anything.
const MADE_UP_TAG: HeaderValue = HeaderValue::from_static("\"truehit-probe-4b1d\"");

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// The HTTP version that it came in.
    pub version: Version,
    /// Its fields.
    pub fields: HeaderMap,
    /// Its content, up to [`BODY_MAX`].
    pub body: Bytes,
    /// Whether that is all of it.
    pub whole: bool,
    /// From sending the request to the end of the content.
    pub elapsed: Duration,
}

/// The answers; `None` where a question was not asked or not answered.
#[derive(Clone, Debug)]
pub struct Answers {
    /// GET.
    pub get: Answer,
    /// The same again.
    pub again: Option<Answer>,
    /// HEAD, wanting a digest.
    pub head: Option<Answer>,
    /// GET with the validators of the second GET.
    pub conditional: Option<Answer>,
    /// GET with a tag that was made up.
    pub made_up: Option<Answer>,
    /// GET, wanting a digest.
    pub digest: Option<Answer>,
    /// GET, accepting codings.
    pub coded: Option<Answer>,
}

/// Asks the questions about `url`, each with the user's `fields`.
///
/// # Errors
///
/// If the client cannot be set up or the first question gets no answer.
pub async fn ask(url: &Url, fields: &HeaderMap) -> Result<Answers, ProbeError> {
    let asker = Asker { client: client()?, url, fields };
    let get = asker.send(Method::GET, &[]).await;
    let get = get.map_err(|error| ProbeError::Unreachable { url: url.clone(), source: error.into() })?;
    if is_endless(&get) {
        return Ok(Answers {
            get,
            again: None,
            head: None,
            conditional: None,
            made_up: None,
            digest: None,
            coded: None,
        });
    }
    let again = asker.get(&[]).await;
    let validators = validators(&again.as_ref().unwrap_or(&get).fields);
    let conditional = if validators.is_empty() { None } else { asker.get(&validators).await };
    let want = (WANT_REPR_DIGEST, integrity::EITHER);
    let codings = (ACCEPT_ENCODING, HeaderValue::from_static("gzip, br, zstd"));
    Ok(Answers {
        again,
        conditional,
        made_up: asker.get(&[(IF_NONE_MATCH, MADE_UP_TAG)]).await,
        head: asker.send(Method::HEAD, std::slice::from_ref(&want)).await.ok(),
        digest: asker.get(&[want]).await,
        coded: asker.get(&[codings]).await,
        get,
    })
}

/// What the next question would be asked with: the tag, else the date.
fn validators(fields: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let tag = fields.get(ETAG).map(|tag| (IF_NONE_MATCH, tag.clone()));
    let date = || fields.get(LAST_MODIFIED).map(|date| (IF_MODIFIED_SINCE, date.clone()));
    tag.or_else(date).into_iter().collect()
}

/// A stream of events is not read: it has no end.
pub(super) fn is_endless(answer: &Answer) -> bool {
    let kind = answer.fields.get(http::header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.len() >= 17 && kind[..17].eq_ignore_ascii_case(b"text/event-stream"))
}

/// No proxy of the environment, no redirects, explicit deadlines: what is asked is the origin and nobody else.
fn client() -> Result<Client, ProbeError> {
    // A second installation is refused, and means that the provider is there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .http1_only()
        .build()
        .map_err(|error| ProbeError::Client(error.to_string()))
}

struct Asker<'a> {
    client: Client,
    url: &'a Url,
    fields: &'a HeaderMap,
}

impl Asker<'_> {
    async fn get(&self, fields: &[(HeaderName, HeaderValue)]) -> Option<Answer> {
        self.send(Method::GET, fields).await.ok()
    }

    async fn send(&self, method: Method, fields: &[(HeaderName, HeaderValue)]) -> Result<Answer, reqwest::Error> {
        let mut all = self.fields.clone();
        all.extend(fields.iter().cloned());
        let began = Instant::now();
        let mut response = self.client.request(method, self.url.clone()).headers(all).send().await?;
        let mut answer = Answer {
            status: response.status(),
            version: response.version(),
            fields: response.headers().clone(),
            body: Bytes::new(),
            whole: true,
            elapsed: Duration::ZERO,
        };
        if !is_endless(&answer) {
            let mut body = BytesMut::new();
            while let Some(chunk) = response.chunk().await? {
                body.extend_from_slice(&chunk);
                if body.len() > BODY_MAX {
                    answer.whole = false;
                    break;
                }
            }
            answer.body = body.freeze();
        }
        answer.elapsed = began.elapsed();
        Ok(answer)
    }
}
