"""A network namespace of one's own, so that this machine's firewall rules and connection tracking
(Docker's, say) are in nobody's figures."""

import json
import os
import shutil
import subprocess
import sys

# Set in the namespace: what was prepared outside.
APART = "ISOBAR_BENCH_APART"


def enter(script, prepare):
    """What `prepare` returns, in a network namespace of its own where that can be done: the script
    is then started again in it."""
    if os.environ.get(APART):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return json.loads(os.environ[APART])
    prepared = prepare()
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        print("bench: in this machine's own network; its firewall rules count for everyone")
        return prepared
    command = ["unshare", "--net", sys.executable, os.path.abspath(script), *sys.argv[1:]]
    sys.stdout.flush()
    os.execvpe(command[0], command, os.environ | {APART: json.dumps(prepared)})
