#![allow(clippy::unwrap_used, reason = "a test may panic")]

use super::*;

fn read_text(text: &str, variables: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let variables = environment::Variables::new(variables.iter().map(|(n, v)| (n.to_string(), v.to_string())))?;
    checked("config.toml", text, &variables).map_err(|invalid| invalid.0)
}

#[test]
fn a_misspelt_key_fails_with_its_line() {
    let problems = read_text("sink = \"stdout\"\n\n[dashboard]\nlisen = \"127.0.0.1:1\"\n", &[]).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].starts_with(
            "config.toml:4:1: dashboard.lisen: unknown field `lisen`, expected one of `listen`, `token_file`"
        ),
        "{problems:?}"
    );
    assert!(
        problems[0].ends_with("\n  4 | lisen = \"127.0.0.1:1\"\n    | ^^^^^"),
        "{problems:?}"
    );
}

#[test]
fn all_problems_of_a_file_are_said_at_once() {
    let text =
        "lanes = 24\nlinger = 500\nsinc = 1\n[kinesis]\ntimeout = \"0s\"\nmax_requests = 0\n[log]\nlevel = \"loud\"\n";
    let problems = read_text(text, &[]).unwrap_err();
    let expected = [
        ("config.toml:1:9: lanes: ", "24 is not a power of two"),
        ("config.toml:2:10: linger: ", "a duration with its unit"),
        ("config.toml:3:1: sinc: ", "unknown field"),
        ("config.toml:5:11: kinesis.timeout: ", "from 100ms to 5m"),
        ("config.toml:6:16: kinesis.max_requests: ", "a nonzero u32"),
        ("config.toml:8:9: log.level: ", "\"loud\" is not a log level"),
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, (place, what)) in problems.iter().zip(expected) {
        assert!(problem.starts_with(place) && problem.contains(what), "{problem}");
    }
}

#[test]
fn tokens_that_cannot_be_read_and_names_that_are_none_are_told_with_their_line() {
    let text = "[dashboard]\ntoken_file = \"/nowhere/tokens\"\nhosts = [\"plant.example\", \"http://x\"]\n\
                incidents_table = \"arn:aws:x\"\n";
    let problems = read_text(text, &[]).unwrap_err();
    let places = [
        "config.toml:2:14: dashboard.token_file",
        "config.toml:3:9: dashboard.hosts",
        "config.toml:4:19: dashboard.incidents_table = \"arn:aws:x\": is not a table: write 3 to 255",
    ];
    assert_eq!(problems.len(), places.len(), "{problems:#?}");
    for (problem, place) in problems.iter().zip(places) {
        assert!(problem.starts_with(place), "{problem}");
    }
    assert!(problems[0].contains("with one token a line"), "{problems:#?}");
}

#[test]
fn names_that_aws_would_refuse_are_told_with_their_line() {
    let text = "sink = \"kinesis\"\n[kinesis]\nstream = \"${STREAM}\"\nregion = \"eu-central-1a\"\n\
                role_arn = \"put-readings\"\nexternal_id = \"two words\"\n";
    let problems = read_text(text, &[]).unwrap_err();
    let places = [
        "config.toml:3:10: kinesis.stream = \"${STREAM}\": is a placeholder that nothing has replaced",
        "config.toml:4:10: kinesis.region = \"eu-central-1a\": is an availability zone: write its region, eu-central-1",
        "config.toml:5:12: kinesis.role_arn = \"put-readings\": is not a role: write its ARN",
        "config.toml:6:15: kinesis.external_id = \"two words\": is not a valid external id",
    ];
    assert_eq!(problems.len(), places.len(), "{problems:#?}");
    for (problem, place) in problems.iter().zip(places) {
        assert!(problem.starts_with(place), "{problem}");
    }
    let variables = [
        ("TEMP_INGEST__SINK", "kinesis"),
        ("TEMP_INGEST__KINESIS__STREAM", "<stream>"),
    ];
    let problems = read_text("", &variables).unwrap_err();
    assert!(
        problems[0].starts_with("TEMP_INGEST__KINESIS__STREAM = \"<stream>\": is a placeholder"),
        "{problems:?}"
    );
}

#[test]
fn names_that_contradict_each_other_are_told() {
    let arn = "arn:aws:kinesis:eu-central-1:123456789012:stream/readings";
    let kinesis = |keys: &str| read_text(&format!("[kinesis]\nstream = \"{arn}\"\n{keys}\n"), &[]);
    assert!(kinesis("region = \"eu-central-1\"").is_ok());
    for (keys, told) in [
        ("region = \"us-east-1\"", "the ARN of kinesis.stream is in eu-central-1"),
        (
            "external_id = \"agreed-word\"",
            "there is no role that could ask for it",
        ),
    ] {
        let problems = kinesis(keys).unwrap_err();
        assert!(problems.len() == 1 && problems[0].contains(told), "{problems:?}");
    }
}

#[test]
fn contradictions_are_said_at_once_with_the_line_of_their_key() {
    let text = "sink = \"kinesis\"\n[kinesis]\nbackoff_base = \"20s\"\n";
    let problems = read_text(text, &[]).unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(
        problems[0].starts_with("config.toml:2:1: kinesis.stream: sink = \"kinesis\" needs"),
        "{problems:#?}"
    );
    assert!(
        problems[1].starts_with("config.toml:3:16: kinesis.backoff_base = 20s: longer"),
        "{problems:#?}"
    );
}

#[test]
fn the_environment_overrides_the_file() {
    let settings = read_text(
        "lanes = 4\n",
        &[
            ("TEMP_INGEST__LANES", "32"),
            ("TEMP_INGEST__KINESIS__STREAM", "00123"),
            ("TEMP_INGEST__LOG__LEVEL", "debug"),
            ("TEMP_INGEST__KINESIS__MAX_REQUESTS", "3"),
            ("TEMP_INGEST_VERSION", "not ours"),
        ],
    )
    .unwrap();
    assert_eq!(settings.lanes.get(), 32);
    assert_eq!(settings.kinesis.stream.as_deref(), Some("00123"));
    assert_eq!(settings.log.level.as_str(), "debug");
    assert_eq!(settings.kinesis.max_requests.get(), 3);
}

#[test]
fn a_variable_may_be_a_list() {
    let file = "[source.house]\nkind = \"mqtt\"\nservers = [\"tcp://a\"]\ndevices = \"tasmota\"\n";
    let servers = |value: &str| {
        let variables = [
            ("TEMP_INGEST__SOURCE__HOUSE__SERVERS", value),
            // A text stays one.
            ("TEMP_INGEST__SPOOL__DIR", "[\"x\"]"),
        ];
        let settings = read_text(file, &variables)?;
        assert_eq!(settings.spool.dir.as_deref(), Some("[\"x\"]".as_ref()));
        Ok::<_, Vec<String>>(settings.source["house"].servers.clone().unwrap())
    };
    assert_eq!(servers("[\"tcp://b\", \"tcp://c\"]").unwrap(), ["tcp://b", "tcp://c"]);
    for value in ["tcp://b", "[1]", "[\"tcp://b\""] {
        let problems = servers(value).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        let problem = &problems[0];
        assert!(problem.starts_with("TEMP_INGEST__SOURCE__HOUSE__SERVERS: ") && problem.contains(r#"["one", "two"]"#));
    }
}

#[test]
fn each_wrong_variable_is_named() {
    let problems = read_text(
        "",
        &[
            ("TEMP_INGEST__LANEZ", "32"),
            ("TEMP_INGEST__LANES", "24"),
            ("TEMP_INGEST__KINESIS__TIMOUT", "1s"),
            ("TEMP_INGEST__LINGER", "soon"),
        ],
    )
    .unwrap_err();
    let expected = [
        ("TEMP_INGEST__KINESIS__TIMOUT: ", "unknown field `timout`"),
        ("TEMP_INGEST__LANES: ", "24 is not a power of two"),
        ("TEMP_INGEST__LANEZ: ", "unknown field `lanez`"),
        ("TEMP_INGEST__LINGER: ", "\"soon\" is not a duration from 1ms to 1m"),
    ];
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, (name, what)) in problems.iter().zip(expected) {
        assert!(problem.starts_with(name) && problem.contains(what), "{problem}");
    }
    let problems = read_text("", &[("TEMP_INGEST_KINESIS__STREAM", "s")]).unwrap_err();
    assert_eq!(
        problems,
        ["TEMP_INGEST_KINESIS__STREAM: has no effect; write TEMP_INGEST__KINESIS__STREAM, with two underscores"]
    );
    let problems = read_text(
        "",
        &[("TEMP_INGEST__SINK", "kinesis"), ("TEMP_INGEST__KINESIS__STREAM", "")],
    )
    .unwrap_err();
    assert!(
        problems[0].starts_with("TEMP_INGEST__KINESIS__STREAM: "),
        "{problems:?}"
    );
}

#[test]
fn a_syntax_error_says_its_line() {
    let problems = read_text("lanes = 16\nsink = \n", &[]).unwrap_err();
    assert!(problems[0].starts_with("config.toml:2:"), "{problems:?}");
}

#[test]
fn a_named_file_that_is_missing_is_an_error_that_names_it() {
    let error = load(Some(Path::new("/nonexistent/config.toml")))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("/nonexistent/config.toml: reading the configuration: "),
        "{error}"
    );
}

#[test]
fn every_shipped_configuration_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "toml"))
    {
        let text = fs::read_to_string(file).unwrap();
        let read = checked(&file.display().to_string(), &text, &environment::Variables::default());
        assert!(read.is_ok(), "{}", read.unwrap_err());
    }
}

#[test]
fn the_commented_configuration_has_every_key_at_its_default() {
    let text = include_str!("../../config/config.toml");
    assert_eq!(toml::from_str::<Settings>(text).unwrap(), Settings::default());
    // Equal settings could also leave a key out.
    let mut written: toml::Table = toml::from_str(text).unwrap();
    written.insert("source".into(), toml::Table::new().into());
    assert_eq!(
        keys(&written),
        keys(&toml::Table::try_from(Settings::default()).unwrap())
    );
}

fn keys(table: &toml::Table) -> Vec<String> {
    let keys = table.iter().flat_map(|(key, value)| match value {
        toml::Value::Table(inner) => keys(inner).iter().map(|inner| format!("{key}.{inner}")).collect(),
        _ => vec![key.clone()],
    });
    keys.collect()
}

#[test]
fn the_embedded_default_has_sources_and_needs_no_network() {
    let settings = read_text(EMBEDDED_DEFAULT, &[]).unwrap();
    assert_eq!(settings.sink, sink::Kind::Embedded);
    assert!(settings.source.len() >= 2);
    assert_eq!(settings.warnings(), [""; 0]);
}

#[test]
fn two_parts_cannot_have_one_port() {
    let source = |name: &str, listen: &str| format!("[source.{name}]\nkind = \"http\"\nlisten = \"{listen}\"\n");
    let text = source("a", "127.0.0.1:9184") + &source("b", "127.0.0.1:9185") + &source("c", "127.0.0.1:9185");
    let problems = read_text(&text, &[]).unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(
        problems[0]
            .starts_with("config.toml:3:10: source.a.listen = \"127.0.0.1:9184\": is the port of dashboard.listen too"),
        "{problems:#?}"
    );
    assert!(
        problems[1]
            .starts_with("config.toml:9:10: source.c.listen = \"127.0.0.1:9185\": is the port of source.b.listen too"),
        "{problems:#?}"
    );
    let text = source("a", "127.0.0.1:0") + &source("b", "127.0.0.1:0") + &source("c", "127.0.0.2:9184");
    assert!(read_text(&text, &[]).is_ok());
    let any = read_text(
        &source("a", "127.0.0.2:9184"),
        &[("TEMP_INGEST__DASHBOARD__LISTEN", "0.0.0.0:9184")],
    );
    assert!(any.unwrap_err()[0].contains("is the port of dashboard.listen too"));
}

#[test]
fn what_is_hardly_meant_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let tokens = dir.path().join("tokens");
    fs::write(&tokens, "secret\n").unwrap();
    let text = format!(
        "[source.a]\nkind = \"http\"\nlisten = \"0.0.0.0:9185\"\ntoken_file = {tokens:?}\n[spool]\nwhen_full = \"drop_oldest\"\n"
    );
    let warnings = read_text(&text, &[]).unwrap().warnings();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].contains("source.a.listen can be reached from other machines without TLS"),
        "{warnings:?}"
    );
    assert!(warnings[1].contains("were told are safe"), "{warnings:?}");
}
