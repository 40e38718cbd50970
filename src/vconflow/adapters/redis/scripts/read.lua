-- Hand out new entries of many lists: of each chain at most its budget, fairly between its lists.
-- header: {consumer, total, requests}; request: {budget, stream keys}
-- result: flat {stream key, entries} pairs, entries as XREADGROUP gives them
local consumer, total = header[1], header[2]
local results = {}

local function take(key, count)
  local reply = redis.pcall('XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', count, 'STREAMS', key, '>')
  if type(reply) ~= 'table' or reply.err or not reply[1] then return 0 end
  results[#results + 1] = key
  results[#results + 1] = reply[1][2]
  return #reply[1][2]
end

-- First an equal share for each list, so that a long one does not starve the others; what those
-- leave goes to the long ones.
local function serve(request)
  local left = math.min(request[1], total)
  local share = math.max(1, math.floor(left / #request[2]))
  local more = {}
  for _, index in ipairs(request[2]) do
    if left <= 0 then break end
    local count = math.min(share, left)
    local got = take(KEYS[index], count)
    left = left - got
    total = total - got
    if got == count then more[#more + 1] = index end
  end
  for _, index in ipairs(more) do
    if left <= 0 then break end
    local got = take(KEYS[index], left)
    left = left - got
    total = total - got
  end
end

for _, request in ipairs(header[3]) do
  if total <= 0 then break end
  serve(request)
end
return results
