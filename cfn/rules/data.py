"""Stored data is encrypted, can be restored, and is deleted when a person decides so."""

from __future__ import annotations

from collections.abc import Iterator

from .rule import rule
from .template import Finding, Template


@rule
def tables_can_be_restored(template: Template) -> Iterator[Finding]:
    for table in template.resources("AWS::DynamoDB::Table"):
        properties = table.at("Properties")
        yield from properties.at("PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled").must_be(
            True, why="without point-in-time recovery a mistake cannot be undone")
        yield from properties.at("DeletionProtectionEnabled/Fn::If/0").must_be(
            "HasDeletionProtection", why="the parameter DeletionProtection decides")


@rule
def tables_are_encrypted(template: Template) -> Iterator[Finding]:
    for table in template.resources("AWS::DynamoDB::Table"):
        encryption = table.at("Properties/SSESpecification")
        yield from encryption.at("SSEEnabled").must_be(True, why="tables are encrypted by a key of this account")
        yield from encryption.at("SSEType").must_be("KMS", why="tables are encrypted by a key of this account")


@rule
def tables_are_paid_by_use(template: Template) -> Iterator[Finding]:
    for table in template.resources("AWS::DynamoDB::Table"):
        yield from table.at("Properties/BillingMode").must_be(
            "PAY_PER_REQUEST", why="provisioned units throttle a burst of readings")


@rule
def streams_are_encrypted_unless_told_otherwise(template: Template) -> Iterator[Finding]:
    for stream in template.resources("AWS::Kinesis::Stream"):
        encryption = stream.at("Properties/StreamEncryption/Fn::If")
        condition = template.at("Conditions/HasStreamEncryption/Fn::Equals")
        only = "only the parameter StreamEncryption may leave a stream unencrypted"
        yield from encryption.at("0").must_be("HasStreamEncryption", why=only)
        yield from encryption.at("1/EncryptionType").must_be("KMS", why="streams are encrypted by KMS")
        yield from condition.at("0/Ref").must_be("StreamEncryption", why=only)
        yield from condition.at("1").must_be("KMS", why=only)
        yield from template.at("Parameters/StreamEncryption/Default").must_be(
            "KMS", why="encryption is the default")


@rule
def buckets_are_private(template: Template) -> Iterator[Finding]:
    for bucket in template.resources("AWS::S3::Bucket"):
        properties = bucket.at("Properties")
        for block in ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"):
            yield from properties.at(f"PublicAccessBlockConfiguration/{block}").must_be(
                True, why="nothing in a bucket is public")
        for ownership in properties.at("OwnershipControls/Rules").items():
            yield from ownership.at("ObjectOwnership").must_be(
                "BucketOwnerEnforced", why="access control lists get round the bucket's policy")


@rule
def buckets_are_encrypted(template: Template) -> Iterator[Finding]:
    for bucket in template.resources("AWS::S3::Bucket"):
        for encryption in bucket.at("Properties/BucketEncryption/ServerSideEncryptionConfiguration").items():
            yield from encryption.at("ServerSideEncryptionByDefault").must_exist("the bucket says how it encrypts")


@rule
def buckets_have_a_policy(template: Template) -> Iterator[Finding]:
    buckets = template.resources("AWS::S3::Bucket")
    named = [policy.at("Properties/Bucket/Ref") for policy in template.resources("AWS::S3::BucketPolicy")]
    for bucket in buckets:
        if sum(one.equals(bucket.name) for one in named) != 1:
            yield Finding(bucket, "give it one AWS::S3::BucketPolicy, which refuses plain connections")
    for one in named:
        if not any(one.equals(bucket.name) for bucket in buckets):
            yield Finding(one, "refer to a bucket of this template: a bucket has room for one policy, that of its own")


@rule
def buckets_clean_up(template: Template) -> Iterator[Finding]:
    for bucket in template.resources("AWS::S3::Bucket"):
        rules = bucket.at("Properties/LifecycleConfiguration/Rules")
        if not any(one.at("AbortIncompleteMultipartUpload").exists for one in rules.items()):
            yield Finding(rules, "add a rule with AbortIncompleteMultipartUpload: the parts of a broken upload are "
                                 "paid for, and nobody sees them")


@rule
def topics_are_encrypted(template: Template) -> Iterator[Finding]:
    policies = template.resources("AWS::SNS::TopicPolicy")
    for topic in template.resources("AWS::SNS::Topic"):
        key = topic.at("Properties/KmsMasterKeyId")
        if not key.is_map or any(text.value.startswith("alias/aws/") for text in key.texts()):
            yield Finding(key, "refer to a key of this account: CloudWatch cannot be allowed to use the one that AWS "
                               "manages for topics, so alarms would reach nobody")
        if not any(one.at("Ref").equals(topic.name)
                   for policy in policies for one in policy.at("Properties/Topics").items()):
            yield Finding(topic, "give it an AWS::SNS::TopicPolicy, which refuses plain connections")


@rule
def end_of_what_is_kept_is_stated(template: Template) -> Iterator[Finding]:
    for kept in template.resources("AWS::DynamoDB::Table", "AWS::Kinesis::Stream", "AWS::S3::Bucket", "AWS::KMS::Key",
                                   "AWS::Logs::LogGroup"):
        yield from kept.at("DeletionPolicy").must_be(
            "Delete", why="what a deleted stack leaves behind is in the way of the next one; a parameter protects data")
        yield from kept.at("UpdateReplacePolicy").must_exist(
            "it says what becomes of the data when an update replaces the resource")
