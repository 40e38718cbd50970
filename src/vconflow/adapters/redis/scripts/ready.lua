-- Which lists may have something to read, and where the bell stands: what rings it afterwards is
-- not among them.
-- header: {how many at most}
-- result: {last entry of the bell, stream keys in no order}
local last = redis.pcall('XREVRANGE', bell_key, '+', '-', 'COUNT', '1')
local lists = redis.pcall('SRANDMEMBER', ready_key, header[1])
return {last[1] and last[1][1] or '0-0', lists.err and {} or lists}
