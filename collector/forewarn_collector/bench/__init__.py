"""Measure what one collector carries: a simulated fleet against the real `serve`.

What is real: the collector is the program as shipped, in a process and folder of its own, with
TLS, signatures checked, samples fsynced, rules judged, webhooks sent.  What is simulated: the
hosts.  They have keys of their own and sign, pack and send one batch of 30 samples a minute, each
at its own second, over a pool of kept-alive connections as a proxy would; no host waits for
another's answer.  It reports what it measured and holds nothing against a target.
"""

from forewarn_collector.bench.report import BenchReport
from forewarn_collector.bench.trial import BenchFailed, run

__all__ = ["BenchFailed", "BenchReport", "run"]
