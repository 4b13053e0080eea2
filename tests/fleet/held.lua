-- Asks an edge for links that it holds, some hundred times a second. Arguments after `--`: how many links there are.
local count = 1

function init(args)
   count = tonumber(args[1])
   math.randomseed(os.time())
end

function request()
   return "GET /held/" .. math.random(0, count - 1) .. " HTTP/1.1\r\nHost: fleet.example\r\n\r\n"
end

function delay()
   return 4
end

-- One line for the script that started this: requests and those that failed in any way.
function done(summary, _, _)
   local e = summary.errors
   io.write(string.format("result %d %d\n", summary.requests, e.connect + e.read + e.write + e.timeout + e.status))
end
