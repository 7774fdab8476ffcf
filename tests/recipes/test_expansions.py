"""What each recipe of launchpad expands to, against what the program's own sources say.

The table is written by hand from those sources, and not from the recipes: the command line, what is asked for readiness, the
ports, and where it is said.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, field

from launchpad.core.model import CheckKind, Ref, Service, Text
from launchpad.stack.recipe import names, packaged, shared_traps
from tests.stack.writing import planned


class Fact(Struct, frozen=True):
    """`HOST` and `PORT` stand for what the service was given, `PORT_X` for its port `x`."""

    says: str
    """Its keys in the stack, besides `uses`."""
    command: str
    ready: str
    """A path on the main port, `tcp`, or nothing: a job."""
    source: str
    """A part of one of the recipe's sources."""
    ports: tuple[str, ...] = ("main",)
    environment: dict[str, str] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    """Of the readiness check."""


HOST = "127.0.0.7"
"""Another one than a recipe could have by chance."""
SLOW = {"stall_s": 600.0}
VLLM = "vllm serve m --host HOST --port PORT"
FACTS: dict[str, Fact] = {
    "vllm": Fact("model: m, args: --dtype half", f"{VLLM} --dtype half", "/health", "vllm 0.33.0", more=SLOW),
    "vllm-trl": Fact(
        "model: m, args: --dtype half",
        f"{VLLM} --weight-transfer-config {{\"backend\":\"nccl\"}} --logprobs-mode processed_logprobs --max-logprobs -1 "
        "--enable-scale-out --dtype half",
        "/health",
        "trl 1.16.0, scripts/vllm_serve.py",
        environment={"VLLM_SERVER_DEV_MODE": "1"},
        more=SLOW,
    ),
    "sglang": Fact(
        "model: m, args: --tp 2",
        "python -m sglang.launch_server --model-path m --host HOST --port PORT --nccl-port PORT_NCCL --tp 2",
        "/health",
        "srt/entrypoints/http_server.py",
        ("main", "nccl"),
        more={**SLOW, "probe_timeout_s": 25.0},
    ),
    "llama-cpp": Fact(
        "model: m.gguf, args: -c 4096",
        "llama-server -m m.gguf --host HOST --port PORT -c 4096",
        "/health",
        "tools/server",
        more=SLOW,
    ),
    "llama-cpp-python": Fact(
        "model: m.gguf",
        "python -m llama_cpp.server --model m.gguf --host HOST --port PORT",
        "/v1/models",
        "llama_cpp_python 0.3.36",
        more=SLOW,
    ),
    "ollama": Fact("", "ollama serve", "/api/version", "docs/faq.md", environment={"OLLAMA_HOST": "HOST:PORT"}),
    "tgi": Fact(
        "model: m, args: --num-shard 2",
        "text-generation-launcher --model-id m --hostname HOST --port PORT --prometheus-port PORT_PROMETHEUS --master-port "
        "PORT_MASTER --shard-uds-path /tmp/text-generation-server-PORT --num-shard 2",
        "/health",
        "launcher/src/main.rs",
        ("main", "prometheus", "master"),
        more=SLOW,
    ),
    "transformers-serve": Fact(
        "model: m, args: --device cpu",
        "transformers serve m --host HOST --port PORT --device cpu",
        "/health",
        "transformers 5.23.0",
        more=SLOW,
    ),
    "text-embeddings-inference": Fact(
        "model: m",
        "text-embeddings-router --model-id m --hostname HOST --port PORT --prometheus-port PORT_PROMETHEUS --uds-path "
        "/tmp/text-embeddings-inference-PORT",
        "/health",
        "router/src/main.rs",
        ("main", "prometheus"),
        more=SLOW,
    ),
    "infinity": Fact(
        "model: m", "infinity_emb v2 --model-id m --host HOST --port PORT", "/health", "infinity_emb 0.0.78", more=SLOW
    ),
    "litellm": Fact(
        "args: --config l.yaml",
        "litellm --host HOST --port PORT --config l.yaml",
        "/health/readiness",
        "docs.litellm.ai/docs/proxy/health",
    ),
    "litserve": Fact("args: server.py", "python server.py", "/health", "litserve 0.2.19", more=SLOW),
    "bentoml": Fact(
        "args: service:Svc", "bentoml serve --host HOST --port PORT service:Svc", "/readyz", "bentoml 1.4.39", more=SLOW
    ),
    "mlserver": Fact(
        "args: .",
        "mlserver start .",
        "/v2/health/ready",
        "mlserver 1.7.1",
        ("main", "grpc", "metrics"),
        {
            "MLSERVER_HOST": "HOST",
            "MLSERVER_HTTP_PORT": "PORT",
            "MLSERVER_GRPC_PORT": "PORT_GRPC",
            "MLSERVER_METRICS_PORT": "PORT_METRICS",
        },
        {**SLOW, "successes": 2},
    ),
    "triton": Fact(
        "model: models",
        "tritonserver --model-repository models --http-address HOST --http-port PORT --grpc-address HOST --grpc-port PORT_GRPC "
        "--metrics-port PORT_METRICS",
        "/v2/health/ready",
        "src/main.cc",
        ("main", "grpc", "metrics"),
        more=SLOW,
    ),
    "uvicorn": Fact("args: app:app", "python -m uvicorn --host HOST --port PORT app:app", "tcp", "uvicorn.org/settings"),
    "tensorboard": Fact("args: --logdir r", "tensorboard --host HOST --port PORT --logdir r", "/", "tensorboard 2.21.0"),
    "mlflow": Fact(
        "args: --workers 1", "mlflow server --host HOST --port PORT --workers 1", "/health", "mlflow 3.17.2"
    ),
    "jupyter": Fact(
        "args: --allow-root",
        "jupyter lab --no-browser --ip HOST --port PORT --ServerApp.port_retries=0 --allow-root",
        "/api",
        "jupyter_server 2.21.1",
    ),
    "ray": Fact(
        "args: --num-cpus 1",
        "ray start --head --block --disable-usage-stats --node-ip-address 127.0.0.1 --port PORT_GCS --dashboard-host HOST "
        "--dashboard-port PORT --num-cpus 1",
        "/api/version",
        "ray 2.60.0",
        ("main", "gcs"),
    ),
    "torchrun": Fact(
        "args: --nproc-per-node 2 train.py --lr 1",
        "torchrun --nnodes 1 --master-addr 127.0.0.1 --master-port PORT_MASTER --nproc-per-node 2 train.py --lr 1",
        "",
        "torch 2.13.0",
        ("master",),
    ),
    "accelerate": Fact(
        "args: train.py",
        "accelerate launch --main_process_port PORT_MASTER train.py",
        "",
        "accelerate 1.15.0",
        ("master",),
    ),
    "deepspeed": Fact(
        "args: train.py",
        "deepspeed --master_addr 127.0.0.1 --master_port PORT_MASTER train.py",
        "",
        "launcher/launch.py",
        ("master",),
    ),
    "lm-eval": Fact("args: --tasks t", "lm_eval --tasks t", "", "lm_eval 0.4.13", ()),
}  # fmt: skip


def expanded(folder: Path, name: str, says: str, group: str) -> Service:
    text = f"{group}: {{it: {{uses: {name}, host: {HOST}{', ' * bool(says)}{says}}}}}\n"
    reading = planned(folder, text)
    assert reading.warnings == ()
    (service,) = reading.plan.services
    return service


def told(text: Text) -> str:
    """With the places of the table in place of references."""
    return "".join(part.replace(HOST, "HOST") if isinstance(part, str) else port(part) for part in text)


def port(ref: Ref) -> str:
    assert ref.service == "it"
    number = "PORT" if ref.port == "main" else f"PORT_{ref.port.upper()}"
    return {"url": f"http://HOST:{number}", "address": f"HOST:{number}", "port": number}[ref.form]


def test_every_recipe_has_its_facts() -> None:
    assert set(FACTS) == set(names())


@pytest.mark.parametrize("name", FACTS)
def test_it_expands_to_what_its_sources_say(tmp_path: Path, name: str) -> None:
    fact = FACTS[name]
    service = expanded(tmp_path, name, fact.says, "servers" if fact.ready else "jobs")
    assert " ".join(told(one) for one in service.command) == fact.command
    assert tuple(one.name for one in service.ports) == fact.ports
    recipe = packaged(name)
    assert recipe is not None
    assert any(fact.source in source for source in recipe.head.sources)


@pytest.mark.parametrize("name", [name for name, fact in FACTS.items() if fact.ready])
def test_it_asks_what_tells_that_it_is_ready(tmp_path: Path, name: str) -> None:
    fact = FACTS[name]
    service = expanded(tmp_path, name, fact.says, "servers")
    assert service.ready is not None
    assert service.ready.timeout_s is None, "loading a model takes as long as it takes"
    if fact.ready == "tcp":
        assert service.ready.kind is CheckKind.TCP
    else:
        assert told(service.ready.target) == f"http://HOST:PORT{fact.ready}"
    assert {key: getattr(service.ready, key) for key in fact.more} == fact.more
    if service.alive is not None:
        assert service.alive.kind is CheckKind.HTTP
        assert service.alive.failures > 3 <= service.alive.interval_s


@pytest.mark.parametrize("name", [name for name, fact in FACTS.items() if fact.environment])
def test_it_is_told_the_rest_by_its_environment(tmp_path: Path, name: str) -> None:
    fact = FACTS[name]
    service = expanded(tmp_path, name, fact.says, "servers")
    found = {key: told(value) for key, value in service.environment}
    assert {key: found[key] for key in fact.environment} == fact.environment


@pytest.mark.parametrize("name", FACTS)
def test_its_ranges_suit_every_machine(tmp_path: Path, name: str) -> None:
    """Below the kernel's own ports, off Ray's (that would be a warning), with room for a second one of it."""
    fact = FACTS[name]
    service = expanded(tmp_path, name, fact.says, "servers" if fact.ready else "jobs")
    for one in service.ports:
        assert one.high < 32768
        assert one.high - one.low >= 20


@pytest.mark.parametrize("name", FACTS)
def test_what_it_needs_is_asked_for(tmp_path: Path, name: str) -> None:
    """Where `model` or `args` is required, its example makes a stack that is in order."""
    recipe = packaged(name)
    assert recipe is not None
    asked = {"model": recipe.head.model, "args": recipe.head.args}
    says = ", ".join(f"{key}: '{one.example}'" for key, one in asked.items() if one is not None)
    others = "servers: {llm: {uses: vllm, model: m}}\n" if name == "lm-eval" else ""
    group = recipe.head.kinds[0]
    planned(tmp_path, f"{others}{group}s: {{it: {{uses: {name}{', ' * bool(says)}{says}}}}}\n")


def test_a_model_that_may_be_left_out_leaves_no_empty_argument(tmp_path: Path) -> None:
    service = expanded(tmp_path, "transformers-serve", "", "servers")
    assert [told(one) for one in service.command][:3] == ["transformers", "serve", "--host"]


SAID = {
    "cuda-memory": "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.25 GiB",
    "no-gpu": "RuntimeError: No CUDA GPUs are available",
    "address-in-use": "OSError: [Errno 98] Address already in use",
    "hub-access": "huggingface_hub.errors.GatedRepoError: 401 Client Error.",
    "hub-unreachable": "OSError: We couldn't connect to 'https://huggingface.co' to load the files",
    "no-module": "ModuleNotFoundError: No module named 'vllm'",
    "disk-full": "OSError: [Errno 28] No space left on device",
    "shared-memory": "RuntimeError: unable to open shared memory object </torch_123> in read-write mode",
}


SAY_ALONE = (
    ("vllm", "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`"),
    ("vllm", "ValueError: To serve at least one request with the model's max seq len (40960), (4.38 GiB KV cache is needed, "
     "which is larger than the available KV cache memory (2.05 GiB). Based on the available memory, …"),
    ("vllm", "ValueError: Free memory on device cuda:0 (12.3/79.2 GiB) on startup is less than desired GPU memory utilization"),
    ("vllm-trl", "vllm: error: unrecognized arguments: --enable-scale-out"),
    ("sglang", "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static."),
    ("ollama", 'level=ERROR source=server.go msg="ggml_backend_cuda_buffer_type_alloc_buffer: cudaMalloc failed: out of memory"'),
)  # fmt: skip
"""As their sources have it: what no recipe but their own knows."""


@pytest.mark.parametrize(("name", "line"), SAY_ALONE)
def test_traps_of_programs_that_are_not_run_here(name: str, line: str) -> None:
    recipe = packaged(name)
    assert recipe is not None
    own = [trap for trap in recipe.traps if trap not in shared_traps().values()]
    assert [bool(re.search(trap.match, line)) for trap in own].count(True) == 1


def test_shared_traps_know_what_programs_say() -> None:
    known = shared_traps()
    assert set(known) == set(SAID)
    for name, line in SAID.items():
        assert [other for other, trap in known.items() if re.search(trap.match, line)] == [name]
    for trap in known.values():
        assert not re.search(trap.match, 'INFO:     127.0.0.1:44321 - "GET /health HTTP/1.1" 200 OK')
