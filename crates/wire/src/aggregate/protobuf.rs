//! As much of protocol buffers as the aggregated format needs: varints and length-delimited fields.
//! <https://protobuf.dev/programming-guides/encoding/>

/// A field of a message, its number already read. Fixed-width values are no part of the format and are only skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed,
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Broken(pub &'static str);

const UNENDING: Broken = Broken("a varint does not end");
const TOO_LONG: Broken = Broken("a field is longer than what holds it");
const UNKNOWN: Broken = Broken("a field has the number 0 or an unknown wire type");

/// The fields of a message, in its order. Ends after the first that is broken.
#[derive(Clone, Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), Broken> {
        let key = self.varint()?;
        let value = match (key >> 3, key & 7) {
            (0, _) => return Err(UNKNOWN),
            (_, 0) => Value::Varint(self.varint()?),
            (_, 1) => self.take(8).map(|_| Value::Fixed)?,
            (_, 2) => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            (_, 5) => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(UNKNOWN),
        };
        Ok((key >> 3, value))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], Broken> {
        let length = usize::try_from(length).map_err(|_| TOO_LONG)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(TOO_LONG)?;
        self.0 = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Broken> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or(UNENDING)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(UNENDING);
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(UNENDING)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// The bytes of a length-delimited field whose number is below 16: key, length and content.
pub(super) fn bytes_len(content: usize) -> usize {
    content.saturating_add(1 + varint_len(content))
}

/// Appends the key and the length of a length-delimited field whose number is below 16.
pub(super) fn open_bytes(field: u64, content: usize, out: &mut Vec<u8>) {
    out.push((field << 3 | 2) as u8);
    let mut rest = content;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends a length-delimited field whose number is below 16.
pub(super) fn put_bytes(field: u64, content: &[u8], out: &mut Vec<u8>) {
    open_bytes(field, content.len(), out);
    out.extend_from_slice(content);
}

fn varint_len(number: usize) -> usize {
    (number | 1).ilog2() as usize / 7 + 1
}
