//! Why a JSON text is no reading: by field, place and remedy.

use crate::Form;

/// Why a JSON text is no reading. Places count bytes from 0.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is not text.
    #[error("a reading is not UTF-8 from byte {0} on: send UTF-8")]
    NotUtf8(usize),
    /// It is something other than an object; shortened.
    #[error("a reading is not a JSON object but {0:?}: send objects such as {example}", example = example(Form::General))]
    NotAnObject(Box<str>),
    /// It is not JSON, or has a field twice.
    #[error("a reading is not well-formed: {0}: send objects such as {example}", example = example(Form::General))]
    Malformed(serde_json::Error),
    /// A field that must be there is not.
    #[error("a reading has no field `{field}`: send objects such as {example}", example = example(*form))]
    Missing {
        /// The field.
        field: &'static str,
        /// The form that the other fields belong to.
        form: Form,
    },
    /// A field says what no reading can carry.
    #[error("field `{field}` at byte {offset} is {value}: {problem}")]
    Field {
        /// The field.
        field: &'static str,
        /// Where its value begins.
        offset: usize,
        /// Its value as written, shortened.
        value: Box<str>,
        /// What is wrong with it, and how to mend that.
        problem: Box<str>,
    },
}

impl DecodeError {
    /// The variant, as a word of a closed set: log field and metric label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NotUtf8(_) => "not_utf8",
            Self::NotAnObject(_) => "not_an_object",
            Self::Malformed(_) => "malformed",
            Self::Missing { .. } => "missing_field",
            Self::Field { .. } => "bad_field",
        }
    }
}

/// The beginning of a text, as much as a log line can bear.
pub(super) fn shortened(text: &str) -> Box<str> {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

fn example(form: Form) -> &'static str {
    match form {
        Form::General => r#"{"sensor":"DHT_001","time":"2024-05-01T10:00:00Z","kind":"temperature","value":97.3}"#,
        Form::Device => {
            r#"{"timestamp":"2024-05-01 10:00:00","datatype":"Temperature","value":97.3,"deviceid":"DHT_001"}"#
        }
    }
}
