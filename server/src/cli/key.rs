//! `auditstream key …`

use auditstream_engine::{Actor, Engine, MasterKey, key_rotation};
use auditstream_model::AccountName;

use super::output::print;
use crate::configuration::{KeyCommand, Settings};
use crate::fatal::Fatal;

/// Runs the command.
pub async fn run(settings: &Settings, command: KeyCommand) -> Result<(), Fatal> {
    let engine = Engine::open(settings.engine()?).await?;
    let actor = Actor::command_line(&engine, &AccountName::default_account()).await?;
    match command {
        KeyCommand::Rotate { new_master_key } => {
            let new = new_master_key.map(|text| MasterKey::from_base64(&text)).transpose();
            let new = new.map_err(|error| Fatal::new(format!("invalid AUDITSTREAM_NEW_MASTER_KEY: {error}")))?;
            let secrets = key_rotation::rotate(&engine, &actor, new.as_ref()).await?;
            print(&format!("{secrets} secret(s) encrypted under a new data key"))?;
            if new.is_some() {
                print("restart every server with the new master key, then run with it: auditstream key retire")?;
            }
        }
        KeyCommand::Retire { abandon_new } => {
            key_rotation::retire(&engine, &actor, abandon_new).await?;
            print("from now on only the current master key decrypts the secrets")?;
        }
    }
    engine.close().await;
    Ok(())
}
