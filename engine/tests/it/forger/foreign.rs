//! Programs that have no line in common with the engine verify the same bucket.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::author::{Author, Bucket, eventful};
use super::copies::write;
use crate::child::say;

fn python(folder: &Path, vkey: &str) -> Option<Output> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/verify.py");
    Command::new("python3").arg(script).arg(folder).arg(vkey).output().ok()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Writes a changed copy to a folder.
fn changed(author: &Author, change: impl FnOnce(&mut Bucket)) -> TempDir {
    let mut bucket = author.bucket.clone();
    change(&mut bucket);
    let folder = tempfile::tempdir().unwrap();
    write(&bucket, folder.path());
    folder
}

/// Flips a bit in the middle of a file.
fn flip(bucket: &mut Bucket, key: &str) {
    let bytes = bucket.files.get_mut(key).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
}

#[test]
fn the_python_script_verifies_the_same_bucket() {
    let author = eventful("siem");
    let vkey = author.key().to_string();
    let folder = changed(&author, |_| {});
    let Some(output) = python(folder.path(), &vkey) else {
        say("skipped: the_python_script_verifies_the_same_bucket: there is no python3");
        return;
    };
    let has_zstd = Command::new("zstd").arg("--version").output().is_ok();
    let expected = if has_zstd { 0 } else { 2 };
    assert_eq!(output.status.code(), Some(expected), "{}", text(&output));
    let object = author.objects[0].0.as_str();
    let folder_of_log = author.logs[0].folder.as_str();
    let entries = format!("{folder_of_log}tile/entries/000");
    let hashes = format!("{folder_of_log}tile/0/000");
    let checkpoint = format!("{folder_of_log}checkpoint");
    for file in [object, &entries, &hashes, &checkpoint] {
        let folder = changed(&author, |bucket| flip(bucket, file));
        let output = python(folder.path(), &vkey).unwrap();
        assert_eq!(output.status.code(), Some(1), "{file}: {}", text(&output));
    }
    let without = changed(&author, |bucket| drop(bucket.files.remove(object)));
    let output = python(without.path(), &vkey).unwrap();
    assert!(text(&output).contains("the object is missing"), "{}", text(&output));
    let folder = changed(&author, |bucket| {
        let extra = object.replace("/0000", "/0009");
        let body = bucket.files[object].clone();
        bucket.files.insert(extra, body);
    });
    let output = python(folder.path(), &vkey).unwrap();
    assert!(text(&output).contains("no statement names"), "{}", text(&output));
}

/// Builds the Go program; `None` where Go or its library is not installed.
fn go(folder: &Path) -> Option<PathBuf> {
    let program = folder.join("verify");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/verify.go");
    let mut command = Command::new("go");
    command.args(["build", "-o"]).arg(&program).arg(source);
    command
        .env("GO111MODULE", "off")
        .env("GOPATH", "/usr/share/gocode")
        .env("GOCACHE", folder.join("cache"));
    let has_library = Path::new("/usr/share/gocode/src/golang.org/x/mod/sumdb/tlog").is_dir();
    let built = has_library.then(|| command.output().ok()).flatten()?;
    assert!(built.status.success(), "{}", text(&built));
    Some(program)
}

#[test]
fn the_go_program_verifies_the_same_logs() {
    let author = eventful("siem");
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = go(folder.path()) else {
        say("skipped: the_go_program_verifies_the_same_logs: Go and golang.org/x/mod are not installed");
        return;
    };
    let verified = |bucket: &Path, number: usize| {
        let log = bucket.join(&author.logs[number].folder);
        let vkey = std::fs::read_to_string(log.join("keys/1.vkey")).unwrap();
        Command::new(&program).arg(log).arg(vkey).output().unwrap()
    };
    let right = changed(&author, |_| {});
    for number in [0, 1] {
        let output = verified(right.path(), number);
        assert!(output.status.success(), "{}", text(&output));
        let size = author.logs[number].entries.len();
        assert!(
            text(&output).contains(&format!("{size} statements")),
            "{}",
            text(&output)
        );
    }
    for file in ["tile/entries/000", "tile/0/000", "tile/1/000.p/1", "checkpoint"] {
        let key = format!("{}{file}", author.logs[0].folder);
        let wrong = changed(&author, |bucket| flip(bucket, &key));
        let output = verified(wrong.path(), 0);
        assert_eq!(output.status.code(), Some(1), "{file}: {}", text(&output));
    }
}
