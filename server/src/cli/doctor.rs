//! `auditstream doctor`: one line per check, with what to do.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use auditstream_engine::Engine;
use auditstream_engine::database::DatabaseUrl;
use auditstream_engine::doctor::{self, Finding, Severity};
use rustix::fs::{Access, StatVfs};

use super::output::print;
use crate::configuration::Settings;
use crate::fatal::Fatal;

const MIB: u64 = 1 << 20;
/// Free space in which the server soon stops to accept events.
const DISK_FULL: u64 = 256 * MIB;
const DISK_LOW: u64 = 4 * 1024 * MIB;

/// The findings so far. Each is printed at once, since later checks may take seconds.
#[derive(Default)]
struct Report {
    failed: usize,
}

impl Report {
    fn add(&mut self, finding: &Finding) -> Result<(), Fatal> {
        self.failed += usize::from(finding.severity == Severity::Failed);
        print(&finding.to_string())
    }

    fn add_all(&mut self, findings: impl IntoIterator<Item = Finding>) -> Result<(), Fatal> {
        findings.into_iter().try_for_each(|finding| self.add(&finding))
    }

    fn finish(&self) -> Result<(), Fatal> {
        match self.failed {
            0 => Ok(()),
            1 => Err(Fatal::new("1 check failed")),
            failed => Err(Fatal::new(format!("{failed} checks failed"))),
        }
    }
}

/// Runs the checks.
pub async fn run(settings: &Settings) -> Result<(), Fatal> {
    let mut report = Report::default();
    let database = match settings.database() {
        Ok(database) => database,
        Err(error) => {
            report.add(&Finding::failed("settings", error.to_string()))?;
            return report.finish();
        }
    };
    if let DatabaseUrl::Sqlite(file) = &database {
        report.add_all(check_files(file, settings))?;
    }
    let findings = doctor::check_database(&database).await;
    let can_open = doctor::can_open(&findings);
    report.add_all(findings)?;
    if !can_open {
        report.add(&Finding::warning(
            "keys, connectors, webhooks",
            "not checked, because the database cannot be used",
        ))?;
        return report.finish();
    }
    if !has_master_key(settings, &database) {
        let file = settings.master_key_file();
        let advice = "Restore it from its backup, or set AUDITSTREAM_MASTER_KEY";
        report.add(&Finding::failed(
            "master key",
            format!("there is no file {}. {advice}.", file.display()),
        ))?;
        return report.finish();
    }
    match open(settings).await {
        Ok(engine) => {
            report.add(&Finding::good("master key", "it opens the database's keys"))?;
            let findings = doctor::check_secrets_and_endpoints(&engine).await;
            match findings {
                Ok(findings) => report.add_all(findings)?,
                Err(error) => report.add(&Finding::failed("database", error.to_string()))?,
            }
            engine.close().await;
        }
        Err(error) => report.add(&Finding::failed("master key", error.to_string()))?,
    }
    report.finish()
}

async fn open(settings: &Settings) -> Result<Engine, Fatal> {
    Ok(Engine::open(settings.engine()?).await?)
}

/// Whether there is a master key, so that opening the engine does not create one.
fn has_master_key(settings: &Settings, database: &DatabaseUrl) -> bool {
    settings.master_key.is_some() || matches!(database, DatabaseUrl::Postgres(_)) || settings.master_key_file().exists()
}

/// Checks the disk of a SQLite database, and who can access the files.
fn check_files(database: &Path, settings: &Settings) -> Vec<Finding> {
    let folder = match database.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut findings = vec![check_disk(folder)];
    let key = settings.master_key_file();
    let exposed: Vec<_> = [database, key.as_path()]
        .into_iter()
        .filter(|file| is_exposed(file))
        .collect();
    for file in exposed {
        let advice = "Restrict it to the server's user: chmod 600";
        findings.push(Finding::warning(
            "files",
            format!("other users of this host can access {}. {advice}.", file.display()),
        ));
    }
    findings
}

fn check_disk(folder: &Path) -> Finding {
    const SUBJECT: &str = "disk";
    let shown = folder.display();
    if let Err(error) = rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK) {
        let advice = "Create the folder, or give the server's user access to it";
        return Finding::failed(SUBJECT, format!("{shown} cannot be written: {error}. {advice}."));
    }
    let StatVfs {
        f_bavail,
        f_frsize,
        f_files,
        f_favail,
        ..
    } = match rustix::fs::statvfs(folder) {
        Ok(found) => found,
        Err(error) => return Finding::warning(SUBJECT, format!("the free space of {shown} is not known: {error}")),
    };
    let free = f_bavail.saturating_mul(f_frsize);
    let detail = format!("{} MiB are free in {shown}", free / MIB);
    let advice = "Free space or enlarge the disk; the metrics show which destinations retain events";
    if free < DISK_FULL || (f_files > 0 && f_favail == 0) {
        Finding::failed(SUBJECT, format!("{detail}. {advice}."))
    } else if free < DISK_LOW {
        Finding::warning(SUBJECT, format!("{detail}. {advice}."))
    } else {
        Finding::good(SUBJECT, detail)
    }
}

/// Whether users other than the owner can access a file. An absent file is not exposed.
fn is_exposed(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}
