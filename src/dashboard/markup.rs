//! HTML whose text is always escaped: only [`Tag`] makes markup, and whatever else is put into it is text.

use std::fmt::Write as _;

/// Markup that holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Html(String);

/// What can stand between tags.
pub(super) trait Part {
    fn put(&self, out: &mut String);
}

/// An opening tag.
#[derive(Debug)]
#[must_use]
pub(super) struct Tag {
    name: &'static str,
    out: String,
}

/// Begins an element.
pub(super) fn tag(name: &'static str) -> Tag {
    Tag {
        name,
        out: format!("<{name}"),
    }
}

/// A document of this content.
pub(super) fn document(content: &Html) -> String {
    format!("<!DOCTYPE html>{}", content.0)
}

/// Whatever the closure gives for each, one after the other.
pub(super) fn each<T, P: Part>(all: impl IntoIterator<Item = T>, part: impl Fn(T) -> P) -> Html {
    let mut out = String::new();
    for one in all {
        part(one).put(&mut out);
    }
    Html(out)
}

impl Tag {
    /// With an attribute.
    pub(super) fn with(mut self, name: &'static str, value: impl AsRef<str>) -> Self {
        let _ = write!(self.out, " {name}=\"");
        escape(value.as_ref(), &mut self.out);
        self.out.push('"');
        self
    }

    /// With an attribute that has no value, where `set`.
    pub(super) fn flag(mut self, name: &'static str, set: bool) -> Self {
        if set {
            let _ = write!(self.out, " {name}");
        }
        self
    }

    pub(super) fn class(self, value: &'static str) -> Self {
        self.with("class", value)
    }

    pub(super) fn id(self, value: impl AsRef<str>) -> Self {
        self.with("id", value)
    }

    /// Its content is put in the place of the old one's while the page is open.
    pub(super) fn live(self, id: impl AsRef<str>) -> Self {
        self.id(id).flag("data-live", true)
    }

    /// The element with this content.
    pub(super) fn of(mut self, content: impl Part) -> Html {
        self.out.push('>');
        content.put(&mut self.out);
        let _ = write!(self.out, "</{}>", self.name);
        Html(self.out)
    }

    /// The element, of a kind that has no content.
    pub(super) fn void(mut self) -> Html {
        self.out.push('>');
        Html(self.out)
    }
}

impl Part for Html {
    fn put(&self, out: &mut String) {
        out.push_str(&self.0);
    }
}

impl Part for &str {
    fn put(&self, out: &mut String) {
        escape(self, out);
    }
}

impl Part for String {
    fn put(&self, out: &mut String) {
        escape(self, out);
    }
}

impl Part for () {
    fn put(&self, _: &mut String) {}
}

impl<P: Part> Part for Option<P> {
    fn put(&self, out: &mut String) {
        if let Some(part) = self {
            part.put(out);
        }
    }
}

impl<P: Part> Part for &P {
    fn put(&self, out: &mut String) {
        (*self).put(out);
    }
}

macro_rules! one_after_the_other {
    ($($name:ident),*) => {
        impl<$($name: Part),*> Part for ($($name,)*) {
            #[allow(non_snake_case, reason = "a name is a type and its value")]
            fn put(&self, out: &mut String) {
                let ($($name,)*) = self;
                $($name.put(out);)*
            }
        }
    };
}

one_after_the_other!(A, B);
one_after_the_other!(A, B, C);
one_after_the_other!(A, B, C, D);
one_after_the_other!(A, B, C, D, E);
one_after_the_other!(A, B, C, D, E, F);
one_after_the_other!(A, B, C, D, E, F, G);
one_after_the_other!(A, B, C, D, E, F, G, H);

fn escape(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_text_is_escaped_wherever_it_stands() {
        let hostile = "\"><script>'&";
        let html = tag("p").id(hostile).flag("hidden", true).flag("open", false).of((
            hostile,
            hostile.to_owned(),
            tag("br").void(),
            Some(hostile),
            None::<&str>,
        ));
        let escaped = "&quot;&gt;&lt;script&gt;&#39;&amp;";
        assert_eq!(
            html.0,
            format!("<p id=\"{escaped}\" hidden>{escaped}{escaped}<br>{escaped}</p>")
        );
        assert_eq!(each(["<", "b"], |one| tag("i").of(one)).0, "<i>&lt;</i><i>b</i>");
    }
}
