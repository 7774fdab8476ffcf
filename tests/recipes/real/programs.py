"""Real programs by their recipes: what each is given, what is asked of it, and what it takes to install it.

Which of them are installed is known by whoever runs this: a folder with a virtual environment for each, called as `env` says.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
from msgspec import Struct, field

from tests.e2e.harness import eventually

FILES = Path(__file__).resolve().parent / "files"
EXAMPLE = Path(__file__).resolve().parents[3] / "stacks" / "llama"


class Program(Struct, frozen=True):
    """`keys`: what the stack says besides `uses`. `ask`: one real request, by the address; returns what is worth telling."""

    env: str
    install: tuple[str, ...]
    version_of: str
    keys: str
    asked: str
    ask: Callable[[str], str] | None = None
    files: tuple[str, ...] = ()
    """Of `files/`, beside the stack."""
    make: tuple[str | Path, ...] = ()
    """A script that makes a model, of `files/` or by its path, and its arguments; run by the environment's Python."""
    is_job: bool = False
    prints: str = ""
    """What a job must have printed."""
    note: str = ""
    environment: dict[str, str] = field(default_factory=dict)


def get(url: str, **options: object) -> httpx.Response:
    return _ask("GET", url, **options)


def _ask(method: str, url: str, **options: object) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=120) as client:
        answer = client.request(method, url, **options)  # type: ignore[arg-type]
    answer.raise_for_status()
    return answer


def _completion(url: str) -> str:
    body = {"model": "model", "prompt": "one two", "max_tokens": 4}
    answer = _ask("POST", f"{url}/v1/completions", json=body).json()
    assert answer["choices"]
    return f"{answer['usage']['completion_tokens']} tokens"


def _mlflow(url: str) -> str:
    made = _ask("POST", f"{url}/api/2.0/mlflow/experiments/create", json={"name": "one"}).json()
    found = get(f"{url}/api/2.0/mlflow/experiments/get", params={"experiment_id": made["experiment_id"]})
    assert found.json()["experiment"]["name"] == "one"
    return "experiment 1"


def _double(url: str) -> str:
    answer = _ask("POST", f"{url}/predict", json={"input": 21.0}).json()
    assert answer == {"output": 42.0}
    return "42"


def _bento(url: str) -> str:
    answer = _ask("POST", f"{url}/double", json={"x": 21}).json()
    assert answer == 42
    return "42"


def _mlserver(url: str) -> str:
    body = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [21.0]}]}
    answer = _ask("POST", f"{url}/v2/models/double/infer", json=body).json()
    assert answer["outputs"][0]["data"] == [42.0]
    return "42"


KEY = "sk-0123456789-abcdefghij-0123456789"


def _litellm(url: str) -> str:
    body = {"model": "canned", "messages": [{"role": "user", "content": "hello"}]}
    head = {"Authorization": f"Bearer {KEY}"}
    answer = _ask("POST", f"{url}/v1/chat/completions", json=body, headers=head).json()
    assert answer["choices"][0]["message"]["content"] == "a canned answer"
    return "a canned answer"


def _ray(url: str) -> str:
    made = _ask("POST", f"{url}/api/jobs/", json={"entrypoint": "echo from the job"}).json()
    job = f"{url}/api/jobs/{made['submission_id']}"

    def ended() -> str:
        status = str(get(job).json()["status"])
        return status if status not in ("PENDING", "RUNNING") else ""

    status = str(eventually(ended, "the job ends", 120))
    assert (status, "from the job" in get(f"{job}/logs").json()["logs"]) == ("SUCCEEDED", True)
    return status


def _jupyter(url: str) -> str:
    found = get(f"{url}/api/contents", headers={"Authorization": "token secret"}).json()
    assert found["type"] == "directory"
    return "the folder"


def _tensorboard(url: str) -> str:
    assert "version" in get(f"{url}/data/environment").json()
    return "version"


def _hello(url: str) -> str:
    assert get(f"{url}/hello").json() == {"said": "hello"}
    return "hello"


PROGRAMS: dict[str, Program] = {
    "uvicorn": Program(
        "uvicorn", ("uvicorn",), "uvicorn", 'args: "hello:app --workers 2"', "GET /hello", _hello, ("hello.py",)
    ),
    "tensorboard": Program(
        "tensorboard", ("tensorboard",), "tensorboard", "args: --logdir .", "GET /data/environment", _tensorboard
    ),
    "mlflow": Program(
        "mlflow",
        ("mlflow",),
        "mlflow",
        'args: "--backend-store-uri sqlite:///mlflow.db --workers 2"',
        "an experiment, made and read back",
        _mlflow,
    ),
    "jupyter": Program(
        "jupyter",
        ("jupyterlab",),
        "jupyter_server",
        "args: --allow-root, environment: {JUPYTER_TOKEN: secret}",
        "GET /api/contents with the token",
        _jupyter,
    ),
    "torchrun": Program(
        "torch",
        ("torch==2.13.0", "numpy"),
        "torch",
        'args: "--nproc-per-node 2 ranks.py"',
        "all-reduce over 2 ranks (gloo)",
        files=("ranks.py",),
        is_job=True,
        prints="rank 0 of 2: the sum is 3",
    ),
    "accelerate": Program(
        "torch",
        ("torch==2.13.0", "accelerate"),
        "accelerate",
        'args: "--cpu --num_processes 1 prepared.py"',
        "a model prepared, one step",
        files=("prepared.py",),
        is_job=True,
        prints="one step on cpu",
    ),
    "litserve": Program(
        "litserve", ("litserve",), "litserve", "args: double_lit.py", "POST /predict", _double, ("double_lit.py",)
    ),
    "transformers-serve": Program(
        "tserve",
        ("torch==2.13.0", "transformers[serving]"),
        "transformers",
        'model: model, args: "--device cpu", environment: {HF_HUB_OFFLINE: "1"}',
        "POST /v1/completions (a random Llama of two layers)",
        _completion,
        make=("make_llama.py",),
    ),
    "llama-cpp-python": Program(
        "llamacpp",
        ("llama-cpp-python[server]", "gguf"),
        "llama_cpp_python",
        "model: model.gguf",
        "POST /v1/completions (a random GGUF of two layers)",
        _completion,
        make=(EXAMPLE / "make_model.py", "model.gguf"),
    ),
    "litellm": Program(
        "litellm",
        ("litellm[proxy]",),
        "litellm",
        'args: "--config canned.yaml", environment: {LITELLM_LOCAL_MODEL_COST_MAP: "True", LITELLM_MASTER_KEY: '
        f"{KEY}}}",
        "POST /v1/chat/completions (a canned answer)",
        _litellm,
        ("canned.yaml",),
    ),
    "ray": Program("ray", ("ray[default]",), "ray", 'args: "--num-cpus 1"', "a job, submitted and waited for", _ray),
    "bentoml": Program(
        "bentoml", ("bentoml",), "bentoml", 'args: "double_bento:Double"', "POST /double", _bento, ("double_bento.py",)
    ),
    "mlserver": Program(
        "mlserver",
        ("mlserver", "uvloop<0.22"),
        "mlserver",
        "args: .",
        "POST /v2/models/double/infer",
        _mlserver,
        ("double_mlserver.py", "model-settings.json"),
    ),
}  # fmt: skip


class Failure(Struct, frozen=True):
    """A start that cannot go well, and the trap that is told of it."""

    recipe: str
    keys: str
    says: str


OFFLINE = 'environment: {HF_HUB_OFFLINE: "1"}'
FAILURES = (
    Failure("uvicorn", "args: nowhere:app", "the application is not where `args` says"),
    Failure("jupyter", "output: console", "it does not run as root unless it is told to"),
    Failure(
        "litellm",
        'args: "--config canned.yaml", environment: {LITELLM_LOCAL_MODEL_COST_MAP: "True"}',
        "it does not start without a key of its own",
    ),
    Failure("litellm", "args: --config none.yaml", "the configuration is not where `args` says"),
    Failure("llama-cpp-python", "model: none.gguf", "the file is not there, or is no GGUF that it can read"),
    Failure("bentoml", "args: nowhere:Double", "the service is not where `args` says, or does not load"),
    Failure("transformers-serve", f"model: no/such-model, {OFFLINE}", "the model is not on this machine"),
    Failure("torchrun", "args: --nproc-per-node 2 -m nowhere", "a Python package is missing"),
    Failure("litserve", "args: -m litserve_of_nobody", "a Python package is missing"),
)

NOT_HERE = {
    "vllm": "needs a GPU (the wheel has CUDA kernels only); played in `tests/e2e/test_fake_vllm.py`",
    "vllm-trl": "needs a GPU",
    "sglang": "needs a GPU",
    "tgi": "needs a GPU; no package to install",
    "triton": "no package to install",
    "text-embeddings-inference": "no package to install",
    "ollama": "no package to install",
    "llama-cpp": "no package to install",
    "infinity": "not tried: needs a model from the hub",
    "deepspeed": "not tried: nothing to show without a GPU",
    "lm-eval": "not tried: needs data sets from the hub",
}
