"""Where the dashboard of a cluster is: its jobs, its Ray Data pipelines with their operators, its nodes and logs."""

from manifests.errors import ConfigError


def find(address: str) -> str:
    """The dashboard's URL of a cluster. address: `http://HEAD:8265` already, or `HEAD:6379` to ask the cluster.

    Raises ConfigError `dashboard:address` when no cluster answers, `dashboard:none` when it runs without one.
    """
    if address.startswith(("http://", "https://")):
        return address
    import logging

    import ray

    try:
        with ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False) as context:
            url = context.dashboard_url
    except (ConnectionError, RuntimeError) as error:
        raise ConfigError("dashboard:address", f"no cluster at {address}: {error}") from None
    if not url:
        raise ConfigError("dashboard:none", f"the cluster at {address} runs without a dashboard: `ray start` had none")
    return f"http://{url}"
