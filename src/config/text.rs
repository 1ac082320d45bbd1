//! How a value that is written as one piece of text gets into and out of serde; `values` lists the kinds.
//!
//! A type says once what is allowed, for the reader of an error and for the editor that uses the JSON Schema; its
//! `read` has the last word.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// A type that is written as text.
pub(super) trait Written: Sized {
    /// What is allowed, as the end of the sentence "allowed: ...".
    const ALLOWED: &'static str;
    /// The words among it that can be listed.
    const WORDS: &'static [&'static str] = &[];
    /// A regular expression for the rest, anchored; it may allow more than `read`.
    const PATTERN: &'static str;
    /// Whether a bare integer is the same as its digits in quotes.
    const INTEGER: bool = false;

    /// The value, or `None` where the text is not allowed.
    fn read(text: &str) -> Option<Self>;
}

/// A [`Written`] value.
#[derive(Clone, Debug)]
pub(super) struct Text<T>(pub(super) T);

impl<'de, T: Written> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<T: Written> Visitor<'_> for Reader<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::ALLOWED)
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
                T::read(text).ok_or_else(|| E::custom(T::ALLOWED))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
                if T::INTEGER { self.visit_str(&number.to_string()) } else { Err(E::custom(T::ALLOWED)) }
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
                u64::try_from(number).map_err(|_| E::custom(T::ALLOWED)).and_then(|number| self.visit_u64(number))
            }
        }
        deserializer.deserialize_any(Reader(PhantomData)).map(Text)
    }
}

impl<T: Written> JsonSchema for Text<T> {
    // Never seen: the schema stands where it is used.
    fn schema_name() -> Cow<'static, str> {
        T::ALLOWED.into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let kind = if T::INTEGER { serde_json::json!(["string", "integer"]) } else { serde_json::json!("string") };
        if T::WORDS.is_empty() {
            json_schema!({ "type": kind, "pattern": T::PATTERN, "x-allowed": T::ALLOWED })
        } else {
            json_schema!({
                "type": kind,
                "anyOf": [{ "enum": T::WORDS }, { "pattern": T::PATTERN }],
                "x-allowed": T::ALLOWED,
            })
        }
    }
}
