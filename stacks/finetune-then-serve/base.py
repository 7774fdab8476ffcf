"""The base model, made on the spot: a Llama of two layers with random weights, and a tokenizer that knows our words."""

import sys

import torch
from facts import CAPITALS, question
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

out = sys.argv[1]
words = sorted({word for pair in CAPITALS.items() for word in (question(pair[0]) + f" {pair[1]}").split()})
vocabulary = {word: number for number, word in enumerate(["<s>", "</s>", "<unk>", *words])}

tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
fast = PreTrainedTokenizerFast(
    tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="</s>"
)
fast.save_pretrained(out)

torch.manual_seed(1)
config = LlamaConfig(
    vocab_size=len(vocabulary), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
    max_position_embeddings=64, bos_token_id=0, eos_token_id=1, pad_token_id=1,
)  # fmt: skip
model = LlamaForCausalLM(config)
model.save_pretrained(out)
print(f"{out}: {model.num_parameters():,} random parameters, {len(vocabulary)} words")
