"""Writes pair_tokens.json: preference rows as token ids, by transformers.

Prompt and completion are tokenized apart, as TRL's DPO trainer does. Strings: the prompt with the tokenizer's special
tokens, the completion without, then eos. Messages: the model's chat template renders the prompt with its generation
prompt, and prompt with completion; what the second adds to the first is the completion.

    pip install transformers
    python tests/golden/pair_tokens.py
"""

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] | trim"
    " + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ["<s>", "</s>", "<|im_start|>", "<|im_end|>"]


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


ROWS = [
    {"id": "strings", "prompt": "What is the capital of France?", "chosen": " Paris.", "rejected": " London, I think."},
    {"id": "no-blank", "prompt": "A:", "chosen": "yes", "rejected": "no"},
    {"id": "ends-itself", "prompt": "Say bye.", "chosen": " Bye</s>", "rejected": " Hello"},
    {"id": "unicode", "prompt": "Grüße, 世界 🙂", "chosen": " schön ✓", "rejected": " \n\n"},
    {"id": "messages", "prompt": [user("What is the capital of France?")], "chosen": [assistant("Paris.")],
     "rejected": [assistant("London, I think.")]},
    {"id": "turns", "prompt": [{"role": "system", "content": "Be brief."}, user("Hi"), assistant("Hello"), user("Why?")],
     "chosen": [assistant(" Because. ")], "rejected": [assistant("I do not\nknow.")]},
    {"id": "several", "prompt": [user("Hi")], "chosen": [assistant("Hello"), user("Bye"), assistant("Bye")],
     "rejected": [assistant("Hello"), user("Bye"), assistant("No")]},
]


def build():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(["What is the capital of France? Paris. I think I do not know. assistant user"], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return tokenizer


def encode(tokenizer, row):
    if isinstance(row["prompt"], str):
        plain = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]
        ended = lambda ids: ids if ids[-1] == tokenizer.eos_token_id else ids + [tokenizer.eos_token_id]
        return tokenizer(row["prompt"])["input_ids"], ended(plain(row["chosen"])), ended(plain(row["rejected"]))
    prompt = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, tokenize=False)
    sides = []
    for side in ("chosen", "rejected"):
        whole = tokenizer.apply_chat_template(row["prompt"] + row[side], tokenize=False)
        assert whole.startswith(prompt)
        sides.append(tokenizer(whole[len(prompt):], add_special_tokens=False)["input_ids"])
    return tokenizer(prompt, add_special_tokens=False)["input_ids"], *sides


def main():
    bare = build()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bare, bos_token="<s>", eos_token="</s>", chat_template=TEMPLATE, clean_up_tokenization_spaces=False
    )
    rows = []
    for row in ROWS:
        prompt, chosen, rejected = encode(tokenizer, row)
        rows.append({"row": row, "prompt": prompt, "chosen": chosen, "rejected": rejected})
    config = {"bos_token": "<s>", "eos_token": "</s>", "chat_template": TEMPLATE}
    golden = {"tokenizer": json.loads(bare.to_str()), "tokenizer_config": config, "rows": rows}
    path = Path(__file__).with_name("pair_tokens.json")
    path.write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")
    print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
