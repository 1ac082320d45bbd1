//! Faults that let somebody see what was made for somebody else.

use truehit::faults::Fault;
use truehit::rules::policy::{Credentials, Verify};

use crate::holds_unless;
use crate::users::{Tags, World, visit};

fn world(credentials: Credentials, tags: Tags) -> World {
    World {
        credentials,
        verify: Verify::EveryHit,
        tags,
        varies: false,
        users: 100,
        tenants: 2,
        changing: 20,
        clients: 40,
        requests: 40,
        leaving: 150,
        seed: 1,
    }
}

async fn foreign(world: World) -> Vec<String> {
    visit(world).await.foreign
}

#[tokio::test(start_paused = true)]
async fn a_key_without_the_host_is_found_out() {
    let keyed = world(Credentials::Key, Tags::OfPages);
    holds_unless(Fault::KeyWithoutHost, async || foreign(keyed).await).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_without_the_cookie_is_found_out() {
    let keyed = world(Credentials::Key, Tags::OfPages);
    holds_unless(Fault::ShareAcrossCookie, async || foreign(keyed).await).await;
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_is_shared_by_users_is_found_out() {
    let checked = world(Credentials::Checked, Tags::OfUsers);
    holds_unless(Fault::ExchangeAcrossCookie, async || foreign(checked).await).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_that_two_are_told_of_is_found_out() {
    let keyed = world(Credentials::Key, Tags::OfPages);
    holds_unless(Fault::StoreSetCookie, async || foreign(keyed).await).await;
}

#[tokio::test(start_paused = true)]
async fn vary_that_is_not_read_is_found_out() {
    let keyed = world(Credentials::Key, Tags::OfPages);
    holds_unless(Fault::DropVary, async || foreign(keyed).await).await;
}
