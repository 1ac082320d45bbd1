-- Prints what a run measured on one line that the harness reads. Every other script begins with it.

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    "figures requests=%d microseconds=%d bytes=%d p50=%d p99=%d connect=%d read=%d write=%d timeout=%d status=%d\n",
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.timeout, e.status))
end
