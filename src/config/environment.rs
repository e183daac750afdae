//! Settings from the environment: `TEMP_INGEST__SECTION__KEY` over the file.

use std::collections::BTreeMap;
use std::env;

use config::{Config, Environment, File, FileFormat, Map};

use super::Settings;

const PREFIX: &str = "TEMP_INGEST";
const SEPARATOR: &str = "__";

/// The environment variables that set something, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Those of this process.
    pub(super) fn of_process() -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let mut variables = Vec::new();
        for (name, value) in env::vars_os() {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            match value.into_string() {
                Ok(value) => variables.push((name.to_owned(), value)),
                Err(value) => problems.push(format!("{name}: {value:?} is not UTF-8")),
            }
        }
        if problems.is_empty() {
            Self::new(variables)
        } else {
            Err(problems)
        }
    }

    /// Those of these that begin as settings do; one that only nearly does is a mistake.
    pub(super) fn new(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, Vec<String>> {
        let (ours, others): (BTreeMap<_, _>, BTreeMap<_, _>) = variables
            .into_iter()
            .partition(|(name, _)| name.starts_with(&format!("{PREFIX}{SEPARATOR}")));
        // With one underscore a variable would be ignored without a word.
        let known = toml::Table::try_from(Settings::default()).expect("default settings can be written as TOML");
        let nearly: Vec<_> = others
            .keys()
            .filter_map(|name| {
                let key = name.strip_prefix(PREFIX)?.strip_prefix('_')?;
                let table = key.split(SEPARATOR).next()?.to_lowercase();
                known
                    .contains_key(&table)
                    .then(|| format!("{name}: has no effect; write {PREFIX}{SEPARATOR}{key}, with two underscores"))
            })
            .collect();
        if nearly.is_empty() { Ok(Self(ours)) } else { Err(nearly) }
    }

    /// The variable that sets this key, if one does.
    pub(super) fn setting(&self, key: &str) -> Option<&str> {
        let wanted = format!("{PREFIX}{SEPARATOR}{}", key.replace('.', SEPARATOR));
        self.0
            .keys()
            .find(|name| name.eq_ignore_ascii_case(&wanted))
            .map(String::as_str)
    }

    /// Lays the variables over a text that is valid by itself. What fails now is a variable's fault, and each is tried
    /// alone, so that all that are wrong are named. A key that takes no text may take a list.
    pub(super) fn overlay(&self, text: &str) -> Result<Settings, Vec<String>> {
        let (mut given, mut problems) = (Given::default(), Vec::new());
        for (name, value) in &self.0 {
            let alone = Given::text(name, value);
            let tried = match (alone.over(text), list(value)) {
                (Err(_), Some(list)) => {
                    let alone = Given::list(name, list);
                    alone.over(text).map(|_| alone)
                }
                (result, _) => result.map(|_| alone),
            };
            match tried {
                Ok(alone) => given.add(alone),
                Err(error) => problems.push(format!("{name}: {}", in_words(&error))),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        given
            .over(text)
            .map_err(|error| vec![format!("{PREFIX}{SEPARATOR}*: {}", in_words(&error))])
    }
}

/// Variables as they are taken.
#[derive(Default)]
struct Given {
    texts: Map<String, String>,
    /// By key.
    lists: Map<String, Vec<String>>,
}

impl Given {
    fn text(name: &str, value: &str) -> Self {
        let texts = [(name.to_owned(), value.to_owned())].into();
        Self {
            texts,
            ..Self::default()
        }
    }

    fn list(name: &str, list: Vec<String>) -> Self {
        let key = name
            .split(SEPARATOR)
            .skip(1)
            .collect::<Vec<_>>()
            .join(".")
            .to_lowercase();
        Self {
            lists: [(key, list)].into(),
            ..Self::default()
        }
    }

    fn add(&mut self, more: Self) {
        self.texts.extend(more.texts);
        self.lists.extend(more.lists);
    }

    fn over(&self, text: &str) -> Result<Settings, config::ConfigError> {
        let environment = Environment::with_prefix(PREFIX)
            .prefix_separator(SEPARATOR)
            .separator(SEPARATOR)
            .source(Some(self.texts.clone()));
        let mut builder = Config::builder()
            .add_source(File::from_str(text, FileFormat::Toml))
            .add_source(environment);
        for (key, list) in &self.lists {
            builder = builder.set_override(key, list.clone())?;
        }
        builder.build()?.try_deserialize()
    }
}

/// A list of texts, written as in the file.
fn list(value: &str) -> Option<Vec<String>> {
    let value: toml::Value = value.parse().ok()?;
    let texts = value.as_array()?.iter().map(|one| one.as_str().map(str::to_owned));
    texts.collect()
}

/// The message without the key, which the variable's name says already.
fn in_words(error: &config::ConfigError) -> String {
    match error {
        config::ConfigError::At { error, .. } => in_words(error),
        error => {
            let message = error.to_string();
            let remedy = r#"; write a list as in the file: ["one", "two"]"#;
            let remedy = if message.ends_with("expected a sequence") {
                remedy
            } else {
                ""
            };
            message + remedy
        }
    }
}
