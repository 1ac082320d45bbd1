//! The API: users that are cheap to read, products that are slow to read and cheap to check, and a count of all that
//! it was asked.
//!
//! It knows nothing of truehit. What makes it a good origin is one line in each handler: an entity tag that follows from
//! the data, held against `If-None-Match` before the work begins.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path as PathParameter, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use hyper::body::Frame;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::database::{Database, User};

/// What the handlers share.
#[derive(Debug)]
struct Api {
    // SQLite answers these queries in microseconds from memory: holding a thread for that long is cheaper than moving
    // the work to another.
    database: Mutex<Database>,
    products_delay: Duration,
    counts: Mutex<Counts>,
}

/// How many requests were answered, by method and status.
type Counts = BTreeMap<String, BTreeMap<u16, u64>>;

/// The API over the SQLite file at `database`; a full read of the products takes `products_delay`.
pub(crate) fn router(database: &Path, products_delay: Duration) -> rusqlite::Result<Router> {
    let api = Arc::new(Api {
        database: Mutex::new(Database::open(database)?),
        products_delay,
        counts: Mutex::new(Counts::new()),
    });
    Ok(Router::new()
        .route("/users", post(put_user))
        .route("/users/{username}", get(user))
        .route("/products", get(products))
        .layer(from_fn_with_state(Arc::clone(&api), count))
        .route("/_origin/stats", get(stats))
        .with_state(api))
}

async fn put_user(State(api): State<Arc<Api>>, Json(user): Json<User>) -> Result<Response, Failed> {
    if user.username.is_empty() {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"error": "username is empty"}))).into_response());
    }
    lock(&api.database).put_user(&user)?;
    Ok(Json(user).into_response())
}

async fn user(
    State(api): State<Arc<Api>>,
    PathParameter(username): PathParameter<String>,
    headers: HeaderMap,
) -> Result<Response, Failed> {
    let Some(user) = lock(&api.database).user(&username)? else {
        return Ok((StatusCode::NOT_FOUND, Json(json!({"error": "no such user"}))).into_response());
    };
    let etag = format!("\"{}\"", digest(&user));
    Ok(not_modified(&headers, &etag).unwrap_or_else(|| ([(header::ETAG, etag)], Json(user)).into_response()))
}

async fn products(State(api): State<Arc<Api>>, method: Method, headers: HeaderMap) -> Result<Response, Failed> {
    let etag = format!("\"products-{}\"", lock(&api.database).products_version()?);
    if let Some(response) = not_modified(&headers, &etag) {
        return Ok(response);
    }
    if method == Method::HEAD {
        let head = [(header::ETAG, etag.as_str()), (header::CONTENT_TYPE, "application/json")];
        return Ok((head, Body::new(OfUnknownLength)).into_response());
    }
    // Stands in for the query that nobody dares to run on every request.
    tokio::time::sleep(api.products_delay).await;
    // The tag of what is read now: the products may have changed since the tag above was made.
    let (version, products) = lock(&api.database).products()?;
    Ok(([(header::ETAG, format!("\"products-{version}\""))], Json(json!({ "products": products }))).into_response())
}

async fn stats(State(api): State<Arc<Api>>) -> Json<Counts> {
    Json(lock(&api.counts).clone())
}

async fn count(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let method = request.method().to_string();
    let response = next.run(request).await;
    *lock(&api.counts).entry(method).or_default().entry(response.status().as_u16()).or_default() += 1;
    response
}

/// 304 if the request names this tag (RFC 9110 §13.1.2; weak comparison, and none of our tags contains a comma).
fn not_modified(headers: &HeaderMap, etag: &str) -> Option<Response> {
    let names_it = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == etag || tag == "*");
    names_it.then(|| (StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response())
}

/// The SHA-256 of a row, each column by its length and bytes so that no two rows look alike.
fn digest(user: &User) -> String {
    let mut hash = Sha256::new();
    for column in [&user.username, &user.name, &user.city] {
        hash.update((column.len() as u64).to_le_bytes());
        hash.update(column);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is behind the lock; a handler that panicked left it whole, for SQLite rolls back and a count is one addition.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The body of an answer to HEAD whose length is not known without the work: it keeps axum from stating a length of zero.
struct OfUnknownLength;

impl hyper::body::Body for OfUnknownLength {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}

/// SQLite did not do what it was asked.
struct Failed(rusqlite::Error);

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, Json(json!({"error": self.0.to_string()}))).into_response()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use axum::http::request::Builder;
    use tokio::net::TcpListener;

    use super::*;
    use crate::client::{Answer, Client};
    use crate::folder::Folder;

    /// Longer than any answer takes that does not do the work.
    const DELAY: Duration = Duration::from_millis(300);

    /// Serves `router` on a port of its own for as long as the test lasts.
    pub(crate) async fn serve(router: Router) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    /// The API on a file of its own.
    struct Asked {
        client: Client,
        folder: Folder,
    }

    impl Asked {
        async fn new() -> Self {
            let folder = Folder::new().unwrap();
            let address = serve(router(&folder.file("shop.db"), DELAY).unwrap()).await;
            Self { client: Client::new(address), folder }
        }

        async fn ask(&mut self, request: Builder) -> Answer {
            self.client.send(request, String::new()).await.unwrap()
        }
    }

    fn tag(answer: &Answer) -> &str {
        answer.headers[header::ETAG].to_str().unwrap()
    }

    #[tokio::test]
    async fn the_products_are_slow_to_read_and_quick_to_check() {
        let mut api = Asked::new().await;
        let full = api.ask(Request::get("/products")).await;
        assert!(full.took >= DELAY);
        for tags in [tag(&full).to_owned(), format!("\"other\", W/{}", tag(&full)), "*".to_owned()] {
            let check = api.ask(Request::get("/products").header(header::IF_NONE_MATCH, &tags)).await;
            assert_eq!((check.status, tag(&check)), (StatusCode::NOT_MODIFIED, tag(&full)), "{tags}");
            assert!(check.took < DELAY);
        }
        Database::open(&api.folder.file("shop.db")).unwrap().raise_price(1, 1).unwrap();
        let changed = api.ask(Request::get("/products").header(header::IF_NONE_MATCH, tag(&full))).await;
        assert_eq!(changed.status, StatusCode::OK);
        assert_ne!(tag(&changed), tag(&full));
    }

    #[tokio::test]
    async fn head_gives_the_tag_of_get_without_the_work_and_claims_no_length() {
        let mut api = Asked::new().await;
        let head = api.ask(Request::head("/products")).await;
        assert!(head.took < DELAY);
        assert_eq!(head.headers.get(header::CONTENT_LENGTH), None);
        assert_eq!(tag(&head), tag(&api.ask(Request::get("/products")).await));
    }

    #[tokio::test]
    async fn the_tag_of_a_user_follows_from_the_row() {
        let mut api = Asked::new().await;
        let london = json!({"username": "ada", "name": "Ada Lovelace", "city": "London"});
        let turin = json!({"username": "ada", "name": "Ada Lovelace", "city": "Turin"});
        let mut tags = Vec::new();
        for user in [&london, &turin, &london] {
            api.client.post("/users", user).await.unwrap();
            let answer = api.ask(Request::get("/users/ada")).await;
            assert_eq!(&answer.json().unwrap(), user);
            let head = api.ask(Request::head("/users/ada")).await;
            assert_eq!(tag(&head), tag(&answer));
            assert_eq!(head.headers[header::CONTENT_LENGTH], answer.body.len().to_string());
            tags.push(tag(&answer).to_owned());
        }
        assert!(tags[0] != tags[1] && tags[0] == tags[2], "{tags:?}");
        assert_eq!(api.ask(Request::get("/users/nobody")).await.status, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn the_counters_tell_what_was_asked_and_not_the_question_for_them() {
        let mut api = Asked::new().await;
        api.ask(Request::get("/users/ada")).await;
        api.ask(Request::get("/users/ada").header(header::IF_NONE_MATCH, "*")).await;
        api.ask(Request::head("/users/nobody")).await;
        for _ in 0..2 {
            let counts = api.ask(Request::get("/_origin/stats")).await.json().unwrap();
            assert_eq!(counts, json!({"GET": {"200": 1, "304": 1}, "HEAD": {"404": 1}}));
        }
    }
}
