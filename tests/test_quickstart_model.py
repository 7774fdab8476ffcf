"""The quickstart's model, server and evaluation, without launchpad: they must be right for the stack to show anything."""

from __future__ import annotations

import asyncio
import importlib
import json
import math
import random
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

STACKS = Path(__file__).parents[1] / "stacks"
QUICKSTART = STACKS / "quickstart"


@pytest.fixture(scope="module")
def modules() -> Iterator[dict[str, Any]]:
    """The scripts as modules. Their folder is on the path only meanwhile: their names are common ones."""
    names = ("model", "train", "serve", "evaluate")
    sys.path.insert(0, str(QUICKSTART))
    try:
        yield {name: importlib.import_module(name) for name in names}
    finally:
        sys.path.remove(str(QUICKSTART))
        for name in names:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def texts(modules: dict[str, Any]) -> tuple[str, str]:
    learnt, held_out = modules["model"].read_corpus()
    return learnt[:20_000], held_out[:2_000]


@pytest.fixture(scope="module")
def model(modules: dict[str, Any], texts: tuple[str, str]) -> Any:
    return modules["train"].train(*texts, steps=40, seed=1)


@pytest.fixture(scope="module")
def checkpoint(model: Any, texts: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("checkpoint") / "checkpoint.bin"
    check = texts[1][:200]
    model.save(path, {"held_out_loss": 2.5, "check": check, "check_loss": model.loss(check)})
    return path


# --- the model -------------------------------------------------------------------------------------------------------


def test_a_step_follows_the_numerical_gradient(modules: dict[str, Any]) -> None:
    text, position, rate = "the cat sat on the mat", 17, 0.5
    model = modules["model"].Model.for_text(text)
    trainer = modules["model"].Trainer(model)
    trainer.learn(text, 5, position, rate)  # so that the weights are not all zero
    before, squares = list(model.weights), list(trainer.squares)
    trainer.learn(text, position, position + 1, rate)
    moved = [place for place, weight in enumerate(before) if model.weights[place] != weight]
    after = model.weights
    expected_moves = len(model.ways[text[position]]) * (modules["model"].ORDER + 1)
    assert len(moved) == expected_moves
    for place in moved:
        gradient = (before[place] - after[place]) * math.sqrt(trainer.squares[place]) / rate
        assert trainer.squares[place] - squares[place] == pytest.approx(gradient**2)
        losses = []
        for nudge in (1e-5, -1e-5):
            model.weights = list(before)
            model.weights[place] += nudge
            losses.append(-model.log_probability(text[position], model.contexts(text, position)))
        assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(gradient, rel=1e-5)


def test_learning_lowers_the_loss_also_of_unseen_text(
    modules: dict[str, Any], model: Any, texts: Any
) -> None:
    untrained = modules["model"].Model.for_text(texts[0])
    assert untrained.loss(texts[1]) > 4
    assert model.loss(texts[1]) < 3
    trainer = modules["model"].Trainer(untrained)
    first, second = (trainer.learn(texts[0], 0, 3000, 0.5) for _ in range(2))
    assert second < first - 0.5


def test_the_loss_reported_while_learning_is_the_loss_before_the_update(modules: dict[str, Any]) -> None:
    text = "abracadabra"
    model = modules["model"].Model.for_text(text)
    before = model.loss(text, start=4)
    assert modules["model"].Trainer(model).learn(text, 4, len(text), rate=0.0) == pytest.approx(before)


def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    modules: dict[str, Any], texts: Any
) -> None:
    first, again, other = (modules["train"].train(*texts, steps=4, seed=seed).weights for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_probabilities_add_up_to_one_and_agree(model: Any, texts: Any) -> None:
    for position in (0, 1, 3, 500, 1999):
        contexts = model.contexts(texts[1], position)
        chances = model.distribution(contexts)
        assert math.fsum(chances.values()) == pytest.approx(1, abs=1e-9)
        for character in "e Qq'\n":
            assert math.log(chances[character]) == pytest.approx(model.log_probability(character, contexts))


def test_extreme_weights_do_not_overflow(modules: dict[str, Any]) -> None:
    model = modules["model"].Model.for_text("abc")
    for size in (1e3, -1e3):
        model.weights = [size] * modules["model"].TABLE
        assert math.fsum(model.distribution(model.contexts("abc", 3)).values()) == pytest.approx(1)
        assert math.isfinite(model.loss("abcabc"))
        assert math.isfinite(modules["model"].Trainer(model).learn("abcabc", 0, 6, 0.1))


def test_frequent_characters_are_near_the_root(modules: dict[str, Any]) -> None:
    ways = modules["model"].huffman_tree({"a": 100, "b": 10, "c": 5, "d": 1})
    assert [len(ways[c]) for c in "abcd"] == [1, 2, 3, 3]
    assert len({ways[c] for c in "abcd"}) == 4


def test_an_unknown_character_has_a_probability_and_is_never_generated(
    modules: dict[str, Any], model: Any
) -> None:
    unknown = modules["model"].UNKNOWN
    assert model.readable("snow ☃ man") == f"snow {unknown} man"
    assert math.isfinite(model.loss("snow ☃ man"))
    untrained = modules["model"].Model.for_text("ab")
    chance = random.Random(1)
    assert {untrained.sample("ab", 2.0, chance) for _ in range(200)} == {"a", "b"}


def test_temperature_zero_takes_the_likeliest_and_a_low_one_nearly_always(model: Any) -> None:
    chances = model.distribution(model.contexts("Alice wa", 8))
    likeliest = max(chances, key=lambda c: chances[c])
    assert {model.sample("Alice wa", 0, random.Random(seed)) for seed in range(5)} == {likeliest}
    assert {model.sample("Alice wa", 1e-6, random.Random(seed)) for seed in range(50)} == {likeliest}
    assert len({model.sample("Alice wa", 2.0, random.Random(seed)) for seed in range(50)}) > 3


def test_a_checkpoint_gives_the_same_probabilities(
    modules: dict[str, Any], model: Any, checkpoint: Path
) -> None:
    loaded, facts = modules["model"].Model.load(checkpoint)
    assert loaded.weights == model.weights
    assert loaded.ways == model.ways
    assert facts["held_out_loss"] == 2.5
    assert list(checkpoint.parent.iterdir()) == [checkpoint]


def test_whoever_reads_the_old_checkpoint_meanwhile_reads_it_whole(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.bin"
    path.write_bytes(b"the old one")
    with path.open("rb") as reader:
        model.save(path, {})
        assert reader.read() == b"the old one"


@pytest.mark.parametrize(
    "harm",
    [
        lambda content: content[:-8],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: b"",
        lambda content: b"[1]\n",
        lambda content: content.replace(b'"order": 5', b'"order": 4', 1),
    ],
)
def test_a_damaged_checkpoint_is_refused(
    modules: dict[str, Any], checkpoint: Path, tmp_path: Path, harm: Callable[[bytes], bytes]
) -> None:
    damaged = tmp_path / "damaged.bin"
    damaged.write_bytes(harm(checkpoint.read_bytes()))
    with pytest.raises(ValueError, match=re.escape("damaged.bin")):
        modules["model"].Model.load(damaged)


def test_a_save_that_fails_leaves_the_old_checkpoint(
    model: Any, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint.bin"
    path.write_bytes(b"old")

    def full_disk(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space"):
        model.save(path, {})
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


# --- the server ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service(modules: dict[str, Any], checkpoint: Path) -> Any:
    service = modules["serve"].Service()
    service.load(checkpoint)
    assert service.failure is None
    return service


@pytest.fixture
def ask(modules: dict[str, Any], service: Any) -> Callable[..., httpx.Response]:
    return lambda method, path, **more: request(modules["serve"].create_app(service), method, path, **more)


def request(app: Any, method: str, path: str, **more: Any) -> httpx.Response:
    async def go() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://llm") as client:
            return await client.request(method, path, **more)

    return asyncio.run(go())


def complete(ask: Callable[..., httpx.Response], **body: Any) -> dict[str, Any]:
    response = ask("POST", "/v1/completions", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_health_is_503_until_the_model_is_there(modules: dict[str, Any], checkpoint: Path) -> None:
    service = modules["serve"].Service()
    app = modules["serve"].create_app(service)
    assert request(app, "GET", "/health").status_code == 503
    refused = request(app, "POST", "/v1/completions", json={"prompt": "a"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "loading")
    service.load(checkpoint)
    assert request(app, "GET", "/health").status_code == 200
    assert request(app, "POST", "/v1/completions", json={"prompt": "a"}).status_code == 200


def test_a_checkpoint_that_predicts_otherwise_is_noticed(
    modules: dict[str, Any], model: Any, tmp_path: Path
) -> None:
    model.save(tmp_path / "other.bin", {"check": "Alice", "check_loss": 1.0})
    service = modules["serve"].Service()
    gave_up = threading.Event()
    modules["serve"].load_beside(service, tmp_path / "other.bin", gave_up.set)
    assert gave_up.wait(20)
    answer = request(modules["serve"].create_app(service), "GET", "/health")
    assert answer.status_code == 500
    assert "does not predict as it did" in answer.json()["error"]


def test_the_model_is_listed_with_its_loss(ask: Any) -> None:
    (entry,) = ask("GET", "/v1/models").json()["data"]
    assert (entry["id"], entry["object"], entry["meta"]["held_out_loss"]) == ("wonderland", "model", 2.5)


def test_a_completion_is_as_long_as_asked_and_repeats_with_its_seed(ask: Any) -> None:
    first, again, other = (
        complete(ask, prompt="Alice ", max_tokens=30, seed=seed, model="wonderland") for seed in (7, 7, 8)
    )
    text = first["choices"][0]["text"]
    assert len(text) == 30
    assert first["choices"][0]["finish_reason"] == "length"
    assert first["usage"] == {"prompt_tokens": 6, "completion_tokens": 30, "total_tokens": 36}
    assert text == again["choices"][0]["text"] != other["choices"][0]["text"]


def test_several_prompts_give_several_choices(ask: Any) -> None:
    answer = complete(ask, prompt=["The ", "Alice "], max_tokens=3, temperature=0, echo=True)
    texts = [choice["text"] for choice in answer["choices"]]
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    assert (texts[0][:4], texts[1][:6]) == ("The ", "Alice ")
    assert answer["usage"]["total_tokens"] == len("".join(texts)) == 16


def test_it_stops_at_a_stop_string_made_by_the_completion_only(ask: Any) -> None:
    whole = complete(ask, prompt="Alice ", max_tokens=60, temperature=0)["choices"][0]["text"]
    stop = whole[10:13]
    cut = complete(ask, prompt="Alice ", max_tokens=60, temperature=0, stop=["#", stop])["choices"][0]
    assert cut["text"] == whole[: whole.index(stop)]
    assert cut["finish_reason"] == "stop"
    across = "e " + whole[0]  # begins in the prompt
    assert (
        complete(ask, prompt="Alice ", max_tokens=1, temperature=0, stop=across)["choices"][0]["text"]
        == whole[0]
    )


def test_echoed_logprobs_measure_the_text_as_the_model_does(ask: Any, model: Any, texts: Any) -> None:
    text = texts[1][:300]
    answer = complete(ask, prompt=text, max_tokens=0, echo=True, logprobs=0)
    logprobs = answer["choices"][0]["logprobs"]
    assert answer["choices"][0]["text"] == text == "".join(logprobs["tokens"])
    assert logprobs["token_logprobs"][0] is None
    bits = -sum(logprobs["token_logprobs"][1:]) / 299 / math.log(2)
    assert bits == pytest.approx(model.loss(text, start=1), rel=1e-12)
    assert logprobs["text_offset"] == list(range(300))
    assert logprobs["top_logprobs"] is None
    assert answer["usage"]["completion_tokens"] == 0


def test_logprobs_of_what_was_generated_and_the_likeliest_beside_it(ask: Any) -> None:
    choice = complete(ask, prompt="Alice ", max_tokens=8, temperature=0, logprobs=3)["choices"][0]
    logprobs = choice["logprobs"]
    assert "".join(logprobs["tokens"]) == choice["text"]
    assert logprobs["text_offset"] == list(range(6, 14))
    for token, likely, top in zip(
        logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True
    ):
        assert len(top) == 3
        assert next(iter(top)) == token  # temperature 0 takes the likeliest
        assert top[token] == pytest.approx(likely)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": 3}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": "x" * 100_001}, "prompt"),
        ({"prompt": "\ud800"}, "prompt"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 1e9}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"logprobs": 6}, "logprobs"),
        ({"seed": "x"}, "seed"),
        ({"echo": 1}, "echo"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": ""}, "stop"),
        ({"stream": True}, "stream"),
        ({"n": 2}, "n"),
    ],
)
def test_a_wrong_field_is_named(ask: Any, body: dict[str, Any], param: str) -> None:
    answer = ask("POST", "/v1/completions", content=json.dumps({"prompt": "a"} | body))
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert f"`{param}`" in error["message"] or param == "prompt"


def test_an_unknown_model_and_a_body_that_is_none(ask: Any) -> None:
    unknown = ask("POST", "/v1/completions", json={"model": "gpt-4", "prompt": "a"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
    for content in (b"", b"{", b"[1]", b"\xff"):
        answer = ask("POST", "/v1/completions", content=content)
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].startswith("the body ")


# --- the evaluation --------------------------------------------------------------------------------------------------


class Served:
    """Stands in for httpx.Client: the app is asked directly, each request in a loop of its own."""

    base_url = "http://llm/v1/"

    def __init__(self, app: Any) -> None:
        self.app = app

    def get(self, path: str) -> httpx.Response:
        return request(self.app, "GET", f"/v1/{path}")

    def post(self, path: str, **more: Any) -> httpx.Response:
        return request(self.app, "POST", f"/v1/{path}", **more)


def test_the_evaluation_measures_what_the_model_measures(
    modules: dict[str, Any], service: Any, texts: Any
) -> None:
    before, text = texts[0][-16:], texts[1]
    through_the_server = modules["evaluate"].served_loss(
        Served(modules["serve"].create_app(service)), before, text
    )
    assert through_the_server == pytest.approx(service.model.loss(before + text, start=16), rel=1e-12)


def test_the_evaluation_fails_a_model_that_has_learnt_nothing(
    modules: dict[str, Any], service: Any, texts: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    good = Served(modules["serve"].create_app(service))
    assert modules["evaluate"].report(good, *texts, seed=1) == 0
    assert "wonderland (through the server)" in capsys.readouterr().out
    empty = modules["serve"].Service()
    empty.model = modules["model"].Model.for_text(texts[0])
    chance = random.Random(1)
    empty.model.weights = [chance.uniform(-1, 1) for _ in range(modules["model"].TABLE)]
    assert modules["evaluate"].report(Served(modules["serve"].create_app(empty)), *texts, seed=1) == 1
    assert "something is wrong" in capsys.readouterr().err


def test_the_unigram_baseline_by_hand(modules: dict[str, Any]) -> None:
    expected = -(math.log2(4 / 6) + math.log2(2 / 6)) / 2  # (3 + 1) and (1 + 1) of 4 + 2
    assert modules["evaluate"].unigram_loss("aaab", "ab") == pytest.approx(expected)


# --- the scripts and the stack ---------------------------------------------------------------------------------------


def run_script(name: str, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(QUICKSTART / name), *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        **more,
    )


def test_training_as_a_script_prints_a_falling_loss(modules: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "small.bin"
    ran = run_script("train.py", "--steps", "20", "--checkpoint", str(path))
    assert ran.returncode == 0, ran.stderr
    losses = [float(loss) for loss in re.findall(r"loss (\d\.\d+) bits per character  held-out", ran.stdout)]
    assert len(losses) == 10
    assert losses[-1] < losses[0] - 0.5
    _, facts = modules["model"].Model.load(path)
    assert f"held-out loss {facts['held_out_loss']:.4f} bits per character" in ran.stdout


def test_the_scripts_fail_with_a_sentence(tmp_path: Path) -> None:
    missing = run_script("serve.py", "--checkpoint", str(tmp_path / "none.bin"))
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
    assert "run train.py first" in missing.stderr
    nobody = run_script("evaluate.py", "http://127.0.0.1:1/v1")
    assert nobody.returncode == 1
    assert "no answer from http://127.0.0.1:1/v1" in nobody.stderr
    assert "Traceback" not in nobody.stderr
    nowhere = run_script("evaluate.py", env={})
    assert "set LLM_URL" in nowhere.stderr
    for name, package in (("serve.py", "uvicorn"), ("evaluate.py", "httpx")):
        bare = subprocess.run([sys.executable, "-S", str(QUICKSTART / name)], capture_output=True, text=True)
        assert bare.returncode == 1
        assert bare.stderr.count("\n") == 1
        assert "activate the environment" in bare.stderr
        assert package in bare.stderr


def test_the_stack_names_files_and_options_that_exist() -> None:
    stack = yaml.safe_load((STACKS / "quickstart.yaml").read_text())
    services = stack["jobs"] | stack["servers"]
    assert set(services) == {"train", "llm", "evaluate"}
    for service in services.values():
        python, script, *arguments = service["command"]
        assert python == "${stack.python}"
        source = (STACKS / script).read_text()
        assert all(f'"{option}"' in source for option in arguments if option.startswith("--"))
    assert services["llm"]["depends_on"] == {"train": "done"}
    assert services["evaluate"]["primary"] is True
