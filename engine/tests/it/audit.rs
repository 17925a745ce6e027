//! Rule 15: every change records an audit event in its transaction, without secrets.

use std::collections::{BTreeMap, BTreeSet};

use auditstream_engine::access::UsedBy;
use auditstream_engine::trail::search;
use auditstream_engine::{
    Actor, MasterKey, Precondition, Result, access, alerts, connectors, destinations, key_rotation,
};
use auditstream_model::{
    AccountName, ApiTokenInput, BucketCheckInput, EventFilter, Role, Scope, SpecInput, Status, WebhookInput,
};
use serde_json::json;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};

use crate::on_both;
use crate::support::{House, On, connector, destination};
use auditstream_testkit::s3::{BUCKET, SECRET, Store};

on_both![
    a_change_and_its_event_are_committed_together_or_not_at_all,
    no_client_can_forge_an_event_of_the_server,
];

const PASSWORD: &str = "correct horse battery staple";
const OTHER: &str = "another horse battery staple";
const WEBHOOK_SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const NEW_KEY: &str = "ODk4OTg5ODk4OTg5ODk4OTg5ODk4OTg5ODk4OTg5ODk=";
const HERE: &str = "192.0.2.1";
const ADA: &str = "ada@example.com";
const BOB: &str = "bob@example.com";
const EVE: &str = "eve@example.com";

/// Every change that an admin can make, in an order in which each is possible, with its event: the
/// resource type, the resource, the action.
const CHANGES: &[(Change, [&str; 3])] = &[
    (Change::MakeConnector, ["CONNECTOR", "aws", "CREATE"]),
    (Change::EditConnector, ["CONNECTOR", "aws", "UPDATE"]),
    (Change::TestConnector, ["CONNECTOR", "aws", "TEST"]),
    (Change::CheckUnsavedBucket, ["CONNECTOR", "aws", "TEST"]),
    (Change::MakeDestination, ["STREAMING_DESTINATION", "siem", "CREATE"]),
    (Change::CheckBucket, ["STREAMING_DESTINATION", "siem", "TEST"]),
    (Change::EditDestination, ["STREAMING_DESTINATION", "siem", "UPDATE"]),
    (Change::Activate, ["STREAMING_DESTINATION", "siem", "UPDATE"]),
    (Change::RenameBatch, ["STREAMING_DESTINATION", "siem", "UPDATE"]),
    (Change::Pause, ["STREAMING_DESTINATION", "siem", "UPDATE"]),
    (Change::MoveCursor, ["STREAMING_DESTINATION", "siem", "UPDATE"]),
    (Change::MakeWebhook, ["WEBHOOK", "webhook", "CREATE"]),
    (Change::EditWebhook, ["WEBHOOK", "webhook", "UPDATE"]),
    (Change::TestWebhook, ["WEBHOOK", "webhook", "TEST"]),
    (Change::RotateKeys, ["ENCRYPTION_KEY", "data key", "UPDATE"]),
    (Change::RetireKeys, ["ENCRYPTION_KEY", "master key", "DELETE"]),
    (Change::RemoveWebhook, ["WEBHOOK", "webhook", "DELETE"]),
    (Change::DeleteDestination, ["STREAMING_DESTINATION", "siem", "DELETE"]),
    (Change::DeleteConnector, ["CONNECTOR", "aws", "DELETE"]),
    (Change::MakeUser, ["USER", ADA, "CREATE"]),
    (Change::Invite, ["USER", EVE, "INVITE"]),
    (Change::WithdrawInvitation, ["USER", EVE, "REVOKE_INVITE"]),
    (Change::RedeemInvitation, ["USER", BOB, "CREATE"]),
    (Change::SetRole, ["USER", BOB, "UPDATE"]),
    (Change::SignIn, ["USER", ADA, "LOGIN"]),
    (Change::SetPassword, ["USER", ADA, "UPDATE"]),
    (Change::SignOut, ["USER", ADA, "LOGOUT"]),
    (Change::SignOutEverywhere, ["USER", ADA, "LOGOUT"]),
    (Change::MakePasswordLink, ["USER", ADA, "UPDATE"]),
    (Change::RedeemPasswordLink, ["USER", BOB, "UPDATE"]),
    (Change::ResetPassword, ["USER", ADA, "UPDATE"]),
    (Change::RemoveUser, ["USER", BOB, "DELETE"]),
    (Change::MakeToken, ["API_TOKEN", "SIEM", "CREATE_TOKEN"]),
    (Change::RevokeToken, ["API_TOKEN", "SIEM", "REVOKE_TOKEN"]),
    (Change::MakeAccount, ["ACCOUNT", "other", "CREATE"]),
];

#[derive(Clone, Copy, Debug)]
enum Change {
    MakeConnector,
    EditConnector,
    TestConnector,
    CheckUnsavedBucket,
    MakeDestination,
    CheckBucket,
    EditDestination,
    Activate,
    RenameBatch,
    Pause,
    MoveCursor,
    MakeWebhook,
    EditWebhook,
    TestWebhook,
    RotateKeys,
    RetireKeys,
    RemoveWebhook,
    DeleteDestination,
    DeleteConnector,
    MakeUser,
    Invite,
    WithdrawInvitation,
    RedeemInvitation,
    SetRole,
    SignIn,
    SetPassword,
    SignOut,
    SignOutEverywhere,
    MakePasswordLink,
    RedeemPasswordLink,
    ResetPassword,
    RemoveUser,
    MakeToken,
    RevokeToken,
    MakeAccount,
}

/// The results of earlier changes that later ones need.
struct Scene {
    house: House,
    store: Store,
    /// The tokens of one-time links, by the change that uses them.
    invitation: String,
    password_link: String,
    /// The signed-in user.
    cookie: String,
}

impl Scene {
    /// Prepares the state that `change` needs.
    async fn prepare(&mut self, change: Change) {
        let (engine, admin) = (&self.house.engine, &self.house.admin);
        match change {
            Change::RedeemInvitation => {
                self.invitation = access::invite(engine, admin, BOB, Role::Viewer).await.unwrap().token;
            }
            Change::RedeemPasswordLink => {
                self.password_link = access::password_link(engine, admin, BOB).await.unwrap().token;
            }
            Change::SetPassword | Change::SignOut => {
                let password = if matches!(change, Change::SignOut) {
                    OTHER
                } else {
                    PASSWORD
                };
                self.cookie = access::sign_in(engine, ADA, password, None, HERE).await.unwrap();
            }
            // The state after a run that found another writer's object.
            Change::RenameBatch => {
                let failure = r#"{"code":"object_exists","message":"m","hint":"h","blocked":true,"at":1}"#;
                let mut connection = self.house.connection().await;
                sqlx::query(
                    "INSERT INTO streaming_batch (destination_id, number, account_id, status, first_sequence, last_sequence, \
                     events, bytes, format, compression, sha256, key, created, failure) SELECT id, 1, account_id, 'FAILED', 1, \
                     1, 1, 1, '\"ndjson\"', '\"gzip\"', $1, 'k', 1, $2 FROM streaming_destination",
                )
                .bind([0_u8; 32].as_slice())
                .bind(failure)
                .execute(&mut connection)
                .await
                .unwrap();
                connection.close().await.unwrap();
            }
            Change::MoveCursor => self.house.sql("DELETE FROM streaming_batch").await,
            _ => {}
        }
    }

    async fn make(&self, change: Change) -> Result<()> {
        let (engine, admin) = (&self.house.engine, &self.house.admin);
        let secret = Some(WEBHOOK_SECRET.to_owned());
        let webhook = |lag_limit_seconds| WebhookInput {
            url: "http://127.0.0.1:9/".to_owned(),
            secret: secret.clone(),
            lag_limit_seconds,
        };
        let ada = async || -> Actor {
            access::session(engine, &self.cookie, UsedBy::Person)
                .await
                .unwrap()
                .unwrap()
        };
        match change {
            Change::MakeConnector => connectors::create(engine, admin, connector(&self.store.endpoint))
                .await
                .map(drop),
            Change::EditConnector => {
                let mut edited = connector(&self.store.endpoint);
                edited.name = "Edited".into();
                connectors::replace(engine, admin, "aws", edited, &Precondition::None)
                    .await
                    .map(drop)
            }
            Change::TestConnector => connectors::test(engine, admin, "aws").await.map(drop),
            Change::CheckUnsavedBucket => {
                let spec = SpecInput {
                    bucket: BUCKET.into(),
                    ..SpecInput::default()
                };
                let connector_ref = "aws".into();
                let input = BucketCheckInput { connector_ref, spec };
                destinations::check_unsaved_bucket(engine, admin, input).await.map(drop)
            }
            Change::MakeDestination => destinations::create(engine, admin, destination(BUCKET, json!({})))
                .await
                .map(drop),
            Change::CheckBucket => destinations::check_bucket(engine, admin, "siem").await.map(drop),
            Change::EditDestination => {
                let edited = destination(BUCKET, json!({"prefix": "edited/"}));
                destinations::replace(engine, admin, "siem", edited, &Precondition::None)
                    .await
                    .map(drop)
            }
            Change::Activate => destinations::set_status(engine, admin, "siem", Status::Active)
                .await
                .map(drop),
            Change::RenameBatch => destinations::rename_batch(engine, admin, "siem", 1).await,
            Change::Pause => destinations::set_status(engine, admin, "siem", Status::Inactive)
                .await
                .map(drop),
            Change::MoveCursor => destinations::move_cursor(engine, admin, "siem", 2, &Precondition::None)
                .await
                .map(drop),
            Change::MakeWebhook => alerts::put(engine, admin, webhook(None), &Precondition::None)
                .await
                .map(drop),
            Change::EditWebhook => alerts::put(engine, admin, webhook(Some(60)), &Precondition::None)
                .await
                .map(drop),
            Change::TestWebhook => alerts::test(engine, admin).await.map(drop),
            Change::RotateKeys => {
                let new = MasterKey::from_base64(NEW_KEY).unwrap();
                key_rotation::rotate(engine, admin, Some(&new)).await.map(drop)
            }
            Change::RetireKeys => key_rotation::retire(engine, admin, true).await.map(drop),
            Change::RemoveWebhook => alerts::remove(engine, admin, &Precondition::None).await,
            Change::DeleteDestination => destinations::delete(engine, admin, "siem", &Precondition::None).await,
            Change::DeleteConnector => connectors::delete(engine, admin, "aws", &Precondition::None).await,
            Change::MakeUser => access::create_user(engine, admin, ADA, Role::Admin, PASSWORD).await,
            Change::Invite => access::invite(engine, admin, EVE, Role::Viewer).await.map(drop),
            Change::WithdrawInvitation => access::withdraw_invitation(engine, admin, EVE).await,
            Change::RedeemInvitation => access::redeem(engine, &self.invitation, "", PASSWORD, HERE)
                .await
                .map(drop),
            Change::SetRole => access::set_role(engine, admin, BOB, Role::Admin).await.map(drop),
            Change::SignIn => access::sign_in(engine, ADA, PASSWORD, None, HERE).await.map(drop),
            Change::SetPassword => access::change_password(engine, &ada().await, PASSWORD, OTHER, HERE)
                .await
                .map(drop),
            Change::SignOut => access::sign_out(engine, &ada().await, &self.cookie).await,
            Change::SignOutEverywhere => access::sign_out_everywhere(engine, admin, ADA).await,
            Change::MakePasswordLink => access::password_link(engine, admin, ADA).await.map(drop),
            Change::RedeemPasswordLink => access::redeem(engine, &self.password_link, "", OTHER, HERE)
                .await
                .map(drop),
            Change::ResetPassword => access::reset_password(engine, admin, ADA, PASSWORD).await,
            Change::RemoveUser => access::remove_user(engine, admin, BOB).await,
            Change::MakeToken => {
                let input = ApiTokenInput {
                    name: "SIEM".into(),
                    scopes: vec![Scope::Read],
                    expires_in_days: Some(90),
                };
                access::create_token(engine, admin, &input).await.map(drop)
            }
            Change::RevokeToken => {
                let tokens = access::tokens(engine, admin).await?;
                let token = tokens.iter().find(|token| token.name == "SIEM").unwrap();
                access::revoke_token(engine, admin, &token.id).await
            }
            Change::MakeAccount => access::create_account(engine, &AccountName::parse("other").unwrap()).await,
        }
    }
}

/// Tries each change while the trail accepts no events, when nothing may change, and then again.
async fn a_change_and_its_event_are_committed_together_or_not_at_all(mut house: House) {
    house.stop_streaming().await;
    house.sql("CREATE TABLE silence (since INTEGER)").await;
    house
        .sql(match house.on {
            On::Sqlite => {
                "CREATE TRIGGER silence BEFORE INSERT ON audit_event WHEN EXISTS (SELECT 1 FROM silence) \
                 BEGIN SELECT RAISE(ABORT, 'the trail takes no events'); END"
            }
            On::Postgres => {
                "CREATE FUNCTION silence() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 IF EXISTS (SELECT 1 FROM silence) THEN RAISE EXCEPTION 'the trail takes no events'; END IF; \
                 RETURN NEW; END $$; \
                 CREATE TRIGGER silence BEFORE INSERT ON audit_event FOR EACH ROW EXECUTE FUNCTION silence()"
            }
        })
        .await;
    let mut scene = Scene {
        house,
        store: Store::start().await,
        invitation: String::new(),
        password_link: String::new(),
        cookie: String::new(),
    };
    for (change, event) in CHANGES {
        scene.prepare(*change).await;
        let before = state(&scene.house).await;
        scene.house.sql("INSERT INTO silence VALUES (1)").await;
        assert!(
            scene.make(*change).await.is_err(),
            "{change:?} succeeded without an event"
        );
        scene.house.sql("DELETE FROM silence").await;
        assert_eq!(
            before,
            state(&scene.house).await,
            "{change:?} was not made, and left something"
        );
        let before = recorded(&scene.house).await;
        scene.make(*change).await.unwrap();
        let new: Vec<_> = recorded(&scene.house).await.difference(&before).cloned().collect();
        let [(_, _, words)] = new.as_slice() else {
            panic!("{change:?} was recorded as {new:?}")
        };
        assert_eq!(words, event, "{change:?}");
    }
    let events = scene.house.stored_events().await;
    let payloads: Vec<String> = events.into_iter().map(|event| event.payload).collect();
    let all = format!("{:?} {payloads:?}", state(&scene.house).await).to_lowercase();
    for secret in [
        SECRET,
        PASSWORD,
        OTHER,
        &WEBHOOK_SECRET[6..],
        &scene.cookie,
        &scene.invitation,
        &scene.password_link,
    ] {
        assert!(
            !all.contains(&secret.to_lowercase()),
            "a secret is in plain text in the database"
        );
    }
}

/// Returns the account, sequence and summary of every event.
async fn recorded(house: &House) -> BTreeSet<(i64, i64, [String; 3])> {
    let stored = house.stored_events().await;
    stored
        .into_iter()
        .map(|event| {
            let json = event.json();
            let words = [
                &json["auditResource"]["type"],
                &json["auditResource"]["identifier"],
                &json["auditAction"],
            ];
            let words = words.map(|word| word.as_str().unwrap().to_owned());
            (event.account_id, event.sequence, words)
        })
        .collect()
}

/// Returns every table with its rows as text, except those that count failed sign-ins and
/// heartbeats, which are not changes.
async fn state(house: &House) -> BTreeMap<String, Vec<String>> {
    let mut connection = house.connection().await;
    let tables = match house.on {
        On::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        On::Postgres => "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = 'public'",
    };
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.unwrap();
    let mut state = BTreeMap::new();
    for table in tables {
        if !["replica", "sign_in_failure", "known_address", "silence"].contains(&table.as_str()) {
            let rows = rows(house.on, &mut connection, &table).await;
            state.insert(table, rows);
        }
    }
    connection.close().await.unwrap();
    state
}

async fn rows(on: On, connection: &mut AnyConnection, table: &str) -> Vec<String> {
    let text = match on {
        On::Sqlite => {
            let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info($1)")
                .bind(table)
                .fetch_all(&mut *connection)
                .await
                .unwrap();
            let quoted: Vec<_> = columns.iter().map(|column| format!("quote(\"{column}\")")).collect();
            quoted.join(" || ',' || ")
        }
        On::Postgres => "CAST(t AS TEXT)".to_owned(),
    };
    let sql = format!("SELECT {text} FROM \"{table}\" AS t ORDER BY 1");
    sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_all(connection)
        .await
        .unwrap()
}

async fn no_client_can_forge_an_event_of_the_server(house: House) {
    access::create_user(&house.engine, &house.admin, ADA, Role::Viewer, PASSWORD)
        .await
        .unwrap();
    let recorded = async |action: &str| -> serde_json::Value {
        let filter = EventFilter {
            action: Some(action.to_owned()),
            ..EventFilter::default()
        };
        let page = search(&house.engine, &house.admin, &filter).await.unwrap();
        serde_json::from_str(&page.events[0].json).unwrap()
    };
    let made = recorded("CREATE").await;
    assert_eq!(made["auditEventMetadata"]["recordedBy"], "auditstream", "{made}");
    let mut forged = made.clone();
    forged["auditEventId"] = "forged".into();
    forged["auditAction"] = "LOGIN".into();
    assert_eq!(house.send(&[forged]).await.accepted, 1);
    let forged = recorded("LOGIN").await;
    assert!(forged["auditEventMetadata"].get("recordedBy").is_none(), "{forged}");
    assert_eq!(
        house.send(&[made]).await.duplicates,
        1,
        "what was read out can be sent in again"
    );
}
