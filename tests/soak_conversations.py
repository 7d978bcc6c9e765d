"""Thousands of generated conversations per template: `python tests/soak_conversations.py 10000`.

A seed may follow, and names of templates. One process per template, two at a time. A script that
breaks a property is appended to `regressions/conversations.jsonl`, which `test_certify.py` plays
from then on. Exit 1 if one did.
"""

import json
import logging
import multiprocessing
import sys
import time
from pathlib import Path

from templates import TEMPLATES, chat

from agentrl.certify.certificate import certify

REGRESSIONS = Path(__file__).parent / "regressions" / "conversations.jsonl"


def soak(name, conversations, seed):
    """A template's name, its certificate and the processor seconds it took."""
    logging.disable(logging.WARNING)  # that a template rewrites history is no news here
    started = time.process_time()
    certificate = certify(chat(name), conversations=conversations, seed=seed)
    return name, certificate.record(), time.process_time() - started


def keep(name, record):
    """Append the scripts that broke something and are not known yet."""
    known = set(REGRESSIONS.read_text().splitlines())
    broken = [{"template": name, "script": found["script"]} for found in record["first"].values()]
    lines = dict.fromkeys(json.dumps(script) for script in broken)
    new = [line for line in lines if line not in known]
    with REGRESSIONS.open("a") as file:
        file.writelines(f"{line}\n" for line in new)


def told(name, record, seconds):
    """One line."""
    counts = " ".join(f"{record[key]:>7} {key}" for key in ("turns", "tokens", "forked", "refused"))
    failed = {check: count for check, count in record["failed"].items() if count}
    return f"{name:<16}{record['conversations']:>7} {counts} {seconds:>5.0f} s  {failed or 'exact'}"


def main(conversations="10000", seed="0", *names):
    jobs = [(name, int(conversations), int(seed)) for name in names or TEMPLATES]
    exact = True
    with multiprocessing.get_context("spawn").Pool(2, maxtasksperchild=1) as pool:
        for result in [pool.apply_async(soak, job) for job in jobs]:
            name, record, seconds = result.get()
            keep(name, record)
            sys.stdout.write(f"{told(name, record, seconds)}\n")
            sys.stdout.flush()
            exact &= record["exact"]
    return 0 if exact else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
