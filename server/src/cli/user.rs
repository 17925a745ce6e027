//! `auditstream user …`

use auditstream_engine::{Actor, Engine, access};

use super::output::print;
use crate::configuration::{Settings, UserCommand};
use crate::fatal::Fatal;

const PASSWORD: &str = "AUDITSTREAM_PASSWORD";

/// Runs the command.
pub async fn run(settings: &Settings, command: UserCommand) -> Result<(), Fatal> {
    let engine = Engine::open(settings.engine()?).await?;
    match command {
        UserCommand::Create { email, role, account } => {
            let actor = Actor::command_line(&engine, &account).await?;
            let password = password(&email)?;
            access::create_user(&engine, &actor, &email, role, &password).await?;
            let (account, role) = (account.as_str(), role.as_str());
            print(&format!("created user {email} in account {account} as {role}"))?;
        }
        UserCommand::ResetPassword { email, account } => {
            let actor = Actor::command_line(&engine, &account).await?;
            let password = password(&email)?;
            access::reset_password(&engine, &actor, &email, &password).await?;
            print(&format!("set the password of {email}"))?;
        }
    }
    engine.close().await;
    Ok(())
}

fn password(email: &str) -> Result<String, Fatal> {
    if let Ok(password) = std::env::var(PASSWORD) {
        return Ok(password);
    }
    let ask = |prompt: String| {
        rpassword::prompt_password(prompt).map_err(|error| {
            Fatal::new(format!(
                "cannot ask for a password ({error}): set {PASSWORD} or use a terminal"
            ))
        })
    };
    let password = ask(format!("Password for {email}: "))?;
    let confirmation = ask("Confirm password: ".to_owned())?;
    if password == confirmation {
        Ok(password)
    } else {
        Err(Fatal::new("the passwords do not match: nothing was changed"))
    }
}
