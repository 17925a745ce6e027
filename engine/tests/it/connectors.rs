//! Connectors and their secrets.

use auditstream_engine::{Engine, MasterKey, connectors};
use auditstream_model::connector::Outcome;
use auditstream_model::{Code, CredentialsInput};

use crate::support::{House, SECRET, Store, config, connector};

#[tokio::test]
async fn a_test_tells_good_credentials_from_bad_ones_and_from_nobody_there() {
    let (house, store) = (House::open().await, Store::start().await);
    house.connect(&store).await;
    let good = connectors::test(&house.engine, &house.admin, "aws").await.unwrap();
    assert_eq!(good.status, Outcome::Success, "{good:?}");
    let mut wrong = connector(&store.endpoint);
    wrong.spec.credentials = CredentialsInput::Manual {
        access_key: "AKIATEST".into(),
        secret_key: Some("wrong".into()),
        session_token: None,
    };
    connectors::replace(&house.engine, &house.admin, "aws", wrong)
        .await
        .unwrap();
    let bad = connectors::test(&house.engine, &house.admin, "aws").await.unwrap();
    assert_eq!(bad.status, Outcome::Failure);
    assert!(bad.error.unwrap().hint.contains("access key"));
    connectors::replace(&house.engine, &house.admin, "aws", connector("http://127.0.0.1:1"))
        .await
        .unwrap();
    let nobody = connectors::test(&house.engine, &house.admin, "aws").await.unwrap();
    assert_eq!(
        (nobody.steps[1].status, nobody.steps[2].status),
        (Outcome::Failure, Outcome::Skipped)
    );
}

#[tokio::test]
async fn a_secret_is_never_shown_again() {
    let (house, store) = (House::open().await, Store::start().await);
    house.connect(&store).await;
    let shown = serde_json::to_string(&connectors::get(&house.engine, &house.admin, "aws").await.unwrap()).unwrap();
    assert!(!shown.contains(SECRET));
    let mut moved = connector("http://127.0.0.1:9");
    moved.spec.credentials = CredentialsInput::Manual {
        access_key: "AKIATEST".into(),
        secret_key: None,
        session_token: None,
    };
    let refused = connectors::replace(&house.engine, &house.admin, "aws", moved)
        .await
        .unwrap_err()
        .problem();
    assert!(
        refused.of("spec.credentials.secret_key").is_some(),
        "another endpoint needs the secret again"
    );
    let mut renamed = connector(&store.endpoint);
    renamed.name = "Renamed".into();
    renamed.spec.credentials = CredentialsInput::Manual {
        access_key: "AKIATEST".into(),
        secret_key: None,
        session_token: None,
    };
    connectors::replace(&house.engine, &house.admin, "aws", renamed)
        .await
        .unwrap();
    let still_works = connectors::test(&house.engine, &house.admin, "aws").await.unwrap();
    assert_eq!(still_works.status, Outcome::Success);
    house.engine.close().await;
    for entry in std::fs::read_dir(house.folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(
            !bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()),
            "a secret stands in the database file"
        );
    }
}

#[tokio::test]
async fn a_connector_in_use_stays_and_an_id_is_taken_once() {
    let (house, store) = (House::open().await, Store::start().await);
    house.connect(&store).await;
    house.destination("audit-logs", serde_json::json!({})).await;
    let refused = connectors::delete(&house.engine, &house.admin, "aws")
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

#[tokio::test]
async fn a_wrong_master_key_or_a_newer_or_broken_database_is_refused() {
    let house = House::open().await;
    let file = config(house.folder.path());
    let wrong = MasterKey::from_base64("MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=").unwrap();
    let refused = Engine::open(auditstream_engine::Config {
        master_key: wrong,
        ..file.clone()
    })
    .await
    .unwrap_err();
    assert!(refused.to_string().contains("master key"), "{refused}");
    let broken = house.folder.path().join("broken.db");
    std::fs::write(
        &broken,
        "this is a text and has been for longer than a page of a database would be",
    )
    .unwrap();
    let refused = Engine::open(auditstream_engine::Config {
        database: broken.clone(),
        ..file.clone()
    })
    .await
    .unwrap_err();
    assert!(refused.to_string().contains("broken.db"), "{refused}");
    let pool = sqlx::SqlitePool::connect(&format!("sqlite://{}", file.database.display()))
        .await
        .unwrap();
    sqlx::query("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (999, 'later', 1, x'00', 0)")
        .execute(&pool)
        .await
        .unwrap();
    let refused = Engine::open(file).await.unwrap_err();
    assert!(refused.to_string().contains("newer version"), "{refused}");
}
