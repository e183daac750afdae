"""What subscribers of the topic got: a queue, a web server, and a stand-in for the topic itself."""

from __future__ import annotations

import json
import threading
import uuid
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from .standin import Standin


@dataclass(frozen=True)
class Message:
    subject: str
    text: str
    attributes: dict[str, str]

    @classmethod
    def of(cls, envelope: str) -> Message:
        """From the envelope of sns-message-and-json-formats."""
        notice = json.loads(envelope)
        attributes = {name: one["Value"] for name, one in notice.get("MessageAttributes", {}).items()}
        return cls(notice.get("Subject", ""), notice["Message"], attributes)


class Queue:
    """An SQS queue subscribed to a topic."""

    def __init__(self, standin: Standin, topic: str):
        self._sqs = standin.client("sqs")
        name = f"inbox-{uuid.uuid4().hex[:12]}"
        self.url = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        # The stand-in answers for a host name of its own: the queue is addressed where everything else is.
        self.url = f"{standin.url}/{self.url.split('/', 3)[3]}"
        arn = self._sqs.get_queue_attributes(
            QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = {"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",
            "Resource": arn, "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}]}
        self._sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": json.dumps(policy)})
        standin.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def take(self) -> list[Message]:
        """All messages that came since the last time. Delivery is done when the publisher has its answer."""
        messages = []
        while received := self._sqs.receive_message(
                QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=0).get("Messages"):
            for one in received:
                messages.append(Message.of(one["Body"]))
                self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=one["ReceiptHandle"])
        return messages


class Server:
    """An HTTP server of the test's own. `answer` gets each body and its headers, returns status, content type and body."""

    def __init__(self, answer):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, kind, out = answer(body, self.headers)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(out)))
                self.end_headers()
                self.wfile.write(out)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class WebInbox(Server):
    """A web server subscribed to a topic. Notices come on threads of their own: `await_messages` waits for them."""

    def __init__(self, standin: Standin, topic: str):
        self._changed = threading.Condition()
        self._messages: list[Message] = []
        self._sns = standin.client("sns")
        self._topic = topic
        super().__init__(self._answer)

    def __enter__(self):
        super().__enter__()
        self._sns.subscribe(TopicArn=self._topic, Protocol="http", Endpoint=self.url)
        return self

    def _answer(self, body: bytes, _):
        notice = json.loads(body)
        if notice["Type"] == "SubscriptionConfirmation":
            self._sns.confirm_subscription(TopicArn=self._topic, Token=notice["Token"])
        else:
            with self._changed:
                self._messages.append(Message.of(body))
                self._changed.notify_all()
        return 200, "text/plain", b""

    def await_messages(self, count: int, seconds: float = 30) -> list[Message]:
        with self._changed:
            self._changed.wait_for(lambda: len(self._messages) >= count, seconds)
            return list(self._messages)


class TopicDouble(Server):
    """Stands for SNS itself, to fail, and to see what is published in all its forms: the stand-in only logs that there
    was an email or an SMS. The function is pointed at it by AWS_ENDPOINT_URL_SNS."""

    def __init__(self):
        self.published: list[dict] = []
        # How many of the next calls publish and yet get no good answer.
        self.lose_answers = 0
        super().__init__(self._answer)

    def _answer(self, body: bytes, _):
        fields = {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
        self.published.append(fields)
        if self.lose_answers > 0:
            self.lose_answers -= 1
            return 400, "text/xml", b"<ErrorResponse><Error><Code>Lost</Code></Error></ErrorResponse>"
        answer = (
            '<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult>'
            f"<MessageId>{uuid.uuid4()}</MessageId></PublishResult></PublishResponse>"
        )
        return 200, "text/xml", answer.encode()
