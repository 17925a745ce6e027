//! `auditstream token …`

use auditstream_engine::{Actor, Engine, access};
use auditstream_model::{ApiToken, ApiTokenInput, EpochMillis};
use jiff::Timestamp;

use super::output::print;
use crate::configuration::{Settings, TokenCommand};
use crate::fatal::Fatal;

/// Runs the command.
pub async fn run(settings: &Settings, command: TokenCommand) -> Result<(), Fatal> {
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
            print(&access::create_token(&engine, &actor, &input).await?.token)?;
        }
        TokenCommand::List { account } => {
            let actor = Actor::command_line(&engine, &account).await?;
            for token in access::tokens(&engine, &actor).await? {
                print(&line(&token))?;
            }
        }
        TokenCommand::Revoke { id, account } => {
            let actor = Actor::command_line(&engine, &account).await?;
            access::revoke_token(&engine, &actor, &id).await?;
            print(&format!("revoked token {id}"))?;
        }
    }
    engine.close().await;
    Ok(())
}

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
        format!("expires {}", time(token.expires)),
    ]
    .join("\t")
}
