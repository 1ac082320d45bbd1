//! The walk: a cold read, a checked hit, writes that truehit cannot see, and the counters of both sides.
//!
//! Each step says what it is about to show, shows it, and holds it against what truehit promises. A step that does not
//! hold is an error, so that the demo cannot tell a story that did not happen.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::json;

use crate::client::{Answer, AnyError, Client};
use crate::database::Database;

/// By how much the teapot becomes dearer.
const RISE_CENTS: i64 = 200;

/// What a step returns: the promise that did not hold, if one did not.
type Shown = Result<(), AnyError>;

/// The two sides and what has been read so far.
#[derive(Debug)]
pub(crate) struct Story {
    api_address: String,
    listen: String,
    admin: String,
    reader: Client,
    around: Client,
    metrics: Client,
    database: PathBuf,
    delay: Duration,
    seen: Seen,
}

/// What the reader was told by `Cache-Status`, counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Bodies from truehit's store, confirmed by the origin.
    checked: u64,
    /// Bodies from the origin.
    fetched: u64,
}

impl Story {
    /// A story about the API at `api` and the truehit at `listen`, whose metrics are at `admin`.
    pub(crate) fn new(api: &str, listen: &str, admin: &str, database: PathBuf, delay: Duration) -> Self {
        Self {
            api_address: api.to_owned(),
            listen: listen.to_owned(),
            admin: admin.to_owned(),
            reader: Client::new(listen),
            around: Client::new(api),
            metrics: Client::new(admin),
            database,
            delay,
            seen: Seen::default(),
        }
    }

    /// Says who is where.
    pub(crate) fn introduce(&self) {
        println!("An API over SQLite, and truehit in front of it.\n");
        println!("  the API   http://{}   GET /products takes {} ms", self.api_address, self.delay.as_millis());
        println!("  truehit   http://{}   metrics at http://{}/metrics", self.listen, self.admin);
        println!("  the data  {}", self.database.display());
    }

    /// All steps, in order; stops at the first that does not hold.
    pub(crate) async fn walk(&mut self) -> Shown {
        let cold = self.cold_read().await?;
        self.checked_hit(&cold).await?;
        self.write_behind_truehits_back()?;
        self.changed_at_once(&cold).await?;
        self.a_user_changes().await?;
        self.what_the_origin_counted().await?;
        self.what_truehit_counted().await
    }

    async fn cold_read(&mut self) -> Result<Answer, AnyError> {
        heading("1. A cold read", "Nothing is stored yet: truehit asks the origin, and keeps what it answers.");
        let answer = self.read("/products").await?;
        claim(answer.cache_status().contains("fwd=uri-miss"), "the first read is a miss", &answer)?;
        claim(answer.cache_status().contains("stored"), "the answer is being stored", &answer)?;
        claim(answer.took >= self.delay, "the origin did the whole work", &answer)?;
        Ok(answer)
    }

    async fn checked_hit(&mut self, cold: &Answer) -> Shown {
        heading(
            "2. A checked hit",
            "truehit asks the origin whether its copy is still current: 304. Then it serves it.",
        );
        let answer = self.read("/products").await?;
        claim(is_checked(&answer), "the second read is a checked hit", &answer)?;
        claim(answer.body == cold.body, "it has the same body", &answer)?;
        claim(answer.took < self.delay / 2, "it takes less than half of the cold read", &answer)?;
        let times = cold.took.as_secs_f64() / answer.took.as_secs_f64();
        println!("  {} instead of {}: {times:.0} times as fast.", milliseconds(&answer), milliseconds(cold));
        Ok(())
    }

    fn write_behind_truehits_back(&self) -> Shown {
        heading(
            "3. A write behind truehit's back",
            "Straight into the SQLite file: neither truehit nor the API is told.",
        );
        println!("  UPDATE products SET price_cents = price_cents + {RISE_CENTS} WHERE id = 1");
        let changed = Database::open(&self.database)?.raise_price(1, RISE_CENTS)?;
        if changed != 1 {
            return Err(format!("the write changed {changed} rows, not 1").into());
        }
        Ok(())
    }

    async fn changed_at_once(&mut self, cold: &Answer) -> Shown {
        heading(
            "4. The next read has it",
            "The same question gets a new answer, which the reader receives and truehit keeps.",
        );
        let answer = self.read("/products").await?;
        claim(answer.cache_status().contains("detail=changed"), "truehit found that its copy is not current", &answer)?;
        let (before, after) = (price(cold)?, price(&answer)?);
        println!("  The teapot cost {before} cents, and now {after}.");
        claim(after == before + RISE_CENTS, "the price is the one just written", &answer)?;
        let again = self.read("/products").await?;
        claim(is_checked(&again) && again.body == answer.body, "and the read after that is a checked hit", &again)
    }

    async fn a_user_changes(&mut self) -> Shown {
        heading("5. The same for a user", "Two reads, a POST straight to the API, and a third read.");
        self.post_user("London").await?;
        let cold = self.read("/users/ada").await?;
        let hit = self.read("/users/ada").await?;
        claim(is_checked(&hit) && hit.body == cold.body, "the second read is a checked hit", &hit)?;
        self.post_user("Turin").await?;
        let answer = self.read("/users/ada").await?;
        claim(answer.json()?["city"] == "Turin", "the third read has what was posted", &answer)?;
        println!("  Ada lived in London, and now in Turin.");
        Ok(())
    }

    async fn what_the_origin_counted(&mut self) -> Shown {
        heading(
            "6. What the origin was asked",
            "Every read reached it, but most as a question that costs it next to nothing.",
        );
        let answer = self.around.get("/_origin/stats").await?;
        let counts = answer.json()?;
        let count = |status: &str| counts["GET"][status].as_u64().unwrap_or(0);
        println!("  GET answered with 200, the whole work:        {}", count("200"));
        println!("  GET answered with 304, the tag was enough:    {}", count("304"));
        let counted = Seen { checked: count("304"), fetched: count("200") };
        if counted != self.seen {
            return Err(format!("the origin counted {counted:?}, and Cache-Status said {:?}", self.seen).into());
        }
        Ok(())
    }

    async fn what_truehit_counted(&mut self) -> Shown {
        heading("7. What truehit counted", "From its metrics, for Prometheus:");
        let answer = self.metrics.get("/metrics").await?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let told = ["truehit_requests_total", "truehit_checks_total", "truehit_check_strategy_info"];
        for line in text.lines().filter(|line| told.iter().any(|name| line.starts_with(name)) && !line.ends_with(" 0"))
        {
            println!("  {line}");
        }
        let outcome = |word: &str| sum(&text, "truehit_requests_total{", &format!("outcome=\"{word}\""));
        let counted = Seen { checked: outcome("checked"), fetched: outcome("miss") + outcome("changed") };
        if counted != self.seen {
            return Err(format!("truehit counted {counted:?}, and Cache-Status said {:?}", self.seen).into());
        }
        let checks = sum(&text, "truehit_checks_total{", "");
        if checks < self.seen.checked {
            return Err(format!("truehit counted {checks} checks for {} checked hits", self.seen.checked).into());
        }
        Ok(())
    }

    /// Says what to do with the two that are left running.
    pub(crate) fn what_to_try(&self, log: &Path) {
        let Self { listen, api_address, admin, database, .. } = self;
        heading("Both are still running", "Ctrl-C ends them. Things to try in another terminal:");
        println!("  Read, twice, and look at Cache-Status and the time:");
        println!("    curl -i -w '%{{time_total}} s\\n' http://{listen}/products");
        println!("  Write around truehit, then read again:");
        println!("    sqlite3 {} 'UPDATE products SET price_cents = 100 WHERE id = 3'", database.display());
        println!("    curl -H 'Content-Type: application/json' http://{api_address}/users \\");
        println!("      -d '{{\"username\": \"ada\", \"name\": \"Ada Lovelace\", \"city\": \"Paris\"}}'");
        println!("    curl -i http://{listen}/users/ada");
        println!("  What each side counted:");
        println!("    curl http://{api_address}/_origin/stats");
        println!("    curl http://{admin}/metrics");
        println!("  truehit's log:");
        println!("    tail -f {}", log.display());
    }

    async fn read(&mut self, target: &str) -> Result<Answer, AnyError> {
        let answer = self.reader.get(target).await?;
        let (status, cache_status) = (answer.status.as_u16(), answer.cache_status());
        println!("  GET {target:<12} {status}  {:>9}  Cache-Status: {cache_status}", milliseconds(&answer));
        claim(answer.status == StatusCode::OK, "the answer is a 200", &answer)?;
        if is_checked(&answer) {
            self.seen.checked += 1;
        } else {
            self.seen.fetched += 1;
        }
        Ok(answer)
    }

    async fn post_user(&mut self, city: &str) -> Shown {
        let user = json!({"username": "ada", "name": "Ada Lovelace", "city": city});
        println!("  POST to the API: {user}");
        let answer = self.around.post("/users", &user).await?;
        claim(answer.status == StatusCode::OK, "the API took the user", &answer)
    }
}

fn heading(title: &str, what: &str) {
    println!("\n{title}\n  {what}\n");
}

/// An error unless `holds`.
fn claim(holds: bool, what: &str, answer: &Answer) -> Shown {
    if holds {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&answer.body);
    let took = milliseconds(answer);
    Err(format!(
        "this does not hold: {what}\n  {} after {took}, Cache-Status: {}\n  {text}",
        answer.status,
        answer.cache_status()
    )
    .into())
}

fn is_checked(answer: &Answer) -> bool {
    answer.cache_status().contains("fwd-status=304") && answer.cache_status().contains("detail=checked")
}

fn milliseconds(answer: &Answer) -> String {
    format!("{:.1} ms", answer.took.as_secs_f64() * 1e3)
}

/// What the first product costs.
fn price(answer: &Answer) -> Result<i64, AnyError> {
    answer.json()?["products"][0]["price_cents"].as_i64().ok_or_else(|| "the products have no price".into())
}

/// The sum of the series that begin with `metric` and contain `label`.
fn sum(metrics: &str, metric: &str, label: &str) -> u64 {
    let series = metrics.lines().filter(|line| line.starts_with(metric) && line.contains(label));
    series.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::extract::{Request, State};
    use axum::response::{IntoResponse, Response};
    use bytes::Bytes;

    use super::*;
    use crate::api::tests::serve;
    use crate::folder::Folder;

    /// How the story ends when `proxy`, made for the API's address, stands where truehit should.
    async fn ending(proxy: impl AsyncFnOnce(String) -> String) -> String {
        let folder = Folder::new().unwrap();
        let database = folder.file("shop.db");
        let delay = Duration::from_millis(50);
        let api = serve(crate::api::router(&database, delay).unwrap()).await;
        let listen = proxy(api.clone()).await;
        Story::new(&api, &listen, &listen, database, delay).walk().await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn without_truehit_the_first_step_does_not_hold() {
        let ending = ending(async |api| api).await;
        assert!(ending.contains("the first read is a miss"), "{ending}");
    }

    #[tokio::test]
    async fn a_cache_that_calls_its_stale_copy_checked_is_found_out() {
        let ending = ending(async |api| serve(Router::new().fallback(lie).with_state(Liar::before(api))).await).await;
        assert!(ending.contains("truehit found that its copy is not current"), "{ending}");
    }

    /// A cache that never asks again and says that it did.
    #[derive(Clone)]
    struct Liar {
        api: String,
        stored: Arc<Mutex<HashMap<String, Bytes>>>,
    }

    impl Liar {
        fn before(api: String) -> Self {
            Self { api, stored: Arc::default() }
        }
    }

    async fn lie(State(liar): State<Liar>, request: Request) -> Response {
        let target = request.uri().to_string();
        let stored = liar.stored.lock().unwrap().get(&target).cloned();
        if let Some(body) = stored {
            return ([("cache-status", "truehit; fwd=stale; fwd-status=304; detail=checked")], body).into_response();
        }
        let answer = Client::new(&liar.api).get(&target).await.unwrap();
        liar.stored.lock().unwrap().insert(target, answer.body.clone());
        ([("cache-status", "truehit; fwd=uri-miss; fwd-status=200; stored; detail=uri-miss")], answer.body)
            .into_response()
    }
}
