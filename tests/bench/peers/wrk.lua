-- Prints what wrk measured as one line of JSON; times in microseconds.
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\nBENCH {"micros":%d,"requests":%d,"bytes":%d,"failed":%d,"p50":%.0f,"p99":%.0f,"max":%.0f}\n',
    summary.duration, summary.requests, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end
