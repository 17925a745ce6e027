//! Users, sessions, invitations and API tokens.

use std::time::{Duration, Instant};

use auditstream_engine::access::UsedBy;
use auditstream_engine::trail::search;
use auditstream_engine::{Actor, access};
use auditstream_model::{AccountName, ApiTokenInput, Code, EventFilter, LinkKind, Permission, Role, Scope, UserStatus};
use serde_json::Value;

use crate::on_both;
use crate::support::House;

const PASSWORD: &str = "correct horse battery staple";
const OTHER: &str = "another horse battery staple";
const HERE: &str = "192.0.2.1";

on_both![
    a_session_ends_with_its_user_or_password,
    an_invitation_works_once_and_opening_it_changes_nothing,
    a_new_password_ends_sessions_and_links,
    the_last_admin_cannot_be_removed,
    guessing_is_throttled_and_locks_no_user_out_for_ever,
    responses_do_not_reveal_which_users_exist,
    refusals_do_not_reveal_which_accounts_have_a_user,
    response_times_do_not_reveal_which_users_exist,
    a_token_ends_when_it_expires_or_is_revoked,
    requests_that_come_together_share_the_reading_of_their_token,
    accounts_are_isolated_from_each_other,
    an_address_in_two_accounts_signs_in_to_the_one_with_its_password,
    a_namesake_gives_no_further_attempts,
    a_guess_counts_for_each_namesake_and_once_for_the_network,
    a_clock_that_was_ahead_leaves_no_session_link_or_lock_out,
    every_change_of_access_is_an_audit_event,
    a_password_replaced_during_its_check_does_not_sign_in,
    links_end_with_their_creator_and_their_user,
];

async fn person(house: &House, email: &str, role: Role) {
    access::create_user(&house.engine, &house.admin, email, role, PASSWORD)
        .await
        .unwrap();
}

async fn sign_in(house: &House, email: &str, password: &str) -> Result<String, Code> {
    sign_in_from(house, email, password, HERE).await
}

async fn sign_in_from(house: &House, email: &str, password: &str, ip: &str) -> Result<String, Code> {
    access::sign_in(&house.engine, email, password, None, ip)
        .await
        .map_err(|error| error.problem().code)
}

async fn who(house: &House, cookie: &str) -> Option<Actor> {
    access::session(&house.engine, cookie, UsedBy::Person).await.unwrap()
}

/// The events of an action, newest first.
async fn events(house: &House, action: &str) -> Vec<Value> {
    let filter = EventFilter {
        action: Some(action.to_owned()),
        ..EventFilter::default()
    };
    let page = search(&house.engine, &house.admin, &filter).await.unwrap();
    page.events
        .iter()
        .map(|event| serde_json::from_str(&event.json).unwrap())
        .collect()
}

async fn a_session_ends_with_its_user_or_password(house: House) {
    person(&house, "ada@example.com", Role::Admin).await;
    person(&house, "bob@example.com", Role::Viewer).await;
    let first = sign_in(&house, " Bob@Example.com ", PASSWORD).await.unwrap();
    // Signing in again in the same browser ends the session that it had.
    let second = access::sign_in(&house.engine, "bob@example.com", PASSWORD, Some(&first), HERE)
        .await
        .unwrap();
    assert_ne!(first, second);
    assert!(who(&house, &first).await.is_none());
    let bob = who(&house, &second).await.unwrap();
    assert!(!bob.may(Permission::EditDestination));
    // A changed role applies from the next request.
    access::set_role(&house.engine, &house.admin, "bob@example.com", Role::Admin)
        .await
        .unwrap();
    assert!(who(&house, &second).await.unwrap().may(Permission::EditDestination));
    access::sign_out(&house.engine, &bob, &second).await.unwrap();
    assert!(who(&house, &second).await.is_none());

    let (one, two) = (
        sign_in(&house, "bob@example.com", PASSWORD).await.unwrap(),
        sign_in(&house, "bob@example.com", PASSWORD).await.unwrap(),
    );
    access::sign_out_everywhere(&house.engine, &bob, "bob@example.com")
        .await
        .unwrap();
    assert!(who(&house, &one).await.is_none() && who(&house, &two).await.is_none());

    let three = sign_in(&house, "bob@example.com", PASSWORD).await.unwrap();
    access::remove_user(&house.engine, &house.admin, "bob@example.com")
        .await
        .unwrap();
    assert!(who(&house, &three).await.is_none());
    assert_eq!(
        sign_in(&house, "bob@example.com", PASSWORD).await,
        Err(Code::WrongCredentials)
    );

    let idle = sign_in(&house, "ada@example.com", PASSWORD).await.unwrap();
    assert!(who(&house, &idle).await.is_some());
    house.sql("UPDATE session SET seen = seen - 12 * 3600000 - 1000").await;
    assert!(who(&house, &idle).await.is_none(), "not used for 12 hours");
    let left = sign_in(&house, "ada@example.com", PASSWORD).await.unwrap();
    for part in 0..2 {
        house.sql("UPDATE session SET seen = seen - 7 * 3600000").await;
        let page = access::session(&house.engine, &left, UsedBy::Page).await.unwrap();
        assert_eq!(page.is_some(), part == 0, "a page that asks by itself is no use");
    }
    let old = sign_in(&house, "ada@example.com", PASSWORD).await.unwrap();
    house
        .sql("UPDATE session SET expires = expires - 7 * 86400000 - 1000")
        .await;
    assert!(who(&house, &old).await.is_none(), "a week old");
}

async fn an_invitation_works_once_and_opening_it_changes_nothing(house: House) {
    let engine = &house.engine;
    let first = access::invite(engine, &house.admin, "eve@example.com", Role::Viewer)
        .await
        .unwrap();
    let again = access::invite(engine, &house.admin, "eve@example.com", Role::Viewer)
        .await
        .unwrap();
    assert!(access::link(engine, &first.token).await.unwrap().is_none(), "replaced");
    for _ in 0..3 {
        let link = access::link(engine, &again.token).await.unwrap().unwrap();
        assert_eq!(
            (link.kind, link.email.as_deref()),
            (LinkKind::Invitation, Some("eve@example.com"))
        );
    }
    let listed = access::users(engine, &house.admin).await.unwrap();
    assert_eq!((listed.len(), listed[0].status), (1, UserStatus::Invited));
    let short = access::redeem(engine, &again.token, "", "short", HERE)
        .await
        .unwrap_err();
    assert_eq!(short.problem().code, Code::InvalidFields, "and the link is still good");
    // The address is the link's, whatever is sent.
    let redeemed = access::redeem(engine, &again.token, "mallory@example.com", PASSWORD, HERE)
        .await
        .unwrap();
    let email = redeemed.email;
    assert_eq!(email, "eve@example.com");
    let used = access::redeem(engine, &again.token, "", OTHER, HERE).await.unwrap_err();
    assert_eq!(used.problem().code, Code::NotFound);
    let eve = who(&house, &sign_in(&house, &email, PASSWORD).await.unwrap())
        .await
        .unwrap();
    assert!(eve.may(Permission::ViewAudit) && !eve.may(Permission::EditAccess));
    let there = access::invite(engine, &house.admin, "eve@example.com", Role::Admin).await;
    assert_eq!(there.err().unwrap().problem().code, Code::DuplicateField);

    let withdrawn = access::invite(engine, &house.admin, "fay@example.com", Role::Viewer)
        .await
        .unwrap();
    access::withdraw_invitation(engine, &house.admin, "fay@example.com")
        .await
        .unwrap();
    assert!(access::link(engine, &withdrawn.token).await.unwrap().is_none());
    let late = access::invite(engine, &house.admin, "gus@example.com", Role::Viewer)
        .await
        .unwrap();
    house.sql("UPDATE one_time_link SET expires = 1").await;
    let refused = access::redeem(engine, &late.token, "", PASSWORD, HERE)
        .await
        .unwrap_err();
    assert_eq!(refused.problem().code, Code::NotFound);
}

async fn a_new_password_ends_sessions_and_links(house: House) {
    let engine = &house.engine;
    person(&house, "ada@example.com", Role::Admin).await;
    let before = sign_in(&house, "ada@example.com", PASSWORD).await.unwrap();
    let ada = who(&house, &before).await.unwrap();
    let wrong = access::change_password(engine, &ada, "not the password", OTHER, HERE)
        .await
        .unwrap_err();
    assert!(wrong.problem().of("current").is_some());
    let link = access::password_link(engine, &house.admin, "ada@example.com")
        .await
        .unwrap();
    let after = access::change_password(engine, &ada, PASSWORD, OTHER, HERE)
        .await
        .unwrap();
    assert!(who(&house, &before).await.is_none() && who(&house, &after).await.is_some());
    assert!(access::link(engine, &link.token).await.unwrap().is_none());
    assert_eq!(
        sign_in(&house, "ada@example.com", PASSWORD).await,
        Err(Code::WrongCredentials)
    );
    assert!(sign_in(&house, "ada@example.com", OTHER).await.is_ok());

    let link = access::password_link(engine, &house.admin, "ada@example.com")
        .await
        .unwrap();
    access::redeem(engine, &link.token, "", PASSWORD, HERE).await.unwrap();
    assert!(who(&house, &after).await.is_none());
    let ada = who(&house, &sign_in(&house, "ada@example.com", PASSWORD).await.unwrap())
        .await
        .unwrap();
    assert!(ada.may(Permission::EditAccess), "the role stays what it was");
}

async fn the_last_admin_cannot_be_removed(house: House) {
    let engine = &house.engine;
    person(&house, "ada@example.com", Role::Admin).await;
    person(&house, "bob@example.com", Role::Viewer).await;
    access::invite(engine, &house.admin, "cyd@example.com", Role::Admin)
        .await
        .unwrap();
    let removed = access::remove_user(engine, &house.admin, "ada@example.com")
        .await
        .unwrap_err();
    assert_eq!(removed.problem().code, Code::Conflict);
    let demoted = access::set_role(engine, &house.admin, "ada@example.com", Role::Viewer).await;
    assert_eq!(demoted.unwrap_err().problem().code, Code::Conflict);
    // When two admins remove each other at the same time, one remains.
    access::set_role(engine, &house.admin, "bob@example.com", Role::Admin)
        .await
        .unwrap();
    let (one, two) = tokio::join!(
        access::remove_user(engine, &house.admin, "ada@example.com"),
        access::remove_user(engine, &house.admin, "bob@example.com"),
    );
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
}

async fn guessing_is_throttled_and_locks_no_user_out_for_ever(house: House) {
    person(&house, "ada@example.com", Role::Admin).await;
    sign_in(&house, "ada@example.com", PASSWORD).await.unwrap();
    for _ in 0..5 {
        assert_eq!(
            sign_in_from(&house, "ada@example.com", "wrong", "198.51.100.1").await,
            Err(Code::WrongCredentials)
        );
    }
    let right = sign_in_from(&house, "ada@example.com", PASSWORD, "198.51.100.1").await;
    assert_eq!(right, Err(Code::Throttled), "even the right password");
    assert!(sign_in(&house, "ada@example.com", PASSWORD).await.is_ok(), "elsewhere");
    for guesser in 2..12 {
        for _ in 0..5 {
            let ip = format!("198.51.100.{guesser}");
            let _ = sign_in_from(&house, "ada@example.com", "wrong", &ip).await;
        }
    }
    let elsewhere = sign_in_from(&house, "ada@example.com", PASSWORD, "203.0.113.1").await;
    assert_eq!(elsewhere, Err(Code::Throttled), "from many places");
    assert!(
        sign_in(&house, "ada@example.com", PASSWORD).await.is_ok(),
        "where she has signed in before she still can"
    );
    // A new password ends the throttling of its user from every address.
    access::reset_password(&house.engine, &house.admin, "ada@example.com", PASSWORD)
        .await
        .unwrap();
    let again = sign_in_from(&house, "ada@example.com", PASSWORD, "198.51.100.1").await;
    assert!(again.is_ok());
    let refused = events(&house, "UNSUCCESSFUL_LOGIN").await;
    let marked = refused
        .iter()
        .filter(|event| event["auditEventMetadata"]["difference"]["new"]["further_attempts_refused_for_minutes"] == 15);
    assert!(marked.count() > 0, "the trail says when guessing was cut off");
    house.sql("UPDATE sign_in_failure SET since = since - 900001").await;
    assert!(
        sign_in_from(&house, "ada@example.com", PASSWORD, "203.0.113.1")
            .await
            .is_ok(),
        "a quarter of an hour later"
    );
    // One address that tries many users.
    for person in 0..30 {
        let email = format!("p{person}@example.com");
        let _ = sign_in_from(&house, &email, "wrong", "203.0.113.9").await;
    }
    let last = sign_in_from(&house, "ada@example.com", PASSWORD, "203.0.113.9").await;
    assert_eq!(last, Err(Code::Throttled));
}

async fn responses_do_not_reveal_which_users_exist(house: House) {
    person(&house, "ada@example.com", Role::Admin).await;
    let mut refusals = Vec::new();
    for email in ["ada@example.com", "nobody@example.com"] {
        for _ in 0..6 {
            let refused = access::sign_in(&house.engine, email, "wrong", None, HERE)
                .await
                .unwrap_err();
            refusals.push(refused.problem());
        }
    }
    let (hers, nobodys) = refusals.split_at(6);
    assert_eq!(hers, nobodys);
    assert_eq!(hers[5].code, Code::Throttled);
}

/// Rule 15: whichever account is entered, an address with a user is refused like one without.
async fn refusals_do_not_reveal_which_accounts_have_a_user(house: House) {
    person(&house, "ada@example.com", Role::Admin).await;
    let orders = [
        (Some("nowhere"), None),
        (None, Some("default")),
        (Some("default"), None),
        (Some("default"), Some("nowhere")),
    ];
    for (number, (first, second)) in orders.into_iter().enumerate() {
        let mut refusals = Vec::new();
        for email in ["ada@example.com", "nobody@example.com"] {
            let ip = format!("192.0.2.{number}");
            for account in [[first; 5], [second; 5]].concat() {
                let refused = access::sign_in_to(&house.engine, account, email, "wrong", None, &ip).await;
                refusals.push(refused.unwrap_err().problem().code);
            }
        }
        let (hers, nobodys) = refusals.split_at(10);
        assert_eq!(hers, nobodys, "{first:?}, then {second:?}");
        assert_eq!(hers[5], Code::Throttled);
    }
}

/// A hash takes tens of milliseconds; skipping it for unknown users would show as a factor of ten.
async fn response_times_do_not_reveal_which_users_exist(house: House) {
    let attempts = 12;
    for attempt in 0..attempts {
        person(&house, &format!("p{attempt}@example.com"), Role::Viewer).await;
    }
    let (mut theirs, mut nobodys) = (Duration::ZERO, Duration::ZERO);
    for attempt in 0..attempts {
        for (who, total) in [("p", &mut theirs), ("q", &mut nobodys)] {
            let (email, ip) = (format!("{who}{attempt}@example.com"), format!("192.0.2.{attempt}"));
            let start = Instant::now();
            let refused = sign_in_from(&house, &email, "wrong", &ip).await;
            *total += start.elapsed();
            assert_eq!(refused, Err(Code::WrongCredentials));
        }
    }
    let ratio = theirs.as_secs_f64() / nobodys.as_secs_f64();
    assert!((0.4..2.5).contains(&ratio), "{theirs:?} against {nobodys:?}");
}

async fn requests_that_come_together_share_the_reading_of_their_token(house: House) {
    let engine = &house.engine;
    let input = ApiTokenInput {
        name: "shared".to_owned(),
        scopes: vec![Scope::Read],
        expires_in_days: None,
    };
    let made = access::create_token(engine, &house.admin, &input).await.unwrap();
    let all = async || {
        // One that came first and has gone.
        let _ = futures::FutureExt::now_or_never(access::token(engine, &made.token));
        let requests = (0..100).map(|_| access::token(engine, &made.token));
        let actors = futures::future::join_all(requests).await;
        actors
            .into_iter()
            .filter(|actor| actor.as_ref().unwrap().is_some())
            .count()
    };
    assert_eq!(all().await, 100);
    access::revoke_token(engine, &house.admin, &made.api_token.id)
        .await
        .unwrap();
    assert_eq!(all().await, 0);
}

async fn a_token_ends_when_it_expires_or_is_revoked(house: House) {
    let engine = &house.engine;
    let input = ApiTokenInput {
        name: "SIEM".to_owned(),
        scopes: vec![Scope::Read],
        expires_in_days: Some(1),
    };
    let made = access::create_token(engine, &house.admin, &input).await.unwrap();
    assert!(made.token.starts_with("auditstream_") && !format!("{made:?}").contains(&made.token));
    let again = access::create_token(engine, &house.admin, &input).await.unwrap_err();
    assert_eq!(
        again.problem().code,
        Code::DuplicateField,
        "audit events name it by its name"
    );
    let reader = access::token(engine, &made.token).await.unwrap().unwrap();
    assert!(reader.may(Permission::ViewAudit) && !reader.may(Permission::EditDestination));
    let find = async || {
        let tokens = access::tokens(engine, &house.admin).await.unwrap();
        tokens.into_iter().find(|token| token.id == made.api_token.id)
    };
    assert!(find().await.unwrap().last_used.is_some());
    house.sql("UPDATE api_token SET expires = 1 WHERE name = 'SIEM'").await;
    assert!(
        access::token(engine, &made.token).await.unwrap().is_none(),
        "its time is over"
    );
    house
        .sql("UPDATE api_token SET expires = NULL WHERE name = 'SIEM'")
        .await;
    assert!(access::token(engine, &made.token).await.unwrap().is_some());
    access::revoke_token(engine, &house.admin, &made.api_token.id)
        .await
        .unwrap();
    assert!(access::token(engine, &made.token).await.unwrap().is_none());
    assert!(find().await.is_none());
    let gone = access::revoke_token(engine, &house.admin, &made.api_token.id)
        .await
        .unwrap_err();
    assert_eq!(gone.problem().code, Code::NotFound);
}

async fn accounts_are_isolated_from_each_other(house: House) {
    let engine = &house.engine;
    person(&house, "ada@example.com", Role::Admin).await;
    let other = AccountName::parse("other").unwrap();
    access::create_account(engine, &other).await.unwrap();
    let stranger = Actor::command_line(engine, &other).await.unwrap();
    assert!(access::users(engine, &stranger).await.unwrap().is_empty());
    assert!(access::tokens(engine, &stranger).await.unwrap().is_empty());
    let ours = access::tokens(engine, &house.admin).await.unwrap();
    let revoked = access::revoke_token(engine, &stranger, &ours[0].id).await.unwrap_err();
    assert_eq!(revoked.problem().code, Code::NotFound);
    for refused in [
        access::remove_user(engine, &stranger, "ada@example.com").await,
        access::set_role(engine, &stranger, "ada@example.com", Role::Viewer)
            .await
            .map(drop),
        access::sign_out_everywhere(engine, &stranger, "ada@example.com").await,
        access::password_link(engine, &stranger, "ada@example.com")
            .await
            .map(drop),
        access::reset_password(engine, &stranger, "ada@example.com", OTHER).await,
        access::withdraw_invitation(engine, &stranger, "ada@example.com").await,
    ] {
        assert_eq!(refused.unwrap_err().problem().code, Code::NotFound);
    }
}

/// A user of another account with the same address, created by its admin.
async fn namesake(house: &House, email: &str, password: &str) -> Actor {
    let name = AccountName::parse("tenant").unwrap();
    access::create_account(&house.engine, &name).await.unwrap();
    let stranger = Actor::command_line(&house.engine, &name).await.unwrap();
    let link = access::invite(&house.engine, &stranger, email, Role::Viewer)
        .await
        .unwrap();
    let redeemed = access::redeem(&house.engine, &link.token, "", password, HERE)
        .await
        .unwrap();
    assert_eq!((redeemed.account, redeemed.email.as_str()), (name, email));
    stranger
}

async fn an_address_in_two_accounts_signs_in_to_the_one_with_its_password(house: House) {
    person(&house, "ada@example.com", Role::Admin).await;
    let stranger = namesake(&house, "ada@example.com", OTHER).await;
    for (password, account) in [(PASSWORD, "default"), (OTHER, "tenant")] {
        let cookie = sign_in(&house, "ada@example.com", password).await.unwrap();
        assert_eq!(who(&house, &cookie).await.unwrap().account().as_str(), account);
    }
    let to = async |account: &str, password: &str| {
        let entered = access::sign_in_to(&house.engine, Some(account), "ada@example.com", password, None, HERE);
        entered.await.map_err(|error| error.problem().code)
    };
    assert_eq!(to("tenant", PASSWORD).await, Err(Code::WrongCredentials));
    assert_eq!(to("nowhere", PASSWORD).await, Err(Code::WrongCredentials));
    access::reset_password(&house.engine, &stranger, "ada@example.com", PASSWORD)
        .await
        .unwrap();
    let which = access::sign_in(&house.engine, "ada@example.com", PASSWORD, None, HERE).await;
    let which = which.unwrap_err().problem();
    assert_eq!(which.code, Code::ChooseAccount);
    assert!(which.detail.contains("default, tenant"), "{}", which.detail);
    let cookie = to("tenant", PASSWORD).await.unwrap();
    assert_eq!(who(&house, &cookie).await.unwrap().account().as_str(), "tenant");
}

/// The admin of another account cannot take back attempts to guess a password by signing in as, or
/// resetting, a user with the same address.
async fn a_namesake_gives_no_further_attempts(house: House) {
    person(&house, "ada@example.com", Role::Admin).await;
    let stranger = namesake(&house, "ada@example.com", OTHER).await;
    for attempt in 0..3 {
        for _ in 0..2 {
            let guessed = sign_in(&house, "ada@example.com", &format!("guess {attempt}")).await;
            assert!(guessed.is_err());
        }
        access::sign_in_to(&house.engine, Some("tenant"), "ada@example.com", OTHER, None, HERE)
            .await
            .unwrap();
        access::reset_password(&house.engine, &stranger, "ada@example.com", OTHER)
            .await
            .unwrap();
    }
    assert!(
        sign_in(&house, "ada@example.com", PASSWORD).await.is_err(),
        "locked out here"
    );
    let found = search(&house.engine, &house.admin, &EventFilter::default())
        .await
        .unwrap();
    let failures = found.events.iter().filter(|event| event.action == "UNSUCCESSFUL_LOGIN");
    assert_eq!(failures.count(), 5, "those that were checked");
}

async fn a_guess_counts_for_each_namesake_and_once_for_the_network(house: House) {
    person(&house, "ada@example.com", Role::Admin).await;
    let stranger = namesake(&house, "ada@example.com", OTHER).await;
    sign_in(&house, "ada@example.com", OTHER).await.unwrap();
    let guesses = events(&house, "UNSUCCESSFUL_LOGIN").await;
    assert_eq!(guesses.len(), 1, "{guesses:?}");

    let ip = "198.51.100.1";
    for number in 0..3 {
        let _ = sign_in_from(&house, &format!("p{number}@example.com"), "wrong", ip).await;
    }
    access::reset_password(&house.engine, &stranger, "ada@example.com", PASSWORD)
        .await
        .unwrap();
    let which = sign_in_from(&house, "ada@example.com", PASSWORD, ip).await;
    assert_eq!(which, Err(Code::ChooseAccount));
    let mut connection = house.connection().await;
    let counted: i64 = sqlx::query_scalar("SELECT failures FROM sign_in_failure WHERE subject = 'from 198.51.100.1'")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(counted, 3, "the attempt with the correct password is taken back once");
}

/// Rule 13.
async fn a_clock_that_was_ahead_leaves_no_session_link_or_lock_out(mut house: House) {
    // The watch of the clock would correct the one that is set ahead.
    house.stop_streaming().await;
    person(&house, "ada@example.com", Role::Admin).await;
    let cookie = sign_in(&house, "ada@example.com", PASSWORD).await.unwrap();
    let link = access::password_link(&house.engine, &house.admin, "ada@example.com")
        .await
        .unwrap();
    for _ in 0..5 {
        let _ = sign_in(&house, "ada@example.com", "wrong").await;
    }
    house
        .sql(
            "UPDATE session SET created = created + 1261440000000, seen = seen + 1261440000000, \
             expires = expires + 1261440000000",
        )
        .await;
    assert!(who(&house, &cookie).await.is_none(), "a session of the next decades");
    house
        .sql("UPDATE one_time_link SET created = created + 1261440000000, expires = expires + 1261440000000")
        .await;
    assert!(access::link(&house.engine, &link.token).await.unwrap().is_none());
    assert!(
        access::redeem(&house.engine, &link.token, "", OTHER, HERE)
            .await
            .is_err()
    );
    assert_eq!(sign_in(&house, "ada@example.com", PASSWORD).await, Err(Code::Throttled));
    house
        .sql("UPDATE sign_in_failure SET since = since + 1261440000000")
        .await;
    assert!(sign_in(&house, "ada@example.com", PASSWORD).await.is_ok());
    // Times are recorded by the best clock known.
    house.config.clock.shift(1_261_440_000_000);
    let ahead = sign_in(&house, "ada@example.com", PASSWORD).await.unwrap();
    house.config.clock.shift(0);
    assert!(who(&house, &ahead).await.is_none());
}

/// Rule 15.
async fn every_change_of_access_is_an_audit_event(house: House) {
    let engine = &house.engine;
    person(&house, "ada@example.com", Role::Admin).await;
    person(&house, "bob@example.com", Role::Viewer).await;
    let cookie = sign_in(&house, "bob@example.com", PASSWORD).await.unwrap();
    let bob = who(&house, &cookie).await.unwrap().with_request("POST", HERE);
    let _ = sign_in(&house, "bob@example.com", "wrong").await;
    access::sign_out(engine, &bob, &cookie).await.unwrap();
    access::set_role(engine, &house.admin, "bob@example.com", Role::Admin)
        .await
        .unwrap();
    access::invite(engine, &house.admin, "eve@example.com", Role::Viewer)
        .await
        .unwrap();
    access::withdraw_invitation(engine, &house.admin, "eve@example.com")
        .await
        .unwrap();
    access::remove_user(engine, &house.admin, "bob@example.com")
        .await
        .unwrap();
    for (action, who, from) in [
        ("LOGIN", "bob@example.com", Some(HERE)),
        ("UNSUCCESSFUL_LOGIN", "bob@example.com", Some(HERE)),
        ("LOGOUT", "bob@example.com", Some(HERE)),
        ("INVITE", "command line", None),
        ("REVOKE_INVITE", "command line", None),
        ("DELETE", "command line", None),
    ] {
        let event = events(&house, action).await.swap_remove(0);
        assert_eq!(event["auditEventAuthor"]["principal"]["identifier"], who, "{action}");
        assert_eq!(event["auditHttpRequestInfo"]["clientIP"].as_str(), from, "{action}");
    }
    let update = &events(&house, "UPDATE").await[0];
    assert_eq!(
        update["auditEventMetadata"]["difference"],
        serde_json::json!({"old": {"role": "account_viewer"}, "new": {"role": "account_admin"}})
    );
}

/// A check takes tens of milliseconds; a reset during it takes precedence.
async fn a_password_replaced_during_its_check_does_not_sign_in(house: House) {
    for round in 0..6 {
        let email = format!("p{round}@example.com");
        person(&house, &email, Role::Viewer).await;
        let late = async {
            tokio::time::sleep(Duration::from_millis(5 * round)).await;
            access::reset_password(&house.engine, &house.admin, &email, OTHER).await
        };
        let (entered, reset) = tokio::join!(sign_in(&house, &email, PASSWORD), late);
        reset.unwrap();
        if let Ok(cookie) = entered {
            assert!(who(&house, &cookie).await.is_none(), "round {round}");
        }
    }
}

async fn links_end_with_their_creator_and_their_user(house: House) {
    let engine = &house.engine;
    let setup = access::setup_link(engine).await.unwrap();
    let again = access::setup_link(engine).await.unwrap();
    assert!(access::link(engine, &setup).await.unwrap().is_none(), "replaced");
    person(&house, "ada@example.com", Role::Admin).await;
    assert!(
        access::link(engine, &again).await.unwrap().is_none(),
        "the account has users"
    );
    person(&house, "eve@example.com", Role::Admin).await;
    let eve = who(&house, &sign_in(&house, "eve@example.com", PASSWORD).await.unwrap())
        .await
        .unwrap();
    let invited = access::invite(engine, &eve, "new@example.com", Role::Admin)
        .await
        .unwrap();
    let reset = access::password_link(engine, &eve, "ada@example.com").await.unwrap();
    access::remove_user(engine, &house.admin, "eve@example.com")
        .await
        .unwrap();
    for token in [invited.token, reset.token] {
        assert!(access::link(engine, &token).await.unwrap().is_none(), "she made it");
    }
}
