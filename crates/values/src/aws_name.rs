//! Names of AWS resources as people write them, checked as AWS checks them, before anything is sent.

use std::fmt;

use crate::problem::Problem;

/// What a text is to name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsName {
    /// A Kinesis data stream, by its name or its ARN.
    /// <https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html>
    Stream,
    /// An IAM role, by its ARN. <https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html>
    Role,
    /// What the trust policy of a role asks for. <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
    ExternalId,
    /// A region, which becomes a part of host names.
    Region,
    /// A DynamoDB table.
    /// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html>
    Table,
}

/// Why a text names nothing in AWS, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAName {
    /// A template or a shell was to replace it, and nothing did.
    #[error("is a placeholder that nothing has replaced: the value is used as it is written; write the name itself")]
    Placeholder,
    /// A part of an ARN is wrong.
    #[error("is not the ARN of a {of}: {wrong}; copy it from the console, such as {example}", example = .of.example())]
    Arn {
        /// What the ARN is to name.
        of: AwsName,
        /// The part, and what is wrong with it.
        wrong: String,
    },
    /// An availability zone instead of its region.
    #[error("is an availability zone: write its region, {0}")]
    Zone(String),
    /// Another text than AWS takes.
    #[error("is not a {of}: write {rule}", rule = .of.rule())]
    Text {
        /// What the text is to name.
        of: AwsName,
    },
}

/// An ARN, `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE`.
struct Arn<'a> {
    partition: &'a str,
    service: &'a str,
    region: &'a str,
    account: &'a str,
    resource: &'a str,
}

/// The longest ARN of a role.
const MAX_ROLE_ARN: usize = 2048;

impl AwsName {
    /// Refuses a text that AWS would refuse.
    pub fn check(self, text: &str) -> Result<(), NotAName> {
        if is_placeholder(text) {
            return Err(NotAName::Placeholder);
        }
        let is_arn = text.starts_with("arn:");
        let fits = match self {
            Self::Stream if is_arn => return self.check_arn(text),
            Self::Role if is_arn && text.len() <= MAX_ROLE_ARN => return self.check_arn(text),
            Self::Role => false,
            Self::Stream => is_stream_name(text),
            Self::ExternalId => (2..=1224).contains(&text.len()) && is_made_of(text, "_+=,.@:/-"),
            Self::Table => (3..=255).contains(&text.len()) && is_made_of(text, "_.-"),
            Self::Region => is_region(text),
        };
        match fits {
            true => Ok(()),
            false => Err(match zone_region(text).filter(|_| self == Self::Region) {
                Some(region) => NotAName::Zone(region.to_owned()),
                None => NotAName::Text { of: self },
            }),
        }
    }

    /// The same of a key in the settings.
    pub fn problem(self, key: &str, text: &str) -> Option<Problem> {
        let error = self.check(text).err()?;
        Some(Problem::new(key, format!("{text:?}"), error.to_string()))
    }

    fn check_arn(self, text: &str) -> Result<(), NotAName> {
        let wrong = |wrong: String| Err(NotAName::Arn { of: self, wrong });
        let Some(arn) = Arn::parse(text) else {
            return wrong("it has fewer than six parts between colons".to_owned());
        };
        let service = if self == Self::Role { "iam" } else { "kinesis" };
        if !(arn.partition == "aws" || arn.partition.starts_with("aws-")) {
            return wrong(format!("{:?} is not a partition such as aws or aws-cn", arn.partition));
        }
        if arn.service != service {
            return wrong(format!("its service is {:?} instead of {service:?}", arn.service));
        }
        match self {
            Self::Role if !arn.region.is_empty() => return wrong(format!("it names the region {:?}", arn.region)),
            Self::Stream if !is_region(arn.region) => return wrong(format!("{:?} is not a region", arn.region)),
            _ => {}
        }
        if arn.account.len() != 12 || !arn.account.bytes().all(|byte| byte.is_ascii_digit()) {
            return wrong(format!("{:?} is not an account of 12 digits", arn.account));
        }
        let named = match self {
            Self::Role => arn.resource.strip_prefix("role/").is_some_and(is_role_name),
            _ => arn.resource.strip_prefix("stream/").is_some_and(is_stream_name),
        };
        match named {
            true => Ok(()),
            false => wrong(format!("{:?} is not {self}/NAME", arn.resource)),
        }
    }

    fn rule(self) -> &'static str {
        match self {
            Self::Stream => "its name, of 1 to 128 letters, digits, _, . and -, or its ARN",
            Self::Role => "its ARN as IAM shows it, arn:aws:iam::123456789012:role/NAME",
            Self::ExternalId => "2 to 1224 letters, digits and _+=,.@:/-, as the role's trust policy has it",
            Self::Region => "it as AWS does, such as eu-central-1",
            Self::Table => "3 to 255 letters, digits, _, - and .",
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Role => "arn:aws:iam::123456789012:role/put-readings",
            _ => "arn:aws:kinesis:eu-central-1:123456789012:stream/readings",
        }
    }
}

impl fmt::Display for AwsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream => "stream",
            Self::Role => "role",
            Self::ExternalId => "valid external id",
            Self::Region => "region",
            Self::Table => "table",
        })
    }
}

impl<'a> Arn<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(6, ':').skip(1);
        Some(Self {
            partition: parts.next()?,
            service: parts.next()?,
            region: parts.next()?,
            account: parts.next()?,
            resource: parts.next()?,
        })
    }
}

/// The region that a stream's ARN names.
pub fn region_of(stream: &str) -> Option<&str> {
    let arn = stream.starts_with("arn:").then(|| Arn::parse(stream)).flatten()?;
    Some(arn.region)
}

/// A text that a shell or a template was to replace: `${STREAM}`, `$STREAM`, `{{ stream }}`, `<stream>`. No name in AWS has
/// any of these characters.
pub fn is_placeholder(text: &str) -> bool {
    let variable = |rest: &str| rest.starts_with(|first: char| "{(_".contains(first) || first.is_ascii_alphabetic());
    let enclosed = |open: &str, close: &str| text.split_once(open).is_some_and(|(_, rest)| rest.contains(close));
    text.split('$').skip(1).any(variable) || enclosed("{{", "}}") || enclosed("<", ">")
}

fn is_made_of(text: &str, others: &str) -> bool {
    text.chars()
        .all(|letter| letter.is_ascii_alphanumeric() || others.contains(letter))
}

fn is_stream_name(text: &str) -> bool {
    (1..=128).contains(&text.len()) && is_made_of(text, "_.-")
}

/// A name, perhaps with the path before it.
fn is_role_name(text: &str) -> bool {
    let name = text.rsplit('/').next().unwrap_or_default();
    (1..=64).contains(&name.len()) && text.len() <= 512 + 64 && is_made_of(text, "_+=,.@/-")
}

/// A label of a host name; a stand-in for AWS may have regions of other names than AWS.
fn is_region(text: &str) -> bool {
    let of_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(of_label)
        && !text.starts_with('-')
        && !text.ends_with('-')
        && zone_region(text).is_none()
}

/// The region of an availability zone, which has a letter after its region's number.
fn zone_region(text: &str) -> Option<&str> {
    let region = text.strip_suffix(|last: char| last.is_ascii_lowercase())?;
    (region.ends_with(|last: char| last.is_ascii_digit()) && region.contains('-')).then_some(region)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(name: AwsName, text: &str) -> String {
        name.check(text)
            .map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn a_stream_goes_by_its_name_or_its_arn() {
        for good in [
            "readings",
            "WindDataStream",
            "a",
            &"x".repeat(128),
            "arn:aws:kinesis:eu-central-1:123456789012:stream/readings_2.b-c",
            "arn:aws-us-gov:kinesis:us-gov-west-1:123456789012:stream/readings",
            "arn:aws-cn:kinesis:cn-north-1:123456789012:stream/readings",
        ] {
            assert_eq!(AwsName::Stream.check(good), Ok(()), "{good}");
        }
        for bad in ["", "a b", "a/b", "größe", &"x".repeat(129), "ARN:aws:kinesis"] {
            assert!(
                why(AwsName::Stream, bad).contains("is not a stream: write its name"),
                "{bad}"
            );
        }
        for (bad, part) in [
            ("arn:x", "fewer than six parts"),
            ("arn:aws:kinesis:eu-central-1:123456789012", "fewer than six parts"),
            (
                "arn:amazon:kinesis:eu-central-1:123456789012:stream/a",
                "\"amazon\" is not a partition",
            ),
            (
                "arn:aws:dynamodb:eu-central-1:123456789012:stream/a",
                "\"dynamodb\" instead of \"kinesis\"",
            ),
            ("arn:aws:kinesis::123456789012:stream/a", "\"\" is not a region"),
            (
                "arn:aws:kinesis:eu-central-1a:123456789012:stream/a",
                "\"eu-central-1a\" is not a region",
            ),
            (
                "arn:aws:kinesis:eu-central-1:12345:stream/a",
                "\"12345\" is not an account",
            ),
            (
                "arn:aws:kinesis:eu-central-1:123456789012:stream/",
                "\"stream/\" is not stream/NAME",
            ),
            (
                "arn:aws:kinesis:eu-central-1:123456789012:table/a",
                "\"table/a\" is not stream/NAME",
            ),
            (
                "arn:aws:kinesis:eu-central-1:123456789012:stream/a b",
                "\"stream/a b\" is not",
            ),
            (
                "arn:aws:kinesis:eu-central-1:123456789012:stream/a/consumer/b:1",
                "is not stream/NAME",
            ),
        ] {
            assert!(
                why(AwsName::Stream, bad).contains(part),
                "{bad}: {}",
                why(AwsName::Stream, bad)
            );
        }
    }

    #[test]
    fn a_role_goes_by_its_arn() {
        for good in [
            "arn:aws:iam::123456789012:role/put-readings",
            "arn:aws-cn:iam::123456789012:role/of/a/team/put",
        ] {
            assert_eq!(AwsName::Role.check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "put-readings",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/team/",
            "arn:aws:iam::123456789012:role/a b",
            "arn:aws:iam::123456789012:user/put",
            "arn:aws:iam:eu-central-1:123456789012:role/put",
            "arn:aws:iam::12345:role/put",
            "arn:aws:sts::123456789012:assumed-role/put/i-0123",
        ] {
            assert!(AwsName::Role.check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn regions_tables_and_external_ids_are_checked() {
        for (name, good) in [
            (AwsName::Region, "eu-central-1"),
            (AwsName::Region, "us-gov-east-1"),
            (AwsName::Region, "local"),
            (AwsName::Table, "temp-ingest.Incidents_1"),
            (AwsName::ExternalId, "agreed-word:7/x"),
        ] {
            assert_eq!(name.check(good), Ok(()), "{good}");
        }
        let long = "x".repeat(1225);
        for (name, bad) in [
            (AwsName::Region, ""),
            (AwsName::Region, "EU-CENTRAL-1"),
            (AwsName::Region, "eu central"),
            (AwsName::Region, "-eu"),
            (AwsName::Table, "ab"),
            (AwsName::Table, "arn:aws:x"),
            (AwsName::ExternalId, "a"),
            (AwsName::ExternalId, "two words"),
            (AwsName::ExternalId, &long),
        ] {
            assert!(name.check(bad).is_err(), "{bad}");
        }
        assert_eq!(
            AwsName::Region.check("eu-central-1a"),
            Err(NotAName::Zone("eu-central-1".into()))
        );
    }

    #[test]
    fn a_placeholder_is_called_one() {
        for text in [
            "${STREAM}",
            "$STREAM",
            "readings-$STAGE",
            "$(stream)",
            "{{ stream }}",
            "<stream>",
            "arn:aws:kinesis:${AWS::Region}:123456789012:stream/readings",
        ] {
            for name in [
                AwsName::Stream,
                AwsName::Region,
                AwsName::Table,
                AwsName::Role,
                AwsName::ExternalId,
            ] {
                assert_eq!(name.check(text), Err(NotAName::Placeholder), "{text}");
            }
        }
        for text in ["5$", "a<b", "{x}", "readings"] {
            assert!(!is_placeholder(text), "{text}");
        }
    }
}
