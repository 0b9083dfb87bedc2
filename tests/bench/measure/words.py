"""The function that is served: about 10 µs of regular expressions and sets. This file is its source."""

import re

WORD = re.compile(r"[a-z]+")
GOOD = {"good", "great", "fine"}
BAD = {"bad", "poor", "awful"}


def run(input):
    words = WORD.findall(input["text"].lower())
    score = sum((word in GOOD) - (word in BAD) for word in words)
    return {"label": "positive" if score > 0 else "negative" if score < 0 else "neutral", "score": score}
