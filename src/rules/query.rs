//! `Query`: a request whose content says what is asked, and which is safe all the same.
//!
//! A QUERY is one by its method (RFC 10008). A POST is one where the operator says that a route speaks GraphQL, and the
//! content is a query of that language ([`graphql`]). The content is part of the key, and goes out again with every
//! fetch and every check. It is never normalised: that would need to know what it means.

use bytes::Bytes;
use http::{HeaderMap, Method, header, request};

use super::digest::Sha256;
use super::graphql;
use super::outcome::PassReason;
use super::policy::{Policy, Verify};

/// Content of up to this many bytes is in the key as it is; of longer content the SHA-256 is.
const VERBATIM_MAX: usize = 256;

/// What a request carries besides its head.
#[derive(Clone, Debug)]
pub enum Carried {
    /// No content.
    Nothing,
    /// Content that says nothing to a cache.
    Content,
    /// Content that says what is asked.
    Query(Query),
}

/// The content that says what is asked, and the method that makes it say so.
#[derive(Clone, Debug)]
pub struct Query {
    method: Method,
    content: Bytes,
    /// The content's place in the key, with its tag.
    name: (u8, Bytes),
}

/// Whether the content of a request with this head may say what is asked, and so must be read before anything else.
///
/// RFC 10008 §2: "Servers MUST fail the request if the Content-Type request field is missing", which is for the origin
/// to do.
#[must_use]
pub fn is_expected(head: &request::Parts, policy: &Policy) -> bool {
    policy.verify != Verify::Off
        && match head.method {
            Method::QUERY => head.headers.contains_key(header::CONTENT_TYPE),
            Method::POST => policy.graphql && graphql::is_expected(&head.headers, head.uri.query()),
            _ => false,
        }
}

impl Query {
    /// The tag of the part of a key that says the method.
    const METHOD: u8 = 16;
    /// The tag of the part that is the content itself.
    const CONTENT: u8 = 17;
    /// The tag of the part that is the SHA-256 of the content.
    const DIGEST: u8 = 18;
    /// The fields without which the content means nothing, each under its tag.
    const METADATA: [(u8, header::HeaderName); 3] =
        [(19, header::CONTENT_TYPE), (20, header::CONTENT_ENCODING), (21, header::CONTENT_LANGUAGE)];

    /// Reads the whole content of a request that is [expected](is_expected) to be a query.
    ///
    /// Long content is hashed here, and that of a POST is parsed: for more than a few KiB this belongs off the runtime's
    /// threads.
    ///
    /// # Errors
    /// Why it is none after all.
    pub fn read(method: Method, content: Bytes) -> Result<Self, PassReason> {
        if method != Method::QUERY && !graphql::is_query(&content) {
            return Err(PassReason::Method);
        }
        let name = if content.len() <= VERBATIM_MAX {
            (Self::CONTENT, content.clone())
        } else {
            (Self::DIGEST, Bytes::copy_from_slice(&Sha256::of(&content).0))
        };
        Ok(Self { method, content, name })
    }

    /// The method that it is sent with.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// The content that it is sent with.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.content
    }

    /// Whether a condition can be put to the origin along with it, to be answered with 304.
    ///
    /// A QUERY's is that of a GET (RFC 10008 §2). A POST's is not: RFC 9110 §13.1.2 has the origin "respond with [..] the
    /// 412 (Precondition Failed) status code for all other request methods".
    #[must_use]
    pub fn is_conditional(&self) -> bool {
        self.method == Method::QUERY
    }

    /// What it adds to the key of its target, each part under a tag. `fields` are those of the request.
    ///
    /// RFC 10008 §2.7: "The cache key for a QUERY request MUST incorporate the request content and related metadata."
    pub(super) fn key_parts<'a>(&'a self, fields: &'a HeaderMap) -> impl Iterator<Item = (u8, &'a [u8])> {
        let metadata = Self::METADATA
            .into_iter()
            .flat_map(|(tag, name)| fields.get_all(name).iter().map(move |value| (tag, value.as_bytes())));
        [(Self::METHOD, self.method.as_str().as_bytes()), (self.name.0, &*self.name.1)].into_iter().chain(metadata)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::testing::{Req, method, policy, policy_with, verify};

    fn query(content: &str) -> Req {
        method("QUERY", "/a").with("content-type", "text/plain").with_query(content)
    }

    fn graphql(content: &str) -> Req {
        method("POST", "/a").with("content-type", "application/json").with_query(content)
    }

    #[test]
    fn whose_content_is_read() {
        let check = |sentence: &str, request: Req, policy: &Policy, expected: bool| {
            assert_eq!(is_expected(&request.head(), policy), expected, "{sentence}");
        };
        let speaks = policy_with(|policy| policy.graphql = true);
        let typed = |name: &str| method(name, "/a").with("content-type", "application/json");
        check("that of a QUERY (RFC 10008 §2)", typed("QUERY"), &policy(), true);
        check("not without Content-Type", method("QUERY", "/a"), &policy(), false);
        check("not where nothing is stored", typed("QUERY"), &verify(Verify::Off), false);
        check("methods have a case (RFC 9110 §9.1)", typed("query"), &policy(), false);
        check("no POST by default", typed("POST"), &policy(), false);
        check("unless the operator says so", typed("POST"), &speaks, true);
        check("no PUT ever", typed("PUT"), &speaks, false);
        check("no GET (RFC 9110 §9.3.1)", typed("GET"), &speaks, false);
    }

    #[test]
    fn what_makes_queries_different() {
        let differ = |sentence: &str, one: &Req, other: &Req, expected: bool| {
            let speaks = policy_with(|policy| policy.graphql = true);
            let (one, other) = (one.ask(&speaks), other.ask(&speaks));
            assert_eq!(one.key != other.key, expected, "{sentence}");
            assert_eq!(one.key.target_hash(), other.key.target_hash(), "{sentence}: and one write invalidates both");
        };
        let (short, long) = ("x".repeat(VERBATIM_MAX), "x".repeat(VERBATIM_MAX + 1));
        differ("nothing", &query("x"), &query("x"), false);
        differ("nothing, in long ones", &query(&long), &query(&long), false);
        differ("content (RFC 10008 §2.7)", &query("x"), &query("y"), true);
        differ("length", &query(&short), &query(&long), true);
        differ("a blank: nothing is normalised", &query("x"), &query("x "), true);
        differ(
            "Content-Type (§2.7)",
            &query("x"),
            &method("QUERY", "/a").with("content-type", "a/b").with_query("x"),
            true,
        );
        differ("Content-Encoding", &query("x"), &query("x").with("content-encoding", "gzip"), true);
        differ("Content-Language", &query("x"), &query("x").with("content-language", "de"), true);
        differ(
            "which of the two fields",
            &query("x").with("content-encoding", "x"),
            &query("x").with("content-language", "x"),
            true,
        );
        differ("not other fields", &query("x"), &query("x").with("x-a", "1"), false);
        differ("the method", &query("x"), &method("GET", "/a").with("content-type", "text/plain"), true);
        let json = r#"{"query":"{a}"}"#;
        let same = method("QUERY", "/a").with("content-type", "application/json").with_query(json);
        differ("the method, also of a POST", &graphql(json), &same, true);
    }

    #[test]
    fn content_that_is_the_digest_of_another_is_not_taken_for_it() {
        let long = "x".repeat(VERBATIM_MAX + 1);
        let digest = Bytes::copy_from_slice(&Sha256::of(long.as_bytes()).0);
        let name = |content: Bytes| Query::read(Method::QUERY, content).unwrap().name;
        assert_eq!(name("x".into()), (Query::CONTENT, "x".into()), "short content is its own name");
        assert_ne!(name(long.into()), name(digest));
    }

    proptest! {
        #[test]
        fn equal_keys_mean_equal_queries(
            one in "[ab]{0,3}", other in "[ab]{0,3}", encoding in "[ab]{0,2}", language in "[ab]{0,2}",
        ) {
            let ask = |content: &str, encoding: &str, language: &str| {
                query(content).with("content-encoding", encoding).with("content-language", language).ask(&policy()).key
            };
            let (left, right) = (ask(&one, &encoding, &language), ask(&other, &language, &encoding));
            prop_assert_eq!(left == right, (&one, &encoding) == (&other, &language));
        }
    }
}
