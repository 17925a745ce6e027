//! Accounts, tokens, users and keys from the command line. All work beside a running server.
#![expect(clippy::print_stdout, reason = "commands answer on standard output")]

pub mod fatal;
pub mod serve;

use auditstream_engine::{Actor, Engine, MasterKey, access, key_rotation};
use auditstream_model::{AccountName, ApiToken, ApiTokenInput, EpochMillis};
use jiff::Timestamp;

use crate::cli::fatal::Fatal;
use crate::configuration::{AccountCommand, KeyCommand, Settings, TokenCommand, UserCommand};

const PASSWORD: &str = "AUDITSTREAM_PASSWORD";

/// `auditstream account …`
///
/// # Errors
/// When the account cannot be made.
pub async fn account(settings: &Settings, command: AccountCommand) -> Result<(), Fatal> {
    let engine = Engine::open(settings.engine()?).await?;
    let AccountCommand::Create { name } = command;
    access::create_account(&engine, &name).await?;
    println!("account {} made", name.as_str());
    engine.close().await;
    Ok(())
}

/// `auditstream token …`
///
/// # Errors
/// When the token cannot be made.
pub async fn token(settings: &Settings, command: TokenCommand) -> Result<(), Fatal> {
    let engine = Engine::open(settings.engine()?).await?;
    match command {
        TokenCommand::Create {
            name,
            scope,
            expires,
            account,
        } => {
            let actor = Actor::command_line(&engine, &account).await?;
            let input = ApiTokenInput {
                name,
                scopes: scope,
                expires_in_days: expires,
            };
            println!("{}", access::create_token(&engine, &actor, &input).await?.token);
        }
        TokenCommand::List { account } => {
            let actor = Actor::command_line(&engine, &account).await?;
            for token in access::tokens(&engine, &actor).await? {
                println!("{}", line(&token));
            }
        }
        TokenCommand::Revoke { id, account } => {
            let actor = Actor::command_line(&engine, &account).await?;
            access::revoke_token(&engine, &actor, &id).await?;
            println!("token {id} revoked");
        }
    }
    engine.close().await;
    Ok(())
}

/// A token in a line, with tabs between.
fn line(token: &ApiToken) -> String {
    let scopes: Vec<_> = token.scopes.iter().map(|scope| scope.as_str()).collect();
    let time = |moment: Option<EpochMillis>| match moment.map(Timestamp::from_millisecond) {
        Some(Ok(moment)) => format!("{moment:.0}"),
        _ => "never".to_owned(),
    };
    [
        token.id.clone(),
        token.name.clone(),
        scopes.join(","),
        format!("last used {}", time(token.last_used)),
        format!("ends {}", time(token.expires)),
    ]
    .join("\t")
}

/// `auditstream key …`
///
/// # Errors
/// When a key is not usable, or a secret cannot be opened.
pub async fn key(settings: &Settings, command: KeyCommand) -> Result<(), Fatal> {
    let engine = Engine::open(settings.engine()?).await?;
    let actor = Actor::command_line(&engine, &AccountName::default_account()).await?;
    match command {
        KeyCommand::Rotate { new_master_key } => {
            let new = new_master_key.map(|text| MasterKey::from_base64(&text)).transpose();
            let new = new.map_err(|error| Fatal::new(format!("AUDITSTREAM_NEW_MASTER_KEY cannot be used: {error}")))?;
            let secrets = key_rotation::rotate(&engine, &actor, new.as_ref()).await?;
            println!("{secrets} secret(s) encrypted under a new data key");
            if new.is_some() {
                println!("start every server with the new master key, then run with it: auditstream key retire");
            }
        }
        KeyCommand::Retire { abandon_new } => {
            key_rotation::retire(&engine, &actor, abandon_new).await?;
            println!("only the present master key opens the secrets now");
        }
    }
    engine.close().await;
    Ok(())
}

/// `auditstream user …`
///
/// # Errors
/// When the user cannot be made or found, or the password is not usable.
pub async fn user(settings: &Settings, command: UserCommand) -> Result<(), Fatal> {
    let engine = Engine::open(settings.engine()?).await?;
    match command {
        UserCommand::Create { email, role, account } => {
            let actor = Actor::command_line(&engine, &account).await?;
            let password = password(&email)?;
            access::create_user(&engine, &actor, &email, role, &password).await?;
            println!("user {email} made in account {} as {}", account.as_str(), role.as_str());
        }
        UserCommand::ResetPassword { email, account } => {
            let actor = Actor::command_line(&engine, &account).await?;
            let password = password(&email)?;
            access::reset_password(&engine, &actor, &email, &password).await?;
            println!("password of {email} set");
        }
    }
    engine.close().await;
    Ok(())
}

/// From the variable, or asked for twice.
fn password(email: &str) -> Result<String, Fatal> {
    if let Ok(password) = std::env::var(PASSWORD) {
        return Ok(password);
    }
    let ask = |question: String| {
        rpassword::prompt_password(question).map_err(|error| {
            Fatal::new(format!(
                "cannot ask for a password ({error}): set {PASSWORD} or use a terminal"
            ))
        })
    };
    let first = ask(format!("Password for {email}: "))?;
    let second = ask("The same again: ".to_owned())?;
    if first == second {
        Ok(first)
    } else {
        Err(Fatal::new("the two passwords differ: nothing was changed"))
    }
}
