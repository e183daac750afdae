//! Tells people through a topic: by email, by SMS, and whatever else subscribes to it.

use std::collections::HashMap;

use aws_sdk_sns::Client;
use aws_sdk_sns::types::MessageAttributeValue;
use lambda::Message;
use lambda::message::Attribute;
use lambda::outbox::{TellError, Teller};
use lambda::tables::said;
use serde_json::json;

/// Publishes to one topic.
#[derive(Debug)]
pub struct Topic {
    client: Client,
    arn: String,
}

impl Topic {
    /// To the topic of this ARN.
    pub fn new(client: Client, arn: String) -> Self {
        Self { client, arn }
    }
}

impl Teller for Topic {
    async fn tell(&mut self, message: &Message) -> Result<(), TellError> {
        let forms = json!({"default": message.text, "email": message.text, "sms": message.sms});
        let request = self.client.publish().topic_arn(&self.arn);
        let request = request
            .subject(&message.subject)
            .message_structure("json")
            .message(forms.to_string())
            .set_message_attributes(Some(attributes(message)));
        request.send().await.map(drop).map_err(|error| TellError {
            subject: message.subject.clone(),
            source: said(&error).into(),
        })
    }
}

/// By which subscriptions filter: <https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html>.
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
