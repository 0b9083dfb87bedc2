"""What users of a cluster wait for, and what DiSE costs there."""

import argparse
import http.client
import sys

from . import fleet, runs
from .kubernetes import Cluster
from .report import Rows, Unmeasurable, say

ATTEMPTS = 2


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sentiment", required=True, help="the example's manifest")
    parser.add_argument("--rows", help="file that the rows are added to")
    parser.add_argument("--only", choices=("ready", "runs", "changes", "fleet"), action="append")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--workflows", type=int, default=300)
    args = parser.parse_args()
    rows = Rows(args.rows)
    measures = {
        "ready": lambda cluster: runs.sentiment(cluster, rows, args.sentiment, args.times),
        "runs": lambda cluster: runs.three_steps(cluster, rows, 2 * args.times),
        "changes": lambda cluster: runs.changes(cluster, rows, args.times),
        "fleet": lambda cluster: fleet.measure(cluster, rows, args.workflows),
    }
    failed = [name for name in args.only or measures if not is_measured(name, measures[name], rows)]
    sys.exit(f"not measured: {', '.join(failed)}" if failed else 0)


def is_measured(name, measure, rows):
    """Measures, a second time if need be: the operator may have been replaced meanwhile."""
    for _ in range(ATTEMPTS):
        try:
            with Cluster() as cluster:
                measure(cluster)
        except (Unmeasurable, OSError, http.client.HTTPException) as reason:
            say(f"{name} could not be measured: {reason}")
            rows.discard()
        else:
            rows.keep()
            return True
    return False


if __name__ == "__main__":
    main()
