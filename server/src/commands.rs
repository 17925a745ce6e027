//! Accounts, tokens and users from the command line. All work beside a running server.
#![expect(clippy::print_stdout, reason = "commands answer on standard output")]

use auditstream_engine::{Actor, Engine, access};

use crate::configuration::{AccountCommand, Settings, TokenCommand, UserCommand};
use crate::fatal::Fatal;

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
    let TokenCommand::Create { name, scope, account } = command;
    let actor = Actor::command_line(&engine, &account).await?;
    let token = access::create_token(&engine, &actor, &name, &scope).await?;
    println!("{token}");
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
            println!("user {email} made in account {} as {}", account.as_str(), role.word());
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
