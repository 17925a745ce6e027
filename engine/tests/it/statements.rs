//! Rule 17: a page, the cards and a scrape cost the same number of statements for any number of
//! destinations.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use auditstream_engine::{Actor, Engine, destinations, metrics};
use auditstream_model::ListQuery;
use auditstream_testkit::s3::Store;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::support::{House, On};

/// Counts the statements that the driver logs on this thread.
struct Statements(Arc<AtomicUsize>);

impl Subscriber for Statements {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

async fn count(work: impl Future) -> usize {
    let count = Arc::default();
    let counting = tracing::subscriber::set_default(Statements(Arc::clone(&count)));
    work.await;
    drop(counting);
    count.load(Ordering::SeqCst)
}

async fn counts(engine: &Engine, admin: &Actor) -> [usize; 3] {
    let query = ListQuery {
        limit: 100,
        ..ListQuery::default()
    };
    [
        count(destinations::aggregate(engine, admin, &query)).await,
        count(destinations::cards(engine, admin)).await,
        count(metrics::render(engine)).await,
    ]
}

/// On one thread, and on PostgreSQL, whose driver starts no thread.
#[tokio::test]
async fn the_number_of_destinations_does_not_change_the_number_of_statements() {
    let mut house = House::open(On::Postgres).await;
    house.stop_streaming().await;
    let store = Store::start().await;
    house.connect(&store).await;
    house.another_destination("d0", "aws").await;
    destinations::cards(&house.engine, &house.admin).await.unwrap();
    let of_one = counts(&house.engine, &house.admin).await;
    for number in 1..30 {
        house.another_destination(&format!("d{number}"), "aws").await;
    }
    // Another engine, since the first one reuses its metrics for a while.
    let engine = Engine::open(house.config.clone()).await.unwrap();
    destinations::cards(&engine, &house.admin).await.unwrap();
    assert_eq!(counts(&engine, &house.admin).await, of_one);
    engine.close().await;
    assert!(of_one.iter().all(|count| (1..=5).contains(count)), "{of_one:?}");
}
