//! Rules 1 and 5 to 9: two servers on one PostgreSQL, killed in turn while events are sent.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::app::{connector, destination, event};
use crate::process::{Server, auditstream, printed};
use auditstream_testkit::postgres;
use auditstream_testkit::s3::Store;

fn command(folder: &Path, database: &str, arguments: &[&str]) -> Command {
    let mut command = auditstream(folder, arguments);
    command
        .env("AUDITSTREAM_DATABASE_URL", database)
        .env("AUDITSTREAM_STREAM_INTERVAL", "1s");
    command
}

/// The state that the parts of the test share.
struct Site {
    client: Client,
    /// The addresses of the two servers; a replacement has a new port.
    addresses: Mutex<[String; 2]>,
    admin: String,
    ingest: String,
}

impl Site {
    async fn post(&self, server: usize, path: &str, token: &str, body: &Value) -> reqwest::Result<StatusCode> {
        let url = format!("{}{path}", self.addresses.lock().unwrap()[server]);
        let answer = self.client.post(url).bearer_auth(token).json(body).send().await?;
        Ok(answer.status())
    }

    /// Sends events until `stop` is set, each request until it is acknowledged. Returns the number
    /// of events.
    async fn send(&self, sender: usize, stop: &AtomicBool) -> usize {
        let mut acknowledged = 0;
        for request in 0.. {
            let events: Vec<Value> = (0..20)
                .map(|number| event(&format!("{sender}-{request}-{number}")))
                .collect();
            let body = json!(events);
            for attempt in 0.. {
                let server = (sender + attempt) % 2;
                let sent = self.post(server, "/v1/audit-events", &self.ingest, &body).await;
                if sent.is_ok_and(|status| status == StatusCode::OK) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            acknowledged += events.len();
            if stop.load(Ordering::Relaxed) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        acknowledged
    }

    /// The number of events that each destination has yet to receive.
    async fn behind(&self) -> Vec<i64> {
        let url = format!(
            "{}/v1/streaming-destinations/aggregate",
            self.addresses.lock().unwrap()[0]
        );
        let answer = self.client.get(url).bearer_auth(&self.admin).send().await.unwrap();
        let list: Value = answer.json().await.unwrap();
        let items = list.as_array().unwrap().iter();
        items
            .map(|item| item["streaming_details"]["behind"].as_i64().unwrap())
            .collect()
    }
}

/// Sequence and id of every event in a folder's objects, in the order of their keys.
fn landed(folder: &Path) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            found.extend(landed(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            let text = std::io::read_to_string(flate2::read::GzDecoder::new(bytes.as_slice())).unwrap();
            let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            found.extend(events.map(|event| {
                let sequence = event["auditEventMetadata"]["sequence"].as_i64().unwrap();
                (sequence, event["auditEventId"].as_str().unwrap().to_owned())
            }));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_killed_in_turn_neither_lose_nor_duplicate_events() {
    const KILLS: usize = 6;
    const DESTINATIONS: [&str; 3] = ["a", "b", "c"];
    let folder = TempDir::new().unwrap();
    let database = postgres::database();
    let store = Store::start_in(folder.path(), "logs").await;
    let start = || Server::start_with(&mut command(folder.path(), &database, &["serve"]));
    let mut servers = [start(), start()];
    let token = |scope| {
        let arguments = ["token", "create", "--name", scope, "--scope", scope];
        printed(&command(folder.path(), &database, &arguments).output().unwrap())
    };
    let site = Arc::new(Site {
        client: Client::builder().timeout(Duration::from_secs(20)).build().unwrap(),
        addresses: Mutex::new([servers[0].address.clone(), servers[1].address.clone()]),
        admin: token("admin"),
        ingest: token("ingest"),
    });
    let made = site
        .post(0, "/v1/connectors", &site.admin, &connector(&store.endpoint))
        .await;
    assert_eq!(made.unwrap(), StatusCode::CREATED);
    for name in DESTINATIONS {
        let mut active = destination(name, "ACTIVE");
        active["spec"]["prefix"] = json!(format!("{name}/"));
        let made = site.post(1, "/v1/streaming-destinations", &site.admin, &active).await;
        assert_eq!(made.unwrap(), StatusCode::CREATED);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..2)
        .map(|sender| {
            let (site, stop) = (Arc::clone(&site), Arc::clone(&stop));
            tokio::spawn(async move { site.send(sender, &stop).await })
        })
        .collect();
    for kill in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(1200)).await;
        let victim = kill % 2;
        servers[victim].kill();
        servers[victim] = start();
        site.addresses.lock().unwrap()[victim] = servers[victim].address.clone();
    }
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = 0;
    for sender in senders {
        acknowledged += sender.await.unwrap();
    }
    for _ in 0..300 {
        if site.behind().await.iter().all(|behind| *behind == 0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(site.behind().await, [0; DESTINATIONS.len()]);
    for name in DESTINATIONS {
        let events = landed(&store.path("logs", name));
        let sequences: Vec<i64> = events.iter().map(|event| event.0).collect();
        assert_eq!(
            sequences,
            (1..=i64::try_from(events.len()).unwrap()).collect::<Vec<_>>(),
            "{name}"
        );
        let ids: BTreeSet<&str> = events
            .iter()
            .map(|event| event.1.as_str())
            .filter(|id| id.contains('-'))
            .collect();
        assert_eq!(ids.len(), acknowledged, "{name}");
    }
}
