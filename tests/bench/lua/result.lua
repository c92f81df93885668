-- What every script shares: counting, and one line of JSON at the end.
local threads = {}

function setup(thread)
   table.insert(threads, thread)
end

function done(summary, latency)
   local finished, refused = 0, 0
   for _, thread in ipairs(threads) do
      finished = finished + thread:get("finished")
      refused = refused + thread:get("refused")
   end
   local broken = summary.errors
   print(string.format(
      'RESULT {"done": %d, "failed": %d, "seconds": %.6f, "p50": %.4f, "p99": %.4f}',
      finished, refused + broken.connect + broken.read + broken.write + broken.timeout,
      summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
