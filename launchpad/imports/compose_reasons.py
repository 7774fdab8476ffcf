"""Why keys of a compose file are not carried over: one table, by key.

A key that is in neither table here nor in `compose_keys` is listed as unknown.
"""

from __future__ import annotations

_PATHS = (
    "there is no container: programs see this machine's files, so paths in commands may have to be others"
)
_ADDRESSES = "there is no network of its own: services reach each other as `${NAME.url}`, on the loopback"
_RIGHTS = "a service has your own rights, neither more nor less"
_LIMITS = "launchpad limits no resources"
_IMAGES = "launchpad runs programs of this machine, no images"
_NAMES = "a service has no name but its own"
_STREAMS = "launchpad keeps every service's output itself: see `output`"

SERVICE: dict[str, str] = {
    **dict.fromkeys(("volumes", "volumes_from", "tmpfs", "devices", "read_only", "storage_opt"), _PATHS),
    **dict.fromkeys(
        ("networks", "network_mode", "links", "external_links", "extra_hosts", "dns", "dns_opt", "dns_search",
         "mac_address"), _ADDRESSES,
    ),
    **dict.fromkeys(
        ("user", "group_add", "privileged", "cap_add", "cap_drop", "security_opt", "userns_mode", "credential_spec",
         "use_api_socket"), _RIGHTS,
    ),
    **dict.fromkeys(
        ("cpus", "cpu_count", "cpu_percent", "cpu_shares", "cpu_period", "cpu_quota", "cpu_rt_period",
         "cpu_rt_runtime", "cpuset", "mem_limit", "mem_reservation", "mem_swappiness", "memswap_limit", "shm_size",
         "ulimits", "blkio_config", "pids_limit", "oom_kill_disable", "oom_score_adj", "sysctls", "cgroup",
         "cgroup_parent"), _LIMITS,
    ),
    **dict.fromkeys(("platform", "pull_policy", "pull_refresh_after", "runtime", "isolation", "provider", "models"),
                    _IMAGES),
    **dict.fromkeys(("container_name", "hostname", "domainname", "labels", "label_file", "annotations"), _NAMES),
    **dict.fromkeys(("logging", "attach", "tty", "stdin_open"), _STREAMS),
    **dict.fromkeys(("ipc", "pid", "uts"), "services share everything with this machine already"),
    **dict.fromkeys(("secrets", "configs"), "nothing is mounted; give the file's path in `environment` or `env_file`"),
    **dict.fromkeys(("post_start", "pre_stop", "pre_start"), "launchpad has no hooks; a job with `depends_on` may do"),
    "init": "launchpad ends the whole tree of a service by itself",
    "extends": "what it takes from there has to be written here, or put under `defaults`",
    "deploy": "launchpad places nothing",
}  # fmt: skip
"""Of a service."""

DEPLOY: dict[str, str] = {
    "resources": _LIMITS,
    "labels": _NAMES,
    "endpoint_mode": _ADDRESSES,
    "update_config": "a change of the file is applied to what it concerns; see `on_change`",
    "rollback_config": "a change that cannot be applied changes nothing",
    "placement": "all runs on this machine",
    "mode": "all runs on this machine",
}
"""Of a service's `deploy`."""

TOP: dict[str, str] = {
    "version": "it means nothing any more, in compose either",
    "volumes": _PATHS,
    "networks": _ADDRESSES,
    "secrets": "nothing is mounted; give the files' paths in `environment` or `env_file`",
    "configs": "nothing is mounted; give the files' paths in `environment` or `env_file`",
    "models": "write it as a server of its own",
    "include": "import that file as well, and put the two together",
}
"""Of the file."""

UNKNOWN = "launchpad has nothing like it"
