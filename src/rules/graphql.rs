//! GraphQL over HTTP: whether the content of a POST is a query, and surely so.
//!
//! A parser of the language decides, never a prefix. What is not plain to it is no query: that costs a pass, where the
//! opposite would keep a mutation from the origin. So the content must be one that servers cannot read in two ways: one
//! JSON object with the four known members, each once; one operation that is meant; and nothing in the target's query
//! that a server may prefer to the content.

use apollo_parser::Parser;
use apollo_parser::cst::{Definition, OperationDefinition};
use http::{HeaderMap, header};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// How deep selections, lists and objects of a document may lie in each other. The parser recurses, so this bounds its
/// stack.
const DEPTH_MAX: usize = 64;

/// How many tokens a document may have, blanks and commas included.
const TOKENS_MAX: usize = 32 * 1024;

/// The members of a request; servers may look for them in the target's query too.
const MEMBERS: [&str; 4] = ["query", "operationname", "variables", "extensions"];

/// The content of a GraphQL request ("GraphQL over HTTP" §5.1).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    query: String,
    #[serde(default, rename = "operationName")]
    operation_name: Option<String>,
    #[serde(default, rename = "variables")]
    _variables: IgnoredAny,
    #[serde(default, rename = "extensions")]
    _extensions: IgnoredAny,
}

/// Whether the content of a POST with these fields, to a target with this query, may be a GraphQL request.
#[must_use]
pub fn is_expected(fields: &HeaderMap, target_query: Option<&str>) -> bool {
    let mut types = fields.get_all(header::CONTENT_TYPE).iter();
    let json = types.next().and_then(|value| value.to_str().ok()).is_some_and(is_json);
    json && types.next().is_none()
        && !fields.contains_key(header::CONTENT_ENCODING)
        && target_query.is_none_or(says_nothing)
}

/// Whether a media type is JSON in UTF-8.
fn is_json(value: &str) -> bool {
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let utf8 = |parameter: &str| {
        parameter.split_once('=').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("charset") && value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    };
    (essence.eq_ignore_ascii_case("application/json") || essence.eq_ignore_ascii_case("application/graphql+json"))
        && parts.all(utf8)
}

/// Whether a target's query has no member of a request, nor anything that could be one when decoded.
fn says_nothing(target_query: &str) -> bool {
    target_query.split(['&', ';']).all(|pair| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
        plain && !MEMBERS.iter().any(|member| member.eq_ignore_ascii_case(name))
    })
}

/// Whether content is a GraphQL request whose operation is a query.
#[must_use]
pub fn is_query(content: &[u8]) -> bool {
    // A list is a batch, and would also do for a struct.
    if !content.trim_ascii_start().starts_with(b"{") {
        return false;
    }
    serde_json::from_slice::<Request>(content)
        .is_ok_and(|request| means_query(&request.query, request.operation_name.as_deref()))
}

/// Whether the operation of `document` that `name` selects is a query (GraphQL §6.1).
fn means_query(document: &str, name: Option<&str>) -> bool {
    let tree = Parser::new(document).recursion_limit(DEPTH_MAX).token_limit(TOKENS_MAX).parse();
    if tree.errors().next().is_some() {
        return false;
    }
    let mut selected = Vec::new();
    for definition in tree.document().definitions() {
        match definition {
            Definition::OperationDefinition(operation) => {
                let own = operation.name().map(|name| name.text().to_string());
                if name.is_none() || own.as_deref() == name {
                    selected.push(operation);
                }
            }
            Definition::FragmentDefinition(_) => {}
            // A type system is not executed.
            _ => return false,
        }
    }
    matches!(&*selected, [operation] if is_query_operation(operation))
}

/// GraphQL §2.3: a lone selection set is a query.
fn is_query_operation(operation: &OperationDefinition) -> bool {
    operation.operation_type().is_none_or(|written| written.query_token().is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::testing::head;

    #[test]
    fn which_posts_may_be_requests() {
        let check = |sentence: &str, content_type: &str, query: Option<&str>, expected: bool| {
            assert_eq!(is_expected(&head(&[("content-type", content_type)]), query), expected, "{sentence}");
        };
        check("JSON", "application/json", None, true);
        check("cases aside (RFC 9110 §8.3.1)", "Application/JSON", None, true);
        check("in UTF-8, and saying so", "application/json; charset=utf-8", None, true);
        check("quoted", "application/json;charset=\"UTF-8\"", None, true);
        check("of a type of its own", "application/graphql+json", None, true);
        check("in no other coding", "application/json; charset=utf-16", None, false);
        check("with no other parameter", "application/json; boundary=x", None, false);
        check("no form", "application/x-www-form-urlencoded", None, false);
        check("no multipart upload", "multipart/form-data; boundary=x", None, false);
        check("no bare document", "application/graphql", None, false);
        check("a target may have a query", "application/json", Some("op=Users&v=1"), true);
        check("not one that servers may prefer", "application/json", Some("query={a}"), false);
        check("in any case", "application/json", Some("a=1&Query=x"), false);
        check("nor the name of an operation", "application/json", Some("operationName=a"), false);
        check("nor what could be one when decoded", "application/json", Some("qu%65ry=x"), false);
        let twice = head(&[("content-type", "application/json"), ("content-type", "application/json")]);
        assert!(!is_expected(&twice, None), "one type alone");
        let coded = head(&[("content-type", "application/json"), ("content-encoding", "gzip")]);
        assert!(!is_expected(&coded, None), "nothing is decoded");
        assert!(!is_expected(&head(&[]), None), "no type");
    }

    #[test]
    fn what_is_a_query() {
        let check = |sentence: &str, content: &str, expected: bool| {
            assert_eq!(is_query(content.as_bytes()), expected, "{sentence}: {content}");
        };
        check("a selection set", r#"{"query":"{ a }"}"#, true);
        check("a query", r#"{"query":"query Q($x: Int) { a(x: $x) { ...F } } fragment F on T { b }"}"#, true);
        check(
            "with all members",
            r#" {"operationName":"Q","variables":{"x":1},"extensions":{},"query":"query Q {a}"}"#,
            true,
        );
        check("with members that are null", r#"{"operationName":null,"variables":null,"query":"query Q {a}"}"#, true);
        check("a mutation", r#"{"query":"mutation { a }"}"#, false);
        check("a subscription", r#"{"query":"subscription { a }"}"#, false);
        check("a mutation after a comment", r##"{"query":"# query {a}\n mutation { a }"}"##, false);
        check("a mutation with an escape", r#"{"query":"mut\u0061tion { a }"}"#, false);
        check("a query with a field of that name", r#"{"query":"query { mutation }"}"#, true);
        check("the one that is named", r#"{"query":"query A {a} mutation B {b}","operationName":"A"}"#, true);
        check("not the other", r#"{"query":"query A {a} mutation B {b}","operationName":"B"}"#, false);
        check("several, and none is named", r#"{"query":"query A {a} query B {b}"}"#, false);
        check("several of one name", r#"{"query":"query A {a} mutation A {b}","operationName":"A"}"#, false);
        check("none of that name", r#"{"query":"query A {a}","operationName":"B"}"#, false);
        check("the empty name is a name", r#"{"query":"query A {a}","operationName":""}"#, false);
        check("fragments alone", r#"{"query":"fragment F on T { a }"}"#, false);
        check("a schema", r#"{"query":"type Query { a: Int } query { a }"}"#, false);
        check("nothing", r#"{"query":""}"#, false);
        check("what does not parse", r#"{"query":"query { a "}"#, false);
        check("what goes on after it", r#"{"query":"query { a } mutation"}"#, false);
        check("a persisted query without text", r#"{"extensions":{"persistedQuery":{}}}"#, false);
        check("an unknown member, as id", r#"{"query":"{a}","id":"1"}"#, false);
        check(
            "a member of another case, which some take for the same",
            r#"{"query":"{a}","Query":"mutation {b}"}"#,
            false,
        );
        check("a member twice", r#"{"query":"{a}","query":"mutation {b}"}"#, false);
        check("a member twice, escaped", r#"{"query":"{a}","qu\u0065ry":"mutation {b}"}"#, false);
        check("a batch", r#"[{"query":"{a}"}]"#, false);
        check("a list that would do for the object", r#"["{a}",null,null,null]"#, false);
        check("a document that is no text", r#"{"query":{"a":1}}"#, false);
        check("no JSON", "{a}", false);
        check("more than one", r#"{"query":"{a}"}{"query":"mutation {b}"}"#, false);
        check("no content", "", false);
    }

    #[test]
    fn hostile_documents_are_no_queries() {
        let of = |document: &str| serde_json::json!({ "query": document }).to_string();
        let check = |sentence: &str, document: String| assert!(!is_query(of(&document).as_bytes()), "{sentence}");
        check("deeper than may be", "{a".repeat(100_000) + &"}".repeat(100_000));
        check("deep, and never closed", "{a".repeat(100_000));
        check("a deep value", format!("{{a(x:{}{})}}", "[".repeat(100_000), "]".repeat(100_000)));
        check("a deep type", format!("query($x:{}T{}){{a}}", "[".repeat(100_000), "]".repeat(100_000)));
        check("longer than may be", format!("{{{}}}", "a ".repeat(TOKENS_MAX)));
        let deep = format!(r#"{{"query":"{{a}}","variables":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        let _bounded_by_the_parser = is_query(deep.as_bytes());
        let usual = "{a".repeat(20) + &"}".repeat(20);
        assert!(is_query(of(&usual).as_bytes()), "twenty levels are usual");
    }

    proptest! {
        #[test]
        fn no_document_makes_it_panic(document in "[{}()\\[\\]a-c$:!@\"#|&=. ,0-9\n-]{0,60}", name in proptest::option::of("[a-c]")) {
            let _ = means_query(&document, name.as_deref());
        }

        #[test]
        fn no_keyword_but_query_is_one(keyword in "[a-z]{1,12}") {
            let expected = keyword == "query";
            prop_assert_eq!(means_query(&format!("{keyword} {{ a }}"), None), expected);
        }
    }
}
