//! The IAM policy that streaming to a bucket requires, to be copied by an administrator of AWS.

use auditstream_model::{DestinationSpec, ServerSideEncryption};
use serde_json::{Value, json};

use super::probe;

pub(super) fn statement(spec: &DestinationSpec, region: &str, action: &str) -> Value {
    let partition = partition(region);
    let bucket = bucket_arn(spec, partition);
    // The resources of an access point have another form.
    let objects = if spec.bucket.is_arn() { "/object" } else { "" };
    let (sid, actions, resource) = match action {
        "s3:ListBucket" => ("AuditstreamFindsTheBucket", json!([action]), bucket),
        "s3:DeleteObject" => (
            "AuditstreamDeletesItsProbe",
            json!([action]),
            format!("{bucket}{objects}/{}*", probe::key(spec)),
        ),
        "s3:GetObject" => (
            "AuditstreamReadsItsObjects",
            json!([action]),
            format!("{bucket}{objects}/{}*", spec.prefix.as_str()),
        ),
        "kms:GenerateDataKey" | "kms:Decrypt" => (
            "AuditstreamEncryptsItsObjects",
            json!(["kms:GenerateDataKey", "kms:Decrypt"]),
            key_arn(spec, partition, region),
        ),
        _ => (
            "AuditstreamWritesItsObjects",
            json!(["s3:PutObject"]),
            format!("{bucket}{objects}/{}*", spec.prefix.as_str()),
        ),
    };
    json!({"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource})
}

pub(super) fn policy(spec: &DestinationSpec, region: &str) -> String {
    let mut actions = vec!["s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:ListBucket"];
    if matches!(spec.sse, ServerSideEncryption::Kms { .. }) {
        actions.push("kms:GenerateDataKey");
    }
    let statements: Vec<Value> = actions.iter().map(|action| statement(spec, region, action)).collect();
    let policy = json!({"Version": "2012-10-17", "Statement": statements});
    serde_json::to_string_pretty(&policy).unwrap_or_default()
}

/// Returns the ARN of the bucket or of the access point. That of an alias is not known here.
fn bucket_arn(spec: &DestinationSpec, partition: &str) -> String {
    let name = spec.bucket.as_str();
    if spec.bucket.is_arn() {
        name.to_owned()
    } else if spec.bucket.is_alias() {
        format!("arn:{partition}:s3:::THE-BUCKET-OF-{name}")
    } else {
        format!("arn:{partition}:s3:::{name}")
    }
}

fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

/// Returns the key for the statement's resource: its ARN, or `*` for an alias, which policies do
/// not accept, and for the bucket's default key, which is unknown here.
fn key_arn(spec: &DestinationSpec, partition: &str, region: &str) -> String {
    match &spec.sse {
        ServerSideEncryption::Kms { kms_key_id } if kms_key_id.contains("alias/") => "*".to_owned(),
        ServerSideEncryption::Kms { kms_key_id } if kms_key_id.starts_with("arn:") => kms_key_id.clone(),
        ServerSideEncryption::Kms { kms_key_id } => format!("arn:{partition}:kms:{region}:*:key/{kms_key_id}"),
        ServerSideEncryption::None | ServerSideEncryption::Aes256 => "*".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_allows_only_the_actions_that_streaming_needs() {
        let spec: DestinationSpec = serde_json::from_value(json!({
            "type": "AWS_S3", "bucket": "logs", "prefix": "siem/", "sse": {"kms_key_id": "1234"},
        }))
        .unwrap();
        let policy: Value = serde_json::from_str(&policy(&spec, "cn-north-1")).unwrap();
        let resources: Vec<&str> = policy["Statement"]
            .as_array()
            .unwrap()
            .iter()
            .map(|statement| statement["Resource"].as_str().unwrap())
            .collect();
        assert_eq!(
            resources,
            [
                "arn:aws-cn:s3:::logs/siem/*",
                "arn:aws-cn:s3:::logs/siem/*",
                "arn:aws-cn:s3:::logs/siem/.auditstream-check*",
                "arn:aws-cn:s3:::logs",
                "arn:aws-cn:kms:cn-north-1:*:key/1234"
            ]
        );
    }
}
