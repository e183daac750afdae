//! The fields of a JSON object, nested ones joined with points, in memory that serves for all messages.

use std::fmt::{self, Write};
use std::ops::Range;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// A device has some dozens; what has more is no reading.
const MAX_FIELDS: usize = 1_024;
/// The longest name a sensor may have is shorter. It bounds what many fields below one long name take.
const MAX_PATH_BYTES: usize = 512;

/// The fields of one object at a time.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// Paths and texts of all fields.
    text: String,
    path: String,
    fields: Vec<(Range<usize>, Raw)>,
}

#[derive(Clone, Debug)]
enum Raw {
    Number(f64),
    Boolean(bool),
    Text(Range<usize>),
    Null,
}

/// What a field says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Number(f64),
    Boolean(bool),
    Text(&'a str),
    Null,
}

impl Fields {
    /// Takes the fields of this object in place of those before. Objects and lists are not fields themselves.
    pub fn read(&mut self, json: &[u8]) -> Result<(), serde_json::Error> {
        self.clear();
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        Node(self).deserialize(&mut deserializer)?;
        deserializer.end()
    }

    /// Forgets all fields.
    pub fn clear(&mut self) {
        self.text.clear();
        self.path.clear();
        self.fields.clear();
    }

    /// Each field's path and value, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Value<'_>)> {
        self.fields.iter().map(|(path, raw)| {
            let value = match raw {
                Raw::Number(number) => Value::Number(*number),
                Raw::Boolean(boolean) => Value::Boolean(*boolean),
                Raw::Text(text) => Value::Text(&self.text[text.clone()]),
                Raw::Null => Value::Null,
            };
            (&self.text[path.clone()], value)
        })
    }

    /// The first field at this path.
    pub fn get(&self, path: &str) -> Option<Value<'_>> {
        self.iter().find(|(found, _)| *found == path).map(|(_, value)| value)
    }

    fn push<E: de::Error>(&mut self, raw: Raw) -> Result<(), E> {
        if self.fields.len() == MAX_FIELDS {
            return Err(E::custom(format_args!("more than {MAX_FIELDS} fields")));
        }
        let start = self.text.len();
        self.text.push_str(&self.path);
        self.fields.push((start..self.text.len(), raw));
        Ok(())
    }

    /// Goes one level down. Gives what [`Fields::leave`] needs to come back.
    fn enter<E: de::Error>(&mut self, level: impl fmt::Display) -> Result<usize, E> {
        let above = self.path.len();
        if above > 0 {
            self.path.push('.');
        }
        write!(self.path, "{level}").expect("a text takes any text");
        match self.path.len() {
            0..=MAX_PATH_BYTES => Ok(above),
            _ => Err(E::custom(format_args!(
                "a field whose name has more than {MAX_PATH_BYTES} bytes"
            ))),
        }
    }

    fn leave(&mut self, above: usize) {
        self.path.truncate(above);
    }
}

/// A value at the path where the fields are.
struct Node<'f>(&'f mut Fields);

/// A key, which leads one level down.
struct Key<'f>(&'f mut Fields);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(above) = map.next_key_seed(Key(self.0))? {
            map.next_value_seed(Node(self.0))?;
            self.0.leave(above);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        for index in 0_usize.. {
            let above = self.0.enter(index)?;
            let more = list.next_element_seed(Node(self.0))?;
            self.0.leave(above);
            if more.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<(), E> {
        self.0.push(Raw::Number(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<(), E> {
        self.0.push(Raw::Number(number as f64))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<(), E> {
        self.0.push(Raw::Number(number as f64))
    }

    fn visit_bool<E: de::Error>(self, boolean: bool) -> Result<(), E> {
        self.0.push(Raw::Boolean(boolean))
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.0.push(Raw::Null)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        let start = self.0.text.len();
        self.0.text.push_str(text);
        let end = self.0.text.len();
        self.0.push(Raw::Text(start..end))
    }
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<usize, E> {
        self.0.enter(key)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn nested_fields_are_joined_and_lists_numbered() {
        let mut fields = Fields::default();
        fields.read(br#"{"before":1}"#).unwrap();
        fields
            .read(br#"{"a":1,"b":{"c":-2,"d":{"e":"x\ny"}},"f":[3.5,{"g":true}],"h":null,"i":{},"j":[]}"#)
            .unwrap();
        let found: Vec<_> = fields.iter().collect();
        let expected = [
            ("a", Value::Number(1.0)),
            ("b.c", Value::Number(-2.0)),
            ("b.d.e", Value::Text("x\ny")),
            ("f.0", Value::Number(3.5)),
            ("f.1.g", Value::Boolean(true)),
            ("h", Value::Null),
        ];
        assert_eq!(found, expected);
        assert_eq!(fields.get("b.c"), Some(Value::Number(-2.0)));
        assert_eq!(fields.get("before"), None);
    }

    #[test]
    fn what_would_take_too_much_memory_is_refused() {
        let mut fields = Fields::default();
        let many: Vec<_> = (0..=MAX_FIELDS).map(|index| format!("\"{index}\":1")).collect();
        let error = fields.read(format!("{{{}}}", many.join(",")).as_bytes()).unwrap_err();
        assert!(error.to_string().contains("1024 fields"), "{error}");
        let long = format!("{{\"{}\":1}}", "x".repeat(MAX_PATH_BYTES + 1));
        let error = fields.read(long.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("512 bytes"), "{error}");
        assert!(fields.read(b"{} {}").is_err());
    }
}
