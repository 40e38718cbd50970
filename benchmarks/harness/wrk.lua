-- Arguments: method, a file with one request a line (a path, then for POST a blank and the body),
-- and what all uuids begin with. Everything but the uuid is made before the load begins.
local MARKER = "00000000-0000-8000-8000-000000000000"
local requests, serial, prefix = {}, 0, ""

local function post(path, body)
  wrk.headers["Content-Type"] = "application/json"
  local request = wrk.format("POST", path, nil, body)
  local from, to = request:find(MARKER, 1, true)
  return { request:sub(1, from - 1), request:sub(to + 1) }
end

function init(args)
  prefix = args[3]
  for line in io.lines(args[2]) do
    if args[1] == "POST" then
      requests[#requests + 1] = post(line:match("^(%S+) (.*)$"))
    else
      requests[#requests + 1] = wrk.format("GET", line)
    end
  end
end

function request()
  local chosen = requests[serial % #requests + 1]
  serial = serial + 1
  if type(chosen) == "string" then return chosen end
  return chosen[1] .. prefix .. string.format("%012x", serial) .. chosen[2]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %f, "refused": %d, "broken": %d, "p50_ms": %f, "p99_ms": %f}\n',
    summary.requests, summary.duration / 1e6,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
