//! `auditstream events export`

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use auditstream_engine::{Actor, Engine, trail};
use tokio::signal::unix::{SignalKind, signal};

use super::super::output::{Progress, note, print_block};
use super::list::lines;
use super::table::shown_time;
use crate::configuration::Export;
use crate::fatal::Fatal;

/// Exports all matching events. SIGINT and SIGTERM end the export, which is recorded.
pub(super) async fn run(engine: &Engine, options: Export) -> Result<(), Fatal> {
    let actor = Actor::command_line(engine, &options.filters.account).await?;
    let filter = options.filters.filter();
    filter.validate().map_err(auditstream_engine::Error::from)?;
    let mut sink = options.output.as_deref().map(OutputFile::create).transpose()?;
    let mut export = trail::Export::begin(engine, &actor, filter).await?;
    let mut progress = Progress::new();
    let written = tokio::select! {
        written = write(&mut export, &mut sink, &mut progress) => written,
        interrupted = interrupted() => interrupted,
    };
    progress.clear();
    let stopped = match written {
        Ok(End::Complete(_)) => Ok(()),
        _ => export.stop().await,
    };
    let end = written?;
    stopped?;
    if let (End::Complete(events), Some(sink)) = (end, sink) {
        let file = sink.complete()?;
        note(&format!("exported {events} event(s) to {}", file.display()));
    }
    Ok(())
}

/// How an export ended.
enum End {
    /// With the number of events.
    Complete(usize),
    /// The reader of standard output has closed it.
    ReaderLeft,
}

async fn write(
    export: &mut trail::Export,
    sink: &mut Option<OutputFile>,
    progress: &mut Progress,
) -> Result<End, Fatal> {
    let mut written = 0;
    while let Some(events) = export.next_page().await? {
        let text = lines(&events);
        match sink {
            Some(file) => file.write(&text)?,
            None if !print_apart(text).await? => return Ok(End::ReaderLeft),
            None => {}
        }
        written += events.len();
        if let Some(last) = events.last() {
            progress.show(|| format!("{written} events, until {}", shown_time(last.time)));
        }
    }
    Ok(End::Complete(written))
}

/// Prints on a separate thread, so that signals are noticed while the reader pauses.
async fn print_apart(text: String) -> Result<bool, Fatal> {
    let printed = tokio::task::spawn_blocking(move || print_block(&text)).await;
    printed.unwrap_or_else(|_| Err(Fatal::internal()))
}

async fn interrupted() -> Result<End, Fatal> {
    let install = |kind| signal(kind).map_err(|error| Fatal::new(format!("cannot listen for signals: {error}")));
    let (mut interrupt, mut terminate) = (install(SignalKind::interrupt())?, install(SignalKind::terminate())?);
    let number = tokio::select! {
        _ = interrupt.recv() => 2,
        _ = terminate.recv() => 15,
    };
    Err(Fatal::new("the export was interrupted and is not complete").with_exit_code(128 + number))
}

/// A file that gets its name when it is complete.
struct OutputFile {
    path: PathBuf,
    partial: PathBuf,
    file: File,
    is_complete: bool,
}

impl OutputFile {
    fn create(path: &Path) -> Result<Self, Fatal> {
        // Follows a link to the file that is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if path.exists() && !path.is_file() {
            let shown = path.display();
            return Err(Fatal::new(format!(
                "{shown} is not a file that can be replaced: write to standard output instead"
            )));
        }
        let mut partial = path.clone().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = File::create(&partial).map_err(|error| failed(&partial, &error))?;
        Ok(Self {
            path,
            partial,
            file,
            is_complete: false,
        })
    }

    fn write(&mut self, text: &str) -> Result<(), Fatal> {
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|error| failed(&self.partial, &error))
    }

    /// Renames the file to its final name, and returns its path.
    fn complete(mut self) -> Result<PathBuf, Fatal> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let named = self
            .file
            .sync_all()
            .and_then(|()| fs::rename(&self.partial, &self.path))
            .and_then(|()| File::open(folder.unwrap_or(Path::new(".")))?.sync_all());
        named.map_err(|error| failed(&self.path, &error))?;
        self.is_complete = true;
        Ok(self.path.clone())
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if !self.is_complete {
            let _ = fs::remove_file(&self.partial);
        }
    }
}

fn failed(path: &Path, error: &io::Error) -> Fatal {
    Fatal::new(format!("cannot write {}: {error}", path.display()))
}
