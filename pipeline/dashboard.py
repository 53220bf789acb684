"""Where the dashboard of a cluster is: its jobs, its Ray Data pipelines with their operators, its nodes and logs."""

from manifests.errors import ConfigError


def find(address: str) -> str:
    """The dashboard's URL of a cluster. address: `http://HEAD:8265` already, or `HEAD:6379` to ask the cluster.

    Raises ConfigError `session:address` when no cluster answers, `dashboard:none` when it runs without one.
    """
    if address.startswith(("http://", "https://")):
        return address
    import logging

    import ray

    from pipeline.engine import session

    url = session.connect(address, logging_level=logging.ERROR, log_to_driver=False)
    ray.shutdown()
    if not url:
        raise ConfigError("dashboard:none", f"the cluster at {address} runs without a dashboard: `ray start` had none")
    return f"http://{url}"
