"""An instance can be lost or attacked at any time: its disks are encrypted, and nobody gets hold of its role."""

from __future__ import annotations

from collections.abc import Iterator

from .rule import rule
from .template import Finding, Template


@rule
def metadata_needs_a_token(template: Template) -> Iterator[Finding]:
    for launch in template.resources("AWS::EC2::LaunchTemplate"):
        options = launch.at("Properties/LaunchTemplateData/MetadataOptions")
        yield from options.at("HttpTokens").must_be(
            "required", why="without a token, any request that a program is tricked into sending gives the role away")
        yield from options.at("HttpPutResponseHopLimit").must_be(
            1, why="a token must not leave the instance, as through a proxy")


@rule
def volumes_are_encrypted(template: Template) -> Iterator[Finding]:
    for launch in template.resources("AWS::EC2::LaunchTemplate"):
        for volume in launch.at("Properties/LaunchTemplateData/BlockDeviceMappings").items():
            yield from volume.at("Ebs/Encrypted").must_be(True, why="the spool holds readings")
            yield from volume.at("Ebs/DeleteOnTermination").must_be(
                True, why="a volume that stays is paid for, and nobody sees it; the drain empties it first")


@rule
def instances_have_no_keys(template: Template) -> Iterator[Finding]:
    for launch in template.resources("AWS::EC2::LaunchTemplate"):
        data = launch.at("Properties/LaunchTemplateData")
        yield from data.at("KeyName").must_not_exist("people use Session Manager, which asks IAM and keeps a record")
        image = "an image that is named here is outdated tomorrow"
        yield from data.at("ImageId/Ref").must_be("Image", why=image)
        yield from template.at("Parameters/Image/Type").must_be(
            "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", why=image)


@rule
def instances_are_awaited_and_drained(template: Template) -> Iterator[Finding]:
    for group in template.resources("AWS::AutoScaling::AutoScalingGroup"):
        yield from group.at("CreationPolicy/ResourceSignal").must_exist(
            "without a signal a stack is complete before its instances work")
        yield from group.at("UpdatePolicy/AutoScalingRollingUpdate/WaitOnResourceSignals").must_be(
            True, why="without a signal an update goes on to the next instance before this one works")
        hooks = group.at("Properties/LifecycleHookSpecificationList")
        if not any(hook.at("LifecycleTransition").equals("autoscaling:EC2_INSTANCE_TERMINATING")
                   for hook in hooks.items()):
            yield Finding(hooks, "add a hook for autoscaling:EC2_INSTANCE_TERMINATING: without it, the spool is lost "
                                 "with the instance")


@rule
def deployments_are_rolled_back(template: Template) -> Iterator[Finding]:
    for deployments in template.resources("AWS::CodeDeploy::DeploymentGroup"):
        rollback = deployments.at("Properties/AutoRollbackConfiguration")
        alarms = deployments.at("Properties/AlarmConfiguration")
        back = "a revision that fails is replaced by the one before"
        yield from rollback.at("Enabled").must_be(True, why=back)
        for event in ("DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"):
            if not any(one.equals(event) for one in rollback.at("Events").items()):
                yield Finding(rollback.at("Events"), f"add {event}: {back}")
        yield from alarms.at("Enabled").must_be(True, why="an alarm sees what the hooks cannot")
        yield from alarms.at("Alarms").must_hold_something("an alarm sees what the hooks cannot")
