"""The child that speaks Lexicon: one job as JSON on stdin, one line of JSON on stdout.

Run by path with `python -I`, so it imports nothing of certbroker. It tells the class of an error and an HTTP status, never the text.
"""

import json
import sys
from typing import Any


def work(job: dict[str, Any]) -> bool:
    """Do it. Lexicon reads no environment and no file: it is given a dictionary alone."""
    from lexicon.client import Client
    from lexicon.config import ConfigResolver, DictConfigSource

    zone, provider = job["zone"], job["provider"]
    told = {"provider_name": provider, "domain": zone, "delegated": zone, "ttl": job["ttl"], provider: job["options"]}
    client = Client(ConfigResolver().with_dict(told))
    # it works a zone out of a suffix list; ours is the one that DNS says
    client.config.add_config_source(DictConfigSource({"domain": zone}), 0)
    with client as operations:  # logs in
        if job["op"] == "present":
            return bool(operations.create_record("TXT", job["fqdn"], job["value"]))
        if job["op"] == "cleanup":
            return bool(operations.delete_record(None, "TXT", job["fqdn"], job["value"]))
        return True


def main() -> None:
    said: dict[str, Any]
    try:
        said = {"ok": work(json.load(sys.stdin))}
    except Exception as error:  # noqa: BLE001 - the boundary of foreign code: its class is all we pass on
        response = getattr(error, "response", None)
        said = {"ok": False, "error": type(error).__name__, "status": getattr(response, "status_code", None)}
    sys.stdout.write("\n" + json.dumps(said) + "\n")


if __name__ == "__main__":
    main()
