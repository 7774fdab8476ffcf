"""A Llama of two layers with random weights and a tokenizer of bytes, as a GGUF file of half a megabyte."""

import sys

import gguf
import numpy

WIDTH, INNER, HEADS, LAYERS = 64, 128, 4, 2
TOKENS = [b"<unk>", b"<s>", b"</s>", *(f"<0x{byte:02X}>".encode() for byte in range(256))]
KINDS = [2, 3, 3] + [6] * 256  # unknown, control, control, bytes

random = numpy.random.default_rng(0)
writer = gguf.GGUFWriter(sys.argv[1], "llama")
writer.add_context_length(512)
writer.add_embedding_length(WIDTH)
writer.add_block_count(LAYERS)
writer.add_feed_forward_length(INNER)
writer.add_head_count(HEADS)
writer.add_layer_norm_rms_eps(1e-5)
writer.add_rope_dimension_count(WIDTH // HEADS)
writer.add_tokenizer_model("llama")
writer.add_token_list(TOKENS)
writer.add_token_scores([0.0] * len(TOKENS))
writer.add_token_types(KINDS)
writer.add_bos_token_id(1)
writer.add_eos_token_id(2)


def add(name, *shape):
    values = numpy.ones(shape) if len(shape) == 1 else random.normal(0, 0.05, shape)
    writer.add_tensor(f"{name}.weight", values.astype(numpy.float32))


add("token_embd", len(TOKENS), WIDTH)
add("output_norm", WIDTH)
add("output", len(TOKENS), WIDTH)
for layer in range(LAYERS):
    for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
        add(f"blk.{layer}.{part}", WIDTH, WIDTH)
    add(f"blk.{layer}.ffn_gate", INNER, WIDTH)
    add(f"blk.{layer}.ffn_up", INNER, WIDTH)
    add(f"blk.{layer}.ffn_down", WIDTH, INNER)
    add(f"blk.{layer}.attn_norm", WIDTH)
    add(f"blk.{layer}.ffn_norm", WIDTH)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
print(f"{sys.argv[1]}: {LAYERS} layers of {WIDTH}")
