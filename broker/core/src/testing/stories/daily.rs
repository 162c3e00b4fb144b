//! What one person may take of a dataset in a day.

use std::sync::atomic::Ordering;

use chunk_wire::problem::Code;

use crate::error::Error;
use crate::fetch::Submitted;
use crate::testing::{POLICIES, Setup, Someone, World, drain, slice, until};

const UNAPPROVED: &str = r#"@id("nobody") permit(principal in Group::"data-eng", action == Action::"fetch_unapproved", resource);"#;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

async fn world(rows: Option<u64>, bytes: Option<u64>) -> World {
    let mut setup = Setup {
        policies: format!("{POLICIES}{UNAPPROVED}"),
        ..Setup::default()
    };
    let customers = setup.settings.catalog.datasets.get_mut("customers").unwrap();
    (customers.rows_per_day, customers.bytes_per_day) = (rows, bytes);
    World::with(setup).await
}

/// Fetches a dataset in frames of one row and four bytes, and an end of three bytes; whether all of it came.
async fn take(world: &World, who: &Someone, dataset: &str, rows: usize) -> Result<bool, Error> {
    let document = who.plan(world, slice(dataset)).await?.document.unwrap();
    world.script(vec![Ok(b"row\n"); rows]);
    match who.submit_and_fetch(world, &document).await? {
        Submitted::Delivered { delivery, .. } => Ok(drain(delivery).await.is_ok()),
        Submitted::Waiting(view) => unreachable!("{view:?}"),
    }
}

async fn refused(world: &World, who: &Someone, dataset: &str) -> Error {
    let opened = world.scanner.opened.load(Ordering::SeqCst);
    let intents = world.kinds().await.iter().filter(|kind| **kind == "fetch.intent").count();
    let refused = take(world, who, dataset, 1).await.unwrap_err();
    assert_eq!(world.scanner.opened.load(Ordering::SeqCst), opened, "nothing was read");
    let now = world.kinds().await.iter().filter(|kind| **kind == "fetch.intent").count();
    assert_eq!(now, intents, "nothing was to be read");
    refused
}

#[tokio::test]
async fn what_a_person_may_take_in_a_day_is_counted_over_all_their_fetches() {
    let world = world(Some(3), None).await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    assert!(take(&world, &dana, "customers", 2).await.unwrap());
    assert!(!take(&world, &dana, "customers", 2).await.unwrap(), "cut at the third row");
    let fault = refused(&world, &dana, "customers").await;
    assert_eq!(fault.code, Code::LimitReached);
    assert!(
        fault.public.contains("`customers`") && fault.public.contains("3 rows"),
        "{}",
        fault.public
    );
    // By another key as well, and after a restart; not of another dataset, and not by another person.
    let world = world.crash_and_restart().await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    assert_eq!(refused(&world, &dana, "customers").await.code, Code::LimitReached);
    assert!(take(&world, &dana, "salaries", 9).await.unwrap());
    let drew = world.sign_in("drew", &["data-eng"]).await;
    assert!(take(&world, &drew, "customers", 3).await.unwrap());
    // The next day is another.
    world.advance_ms(DAY_MS);
    let dana = world.sign_in("dana", &["data-eng"]).await;
    assert!(take(&world, &dana, "customers", 3).await.unwrap());
    assert_eq!(refused(&world, &dana, "customers").await.code, Code::LimitReached);
}

#[tokio::test]
async fn bytes_have_a_bound_of_their_own() {
    let world = world(None, Some(12)).await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    assert!(take(&world, &dana, "customers", 2).await.unwrap());
    assert!(!take(&world, &dana, "customers", 1).await.unwrap(), "four bytes where one is left");
    // Of what did not leave nothing is counted: there is still one.
    assert!(!take(&world, &dana, "customers", 1).await.unwrap());
}

#[tokio::test]
async fn two_deliveries_at_once_do_not_share_what_is_left_of_a_day() {
    let world = world(Some(3), None).await;
    let dana = world.sign_in("dana", &["data-eng"]).await;
    let document = dana.plan(&world, slice("customers")).await.unwrap().document.unwrap();
    world.script(vec![Ok(b"row\n"); 3]);
    world.scanner.hold.store(true, Ordering::SeqCst);
    let Submitted::Delivered { delivery, .. } = dana.submit_and_fetch(&world, &document).await.unwrap() else {
        unreachable!("nobody has to approve")
    };
    until("the source is read", || world.scanner.opened.load(Ordering::SeqCst) == 1).await;
    let fault = refused(&world, &dana, "customers").await;
    assert_eq!(fault.code, Code::RateLimited);
    world.scanner.hold.store(false, Ordering::SeqCst);
    drain(delivery).await.unwrap();
    assert_eq!(refused(&world, &dana, "customers").await.code, Code::LimitReached);
}
