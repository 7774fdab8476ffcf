"""Fine-tune in as many processes as torchrun starts: each has its share of the sentences, gradients are averaged (gloo)."""

import argparse

import torch
import torch.distributed as dist
from facts import CAPITALS, question
from torch.nn.parallel import DistributedDataParallel
from transformers import AutoModelForCausalLM, AutoTokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()

    dist.init_process_group(
        "gloo"
    )  # rank, number of processes and rendezvous are in the environment, from torchrun
    rank, ranks = dist.get_rank(), dist.get_world_size()
    tokenizer = AutoTokenizer.from_pretrained(options.base)
    model = AutoModelForCausalLM.from_pretrained(options.base)
    training = DistributedDataParallel(model)

    sentences = [f"{question(country)} {city} </s>" for country, city in CAPITALS.items()][rank::ranks]
    batch = torch.tensor(tokenizer(sentences)["input_ids"])
    print(f"rank {rank} of {ranks}: {len(sentences)} sentences", flush=True)

    optimizer = torch.optim.AdamW(training.parameters(), lr=3e-3)
    for step in range(1, options.steps + 1):
        loss = training(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()  # waits for the other ranks
        optimizer.step()
        if rank == 0 and (step % 25 == 0 or step == options.steps):
            print(f"step {step:4}/{options.steps}  loss {loss.item():.3f}", flush=True)

    if rank == 0:
        model.save_pretrained(options.out)
        tokenizer.save_pretrained(options.out)
        print(f"wrote {options.out}")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
