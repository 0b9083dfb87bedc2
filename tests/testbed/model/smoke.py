"""Asks the model server http://model:8080 for code, for constrained output and for embeddings. Run by `smoke`."""

import json
from pathlib import Path
from urllib.request import Request, urlopen

TASKS = {
    "def reverse(text: str) -> str": "Reverse the text.",
    "def is_palindrome(text: str) -> bool": "Tell whether the text reads the same backwards.",
    "def sum_even(numbers: list[int]) -> int": "Add up the even numbers.",
    "def count_words(text: str) -> int": "Split the text at white space and count the words.",
}
LABEL = {"type": "object", "required": ["label"], "properties": {"label": {"enum": ["positive", "negative"]}}}


def post(path: str, **body: object) -> dict:
    request = Request("http://model:8080" + path, json.dumps(body).encode(), {"content-type": "application/json"})
    with urlopen(request, timeout=120) as response:
        return json.load(response)


def ask(prompt: str, **options: object) -> str:
    messages = [{"role": "user", "content": prompt}]
    reply = post("/v1/chat/completions", messages=messages, temperature=0, max_tokens=200, **options)
    answer, timings = reply["choices"][0]["message"]["content"], reply["timings"]
    print(f"\n> {prompt}\n{answer}")
    print(
        f"[prompt {timings['prompt_n']} tokens at {timings['prompt_per_second']:.0f}/s,"
        f" answer {timings['predicted_n']} tokens at {timings['predicted_per_second']:.0f}/s]"
    )
    return answer


def resident_mib() -> int:
    status = Path("/proc/1/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


def main() -> None:
    for signature, task in TASKS.items():
        ask(f"Write a Python function `{signature}`. {task}")

    schema = {"type": "json_schema", "json_schema": {"name": "label", "schema": LABEL}}
    answer = json.loads(ask("Label this review: a wonderful film.", response_format=schema))
    assert answer["label"] in ("positive", "negative"), answer

    reply = post("/v1/embeddings", input=["Reverse the text.", "Add up the numbers."])
    sizes = [len(item["embedding"]) for item in reply["data"]]
    assert sizes == [576, 576], sizes
    print(f"\nembeddings of {sizes[0]} numbers; resident memory {resident_mib()} MiB")


main()
