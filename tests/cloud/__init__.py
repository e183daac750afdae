"""The stacks of cfn/ on a local stand-in for AWS: deployed, fed by the daemon, polled by a model of the mappings."""
