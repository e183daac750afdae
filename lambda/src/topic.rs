//! Notifies people through an SNS topic: by email, SMS and other subscriptions.

use std::collections::HashMap;

use aws_sdk_sns::Client;
use aws_sdk_sns::error::ProvideErrorMetadata;
use aws_sdk_sns::types::MessageAttributeValue;
use processor::Message;
use processor::dynamodb::said;
use processor::message::Attribute;
use processor::outbox::{Notifier, NotifyError};
use serde_json::json;

/// Publishes to one topic.
#[derive(Debug)]
pub struct Topic {
    client: Client,
    arn: String,
}

impl Topic {
    /// Publishes to the topic of this ARN.
    pub fn new(client: Client, arn: String) -> Self {
        Self { client, arn }
    }
}

impl Notifier for Topic {
    async fn notify(&mut self, message: &Message) -> Result<(), NotifyError> {
        let forms = json!({"default": message.text, "email": message.text, "sms": message.sms});
        let request = self.client.publish().topic_arn(&self.arn);
        let request = request
            .subject(&message.subject)
            .message_structure("json")
            .message(forms.to_string())
            .set_message_attributes(Some(attributes(message)));
        request.send().await.map(drop).map_err(|error| {
            let (subject, source) = (message.subject.clone(), said(&error).into());
            match is_about_content(error.code().unwrap_or_default(), error.message().unwrap_or_default()) {
                true => NotifyError::Refused { subject, source },
                false => NotifyError::Failed { subject, source },
            }
        })
    }
}

/// True if SNS rejects this message for its content. A wrong topic is an invalid parameter too, but for every message.
/// <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html#API_Publish_Errors>
fn is_about_content(code: &str, message: &str) -> bool {
    let invalid = [
        "InvalidParameter",
        "InvalidParameterException",
        "InvalidParameterValue",
        "ParameterValueInvalid",
        "InvalidParameterValueException",
        "ValidationError",
        "ValidationException",
    ];
    let message = message.to_lowercase();
    let of_the_topic = ["topicarn", "targetarn", "topic arn", "phonenumber", "endpoint"];
    invalid.contains(&code) && !of_the_topic.iter().any(|word| message.contains(word))
}

/// Attributes by which subscriptions filter: <https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html>.
fn attributes(message: &Message) -> HashMap<String, MessageAttributeValue> {
    let attributes = message.attributes.iter().map(|(name, attribute)| {
        let (kind, value) = match attribute {
            Attribute::Text(text) => ("String", text.clone()),
            Attribute::Number(number) => ("Number", number.to_string()),
        };
        let value = MessageAttributeValue::builder()
            .data_type(kind)
            .string_value(value)
            .build();
        ((*name).to_owned(), value.expect("it has a type"))
    });
    attributes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_rejected_only_for_its_content() {
        for (code, message) in [
            (
                "InvalidParameter",
                "Invalid parameter: Message attribute 'kind' value must not be empty",
            ),
            ("InvalidParameter", "Invalid parameter: Subject"),
            ("InvalidParameter", "Invalid parameter: Message too long"),
            (
                "ParameterValueInvalid",
                "The message attribute 'kind' with type 'String' must use field 'String'.",
            ),
        ] {
            assert!(is_about_content(code, message), "{code}: {message}");
        }
        for (code, message) in [
            ("InvalidParameter", "Invalid parameter: TopicArn"),
            (
                "InvalidParameter",
                "Invalid parameter: TopicArn or TargetArn Reason: no value for required parameter",
            ),
            ("NotFound", "Topic does not exist"),
            ("AuthorizationError", "User is not authorized to perform: SNS:Publish"),
            ("KMSDisabled", "the key is disabled"),
            ("Throttling", "Rate exceeded"),
            ("InternalError", ""),
            ("", ""),
        ] {
            assert!(!is_about_content(code, message), "{code}: {message}");
        }
    }
}
