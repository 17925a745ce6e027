//! The physical limits of the machine, measured in the same run.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use auditstream_engine::streaming::encode;
use auditstream_model::Compression;
use bytes::Bytes;
use reqwest::Client;
use sqlx::{AnyConnection, Connection as _, Executor as _};

use crate::events::Source;
use crate::process::On;
use crate::report::{Figure, Report};
use crate::store::Store;

/// Measures the disk, the compressor and the network once.
pub async fn machine(report: &mut Report, folder: &Path, source: &Source) {
    report.add(Figure::DiskSyncs, None, synced_appends(folder));
    report.add(Figure::DiskWrite, None, large_write(folder));
    let content = source.lines(0, 17_000);
    let megabytes = content.len() as f64 / 1e6;
    let spent = timed(|| encode::compress(content.as_bytes(), Compression::Gzip, None).unwrap());
    report.add(Figure::Compressor, None, megabytes / spent.as_secs_f64());
    let half_gibibyte = f64::from(512 << 20) / content.len() as f64;
    report.add(Figure::CompressorCpu, None, spent.as_secs_f64() * half_gibibyte);
    report.add(Figure::Puts, None, puts().await);
}

fn synced_appends(folder: &Path) -> f64 {
    const APPENDS: u32 = 300;
    let mut file = File::create(folder.join("appends")).unwrap();
    let spent = timed(|| {
        for _ in 0..APPENDS {
            file.write_all(&[1; 4096]).unwrap();
            file.sync_data().unwrap();
        }
    });
    f64::from(APPENDS) / spent.as_secs_f64()
}

fn large_write(folder: &Path) -> f64 {
    const BLOCKS: u32 = 256;
    let block = vec![1; 1 << 20];
    let mut file = File::create(folder.join("large")).unwrap();
    let spent = timed(|| {
        for _ in 0..BLOCKS {
            file.write_all(&block).unwrap();
        }
        file.sync_data().unwrap();
    });
    f64::from(BLOCKS) * 1.048_576 / spent.as_secs_f64()
}

/// MB/s of PUTs of 1 MiB, one at a time.
async fn puts() -> f64 {
    const PUTS: u32 = 400;
    let store = Store::start().await;
    let body = Bytes::from(vec![1; 1 << 20]);
    let client = Client::new();
    let start = Instant::now();
    for number in 0..PUTS {
        let put = client.put(format!("{}/bucket/{number}", store.endpoint));
        put.body(body.clone()).send().await.unwrap();
    }
    f64::from(PUTS) * 1.048_576 / start.elapsed().as_secs_f64()
}

/// Measures inserts of the same bytes into a table without an index, 500 rows a commit, and
/// look-ups by primary key.
pub async fn database(report: &mut Report, on: On, url: &str, source: &Source) {
    const COMMITS: usize = 60;
    const ROWS: usize = 500;
    let _ = sqlx::any::install_drivers(&[sqlx_sqlite::any::DRIVER, sqlx_postgres::any::DRIVER]);
    let mut connection = AnyConnection::connect(url).await.unwrap();
    if on == On::Sqlite {
        connection.execute("PRAGMA journal_mode = wal").await.unwrap();
        connection.execute("PRAGMA synchronous = full").await.unwrap();
    }
    let key = if on == On::Sqlite { "INTEGER" } else { "BIGINT" };
    let table = format!("CREATE TABLE bare (id {key} PRIMARY KEY, payload TEXT NOT NULL)");
    connection.execute(sqlx::AssertSqlSafe(table)).await.unwrap();
    let mut spent = Duration::ZERO;
    for commit in 0..COMMITS {
        let lines = source.lines(commit * ROWS, ROWS);
        let start = Instant::now();
        let mut transaction = connection.begin().await.unwrap();
        for (row, line) in lines.lines().enumerate() {
            let insert = sqlx::query("INSERT INTO bare (id, payload) VALUES ($1, $2)");
            let id = (commit * ROWS + row) as i64;
            insert.bind(id).bind(line).execute(&mut *transaction).await.unwrap();
        }
        transaction.commit().await.unwrap();
        spent += start.elapsed();
    }
    let rate = (COMMITS * ROWS) as f64 / spent.as_secs_f64();
    report.add(Figure::BareInsert, Some(on), rate);
    let start = Instant::now();
    const LOOK_UPS: i64 = 5_000;
    for number in 0..LOOK_UPS {
        let select = sqlx::query_scalar::<_, String>("SELECT payload FROM bare WHERE id = $1");
        select.bind(number * 5).fetch_one(&mut connection).await.unwrap();
    }
    let micros = start.elapsed().as_micros() as f64 / LOOK_UPS as f64;
    report.add(Figure::LookUp, Some(on), micros);
    connection.close().await.unwrap();
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    std::hint::black_box(work());
    start.elapsed()
}
