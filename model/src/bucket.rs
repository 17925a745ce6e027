//! AWS' rules for the names of buckets and the keys of objects.

use crate::limits::PREFIX_BYTES;
use crate::text::{TextError, text_type};

text_type! {
    /// The name of a bucket that exists: by the rules of
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>, or an older
    /// one with capitals and underscores, or the alias or ARN of an access point.
    BucketName
}

impl BucketName {
    /// Parses the name of a bucket.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let refuse = |message: &str| Err(TextError::new(message));
        if text.is_empty() {
            return refuse("A bucket name is required.");
        }
        if is_access_point(text) {
            return Ok(Self(text.to_owned()));
        }
        if text.starts_with("arn:") && text.contains(":accesspoint") {
            return refuse("Only the ARN of an access point in a region can be used, not one of several regions.");
        }
        if text.starts_with("s3://") || text.starts_with("arn:") || text.contains('/') {
            return refuse("Enter only the bucket's name, without s3://, arn: or a path.");
        }
        if !(3..=255).contains(&text.len()) {
            return refuse("A bucket name has 3 to 255 characters.");
        }
        if !text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        {
            return refuse("A bucket name can contain only letters, digits, dots, hyphens and underscores.");
        }
        let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !edge(text.bytes().next()) || !edge(text.bytes().last()) {
            return refuse("A bucket name must begin and end with a letter, digit or underscore.");
        }
        if text.contains("..") {
            return refuse("A bucket name cannot contain two adjacent dots.");
        }
        if text.parse::<std::net::Ipv4Addr>().is_ok() {
            return refuse("A bucket name cannot look like an IP address.");
        }
        if ["xn--", "sthree-", "amzn-s3-demo-"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            return refuse("A bucket name cannot begin with xn--, sthree- or amzn-s3-demo-.");
        }
        if is_special(text) {
            return refuse(
                "Object Lambda access points, multi-region access points, directory buckets and table buckets \
                 (--ol-s3, .mrap, --x-s3, --table-s3) cannot be streamed to. Enter a general purpose bucket or the \
                 alias of an access point.",
            );
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns whether it is the ARN of an access point.
    #[must_use]
    pub fn is_arn(&self) -> bool {
        self.0.starts_with("arn:")
    }

    /// Returns whether it is the alias of an access point, which policies do not accept.
    #[must_use]
    pub fn is_alias(&self) -> bool {
        self.0.ends_with("-s3alias")
    }
}

/// Returns whether a name belongs to something that has another protocol than a bucket.
fn is_special(text: &str) -> bool {
    ["--ol-s3", ".mrap", "--x-s3", "--table-s3"]
        .iter()
        .any(|suffix| text.ends_with(suffix))
}

/// Returns whether a text is the ARN of an access point, such as
/// `arn:aws:s3:eu-west-1:123456789012:accesspoint/audit`.
fn is_access_point(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, service, region, account, resource] = parts[..] else {
        return false;
    };
    let name = resource
        .strip_prefix("accesspoint/")
        .or_else(|| resource.strip_prefix("accesspoint:"));
    let is_plain = |text: &str, most: usize| {
        (1..=most).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    arn == "arn"
        && partition.starts_with("aws")
        && is_plain(partition, 16)
        && service == "s3"
        && is_plain(region, 32)
        && account.len() == 12
        && account.bytes().all(|b| b.is_ascii_digit())
        && name.is_some_and(|name| is_plain(name, 50) && !is_special(name))
}

text_type! {
    /// The beginning of every key of a destination: empty, or a path that ends in `/`.
    #[derive(Default)]
    Prefix
}

impl Prefix {
    /// Parses a prefix: only the characters that AWS calls safe
    /// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html>), and no relative
    /// parts.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        if !text.ends_with('/') {
            return Err(TextError::new("A prefix must end with /."));
        }
        if text.len() > PREFIX_BYTES {
            return Err(TextError::new(format!(
                "A prefix has at most {PREFIX_BYTES} characters."
            )));
        }
        if !text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"/!-_.*'()=".contains(&b))
        {
            return Err(TextError::new(
                "A prefix can contain only letters, digits and / ! - _ . * ' ( ) =",
            ));
        }
        if text.split_inclusive('/').any(|part| matches!(part, "/" | "./" | "../")) {
            return Err(TextError::new(
                "A prefix cannot start with /, or contain an empty, . or .. part.",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_are_taken_as_they_are_in_use() {
        for valid in [
            "abc",
            "audit-logs.example.com",
            "0-1",
            &"b".repeat(63),
            "Legacy_Audit_Logs",
            "MyCompany.Audit",
            "_abc_",
            &"B".repeat(255),
            "audit-hrzrlukc5m36ft7okagglf3gmwluquse1b-s3alias",
            "arn:aws:s3:eu-west-1:123456789012:accesspoint/audit",
            "arn:aws-cn:s3:cn-north-1:123456789012:accesspoint:audit",
        ] {
            assert!(BucketName::parse(valid).is_ok(), "{valid}");
        }
        let long = "b".repeat(256);
        for invalid in [
            "",
            "ab",
            &long,
            "-abc",
            "abc-",
            "a..b",
            "192.168.5.4",
            "xn--abc",
            "sthree-abc",
            "abc--ol-s3",
            "abc--x-s3",
            "abc.mrap",
            "arn:aws:s3::123456789012:accesspoint/abc.mrap",
            "arn:aws:s3:eu-west-1:12345:accesspoint/audit",
            "arn:aws:s3:eu-west-1:123456789012:accesspoint/au/dit",
            "s3://abc",
            "abc/def",
            "arn:aws:s3:::abc",
            "bücket",
            "ab c",
        ] {
            assert!(BucketName::parse(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn a_prefix_is_empty_or_a_path_that_ends_in_a_slash() {
        for valid in ["", "audit/", "siem/prod=1/"] {
            assert!(Prefix::parse(valid).is_ok(), "{valid}");
        }
        for invalid in ["audit", "/", "/a/", "a//b/", "../", "a/./", "a b/", "ä/"] {
            assert!(Prefix::parse(invalid).is_err(), "{invalid}");
        }
    }
}
