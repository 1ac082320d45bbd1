//! Whose answer is it: bodies are shared among users only by choice, and only where the origin confirmed each read with
//! the reader's own credentials.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use http::{Response, StatusCode, header};
use truehit::origin::{Origin, OriginError, Outgoing, Purpose};
use truehit::rules::policy::Credentials;

use crate::house::House;
use crate::script::{Script, ScriptBody, ok, status};

#[tokio::test(start_paused = true)]
async fn under_key_each_credential_has_its_own_copy() {
    let origin = Script::new();
    for user in ["alice", "bob"] {
        origin.expects_with("GET /me", &[("authorization", Some(user))], ok(user).etag("\"1\""));
    }
    origin.expects_with("GET /me", &[("authorization", Some("alice"))], status(304).etag("\"1\""));
    let house = House::new(origin.clone());
    for user in ["alice", "bob", "alice"] {
        assert_eq!(house.get_with("/me", &[("authorization", user)]).await.text(), user);
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn under_checked_one_body_serves_all_whom_the_origin_lets() {
    let origin = Script::new();
    origin
        .expects_with("GET /doc", &[("authorization", Some("alice"))], ok("shared").etag("\"1\""))
        .expects_with(
            "GET /doc",
            &[("authorization", Some("bob")), ("if-none-match", Some("\"1\""))],
            status(304).etag("\"1\""),
        )
        .expects_with("GET /doc", &[("authorization", Some("eve"))], status(403).content("no"));
    let house = House::with(origin.clone(), |policy| policy.authorization = Credentials::Checked);
    assert_eq!(house.get_with("/doc", &[("authorization", "alice")]).await.text(), "shared");
    let bob = house.get_with("/doc", &[("authorization", "bob")]).await;
    assert_eq!(bob.cache_status(), "truehit; fwd=stale; fwd-status=304; detail=checked");
    let eve = house.get_with("/doc", &[("authorization", "eve")]).await;
    assert_eq!((eve.status.as_u16(), eve.text()), (403, "no"));
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn under_checked_several_tags_are_asked_about_and_the_304_picks() {
    let origin = Script::new();
    origin
        .expects_with("GET /doc", &[("authorization", Some("alice"))], ok("for editors").etag("\"e\""))
        .expects_with("GET /doc", &[("authorization", Some("bob"))], ok("for readers").etag("\"r\""))
        .expects_with("GET /doc", &[("if-none-match", Some("\"r\", \"e\""))], status(304).etag("\"e\""))
        .expects_with("GET /doc", &[("authorization", Some("dan"))], status(304))
        .expects_with("GET /doc", &[("if-none-match", None)], ok("for dan").etag("\"d\""));
    let house = House::with(origin.clone(), |policy| policy.authorization = Credentials::Checked);
    let read = async |user| house.get_with("/doc", &[("authorization", user)]).await;
    read("alice").await;
    assert_eq!(read("bob").await.text(), "for readers");
    assert_eq!(read("carol").await.text(), "for editors", "the tag of the 304 picks");
    // A 304 that repeats no tag says nothing about which of them dan may see.
    assert_eq!(read("dan").await.text(), "for dan");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn rfc_and_pass_do_as_they_say() {
    for (how, cookies, expected) in [
        (Credentials::Pass, false, "truehit; fwd=bypass; fwd-status=200; detail=authorization"),
        (Credentials::Pass, true, "truehit; fwd=bypass; fwd-status=200; detail=cookie"),
        (Credentials::Rfc, false, "truehit; fwd=uri-miss; fwd-status=200; detail=authorization"),
        (Credentials::Rfc, true, "truehit; fwd=uri-miss; fwd-status=200; stored; detail=uri-miss"),
    ] {
        let origin = Script::new();
        origin.expects("GET /a", ok("x").etag("\"1\""));
        let house = House::with(origin.clone(), |policy| {
            policy.authorization = how;
            policy.cookies = how;
        });
        let field = if cookies { ("cookie", "a=1") } else { ("authorization", "a") };
        assert_eq!(house.get_with("/a", &[field]).await.cache_status(), expected);
        origin.done();
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_that_sets_a_cookie_or_is_private_is_not_stored() {
    for (name, value, why) in [
        ("set-cookie", "id=1", "set-cookie"),
        ("cache-control", "private", "private"),
        ("cache-control", "no-store", "no-store"),
        ("vary", "*", "vary-star"),
    ] {
        let origin = Script::new();
        origin.expects("GET /a", ok("one").etag("\"1\"").with(name, value)).expects_with(
            "GET /a",
            &[("if-none-match", None)],
            ok("two").etag("\"1\"").with(name, value),
        );
        let house = House::new(origin.clone());
        let first = house.get("/a").await;
        assert_eq!(first.cache_status(), format!("truehit; fwd=uri-miss; fwd-status=200; detail={why}"));
        assert_eq!(first.field(name), value, "it reaches the client that asked");
        assert_eq!(house.get("/a").await.text(), "two");
        origin.done();
    }
}

/// An origin that knows 100 users in three classes of rights: what each may see, and who may see nothing any more.
#[derive(Clone)]
struct Office(Arc<Mutex<HashMap<String, Class>>>);

#[derive(Clone, Copy, PartialEq)]
enum Class {
    Admin,
    Editor,
    Reader,
    Revoked,
}

impl Class {
    fn body(self) -> &'static str {
        match self {
            Self::Admin => "for admins",
            Self::Editor => "for editors",
            Self::Reader => "for readers",
            Self::Revoked => "",
        }
    }
}

impl Office {
    fn new() -> Self {
        let classes = [Class::Admin, Class::Editor, Class::Reader];
        Self(Arc::new(Mutex::new((0..100).map(|user| (format!("user-{user}"), classes[user % 3])).collect())))
    }

    fn class(&self, user: &str) -> Class {
        self.0.lock().unwrap()[user]
    }
}

impl Origin for Office {
    type Body = ScriptBody;

    async fn send(&self, _purpose: Purpose, outgoing: &mut Outgoing<'_>) -> Result<Response<ScriptBody>, OriginError> {
        let request = outgoing();
        let class = self.class(request.headers()[header::AUTHORIZATION].to_str().unwrap());
        // Latency on both sides of the evaluation, so that revocations fall into running exchanges.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        if class == Class::Revoked {
            let mut refused = Response::new(ScriptBody::whole("revoked"));
            *refused.status_mut() = StatusCode::FORBIDDEN;
            return Ok(refused);
        }
        let tag = format!("\"{}\"", class.body().replace(' ', "-"));
        let known = request.headers().get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        let unchanged = known.is_some_and(|list| list.split(", ").any(|known| known == tag));
        let mut answer = Response::new(ScriptBody::whole(if unchanged { "" } else { class.body() }));
        *answer.status_mut() = if unchanged { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
        answer.headers_mut().insert(header::ETAG, tag.parse().unwrap());
        Ok(answer)
    }
}

/// 100 users read, round after round, while one after another loses its rights.
async fn a_hundred_users(how: Credentials) -> House<Office> {
    let office = Office::new();
    let house = House::with(office.clone(), |policy| policy.authorization = how);
    for round in 0..30 {
        let revoked = format!("user-{}", round * 3);
        let reads = (0..100).map(|user| {
            let (house, office) = (house.clone(), office.clone());
            tokio::spawn(async move {
                let user = format!("user-{user}");
                let class = office.class(&user);
                let reply = house.get_with("/report", &[("authorization", &user)]).await;
                (class, office.class(&user), reply)
            })
        });
        let reads: Vec<_> = reads.collect();
        office.0.lock().unwrap().insert(revoked.clone(), Class::Revoked);
        let next = house.get_with("/report", &[("authorization", &revoked)]).await;
        assert_eq!((next.status.as_u16(), next.text()), (403, "revoked"), "at the very next read");
        for read in join_all(reads).await {
            let (before, after, reply) = read.unwrap();
            let allowed = [before, after];
            match reply.status.as_u16() {
                403 => assert!(allowed.contains(&Class::Revoked)),
                200 => assert!(allowed.iter().any(|class| class.body() == reply.text()), "a foreign body"),
                other => panic!("{other}"),
            }
        }
    }
    house
}

#[tokio::test(start_paused = true)]
async fn a_hundred_users_under_key_never_see_a_foreign_body() {
    let house = a_hundred_users(Credentials::Key).await;
    let misses = "truehit_requests_total{route=\"default\",outcome=\"miss\",code=\"2xx\"}";
    assert_eq!(house.metric(misses), 99.0, "a copy each; user-0 lost its rights before its first read");
}

#[tokio::test(start_paused = true)]
async fn a_hundred_users_under_checked_share_three_bodies_and_never_see_a_foreign_one() {
    let house = a_hundred_users(Credentials::Checked).await;
    assert!(house.metric("truehit_cache_hits_total{route=\"default\"}") > 2000.0);
}
