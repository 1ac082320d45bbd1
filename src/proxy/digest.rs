//! The digest endpoint: where the SHA-256 of a current representation can be asked for.

use bytes::Bytes;
use http::{Method, Uri, response};
use http_body_util::{BodyExt, Limited};
use reqwest::redirect::Policy;

use super::Proxy;
use super::exchange::Errand;
use crate::config::Config;
use crate::faults::{Fault, seeded};
use crate::origin::{BoxError, Origin, OriginError, Purpose};
use crate::rules::ask::Ask;
use crate::rules::judge::Exchange;
use crate::rules::policy::DigestEndpoint;

/// The longest answer that a digest endpoint may give, in bytes.
const DIGEST_ANSWER_MAX: usize = 1024;

/// What a digest endpoint answered: head, content, and when.
pub(super) type Digested = (response::Parts, Bytes, Exchange);

/// The client for digest endpoints on other hosts, if a route has one. It follows no redirects and takes no proxy from
/// the environment.
///
/// # Errors
/// If the system's certificate store cannot be read.
pub(super) fn client(config: &Config) -> Result<Option<reqwest::Client>, reqwest::Error> {
    let elsewhere =
        |policy: &crate::rules::policy::Policy| matches!(policy.digest_endpoint, Some(DigestEndpoint::Elsewhere(_)));
    if !config.routes.iter().any(|route| elsewhere(&route.policy)) {
        return Ok(None);
    }
    reqwest::Client::builder()
        .no_proxy()
        .redirect(if seeded(Fault::FollowRedirects) { Policy::default() } else { Policy::none() })
        .connect_timeout(config.origin.connect_timeout)
        .timeout(config.origin.response_timeout)
        .pool_idle_timeout(config.origin.idle_timeout)
        .build()
        .map(Some)
}

impl<O: Origin> Proxy<O> {
    /// Asks the origin itself, with the asker's own fields.
    pub(super) async fn digest_on_origin(&self, errand: &Errand, template: &str) -> Result<Digested, OriginError> {
        let target = fill_template(template, &errand.ask);
        let uri: Uri =
            target.parse().map_err(|_| OriginError::Protocol(format!("the digest target {target:?} is not valid")))?;
        let mut outgoing = || {
            let mut request = self.check_request(errand, Method::GET);
            *request.uri_mut() = uri.clone();
            // What is announced there is announced of the digest, not of what the client asked for.
            request.extensions_mut().clear();
            request
        };
        let (response, exchange) = self.ask_origin(errand, Purpose::Check, &mut outgoing).await?;
        let (answer, body) = response.into_parts();
        Ok((answer, content(body).await, exchange))
    }

    /// Asks another host. Nothing of the request goes there but its path and query.
    pub(super) async fn digest_elsewhere(&self, errand: &Errand, template: &str) -> Result<Digested, OriginError> {
        let Some(client) = &self.elsewhere else {
            return Err(OriginError::Protocol("there is no client for digest endpoints elsewhere".to_owned()));
        };
        let asked = self.clock.now();
        let response = client.get(fill_template(template, &errand.ask)).send().await;
        let answered = self.clock.now();
        let response = response.map_err(|error| {
            if error.is_timeout() {
                OriginError::ResponseTimeout
            } else {
                OriginError::ConnectionTerminated(format!("digest endpoint: {error}"))
            }
        });
        let status = response.as_ref().map(reqwest::Response::status);
        self.watch.metrics.origin(Purpose::Check, status, answered.at.since(asked.at));
        let (answer, body) = http::Response::from(response?).into_parts();
        Ok((answer, content(body).await, Exchange { standing: errand.standing, asked: asked.wall, answered }))
    }
}

/// The answer's content; an answer too long to be a digest, or broken off, is taken for an empty one, which is none.
async fn content<B>(body: B) -> Bytes
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    match Limited::new(body, DIGEST_ANSWER_MAX).collect().await {
        Ok(content) => content.to_bytes(),
        Err(_) => Bytes::new(),
    }
}

/// `{path}` and `{query}` of a digest template, byte for byte.
pub(super) fn fill_template(template: &str, ask: &Ask) -> String {
    let query = ask.target.query().map(|query| format!("?{query}")).unwrap_or_default();
    template.replace("{path}", ask.target.path()).replace("{query}", &query)
}
