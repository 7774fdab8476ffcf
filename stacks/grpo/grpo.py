"""GRPO on sums that are made on the spot: vLLM writes, the reward server scores, TRL trains."""

import argparse
import json
import random
from urllib.request import Request, urlopen

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer


def sums(count: int) -> Dataset:
    chance = random.Random(1)
    pairs = [(chance.randint(10, 99), chance.randint(10, 99)) for _ in range(count)]
    ask = "What is {} + {}? End with the number alone."
    rows = [
        {"prompt": [{"role": "user", "content": ask.format(a, b)}], "answer": str(a + b)} for a, b in pairs
    ]
    return Dataset.from_list(rows)


def rewards_of(address: str):
    def rewards(completions, answer, **_) -> list[float]:
        texts = [messages[0]["content"] for messages in completions]
        body = json.dumps({"completions": texts, "answers": answer}).encode()
        with urlopen(
            Request(f"{address}/score", body, {"Content-Type": "application/json"}), timeout=60
        ) as scores:
            return json.load(scores)

    return rewards


def config(options: argparse.Namespace) -> GRPOConfig:
    return GRPOConfig(
        output_dir="checkpoints",
        max_steps=options.steps,
        per_device_train_batch_size=8,
        num_generations=8,
        max_completion_length=256,
        use_vllm=True,
        vllm_mode="server",
        vllm_server_base_url=options.vllm,
        vllm_group_port=options.group_port,
        report_to="tensorboard",
        logging_steps=1,
        bf16=options.bf16,
    )


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--vllm", required=True, help="its address")
    parser.add_argument("--group-port", type=int, required=True, help="over which weights are sent")
    parser.add_argument("--reward", required=True, help="the address of the reward server")
    parser.add_argument("--no-bf16", dest="bf16", action="store_false")
    return parser.parse_args(words)


if __name__ == "__main__":
    options = parse()
    GRPOTrainer(
        model=options.model,
        reward_funcs=rewards_of(options.reward),
        args=config(options),
        train_dataset=sums(2000),
    ).train()
