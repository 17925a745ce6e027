//! `auditstream verify` as a process: exit codes, output, folders and buckets.

#[path = "../../../engine/tests/it/forger/author.rs"]
#[allow(dead_code, unreachable_pub, reason = "the engine's tests use the rest")]
mod author;

use std::path::Path;
use std::process::Output;

use auditstream_testkit::s3::{ACCESS_KEY, BUCKET, SECRET, Store};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{auditstream, printed};
use author::{Author, eventful};

fn write(author: &Author, folder: &Path) {
    for (key, bytes) in &author.bucket.files {
        let path = folder.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

fn verify(folder: &Path, arguments: &[&str]) -> Output {
    let mut all = vec!["verify"];
    all.extend(arguments);
    auditstream(folder, &all).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn a_folder_is_verified_and_the_exit_code_says_the_result() {
    let (author, folder) = (eventful("siem"), TempDir::new().unwrap());
    write(&author, &folder.path().join("copy"));
    let folder = folder.path();
    let key = author.key().to_string();
    let text = printed(&verify(folder, &["copy", "--key", &key]));
    assert!(text.contains("proven: ") && text.contains("note paused: "), "{text}");
    let kept = format!("copy/{}checkpoint", author.logs[0].folder);
    std::fs::write(folder.join("key"), format!("{key}\n")).unwrap();
    let kept = ["copy", "--key", "key", "--expect", &kept, "--since", "7d", "--json"];
    let report: Value = serde_json::from_str(&printed(&verify(folder, &kept))).unwrap();
    assert_eq!(
        (&report["verdict"], &report["counts"]["skipped"]),
        (&"note".into(), &1.into()),
        "{report}"
    );
    // A log that continues in another folder.
    let output = verify(folder, &["copy/audit", "--key", &key]);
    assert_eq!(code(&output), 2);
    let object = &author.objects[0].0;
    std::fs::remove_file(folder.join("copy").join(object)).unwrap();
    let output = verify(folder, &["copy", "--key", &key]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(text.contains(&format!("WRONG object_missing: {object}")), "{text}");
    assert_eq!(code(&output), 1);
    for refused in [
        &["nowhere", "--key", &key][..],
        &["copy", "--key", "nonsense"],
        &["s3://", "--key", &key],
    ] {
        assert_eq!(code(&verify(folder, refused)), 2, "{refused:?}");
    }
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 2, "no database was created");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_is_verified_with_the_identity_of_the_host() {
    let (author, store) = (eventful("siem"), Store::start().await);
    write(&author, &store.path(BUCKET, ""));
    let folder = TempDir::new().unwrap();
    let key = author.key().to_string();
    let run = |url: &str| {
        let mut command = auditstream(folder.path(), &["verify", url, "--key", &key, "--json"]);
        let variables = [
            ("AWS_ENDPOINT_URL", store.endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_REGION", "us-east-1"),
        ];
        let output = command.envs(variables).output();
        async move {
            let output = output.unwrap();
            (code(&output), String::from_utf8(output.stdout).unwrap())
        }
    };
    let (exit, report) = run(&format!("s3://{BUCKET}")).await;
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(exit, 0, "{report}");
    assert_eq!(report["totals"]["objects"], author.objects.len());
    let (exit, report) = run(&format!("s3://{BUCKET}/audit/")).await;
    assert_eq!(exit, 2, "{report}");
    assert!(report.contains("log_missing"), "{report}");
    assert_eq!(run("s3://no-such-bucket").await.0, 2);
}
