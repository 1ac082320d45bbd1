//! `truehit probe`: what was typed becomes questions, and findings become text and an exit code.

use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;

use super::{ProbeArgs, exit};
use crate::probe;

/// Probes, prints, and gives the exit code.
pub async fn probe(args: &ProbeArgs) -> u8 {
    let (url, fields) = match (parse_url(&args.url), parse_fields(&args.header)) {
        (Ok(url), Ok(fields)) => (url, fields),
        (Err(error), _) | (_, Err(error)) => {
            eprintln!("truehit: {error}");
            return exit::USAGE;
        }
    };
    match probe::probe(&url, &fields).await {
        Ok((findings, advice)) => {
            let page = if args.json { probe::json(&findings, &advice) } else { probe::table(&findings, &advice) };
            print!("{page}");
            exit::CLEAN
        }
        Err(error) => {
            eprintln!("truehit: {}", with_sources(&error));
            exit::UNAVAILABLE
        }
    }
}

fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{text}: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{text}: give an http or https URL"));
    }
    Ok(url)
}

fn parse_fields(fields: &[String]) -> Result<HeaderMap, String> {
    let mut parsed = HeaderMap::new();
    for field in fields {
        // A credential may be in it: an error names the field and not its value.
        let (name, value) = field.split_once(':').ok_or("--header wants 'Name: value'")?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| "--header: not a field name")?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| format!("--header: not a value for {name}"))?;
        parsed.append(name, value);
    }
    Ok(parsed)
}

/// The error with what caused it; reqwest's own words stop at "error sending request".
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    // A chain is a handful long; the bound is for a chain that bites its tail.
    for _ in 0..8 {
        let Some(error) = source else { break };
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = error.source();
    }
    text
}
