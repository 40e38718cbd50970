-- Put back a document that was read from a storage, unless newer bytes or a tombstone are there.
-- header: {document key, document arg, meta key, ttl ms (0: none)}
local document, meta = KEYS[header[1]], KEYS[header[3]]
if redis.call('HEXISTS', meta, 'deleted') == 1 then return 0 end
if redis.call('EXISTS', document) == 1 then return 0 end
local rev = adopt(meta)
if rev then redis.call('HSET', meta, 'stored', rev) end
redis.call('SET', document, ARGV[header[2]])
local open = tonumber(redis.call('HGET', meta, 'open') or 0)
if header[4] > 0 and open <= 0 then
  redis.call('PEXPIRE', document, header[4])
  if redis.call('PTTL', meta) < header[4] then redis.call('PEXPIRE', meta, header[4] * 2) end
end
return 1
