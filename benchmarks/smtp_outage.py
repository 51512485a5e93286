"""Let runs fail while the mail server is down, kill the sender on the way, and count what arrives.

    python benchmarks/smtp_outage.py [--down-seconds 600] [--failures 50] [--burst 500] [--kills 6]

The server is down for `--down-seconds`; meanwhile `--failures` Dagster runs fail, and the sender is killed once. Then
`--burst` runs fail, the server comes back, and the sender is killed with SIGKILL and started again while it drains. At
the end every failure must have reached its owner, no message id more often than once, except for one repetition per
kill. Exits with 1 otherwise.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path

import dagster as dg

from export_pipelines_tests.notify_servers import SmtpServer, smtp_server
from export_pipelines_tests.outages import Outage, Received, kill, running, wait_until


def main() -> int:
    """Run it all and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--down-seconds", type=float, default=600)
    parser.add_argument("--failures", type=int, default=50)
    parser.add_argument("--burst", type=int, default=500)
    parser.add_argument("--kills", type=int, default=6)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, smtp_server() as server:
        home = Path(directory) / "home"
        home.mkdir()
        os.environ["DAGSTER_HOME"] = str(home)
        with dg.DagsterInstance.get() as instance:
            return _rounds(Outage(Path(directory), options.failures + options.burst, server), server, instance, options)


def _rounds(outage: Outage, server: SmtpServer, instance: dg.DagsterInstance, options: argparse.Namespace) -> int:
    early, late = outage.names[: options.failures], outage.names[options.failures :]
    server.stop()
    down = time.monotonic()
    sender = outage.sender()
    pause = options.down_seconds / (len(early) + 1)
    for number, name in enumerate(early, 1):  # the first ones before anybody watches
        outage.fail(instance, [name])
        if number > 3:
            outage.observe(instance)
        if number == len(early) // 2:
            kill(sender)
            sender = outage.sender()
        time.sleep(max(0.0, down + number * pause - time.monotonic()))
    began = time.monotonic()
    outage.fail(instance, late)
    print(f"the burst of {len(late)} failed runs took {time.monotonic() - began:.0f} s")
    began = time.monotonic()
    outage.observe(instance)
    print(f"one tick of the observer recorded them in {time.monotonic() - began:.1f} s")
    time.sleep(max(0.0, down + options.down_seconds - time.monotonic()))
    server.start()
    back = time.monotonic()
    kills = 1 + _kill_while_draining(outage, server, sender, options.kills - 1)
    seconds = time.monotonic() - back
    received = Received.of(server)
    lost = set(outage.names) - received.exports
    print(
        f"faults_injected={kills} failures={len(outage.names)} lost={len(lost)} duplicates={received.duplicates} "
        f"messages={len(received.ids)} drained_seconds={seconds:.0f}"
    )
    bad = lost or received.duplicates > kills or seconds > 600 or kills < options.kills
    return 1 if bad or len(received.ids) != len(outage.names) else 0


def _kill_while_draining(outage: Outage, server: SmtpServer, sender: subprocess.Popen[bytes], kills: int) -> int:
    """Kill the sender after each equal share of the messages, and wait for the last message; how many kills."""
    done = 0
    for share in range(1, kills + 1):
        target = len(outage.names) * share // (kills + 1)
        with running(sender):
            wait_until(lambda target=target: len(server.mails) >= target, seconds=600)
        done += 1
        sender = outage.sender()
    with running(sender):
        wait_until(lambda: Received.of(server).exports >= set(outage.names), seconds=600)
        time.sleep(2)  # what would come twice has time to come
    return done


if __name__ == "__main__":
    raise SystemExit(main())
