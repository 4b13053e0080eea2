-- Walks a file of paths, one request each, again and again. The requests are built before the clock starts.
-- Arguments after `--`: the file of paths, the Host header, and where in the file to begin (0 to 1).
local requests, position = {}, 0

function init(args)
   for path in io.lines(args[1]) do
      requests[#requests + 1] = "GET " .. path .. " HTTP/1.1\r\nHost: " .. args[2] .. "\r\n\r\n"
   end
   position = math.floor(#requests * tonumber(args[3]))
end

function request()
   position = position % #requests + 1
   return requests[position]
end

-- One line for the script that started this: requests, seconds, p50 and p99 in milliseconds, errors of any kind.
function done(summary, latency, _)
   local e = summary.errors
   io.write(string.format("result %d %.6f %.4f %.4f %d\n",
      summary.requests, summary.duration / 1e6,
      latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
      e.connect + e.read + e.write + e.timeout + e.status))
end
