//! What is asked of STS: a form.

use std::collections::BTreeMap;

/// The parameters of a request by their names.
pub(crate) fn parse(body: &[u8]) -> BTreeMap<String, String> {
    form_urlencoded::parse(body).into_owned().collect()
}

/// The role that a request asks for, where it does.
pub(crate) fn role(body: &[u8]) -> Option<String> {
    parse(body).remove("RoleArn")
}
