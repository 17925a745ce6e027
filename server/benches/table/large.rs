//! A large trail: the rate of ingest while it grows, and searches in it. `make bench-large` runs
//! it. It can be interrupted and continues where it was; its data stays.

use std::fs;
use std::path::Path;
use std::time::Instant;

use futures::StreamExt as _;
use futures::stream;

use crate::events::Source;
use crate::process::{On, Server};
use crate::report::Report;
use crate::rounds;

const STEP: usize = 1_000_000;
const REQUEST: usize = 500;
const AT_ONCE: usize = 16;
/// Bytes on disk for each event, with the write-ahead log.
const BYTES_PER_EVENT: usize = 600;

/// Fills a trail up to `events`, in `folder`, and prints the rate of each million next to that of
/// the first.
pub async fn run(events: usize, folder: &Path, start: i64) {
    fs::create_dir_all(folder).unwrap();
    let gigabytes = events * BYTES_PER_EVENT / 1_000_000_000;
    println!("{events} events in {}: about {gigabytes} GB", folder.display());
    // The times of the events depend on that of the first run, which is stored.
    let start_file = folder.join("start");
    let start = match fs::read_to_string(&start_file) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => {
            fs::write(&start_file, start.to_string()).unwrap();
            start
        }
    };
    let source = Source::new(start);
    let server = match std::env::var("AUDITSTREAM_BENCH_DATABASE_URL") {
        Ok(url) => Server::open(On::Postgres, folder, url),
        Err(_) => Server::open(
            On::Sqlite,
            folder,
            format!("sqlite://{}", folder.join("auditstream.db").display()),
        ),
    };
    let rates_file = folder.join("rates");
    let mut rates: Vec<f64> = fs::read_to_string(&rates_file)
        .map(|text| text.lines().map(|line| line.parse().unwrap()).collect())
        .unwrap_or_default();
    while rates.len() * STEP < events {
        // A step that was interrupted is repeated. Its events are duplicates then.
        let first = rates.len() * STEP;
        let began = Instant::now();
        stream::iter(0..STEP / REQUEST)
            .for_each_concurrent(AT_ONCE, async |request| {
                server.send(source.lines(first + request * REQUEST, REQUEST)).await;
            })
            .await;
        rates.push(STEP as f64 / began.elapsed().as_secs_f64());
        let text: Vec<String> = rates.iter().map(f64::to_string).collect();
        fs::write(&rates_file, text.join("\n")).unwrap();
        let last = rates[rates.len() - 1];
        println!(
            "{:>4} million: {last:.0} events/s, {:.0} % of the first",
            rates.len(),
            100.0 * last / rates[0]
        );
    }
    rounds::searches(&mut Report::default(), &server).await;
}
