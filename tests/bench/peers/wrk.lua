-- Makes the requests of wrk by the first argument after "--", and prints the results as a line of JSON, with times in microseconds.
--   fixed                 the URL, again and again
--   zipf N SIZE            one of N objects, the k-th in proportion to 1/k
--   cycle N SIZE           one of N objects after the other
--   unique SIZE SEED       a new object each time
--   mixed N SIZE SEED      a new object in every tenth request, the rest as zipf
function init(args)
  local mode = args[1] or "fixed"
  if mode == "fixed" then return end
  local objects = mode == "unique" and 1 or tonumber(args[2])
  local size = mode == "unique" and args[2] or args[3]
  local seed = mode == "unique" and args[3] or args[4] or "0"
  local counter, span = 0, math.log(objects + 1)
  math.randomseed(7)
  local function unique()
    counter = counter + 1
    return wrk.format("GET", "/img/u" .. seed .. "-" .. counter .. "/" .. size .. ".bin")
  end
  local function popular()
    local number = math.min(objects, math.floor(math.exp(math.random() * span)))
    return wrk.format("GET", "/img/o" .. number .. "/" .. size .. ".bin")
  end
  if mode == "unique" then
    request = unique
  elseif mode == "cycle" then
    request = function()
      counter = counter % objects + 1
      return wrk.format("GET", "/img/o" .. counter .. "/" .. size .. ".bin")
    end
  elseif mode == "zipf" then
    request = popular
  else
    request = function() return math.random(10) == 1 and unique() or popular() end
  end
end

done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\nBENCH {"micros":%d,"requests":%d,"bytes":%d,"failed":%d,"p50":%.0f,"p99":%.0f,"p999":%.0f}\n',
    summary.duration, summary.requests, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
