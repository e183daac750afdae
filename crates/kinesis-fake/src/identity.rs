//! STS: who the caller is, and AssumeRole. It answers in XML. Every role trusts everybody, unless the operation is denied.

use crate::form;
use crate::ledger::Session;
use crate::refusal::{ACCOUNT, CALLER, Refusal};
use crate::state::State;

/// What access keys of an assumed role begin with.
const KEY: &str = "ASIAROLE";

pub(crate) fn caller(state: &State, access_key: &str) -> String {
    let session = state
        .ledger
        .counters
        .sessions
        .iter()
        .find(|session| session.key == access_key);
    let arn = session.map_or_else(|| CALLER.to_owned(), arn_of);
    format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>{arn}</Arn><UserId>AROAEXAMPLE:i-0123456789abcdef0</UserId><Account>{ACCOUNT}</Account>\
         </GetCallerIdentityResult><ResponseMetadata><RequestId>00000000-0000-0000-0000-000000000000</RequestId>\
         </ResponseMetadata></GetCallerIdentityResponse>"
    )
}

pub(crate) fn assume(state: &mut State, access_key: &str, body: &[u8]) -> Result<String, Refusal> {
    let mut question = form::parse(body);
    let mut wanted = |name: &str| {
        let value = question.remove(name);
        value.ok_or_else(|| Refusal::validation("null", name, "not be null"))
    };
    let (role_arn, name) = (wanted("RoleArn")?, wanted("RoleSessionName")?);
    let (key, expiration) = state.new_session(KEY);
    let session = Session {
        role_arn,
        name,
        external_id: question.remove("ExternalId"),
        by: access_key.to_owned(),
        key,
    };
    let answer = format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><AssumedRoleUser>\
         <AssumedRoleId>AROAEXAMPLE:{}</AssumedRoleId><Arn>{}</Arn></AssumedRoleUser><Credentials>\
         <AccessKeyId>{}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>session</SessionToken>\
         <Expiration>{expiration}</Expiration></Credentials></AssumeRoleResult><ResponseMetadata>\
         <RequestId>00000000-0000-0000-0000-000000000000</RequestId></ResponseMetadata></AssumeRoleResponse>",
        session.name,
        arn_of(&session),
        session.key,
    );
    state.ledger.counters.sessions.push(session);
    Ok(answer)
}

fn arn_of(session: &Session) -> String {
    let role = session
        .role_arn
        .replace(":iam:", ":sts:")
        .replace(":role/", ":assumed-role/");
    format!("{role}/{}", session.name)
}
