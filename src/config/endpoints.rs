//! Endpoints and regions of AWS that people set, in the environment and in the profile: the SDK ends the process over some
//! endpoints that are no URL, and waits for others for good.
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-region.html>

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use values::aws_name::{AwsName, is_placeholder};

/// The keys in a profile, the first also in a section of services.
const ENDPOINT: &str = "endpoint_url";
const REGION: &str = "region";
const REMEDY: &str = "or write it as http://127.0.0.1:4566";

/// The environment.
type Variables = BTreeMap<OsString, OsString>;

/// What is wrong with the endpoints and regions that these variables name, and those of the profile that they choose.
pub(super) fn check(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<String> {
    let variables: Variables = variables.into_iter().collect();
    let mut problems = Vec::new();
    for (name, value) in &variables {
        let name = name.to_string_lossy();
        let text = value.to_str();
        if name.starts_with("AWS_ENDPOINT_URL") && !text.is_some_and(is_url) {
            problems.push(format!(
                "{name} = {value:?}: not the URL of an endpoint{}; unset it, {REMEDY}",
                hint(text)
            ));
        }
        // Empty, it counts as unset.
        if ["AWS_REGION", "AWS_DEFAULT_REGION"].contains(&&*name)
            && let Some(text) = text.filter(|text| !text.is_empty())
        {
            problems.extend(AwsName::Region.problem(&name, text).map(|problem| problem.to_string()));
        }
    }
    let profile = set(&variables, "AWS_PROFILE").map_or("default".into(), |profile| profile.to_string_lossy());
    for (variable, usual) in [
        ("AWS_CONFIG_FILE", "config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
    ] {
        let Some(file) = file(&variables, variable, usual) else {
            continue;
        };
        // Without the file there is no profile; one that cannot be read the SDK complains of.
        let text = fs::read_to_string(&file).unwrap_or_default();
        problems.extend(check_profile(&file, &text, &profile));
    }
    problems
}

fn set<'a>(variables: &'a Variables, name: &str) -> Option<&'a OsString> {
    variables.get(&OsString::from(name)).filter(|value| !value.is_empty())
}

fn file(variables: &Variables, variable: &str, usual: &str) -> Option<PathBuf> {
    match set(variables, variable) {
        Some(file) => Some(file.into()),
        None => Some(Path::new(set(variables, "HOME")?).join(".aws").join(usual)),
    }
}

/// The same of the profile, and of the services it names, in the text of a file.
fn check_profile(file: &Path, text: &str, profile: &str) -> Vec<String> {
    let entries = entries(text);
    let own = |entry: &&Entry<'_>| entry.section.strip_prefix("profile ").unwrap_or(entry.section).trim() == profile;
    let services = entries.iter().filter(own).rfind(|entry| entry.key == "services");
    let services = services.map(|entry| format!("services {}", entry.value));
    let file = file.display();
    let mut problems = Vec::new();
    for entry in &entries {
        let Entry {
            section,
            key,
            value,
            line,
            ..
        } = entry;
        let top = own(&entry) && !entry.nested;
        let of_services = services.as_deref() == Some(section);
        if *key == ENDPOINT && (top || of_services) && !is_url(value) {
            let hint = hint(Some(value));
            problems.push(format!(
                "{file}:{line}: {key} = {value:?} in [{section}] is not the URL of an endpoint{hint}; remove the line, {REMEDY}"
            ));
        }
        if *key == REGION
            && top
            && !value.is_empty()
            && let Err(error) = AwsName::Region.check(value)
        {
            problems.push(format!("{file}:{line}: {key} = {value:?} in [{section}] {error}"));
        }
    }
    problems
}

/// A line `key = value`.
struct Entry<'a> {
    section: &'a str,
    key: &'a str,
    value: &'a str,
    /// Below another key, as those of a service are.
    nested: bool,
    line: usize,
}

fn entries(text: &str) -> Vec<Entry<'_>> {
    let (mut entries, mut section) = (Vec::new(), "");
    for (line, text) in (1..).zip(text.lines()) {
        let nested = text.starts_with([' ', '\t']);
        // What follows blank and # is a comment, as a line that begins with it is.
        let end = [" #", "\t#", " ;", "\t;"]
            .iter()
            .filter_map(|mark| text.find(mark))
            .min();
        let text = text[..end.unwrap_or(text.len())].trim();
        if text.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            section = name.trim();
        } else if let Some((key, value)) = text.split_once('=') {
            let (key, value) = (key.trim(), value.trim());
            entries.push(Entry {
                section,
                key,
                value,
                nested,
                line,
            });
        }
    }
    entries
}

/// What else there is to say of a value that is no URL.
fn hint(value: Option<&str>) -> &'static str {
    match value.is_some_and(is_placeholder) {
        true => ", but a placeholder that nothing has replaced",
        false => "",
    }
}

fn is_url(text: &str) -> bool {
    let url: Result<hyper::Uri, _> = text.parse();
    url.is_ok_and(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn an_endpoint_that_is_no_url_is_named_with_its_value() {
        let check = |name: &str, value: &str| check([(name.into(), value.into())]);
        for value in [
            "",
            "localhost:4566",
            "127.0.0.1",
            "ftp://127.0.0.1",
            "http://",
            "http:// ",
        ] {
            let problems = check("AWS_ENDPOINT_URL_KINESIS", value);
            assert_eq!(problems.len(), 1, "{value:?}");
            assert!(problems[0].starts_with(&format!("AWS_ENDPOINT_URL_KINESIS = {value:?}: ")));
        }
        for value in ["http://127.0.0.1:4566", "https://kinesis.eu-central-1.amazonaws.com/"] {
            assert!(check("AWS_ENDPOINT_URL", value).is_empty(), "{value}");
        }
        let placeholder = check("AWS_ENDPOINT_URL", "http://${HOST}:4566");
        assert!(
            placeholder[0].contains("a placeholder that nothing has replaced"),
            "{placeholder:?}"
        );
    }

    #[test]
    fn a_region_that_is_none_is_named_with_its_value() {
        let check = |name: &str, value: &str| check([(name.into(), value.into())]);
        for good in ["", "eu-central-1", "local"] {
            assert!(check("AWS_REGION", good).is_empty(), "{good}");
        }
        for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
            for bad in ["eu-central-1a", "${REGION}", "eu central 1"] {
                let problems = check(name, bad);
                assert_eq!(problems.len(), 1, "{bad}");
                assert!(
                    problems[0].starts_with(&format!("{name} = {bad:?}: is ")),
                    "{problems:?}"
                );
            }
        }
    }

    const CONFIG: &str = "\
[default]
region = eu-central-1
endpoint_url =   # none
[profile plant]
services = local
s3 =
  endpoint_url = of S3, not of the profile
endpoint_url = http://127.0.0.1:4566
; endpoint_url =
[services local]
kinesis =
  endpoint_url = localhost:4566
sts =
  endpoint_url = http://localhost:4566 # STS
[services other]
kinesis =
  endpoint_url =
";

    #[test]
    fn those_of_the_profile_in_force_are_named_with_file_and_line() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(".aws");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("config"), CONFIG).unwrap();
        let check = |variables: &[(&str, &str)]| {
            let home = ("HOME", dir.path().to_str().unwrap());
            let all = variables.iter().chain([&home]);
            check(all.map(|(name, value)| (OsString::from(name), OsString::from(value))))
        };
        let at = |line: usize| format!("{}:{line}: endpoint_url = ", folder.join("config").display());
        for (profile, line, value) in [
            ("", 3, r#""" in [default]"#),
            ("plant", 12, r#""localhost:4566" in [services local]"#),
        ] {
            let problems = check(&[("AWS_PROFILE", profile)]);
            let problem = format!(
                "{}{value} is not the URL of an endpoint; remove the line, {REMEDY}",
                at(line)
            );
            assert_eq!(problems, [problem], "{profile}");
        }
        assert!(check(&[("AWS_PROFILE", "other")]).is_empty());
        let other = folder.join("other");
        fs::write(&other, "[default]\nregion = eu-central-1\n").unwrap();
        assert!(check(&[("AWS_CONFIG_FILE", other.to_str().unwrap())]).is_empty());
        fs::write(
            folder.join("credentials"),
            "[default]\nendpoint_url = nowhere\nregion = eu-central-1b\n",
        )
        .unwrap();
        let problems = check(&[("AWS_CONFIG_FILE", other.to_str().unwrap())]);
        assert_eq!(problems.len(), 2, "{problems:?}");
        let region = format!(
            "{}:3: region = \"eu-central-1b\" in [default] ",
            folder.join("credentials").display()
        );
        assert!(problems[1].starts_with(&region), "{problems:?}");
    }
}
