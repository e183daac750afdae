//! What STS would refuse of a role, found before it is asked.
//! <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>

use super::Kinesis;
use crate::problem::Problem;

pub(super) fn check(kinesis: &Kinesis, problems: &mut Vec<Problem>) {
    if let Some(arn) = kinesis.role_arn.as_deref().filter(|arn| !is_role(arn)) {
        let remedy = "not the ARN of a role; write it as IAM shows it, arn:aws:iam::123456789012:role/NAME";
        problems.push(Problem::new("kinesis.role_arn", arn, remedy));
    }
    let Some(id) = kinesis.external_id.as_deref() else {
        return;
    };
    if kinesis.role_arn.is_none() {
        let remedy = "there is no role that could ask for it; set kinesis.role_arn, or remove it";
        problems.push(Problem::new("kinesis.external_id", id, remedy));
    }
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "_+=,.@:/-".contains(letter);
    if !(2..=1224).contains(&id.len()) || !id.chars().all(allowed) {
        let remedy = "not an external id; write 2 to 1224 letters, digits and _+=,.@:/-, as its trust policy has it";
        problems.push(Problem::new("kinesis.external_id", id, remedy));
    }
}

/// `arn:PARTITION:iam::ACCOUNT:role/PATH/NAME`.
fn is_role(arn: &str) -> bool {
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    let [_, partition, _, _, account, resource] = parts[..] else {
        return false;
    };
    (parts[0], parts[2], parts[3]) == ("arn", "iam", "")
        && partition.starts_with("aws")
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && resource.strip_prefix("role/").is_some_and(|name| !name.is_empty())
        && arn.len() <= 2048
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(role_arn: Option<&str>, external_id: Option<&str>) -> Vec<String> {
        let kinesis = Kinesis {
            role_arn: role_arn.map(str::to_owned),
            external_id: external_id.map(str::to_owned),
            ..Kinesis::default()
        };
        let mut problems = Vec::new();
        check(&kinesis, &mut problems);
        problems.into_iter().map(|problem| problem.key).collect()
    }

    #[test]
    fn what_sts_would_refuse_is_refused_by_key() {
        const ROLE: &str = "arn:aws:iam::123456789012:role/put-readings";
        for role in [ROLE, "arn:aws-cn:iam::123456789012:role/of/a/team/put"] {
            assert_eq!(keys(Some(role), None), [""; 0]);
            assert_eq!(keys(Some(role), Some("agreed-word")), [""; 0]);
        }
        for role in [
            "",
            "put-readings",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:user/put",
            "arn:aws:iam::12345:role/put",
            "arn:aws:sts::123456789012:assumed-role/put/i-0123",
        ] {
            assert_eq!(keys(Some(role), None), ["kinesis.role_arn"], "{role}");
        }
        for id in ["a", "two words", "ü", &"x".repeat(1225)] {
            assert_eq!(keys(Some(ROLE), Some(id)), ["kinesis.external_id"], "{id}");
        }
        assert_eq!(keys(None, Some("agreed-word")), ["kinesis.external_id"]);
    }
}
