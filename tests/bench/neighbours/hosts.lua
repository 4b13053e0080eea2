-- Asks one host of a file after another. Arguments after `--`: the file.
local requests, position = {}, 0

function init(args)
   for host in io.lines(args[1]) do
      requests[#requests + 1] = "GET /x HTTP/1.1\r\nHost: " .. host .. "\r\n\r\n"
   end
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
