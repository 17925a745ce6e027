//! The identities that the AWS command line can have on a host.

use std::process::Command;

use auditstream_engine::{AwsSettings, Timeouts, connectors};
use auditstream_model::Outcome;
use auditstream_testkit::s3::{ACCESS_KEY, SECRET, Store};

use super::not_s3::test;
use crate::support::{House, On, connector};

const ENDPOINT: &str = "AUDITSTREAM_TEST_ENDPOINT";

/// Runs a test of this program with a configuration of the AWS command line.
fn run_with_config(name: &str, folder: &std::path::Path, profile: &str, endpoint: &str) {
    let config = folder.join("config");
    std::fs::write(&config, profile).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--ignored", "--test-threads=1"])
        .env("AWS_CONFIG_FILE", &config)
        .env("AWS_SHARED_CREDENTIALS_FILE", folder.join("credentials"))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("HOME", folder)
        .env(ENDPOINT, endpoint)
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

async fn inherit(aws: AwsSettings) -> House {
    let house = House::open_with(On::Sqlite, aws).await;
    let mut input = connector(&std::env::var(ENDPOINT).unwrap());
    input.spec.credentials = serde_json::from_str(r#"{"type":"INHERIT"}"#).unwrap();
    connectors::create(&house.engine, &house.admin, input).await.unwrap();
    house
}

/// Writes a script and returns the profile that runs it.
#[cfg(unix)]
fn profile_of_script(folder: &std::path::Path, script: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let file = folder.join("creds.sh");
    std::fs::write(&file, script).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    format!("[default]\ncredential_process = {}\n", file.display())
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inherit_credential_process() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start().await;
    let credentials = format!(
        "#!/bin/sh\necho '{{\"Version\":1,\"AccessKeyId\":\"{ACCESS_KEY}\",\"SecretAccessKey\":\"{SECRET}\"}}'\n"
    );
    let profile = profile_of_script(folder.path(), &credentials);
    let name = "reports::host_identity::in_a_process_that_inherits_credentials";
    run_with_config(name, folder.path(), &profile, &store.endpoint);
}

#[tokio::test]
#[ignore = "part of inherit_credential_process"]
async fn in_a_process_that_inherits_credentials() {
    let found = test(&inherit(AwsSettings::default()).await).await;
    assert_eq!(found.status, Outcome::Success, "{found:?}");
    assert!(found.steps[0].detail.contains(ACCESS_KEY), "{found:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_process_that_does_not_end_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("process");
    let script = format!("#!/bin/sh\nsleep 600 &\necho $! > {}\nwait\n", file.display());
    let profile = profile_of_script(folder.path(), &script);
    let name = "reports::host_identity::in_a_process_whose_credential_process_does_not_end";
    run_with_config(name, folder.path(), &profile, "http://127.0.0.1:1");
    let process = std::fs::read_to_string(file).unwrap();
    // A process that was killed stays as a zombie until its parent has noticed.
    let runs = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.trim()));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    for _ in 0..400 {
        if !runs() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the command still runs");
}

#[tokio::test]
#[ignore = "part of a_credential_process_that_does_not_end_is_killed"]
async fn in_a_process_whose_credential_process_does_not_end() {
    let aws = AwsSettings {
        timeouts: Timeouts {
            whole: std::time::Duration::from_secs(1),
            ..Timeouts::default()
        },
        ..AwsSettings::default()
    };
    let found = test(&inherit(aws).await).await;
    let error = found.error.unwrap();
    assert!(error.message.contains("in time"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inherit_sso_profile() {
    let folder = tempfile::tempdir().unwrap();
    let profile = "[default]\nsso_session = work\nsso_account_id = 123456789012\nsso_role_name = audit\n\
                   [sso-session work]\nsso_region = eu-west-1\nsso_start_url = https://example.awsapps.com/start\n";
    let name = "reports::host_identity::in_a_process_with_an_sso_profile";
    run_with_config(name, folder.path(), profile, "http://127.0.0.1:1");
}

/// There is no SSO session here, and the message says so rather than name a missing feature.
#[tokio::test]
#[ignore = "part of inherit_sso_profile"]
async fn in_a_process_with_an_sso_profile() {
    let found = test(&inherit(AwsSettings::default()).await).await;
    let error = found.error.unwrap();
    assert!(!error.message.contains("feature"), "{error:?}");
    assert!(error.message.contains("No AWS identity was found"), "{error:?}");
}
