-- Make a version of the configuration the current one, once however often this is repeated.
-- header: {key of the serial, key of the versions, key of the documents, expected serial,
--   most versions, channel, mark of this call}; argument 2 is what is known of the version as
--   msgpack, without its serial, argument 3 its document
-- result: the serial of the new version and its time in ms, or {0} when another one is current
local serial_key, versions, documents = KEYS[header[1]], KEYS[header[2]], KEYS[header[3]]
local expected, most, channel, mark = header[4], header[5], header[6], header[7]
local current = tonumber(redis.call('GET', serial_key) or 0)

if current == expected + 1 then
  local stored = redis.call('HGET', versions, integer(current))
  stored = stored and cmsgpack.unpack(stored)
  if stored and stored.mark == mark then return {current, stored.at} end
end
if current ~= expected then return {0} end

local version = cmsgpack.unpack(ARGV[2])
local serial = integer(expected + 1)
version.at, version.mark = now_ms, mark
redis.call('HSET', versions, serial, cmsgpack.pack(version))
redis.call('HSET', documents, serial, ARGV[3])
redis.call('SET', serial_key, serial)
local oldest = integer(expected + 1 - most)
redis.call('HDEL', versions, oldest)
redis.call('HDEL', documents, oldest)
redis.call('PUBLISH', channel, serial)
return {expected + 1, now_ms}
