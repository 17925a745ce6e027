//! Connectors and their secrets.

use std::time::Duration;

use auditstream_engine::Precondition;
use auditstream_engine::database::{DatabaseUrl, PostgresUrl};
use auditstream_engine::{Config, Engine, MasterKey, connectors};
use auditstream_model::{Code, CredentialsInput, Outcome, TestProgress};
use futures::StreamExt;

use crate::support::{House, On, config, connector};
use crate::{on, on_both};
use auditstream_testkit::postgres::address;
use auditstream_testkit::s3::{BUCKET, SECRET, Store};

on_both![
    a_test_distinguishes_valid_invalid_and_unreachable,
    a_watched_test_reports_each_step_and_ends_with_the_same_result,
    a_secret_is_never_shown_again,
    a_connector_in_use_cannot_be_deleted_and_an_id_is_unique,
    a_wrong_master_key_or_a_newer_database_is_refused,
];
on![postgres_locks, Postgres, destinations_are_locked_before_their_connector,];

async fn a_test_distinguishes_valid_invalid_and_unreachable(house: House) {
    let store = Store::start().await;
    house.connect(&store).await;
    let good = connectors::test(&house.engine, &house.admin, "aws").await.unwrap();
    assert_eq!(good.status, Outcome::Success, "{good:?}");
    let mut wrong = connector(&store.endpoint);
    wrong.spec.credentials = CredentialsInput::Manual {
        access_key: "AKIATEST".into(),
        secret_key: Some("wrong".into()),
        session_token: None,
    };
    connectors::replace(&house.engine, &house.admin, "aws", wrong, &Precondition::None)
        .await
        .unwrap();
    let bad = connectors::test(&house.engine, &house.admin, "aws").await.unwrap();
    assert_eq!(bad.status, Outcome::Failure);
    assert!(bad.error.unwrap().hint.contains("access key"));
    connectors::replace(
        &house.engine,
        &house.admin,
        "aws",
        connector("http://127.0.0.1:1"),
        &Precondition::None,
    )
    .await
    .unwrap();
    let unreachable = connectors::test(&house.engine, &house.admin, "aws").await.unwrap();
    assert_eq!(
        (unreachable.steps[1].status, unreachable.steps[2].status),
        (Outcome::Failure, Outcome::Skipped)
    );
}

async fn a_watched_test_reports_each_step_and_ends_with_the_same_result(house: House) {
    let store = Store::start().await;
    house.connect(&store).await;
    for endpoint in [store.endpoint.as_str(), "http://127.0.0.1:1"] {
        connectors::replace(
            &house.engine,
            &house.admin,
            "aws",
            connector(endpoint),
            &Precondition::None,
        )
        .await
        .unwrap();
        let progress = connectors::watch_test(&house.engine, &house.admin, "aws")
            .await
            .unwrap();
        let progress: Vec<_> = progress.collect().await;
        let answer = connectors::test(&house.engine, &house.admin, "aws").await.unwrap();
        let names: Vec<_> = answer.steps.iter().map(|step| step.name.clone()).collect();
        assert_eq!(progress.first(), Some(&TestProgress::Planned(names.clone())));
        assert_eq!(progress.last(), Some(&TestProgress::Done(answer.clone())));
        let ended = |progress: &TestProgress| match progress {
            TestProgress::Ended(step) => Some(step.clone()),
            _ => None,
        };
        assert_eq!(progress.iter().filter_map(ended).collect::<Vec<_>>(), answer.steps);
        assert_eq!(progress[1], TestProgress::Begun(names[0].clone()));
        let place = |wanted: &TestProgress| progress.iter().position(|progress| progress == wanted);
        let reached = place(&TestProgress::Begun(names[1].clone())).unwrap();
        assert!(place(&TestProgress::Ended(answer.steps[0].clone())).unwrap() < reached);
        assert!(place(&TestProgress::Ended(answer.steps[1].clone())).unwrap() > reached);
    }
}

async fn a_secret_is_never_shown_again(house: House) {
    let store = Store::start().await;
    house.connect(&store).await;
    let shown = serde_json::to_string(&connectors::get(&house.engine, &house.admin, "aws").await.unwrap()).unwrap();
    assert!(!shown.contains(SECRET));
    let mut moved = connector("http://127.0.0.1:9");
    moved.spec.credentials = CredentialsInput::Manual {
        access_key: "AKIATEST".into(),
        secret_key: None,
        session_token: None,
    };
    let refused = connectors::replace(&house.engine, &house.admin, "aws", moved, &Precondition::None)
        .await
        .unwrap_err()
        .problem();
    assert!(
        refused.of("spec.credentials.secret_key").is_some(),
        "another endpoint needs the secret again"
    );
    let mut renewed = connector(&store.endpoint);
    renewed.spec.credentials = CredentialsInput::Manual {
        access_key: "AKIATEST".into(),
        secret_key: None,
        session_token: Some("of-another-secret".into()),
    };
    let refused = connectors::replace(&house.engine, &house.admin, "aws", renewed, &Precondition::None)
        .await
        .unwrap_err()
        .problem();
    assert!(
        refused.of("spec.credentials.session_token").is_some(),
        "a token alone would go with a secret that it does not belong to"
    );
    let mut renamed = connector(&store.endpoint);
    renamed.name = "Renamed".into();
    renamed.spec.credentials = CredentialsInput::Manual {
        access_key: "AKIATEST".into(),
        secret_key: None,
        session_token: None,
    };
    connectors::replace(&house.engine, &house.admin, "aws", renamed, &Precondition::None)
        .await
        .unwrap();
    let still_works = connectors::test(&house.engine, &house.admin, "aws").await.unwrap();
    assert_eq!(still_works.status, Outcome::Success);
    let mut house = house;
    let bytes = house.whole_database().await;
    let hexadecimal = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    for secret in [SECRET, &hexadecimal] {
        assert!(
            !bytes.windows(secret.len()).any(|window| window == secret.as_bytes()),
            "a secret is in plain text in the database"
        );
    }
}

async fn a_connector_in_use_cannot_be_deleted_and_an_id_is_unique(house: House) {
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination("audit-logs", serde_json::json!({})).await;
    let refused = connectors::delete(&house.engine, &house.admin, "aws", &Precondition::None)
        .await
        .unwrap_err()
        .problem();
    assert_eq!(refused.code, Code::InUse);
    let again = connectors::create(&house.engine, &house.admin, connector(&store.endpoint))
        .await
        .unwrap_err()
        .problem();
    assert_eq!(again.code, Code::DuplicateField);
}

async fn a_wrong_master_key_or_a_newer_database_is_refused(house: House) {
    let wrong = MasterKey::from_base64("MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=").unwrap();
    let refused = Engine::open(Config {
        master_key: wrong,
        ..house.config.clone()
    })
    .await
    .unwrap_err();
    assert!(refused.to_string().contains("master key"), "{refused}");
    house
        .sql(match house.on {
            On::Sqlite => "UPDATE _sqlx_migrations SET checksum = x'00'",
            On::Postgres => "UPDATE _sqlx_migrations SET checksum = '\\x00'",
        })
        .await;
    let refused = Engine::open(house.config.clone()).await.unwrap_err();
    assert!(refused.to_string().contains("a development version"), "{refused}");
    house.sql("UPDATE _sqlx_migrations SET version = 999").await;
    let refused = Engine::open(house.config.clone()).await.unwrap_err();
    assert!(refused.to_string().contains("newer version"), "{refused}");
}

/// Rule 14: a logged configuration contains no key.
#[test]
fn debug_shows_no_key() {
    let config = config(std::path::PathBuf::from("auditstream.db").into());
    let shown = format!("{config:?}{:?}", config.master_key);
    assert!(shown.contains("MasterKey"), "{shown}");
    // As text, as base64, and as a list of bytes.
    for key in ["0123456789", "MDEyMzQ1Njc4O", "48, 49, 50", "30313233"] {
        assert!(!shown.contains(key), "{shown}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.db");
    let text = "this is a text and has been for longer than a page of a database would be";
    std::fs::write(&broken, text).unwrap();
    let refused = Engine::open(config(broken.into())).await.unwrap_err();
    assert!(refused.to_string().contains("broken.db"), "{refused}");
}

#[tokio::test]
async fn an_unreachable_postgresql_is_reported_in_one_line_without_its_password() {
    for (url, why) in [
        ("postgres://audit:hush@127.0.0.1:1/audit".to_owned(), "refused"),
        (address("nowhere"), "does not exist"),
    ] {
        let database = DatabaseUrl::Postgres(PostgresUrl::parse(&url).unwrap());
        let refused = Engine::open(config(database)).await.unwrap_err().to_string();
        assert!(refused.starts_with("cannot open the database postgres://"), "{refused}");
        assert!(
            refused.contains(why) && !refused.contains("hush") && !refused.contains('\n'),
            "{refused}"
        );
    }
}

#[cfg(unix)]
#[tokio::test]
async fn database_files_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(config(folder.path().join("auditstream.db").into()))
        .await
        .unwrap();
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 4, "the database, its log, its index and the marks");
    for file in files {
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.path().display());
    }
    engine.close().await;
}

/// An edit of a destination locks its row and then the connector. In the other order, that edit and
/// one of the connector would wait for each other.
async fn destinations_are_locked_before_their_connector(house: House) {
    let store = Store::start().await;
    house.connect(&store).await;
    house.destination(BUCKET, serde_json::json!({})).await;
    let mut edit = house.connection().await;
    let begin = "BEGIN; SELECT id FROM streaming_destination WHERE status = 'INACTIVE' FOR UPDATE";
    sqlx::raw_sql(begin).execute(&mut edit).await.unwrap();
    let replacing = tokio::spawn({
        let (engine, admin) = (house.engine.clone(), house.admin.clone());
        async move {
            let input = connector("http://127.0.0.1:1");
            connectors::replace(&engine, &admin, "aws", input, &Precondition::None).await
        }
    });
    let mut other = house.connection().await;
    let waiting = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) \
                   WHERE NOT granted AND datname = current_database()";
    while sqlx::query_scalar::<_, i64>(waiting)
        .fetch_one(&mut other)
        .await
        .unwrap()
        == 0
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let locked = sqlx::raw_sql("SELECT id FROM connector FOR UPDATE NOWAIT")
        .execute(&mut edit)
        .await;
    locked.expect("the edit of the connector waits without its lock");
    sqlx::raw_sql("COMMIT").execute(&mut edit).await.unwrap();
    replacing.await.unwrap().unwrap();
}
