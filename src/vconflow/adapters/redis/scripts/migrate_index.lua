-- Move some members of a conserver's search index into ours.
-- header: {its key, key where it waits meanwhile, our key, expiry ms, most members, key for what is
--          no uuid}
-- result: {moved, put away, left}
local theirs, aside, ours = KEYS[header[1]], KEYS[header[2]], KEYS[header[3]]
local moved, refused = 0, 0
-- Asking for another type has a set put aside, as every script does that finds one in its way.
is_type(theirs, 'zset')
if redis.call('TYPE', aside).ok ~= 'set' then return {0, 0, 0} end
if not is_type(ours, 'zset') then return redis.error_reply('WRONGTYPE ' .. ours) end
for _, member in ipairs(redis.call('SPOP', aside, header[5])) do
  local uuid = string.match(member, '^vcon:(.*)$') or member
  if #uuid == 36 and string.match(uuid, '^[0-9a-f-]+$') then
    redis.call('ZADD', ours, 'NX', integer(now_ms), uuid)
    moved = moved + 1
  else
    redis.call('SADD', KEYS[header[6]], member)
    refused = refused + 1
  end
end
if moved > 0 and header[4] > 0 then redis.call('PEXPIRE', ours, header[4]) end
return {moved, refused, redis.call('SCARD', aside)}
