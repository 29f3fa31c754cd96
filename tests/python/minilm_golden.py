"""Writes the embeddings that sentence-transformers computes with the catalog's MiniLM, for tests/tests/minilm.rs: `minilm_golden.py MODEL_FOLDER > tests/data/minilm.json`.

Needs sentence-transformers and PyTorch, which are too large to be installed for each run of the tests; what is committed was made with sentence-transformers 3.1.1 and
PyTorch 2.4.1.
"""

import json
import sys

from sentence_transformers import SentenceTransformer

TEXTS = [
    "Hello",
    "The weather is lovely today.",
    "It's so sunny outside!",
    "He drove to the stadium.",
    "Wer hat Hamlet geschrieben? Naïve cafés — 日本語 and an emoji 🙂 in a text.",
    "A longer paragraph: " + "embedding models turn sentences into vectors whose distances follow their meaning, " * 12,
]

model = SentenceTransformer(sys.argv[1], device="cpu")
vectors = model.encode(TEXTS, normalize_embeddings=True, batch_size=1)
rows = [{"text": text, "embedding": [round(float(number), 6) for number in vector]} for text, vector in zip(TEXTS, vectors)]
json.dump(rows, sys.stdout, ensure_ascii=False)
